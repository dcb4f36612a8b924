//! Attacks on the host side: each first works under plain cargo, and then fails here.

mod directives;
mod fix;
mod install;
mod package;
mod planted;
mod raw_executable;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use support::need;
use support::tool::Engine;
use support::world::{User, World};

/// A world for root and one for an ordinary user, with the native engine, which is always there.
fn worlds(name: &str) -> impl Iterator<Item = World> {
    [User::ordinary(), User::root()].into_iter().filter_map(move |user| need(World::new(name, &need(user)?)))
}

const ENGINE: Engine = Engine::Native;

/// A package with this build script, which runs again when `trigger` changes.
fn package(world: &World, name: &str, script: &str) -> PathBuf {
    let project = world.work().join(name);
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("trigger"), "1");
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    let script = format!("fn main() {{\n    println!(\"cargo:rerun-if-changed=trigger\");\n{script}\n}}\n");
    world.write(&project.join("build.rs"), &script);
    project
}

/// Every file below a directory whose name starts so.
fn find(directory: &Path, start: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(start) && !path.is_dir() {
            found.push(path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(find(&path, start));
        }
    }
    found
}
