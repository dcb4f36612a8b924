//! Continuous integration: the tool within containers, and the recipes of `examples/ci`.

#[path = "../support/mod.rs"]
mod support;

mod containers;
mod recipes;
