//! What is recorded of jobs, and what is said of those that were refused something.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod browser;
mod denials;
mod learn;
mod record;

use serde_json::Value;
use support::run::{Output, run};
use support::tool::{Engine, each_engine};
use support::world::{World, ordinary as world};

/// A workspace of one package, `app`, whose dependencies are in `vendor`, as `cargo vendor` leaves them.
fn project(world: &World, dependencies: &str) -> PathBuf {
    let project = world.work().join("app");
    let manifest = format!(
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{dependencies}\n"
    );
    let vendored =
        "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"vendor\"\n";
    fs::create_dir_all(project.join("vendor")).expect("vendor");
    world.write(&project.join(".cargo/config.toml"), vendored);
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    world.write(&project.join("Cargo.toml"), &manifest);
    project
}

/// Puts a package into `vendor`. `more` is what its manifest has beside its name.
fn vendor(world: &World, project: &Path, name: &str, version: &str, more: &str, files: &[(&str, &str)]) {
    let directory = project.join("vendor").join(name);
    support::world::remove(&directory);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2024\"\n\n{more}\n");
    world.write(&directory.join("Cargo.toml"), &manifest);
    world.write(&directory.join(".cargo-checksum.json"), "{\"files\":{}}");
    world.write(&directory.join("src/lib.rs"), "");
    for (path, text) in files {
        world.write(&directory.join(path), text);
    }
}

/// Runs `cargo-sandbox` with these words.
fn sandbox(world: &World, engine: Engine, project: &Path, line: &str) -> Output {
    run(&mut support::line::sandbox(world, engine, project, line))
}

/// Where records of the one project of a world are.
fn report(world: &World) -> PathBuf {
    let mut projects = fs::read_dir(world.state().join("projects")).expect("projects").flatten();
    projects.next().expect("a project").path().join("report")
}

/// The record of the last command.
fn audit(world: &World) -> Value {
    let path = report(world).join("audit.json");
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

/// The record of one package and kind of job.
#[track_caller]
fn record<'a>(audit: &'a Value, package: &str, kind: &str) -> &'a Value {
    let records = audit["records"].as_array().expect("records");
    let is = |record: &&Value| record["package"]["name"] == package && record["kind"] == kind;
    records.iter().find(is).unwrap_or_else(|| panic!("no {kind} of {package} in {audit:#}"))
}

/// A list of strings in a record.
#[track_caller]
fn list<'a>(record: &'a Value, pointer: &str) -> Vec<&'a str> {
    let value = record.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {record:#}"));
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a string")).collect()
}
