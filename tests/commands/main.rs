//! The front end's own behaviour: its errors, each with what to do; containers that come, change and go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../support/mod.rs"]
mod support;

mod completions;
mod containers;
mod errors;
mod fix;
mod forms;
mod install;

use support::need;
use support::run::{Output, run};
use support::tool::Engine;
use support::world::{User, World};

/// The engines at hand, each with a world of its own, as an ordinary user.
fn each_engine(name: &str, test: impl Fn(&World, Engine)) {
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let Some(world) = world(&format!("{name}-{engine}")) else { return };
        test(&world, engine);
    }
}

/// A world of an ordinary user.
fn world(name: &str) -> Option<World> {
    let user = need(User::ordinary())?;
    need(World::new(name, &user))
}

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

/// Runs the front end and expects cargo's exit code for a failure, and words on standard error.
#[track_caller]
fn fails(command: &mut std::process::Command, words: &[&str]) -> Output {
    let output = run(command);
    assert_eq!(output.code(), 101, "{}\n{}", output.stdout, output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
    }
    output
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
