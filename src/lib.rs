//! The library behind `cargo-sandbox`.

pub mod agent;
pub mod broker;
#[path = "../wrapper/caller.rs"]
pub mod caller;
pub mod cargo;
pub mod cli;
pub mod container;
pub mod editor;
pub mod forward;
pub mod missing;
mod mountinfo;
mod passing;
pub mod policy;
mod procstat;
pub mod project;
pub mod provider;
pub mod publish;
pub mod report;
pub mod switch_off;

#[cfg(test)]
#[path = "../wrapper/jobserver.rs"]
mod jobserver;
#[path = "../wrapper/wire.rs"]
pub mod wire;
