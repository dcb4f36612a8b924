//! `install` of what is no project here: crates of a registry, or of a git repository.
//!
//! Each is built apart from everything else, in directories and a container that go with it, and sees nothing of the
//! directory that the command is given in. cargo takes the finished programs out of them.

use std::path::PathBuf;

use anyhow::Context;

use crate::broker::session::normalized;
use crate::cargo::CargoCommand;
use crate::cargo::domain::Rights;
use crate::cargo::run::exit_code;
use crate::container::engines::Engines;
use crate::project::StateDirectory;
use crate::project::single_use::SingleUse;

use super::EXIT_FAILURE;
use super::cargo_command::{prepare, start_broker};
use super::report::Report;
use super::vetted::Vetted;

/// Installs each crate that the command names.
pub fn run(vetted: &Vetted<'_>) -> anyhow::Result<u8> {
    let all = vetted.command.one_per_crate();
    let [(name, command)] = all.as_slice() else { return several(vetted, &all) };
    one(vetted, name, command)
}

/// Goes on behind one that fails, and says at the end what cargo says.
fn several(vetted: &Vetted<'_>, all: &[(String, CargoCommand)]) -> anyhow::Result<u8> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (name, command) in all {
        match one(vetted, name, command)? {
            0 => done.push(name.as_str()),
            _ => failed.push(name.as_str()),
        }
    }
    if !vetted.command.quiet {
        let mut parts = Vec::new();
        if !done.is_empty() {
            parts.push(format!("Successfully installed {}!", done.join(", ")));
        }
        if !failed.is_empty() {
            parts.push(format!("Failed to install {} (see error(s) above).", failed.join(", ")));
        }
        eprintln!("     Summary {}", parts.join(" "));
    }
    if failed.is_empty() {
        return Ok(0);
    }
    eprintln!("error: some crates failed to install");
    Ok(EXIT_FAILURE)
}

fn one(vetted: &Vetted<'_>, name: &str, command: &CargoCommand) -> anyhow::Result<u8> {
    let state = vetted.front_end.state()?;
    let made_up =
        SingleUse::create(&state, name).context("failed to make directories for the installation")?;
    // The root of a project in which nothing is: what is built lies with the sources of crates.
    std::fs::create_dir_all(made_up.source()).context("failed to make directories for the installation")?;
    let project = made_up.project(&made_up.source());
    let mut prepared = prepare(vetted.front_end, vetted.options, &vetted.known(command), &state, project)?;
    // cargo takes one directory for both here, whatever it is told of a build directory.
    let command = &CargoCommand::parse(command.without_option("--target-dir"));
    let build = prepared.session.directories.build();
    prepared.session.target_dir = made_up.source().join("target");
    let mut cargo = vetted.cargo(command, Some((&made_up.source(), &build)))?;
    cargo.environment.retain(|(name, _)| name != "CARGO_TARGET_DIR");
    cargo.environment.push(("CARGO_TARGET_DIR".into(), build.into()));
    // Before cargo reads the configuration of what it installs it reads that of where it is.
    for file in vetted.directory.ancestors().flat_map(|above| FILES.map(|name| above.join(name))) {
        if file.is_file() {
            cargo.domain.add(file, Rights::Read);
        }
    }
    for path in repositories(command).iter().filter_map(|path| normalized(path)) {
        cargo.domain.add(path, Rights::Read);
    }
    let directories = prepared.session.directories.clone();
    let report = Report::begin(&vetted.options.report, &prepared.session, command)?;
    let session_directory = start_broker(prepared.session)?;
    let status = cargo.with_broker(&directories, &session_directory, &prepared.triples);
    drop(session_directory);
    end_containers(vetted, &state, made_up.id());
    if status.is_ok() {
        // What was recorded stays until the crate is installed again.
        let kept = state.installed(name).context("failed to make a directory for the record")?;
        report.kept_in(kept).finish()?;
    }
    // With it the last name goes that jobs had for what is installed now: cargo moves programs where it can.
    drop(made_up);
    // Where cargo was ended by a signal this process ends by it too.
    status.map(exit_code)
}

/// Configuration of the directory that cargo is started in.
const FILES: [&str; 2] = [".cargo/config", ".cargo/config.toml"];

/// Repositories on this machine that the user names.
fn repositories(command: &CargoCommand) -> Vec<PathBuf> {
    let urls = command.option("--git").into_iter();
    urls.filter_map(|url| url.to_str()?.strip_prefix("file://").map(PathBuf::from)).collect()
}

/// Ends what runs of a project that goes away.
pub(super) fn end_containers(vetted: &Vetted<'_>, state: &StateDirectory, id: &str) {
    let endpoints = vetted.front_end.docker_endpoints();
    let engines = Engines::new(vetted.options.settings().engine.value, endpoints, state);
    for engine in engines.available() {
        for container in engine.list().unwrap_or_default().iter().filter(|one| one.project == id) {
            // One that stays ends by itself, and shows directories that nobody has a name for any more.
            let _left = engine.remove(container);
        }
    }
}
