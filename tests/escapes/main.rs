//! Attacks: each first works under plain cargo, and then gains nothing here.
//!
//! - [`matrix`]: what a job can try by itself, every attack of the [`catalogue`] in every kind of job. The hostile
//!   packages are in `crates/`, the world that they attack is a [`lab`], and cargo is started in each [`way`].
//! - `layers`, in a build of its own: the same with a defence switched off.
//! - [`host_cases`]: the list of attacks with a test of their own, here and in other suites.
//! - [`believed`], [`deputy`], [`directives`], [`planted`], [`raw_executable`]: what a build script or a repository has cargo do on
//!   the host; [`fix`], [`install`], [`package`]: the same with these commands.

mod believed;
mod catalogue;
mod deputy;
mod directives;
mod fix;
mod host_cases;
mod install;
mod lab;
#[cfg(feature = "switch-off")]
mod layers;
mod matrix;
mod package;
mod page;
mod planted;
mod raw_executable;
mod registry;
#[path = "../support/mod.rs"]
mod support;
mod way;

use std::path::{Path, PathBuf};

use support::need;
use support::run::{Output, run};
use support::tool::Engine;
use support::world::{User, World};
use way::Way;

/// A world for root and one for an ordinary user, with the native engine, which is always there.
fn worlds(name: &str) -> impl Iterator<Item = World> + use<> {
    let name = name.to_owned();
    [User::ordinary(), User::root()]
        .into_iter()
        .filter_map(move |user| need(World::new(&name, &need(user)?).map(World::incremental)))
}

/// The same on each engine, a world for each.
fn scenes(name: &str) -> impl Iterator<Item = (World, Engine)> {
    let engines = Engine::ALL.into_iter().filter_map(|engine| need(engine.here()));
    engines.flat_map(move |engine| worlds(&format!("{name}-{engine}")).map(move |world| (world, engine)))
}

const ENGINE: Engine = Engine::Native;

/// What a command of cargo's does in each way to start it, one after the other in the same project.
fn in_each_way(world: &World, engine: Engine, project: &Path, words: &[&str], check: impl Fn(Way, Output)) {
    let setup = |more: &[&str]| {
        run(world.sandbox(engine, project).args(["self", "setup", "--yes"]).args(more)).success("self setup");
    };
    check(Way::Sandbox(engine), run(world.sandbox(engine, project).args(words)));
    check(Way::Wrapper(engine), run(world.wrapped(engine, project).args(words)));
    setup(&[]);
    check(Way::SetUp(engine), run(world.plain_with(engine, project).args(words)));
    setup(&["--undo"]);
}

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
