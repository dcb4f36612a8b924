//! Containers made by a real daemon: what is asked for is in force, and failures are told.
//!
//! Without a daemon these tests say so and pass, except where `CI` is set: there one must answer.

mod docker_errors;
mod docker_life;
mod docker_limits;
mod docker_remembered;
mod docker_support;
mod docker_world;
#[path = "../support/forward.rs"]
mod forward;
