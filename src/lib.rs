//! The library behind `cargo-sandbox`.

pub mod agent;
pub mod container;
