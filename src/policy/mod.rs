//! What the user allows: settings that come from the user alone, what a policy grants to packages, and trust in what
//! a repository asks for.
//!
//! A policy is read ([`mod@file`]) and resolved ([`layers`]): built-in defaults, the shipped list ([`known`]), the user's own
//! configuration, the repository's `cargo-sandbox.toml`. What a layer says of a job is folded into what the layers before
//! it say ([`effective`]); one that is not trusted can only take away. [`asks`] says what of a repository's file needs
//! trust, [`paths`] what no policy can grant.

pub mod asks;
pub mod bar;
pub mod base;
pub mod calls;
pub mod containers;
pub mod difference;
pub mod effective;
pub mod file;
pub mod invalid;
pub mod kind;
pub mod known;
pub mod layers;
mod limit_table;
pub mod limits;
pub mod native;
mod nearest;
pub mod network;
pub mod package;
pub mod paths;
#[cfg(test)]
mod properties;
pub mod provider;
pub mod question;
pub mod reference;
pub mod repository;
pub mod sockets;
pub mod trust;
pub mod user;
pub mod words;
