//! Jobs that take too much, kernels that offer too little, and the user's configuration.

#[path = "../support/mod.rs"]
mod support;

mod bombs;
mod configuration;
mod free_space;
mod weaker;

use std::path::{Path, PathBuf};
use std::thread;

use support::need;
use support::tool::Engine;
use support::world::{User, World};

/// A world for root and one for an ordinary user, with each engine at hand.
fn each_world(name: &str, test: impl Fn(&World, Engine)) {
    Engine::ALL.into_iter().for_each(|engine| each_user(name, engine, &test));
}

/// The same with both engines at once: what takes long in them is to wait.
fn each_engine_at_once(name: &str, test: impl Fn(&World, Engine) + Sync) {
    thread::scope(|scope| {
        for engine in Engine::ALL {
            let test = &test;
            scope.spawn(move || each_user(name, engine, test));
        }
    });
}

fn each_user(name: &str, engine: Engine, test: &impl Fn(&World, Engine)) {
    let Some(engine) = need(engine.here()) else { return };
    for user in [User::ordinary(), User::root()] {
        let Some(user) = need(user) else { continue };
        let Some(world) = need(World::on_disk(&format!("{name}-{engine}"), &user)) else { continue };
        test(&world, engine);
    }
}

/// A package of one file and perhaps a build script.
fn package(world: &World, project: &Path, more: &str, main: &str, script: Option<&str>) {
    let name = project.file_name().expect("a name").to_string_lossy();
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}");
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("src/main.rs"), main);
    if let Some(script) = script {
        world.write(&project.join("build.rs"), script);
    }
}

/// Where the user's own configuration is.
fn configuration_of(world: &World) -> PathBuf {
    world.home.join(".config/cargo-sandbox/config.toml")
}
