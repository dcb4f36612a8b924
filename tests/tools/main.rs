//! Installed subcommands: the same as under cargo, with every test and compiler in the container, and what a
//! repository asks of them is asked about.

#[path = "../support/mod.rs"]
mod support;

mod coverage;
mod forged;
mod hostile;
mod library;
mod others;
mod same;
mod scripts;
mod unknown;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::line::{plain, sandbox};
use support::need;
use support::run::{Output, run};
use support::tool::Engine;
use support::world::{self, User, World, base, shared};

/// A world with these tools in its `CARGO_HOME`, for an ordinary user and for root, on every engine.
fn worlds(name: &str, tools: &[&str]) -> Vec<(World, Engine)> {
    let mut users: Vec<_> = [need(User::ordinary()), need(User::root())].into_iter().flatten().collect();
    users.dedup();
    let engines: Vec<_> = Engine::ALL.into_iter().filter_map(|engine| need(engine.here())).collect();
    let all = users.iter().flat_map(|user| engines.iter().map(move |engine| (user, *engine)));
    all.filter_map(|(user, engine)| Some((need(world(&format!("{name}-{engine}"), user, tools))?, engine)))
        .collect()
}

/// The same with the native engine, which is always there: for what no engine has a part in.
fn native_worlds(name: &str, tools: &[&str]) -> Vec<World> {
    let mut users: Vec<_> = [need(User::ordinary()), need(User::root())].into_iter().flatten().collect();
    users.dedup();
    users.iter().filter_map(|user| need(world(name, user, tools))).collect()
}

fn world(name: &str, user: &User, tools: &[&str]) -> Result<World, String> {
    let world = World::new(name, user)?;
    let staged = base().join("tools").join(format!("{}-{name}", user.name));
    world::remove(&staged);
    fs::create_dir_all(staged.join("bin")).expect("directory");
    for tool in tools {
        let file = format!("cargo-{tool}");
        fs::copy(installed(&file)?, staged.join("bin").join(file)).expect("copy of a tool");
    }
    world.copy(&staged, &world.home.join(".cargo"));
    world::remove(&staged);
    Ok(world)
}

/// A tool of whoever runs the tests: in `PATH` or where cargo installs.
fn installed(file: &str) -> Result<PathBuf, String> {
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    places.extend(std::env::home_dir().map(|home| home.join(".cargo/bin")));
    let found = places.into_iter().map(|place| place.join(file)).find(|path| path.is_file());
    found.ok_or_else(|| format!("`{file}` is not installed: `cargo install --locked {file}`"))
}

/// A package with this manifest behind `[package]`, and these files.
fn package(world: &World, name: &str, manifest: &str, files: &[(&str, &str)]) -> PathBuf {
    let project = world.work().join(name);
    for (path, text) in files {
        world.write(&project.join(path), text);
    }
    world.write(
        &project.join("Cargo.toml"),
        &format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\nlicense = \"MIT\"\n{manifest}\n[workspace]\n"),
    );
    project
}

/// A published crate with no dependencies and a test suite of its own, as it is in the registry.
fn published(world: &World, name: &str, version: &str) -> Option<PathBuf> {
    let seed = base().join("seed").join(format!("tools-{name}-{version}"));
    {
        let _lock = shared();
        if !seed.join("crate").exists() {
            let throwaway = seed.join("throwaway");
            fs::create_dir_all(throwaway.join("src")).expect("directory");
            let manifest = format!(
                "[package]\nname = \"x\"\nversion = \"0.1.0\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
            );
            fs::write(throwaway.join("Cargo.toml"), manifest).expect("manifest");
            fs::write(throwaway.join("src/lib.rs"), "").expect("source");
            let mut cargo = Command::new(env!("CARGO"));
            let fetched =
                run(cargo.arg("fetch").current_dir(&throwaway).env("CARGO_HOME", seed.join("cargo")));
            if !fetched.status.success() {
                return need(Err(format!("no registry: {}", fetched.stderr)));
            }
            let indexes = fs::read_dir(seed.join("cargo/registry/src")).expect("unpacked sources");
            let unpacked =
                indexes.map(|index| index.expect("readable").path().join(format!("{name}-{version}")));
            let unpacked = unpacked.into_iter().find(|path| path.exists()).expect("the crate");
            world::copy(&unpacked, &seed.join("crate"));
        }
    }
    let project = world.work().join(name);
    world.copy(&seed.join("crate"), &project);
    Some(project)
}

/// A script that can be executed.
fn script(world: &World, path: &Path, text: &str) {
    world.write(path, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}

/// Whether the file was there; it is not any more.
fn left(trace: &Path) -> bool {
    fs::remove_file(trace).is_ok()
}

#[track_caller]
fn says(output: &Output, words: &[&str]) {
    for word in words {
        let said = output.stdout.contains(word) || output.stderr.contains(word);
        assert!(said, "`{word}` is not in:\n{}\n{}", output.stdout, output.stderr);
    }
}
