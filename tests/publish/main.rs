//! Publishing to a real registry on this machine: what arrives there, who gets the token, and what the two containers are.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod certificate;
mod commands;
mod errors;
mod interrupted;
mod server;
mod upload;
mod world;

use std::path::{Path, PathBuf};

use server::Server;
use support::need;
use support::tool::Engine;
use support::world::{User, World};

/// A world for root and one for an ordinary user, as far as they are here.
fn users() -> Vec<User> {
    let mut users: Vec<User> = need(User::ordinary()).into_iter().collect();
    users.extend(User::root().ok());
    users
}

/// A world whose user knows a fresh registry by the name `mine`.
fn scene(name: &str, user: &User) -> Option<(World, Server)> {
    let world = need(World::new(name, user))?;
    let server = need(Server::start(&world.home.join("registry"), false))?;
    know(&world, &server);
    Some((world, server))
}

fn know(world: &World, server: &Server) {
    let config = format!("[registries.mine]\nindex = \"{}\"\n", server.index());
    world.write(&world.home.join(".cargo/config.toml"), &config);
}

/// A package below the world's `work` directory.
fn package(world: &World, name: &str, manifest: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = world.work().join(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    let text = format!(
        "[package]\nname = \"{last}\"\nversion = \"0.1.0\"\nedition = \"2024\"\nlicense = \"MIT\"\n\
         description = \"A package of the tests\"\n{manifest}"
    );
    world.write(&directory.join("Cargo.toml"), &text);
    for (path, content) in files {
        world.write(&directory.join(path), content);
    }
    if !directory.join("src").exists() {
        world.write(&directory.join("src/lib.rs"), "/// Nothing.\npub fn nothing() {}\n");
    }
    directory
}

/// `cargo-sandbox …` with the user's token in the environment.
fn sandbox(
    world: &World,
    engine: Engine,
    directory: &Path,
    token: &str,
    line: &str,
) -> std::process::Command {
    let mut command = world.sandbox(engine, directory);
    command.args(line.split(' ')).env("CARGO_REGISTRIES_MINE_TOKEN", token);
    command
}

/// The engines that are here.
fn engines() -> Vec<Engine> {
    Engine::ALL.into_iter().filter_map(|engine| need(engine.here())).collect()
}
