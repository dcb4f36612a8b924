//! `cargo-sandbox.toml` and the same tables of the user's: what each key lets a job do, and that the job cannot do it
//! without.

#[path = "../support/mod.rs"]
mod support;

mod containers;
mod database;
mod files;
mod known;
mod library_paths;
mod limits;
mod macros;
mod network;
mod page;
mod scripts;
mod sockets;
mod source;
mod trust;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::line;
use support::need;
use support::run::{Output, fails, run};
use support::tool::Engine;
use support::world::{User, World};

/// The engines that are here; the native one always is.
fn engines() -> impl Iterator<Item = Engine> {
    Engine::ALL.into_iter().filter_map(|engine| need(engine.here()))
}

/// A world for an ordinary user.
fn world(name: &str) -> Option<World> {
    need(World::new(name, &need(User::ordinary())?))
}

/// The same and one for root, whose files are others' in a container.
fn worlds(name: &str) -> impl Iterator<Item = World> {
    [User::ordinary(), User::root()].into_iter().filter_map(move |user| need(World::new(name, &need(user)?)))
}

/// A package with this build script and this program, whose test is `tests/it.rs`.
struct Parts<'a> {
    script: &'a str,
    program: &'a str,
    test: &'a str,
}

const NOTHING: &str = "fn main() {}\n";

impl Default for Parts<'_> {
    fn default() -> Self {
        Self { script: NOTHING, program: NOTHING, test: "" }
    }
}

fn project(world: &World, name: &str, parts: &Parts<'_>) -> PathBuf {
    let project = world.work().join(name);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n");
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("build.rs"), parts.script);
    world.write(&project.join("src/main.rs"), parts.program);
    if !parts.test.is_empty() {
        world.write(&project.join("tests/it.rs"), parts.test);
    }
    project
}

/// Writes the repository's policy, as it is to be trusted.
fn policy(world: &World, project: &Path, text: &str) {
    world.write(&project.join("cargo-sandbox.toml"), text);
}

/// Writes the user's own configuration.
fn configure(world: &World, text: &str) {
    world.write(&world.home.join(".config/cargo-sandbox/config.toml"), text);
}

fn sandbox(world: &World, engine: Engine, project: &Path, line: &str) -> Command {
    line::sandbox(world, engine, project, line)
}

#[track_caller]
fn trust(world: &World, engine: Engine, project: &Path) -> Output {
    run(&mut sandbox(world, engine, project, "self trust --yes")).success("self trust --yes")
}
