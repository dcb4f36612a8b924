//! The front end's own behaviour: its errors, each with what to do; containers that come, change and go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../support/mod.rs"]
mod support;

mod completions;
mod containers;
mod doctor;
mod errors;
mod fix;
mod forms;
mod install;

use support::need;
use support::run::{fails, run};
use support::tool::{Engine, each_engine};
use support::world::{User, World, ordinary as world};

/// A package with a build script, which makes a container necessary.
fn package(world: &World, name: &str) -> PathBuf {
    let project = world.work().join(name);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n");
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("build.rs"), "fn main() {}\n");
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    project
}

/// Waits until something is so.
#[track_caller]
fn eventually(limit: Duration, what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}
