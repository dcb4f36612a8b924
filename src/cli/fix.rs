//! `fix` and `clippy --fix`: cargo wholly inside, on a copy of the project.
//!
//! cargo starts itself in the place of the compiler, and writes what the compiler's messages suggest. Macros write such
//! messages as well, and their libraries come first where that cargo looks for its own, so that it is no program for
//! the host. It runs as a job with all that it starts, and can change nothing but a copy; what counts of that is
//! decided here, when every process of the job is dead.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};

use crate::broker::session::{Inside, Purpose};
use crate::cargo::CargoCommand;
use crate::cargo::run::exit_code;
use crate::container::spec::Mount;
use crate::project::asked::{Asked, Selection};
use crate::project::single_use::SingleUse;
use crate::project::staged::{Outcome, Staged};
use crate::project::{Project, StateDirectory, file_name, find_manifest, planted, private_directory, record};

use super::cargo_command::{Prepared, prepare, start_broker};
use super::inside::{CACHES, Needed, needed};
use super::install::end_containers;
use super::vetted::Vetted;

/// What of a rehearsal's words nobody says again: how the sources came, and what cargo changed in manifests.
const SAID_ONCE: &[&str] = &["Updating", "Downloading", "Downloaded", "Locking", "Adding", "Fixed"];

/// The most changes that are named.
const NAMED: usize = 20;

/// Fixes the project at `root`.
pub fn run(vetted: &Vetted<'_>, root: &Path) -> anyhow::Result<u8> {
    let state = vetted.front_end.state()?;
    let made_up =
        SingleUse::create(&state, &file_name(root)).context("failed to make directories for the copy")?;
    let result = match rehearse(vetted, &state, &made_up, root) {
        Ok(None) => inside(vetted, &state, &made_up, root),
        Ok(Some(status)) => Ok(status),
        Err(error) => Err(error),
    };
    end_containers(vetted, &state, made_up.id());
    drop(made_up);
    // Where cargo was ended by a signal this process ends by it too.
    result.map(exit_code)
}

/// Has cargo do on the host what it does before the first compiler: look at version control, fetch, change manifests.
/// Returns how it ended where it comes no further.
fn rehearse(
    vetted: &Vetted<'_>,
    state: &StateDirectory,
    made_up: &SingleUse,
    root: &Path,
) -> anyhow::Result<Option<ExitStatus>> {
    // The cargo in the place of the compiler starts what this names, and not what it is told to take for the compiler.
    if vetted.configuration.get("env.RUSTC_WORKSPACE_WRAPPER").is_some() {
        bail!(
            "the configuration sets RUSTC_WORKSPACE_WRAPPER in `[env]`, which `fix` would start on this machine\n\nhint: \
             take it out of the configuration"
        );
    }
    let mut prepared = prepared(vetted, state, made_up, root)?;
    if prepared.session.policy.narrows() {
        bail!(
            "`{}` runs all of cargo as one job, in which a policy that takes something away from single packages or kinds of \
             job cannot be kept\n\nhint: `cargo-sandbox self explain <package>` shows what is said; apply the compiler's \
             suggestions by hand",
            vetted.command.subcommand
        );
    }
    let reached = Arc::new(AtomicBool::new(false));
    prepared.session.purpose = Purpose::Rehearsal(Arc::clone(&reached));
    let target_dir = prepared.session.target_dir.clone();
    planted::check(root, &target_dir)?;
    let command = rehearsed(&vetted.command);
    let cargo = vetted.cargo(&command, Some((root, &target_dir)))?;
    let session_directory = start_broker(prepared.session)?;
    let kept = || tempfile::tempfile().context("failed to make a temporary file");
    let (mut stdout, mut stderr) = (kept()?, kept()?);
    let directories = made_up.directories();
    let status = cargo.unheard(directories, &session_directory, &prepared.triples, [&stdout, &stderr])?;
    let errors = content(&mut stderr)?;
    if reached.load(Ordering::SeqCst) {
        if !vetted.command.quiet {
            let once = |line: &&[u8]| {
                let line = String::from_utf8_lossy(line);
                SAID_ONCE.iter().any(|word| line.trim_start().starts_with(word))
            };
            let lines: Vec<_> = errors.split_inclusive(|byte| *byte == b'\n').filter(once).collect();
            std::io::stderr().write_all(&lines.concat())?;
        }
        return Ok(None);
    }
    std::io::stdout().write_all(&content(&mut stdout)?)?;
    std::io::stderr().write_all(&errors)?;
    Ok(Some(status))
}

/// The command line of a rehearsal. That of clippy is `fix` for cargo as well, and its own part left out: the cargo
/// that takes the place of the compiler would start clippy itself, not what it is told to take for the compiler.
fn rehearsed(command: &CargoCommand) -> CargoCommand {
    let own = command.arguments[..command.end()].iter();
    let words = own.enumerate().filter(|(_, word)| *word != "--fix" && *word != "--no-deps");
    let word = |(at, word): (usize, &OsString)| match command.position {
        Some(position) if position == at => "fix".into(),
        _ => word.clone(),
    };
    CargoCommand::parse(words.map(word).collect())
}

/// Runs cargo in the container, and writes to the project what counts of its changes.
fn inside(
    vetted: &Vetted<'_>,
    state: &StateDirectory,
    made_up: &SingleUse,
    root: &Path,
) -> anyhow::Result<ExitStatus> {
    let mut prepared = prepared(vetted, state, made_up, root)?;
    let leave_out = [prepared.session.target_dir.as_path(), vetted.cargo_home.as_path()];
    let staged = Staged::copy(root, &made_up.source(), &leave_out)
        .with_context(|| format!("failed to copy the sources in `{}`", root.display()))?;
    let manifest =
        find_manifest(&vetted.directory, vetted.command.manifest_path.as_deref())?.canonicalize()?;
    let current = manifest.strip_prefix(root).unwrap_or(&manifest);
    let asked = Asked::new(root, staged.manifests(), current, &selection(&vetted.command));

    let build = build_directory(state, root)?;
    let (mut shown, reads) = shown(vetted, made_up, root)?;
    prepared.session.target_dir = root.join("target");
    prepared.session.purpose = Purpose::Inside(Inside {
        arguments: arguments(&vetted.command, &manifest),
        directory: if vetted.directory.starts_with(root) {
            vetted.directory.clone()
        } else {
            root.to_owned()
        },
        reads,
        build: build.clone(),
    });
    shown.push(Mount::writable(build));
    prepared.session.containers = prepared.session.containers.showing(shown);
    let directories = made_up.directories().clone();
    let cargo = vetted.cargo(&vetted.command, None)?;
    let session_directory = start_broker(prepared.session)?;
    let status = cargo.inside(&directories, &session_directory)?;
    drop(session_directory);
    if status.code().is_none() {
        // Somebody wanted it to end.
        return Ok(status);
    }
    let outcome = staged
        .apply(&|path| asked.covers(path))
        .with_context(|| format!("failed to write what was fixed to `{}`", root.display()))?;
    tell(&outcome);
    Ok(status)
}

/// Where cargo builds inside. It stays for the next time, as the project's own does: dependencies need not be compiled
/// again. What code of a dependency leaves there meets code of the same project, in the same confinement.
fn build_directory(state: &StateDirectory, root: &Path) -> anyhow::Result<PathBuf> {
    let project = Project::new(root);
    let directories = state.project(&project.id);
    let failed = "failed to make a build directory";
    directories.create().context(failed)?;
    private_directory(&directories.inside()).context(failed)?;
    if record::read(&directories).is_none() {
        record::write(&directories, &project, String::new()).context(failed)?;
    }
    Ok(directories.inside())
}

fn prepared(
    vetted: &Vetted<'_>,
    state: &StateDirectory,
    made_up: &SingleUse,
    root: &Path,
) -> anyhow::Result<Prepared> {
    let known = vetted.known(&vetted.command);
    prepare(vetted.front_end, vetted.options, &known, state, made_up.project(root))
}

/// cargo's arguments inside: what names places of the host is taken out, and version control was asked already.
fn arguments(command: &CargoCommand, manifest: &Path) -> Vec<OsString> {
    let mut command = CargoCommand::parse(command.without_option("--target-dir"));
    if command.manifest_path.is_some() {
        command = CargoCommand::parse(command.without_option("--manifest-path"));
        insert(&mut command, &["--manifest-path".into(), manifest.into()]);
    }
    if !command.flag(&["--allow-no-vcs"]) {
        insert(&mut command, &["--allow-no-vcs".into()]);
    }
    command.arguments
}

/// Puts words right behind the subcommand.
fn insert(command: &mut CargoCommand, words: &[OsString]) {
    let at = command.position.map_or(0, |at| at + 1);
    command.arguments.splice(at..at, words.iter().cloned());
}

/// What the container shows beside the sources of crates: the copy in the project's place, and what cargo needs.
fn shown(
    vetted: &Vetted<'_>,
    made_up: &SingleUse,
    root: &Path,
) -> anyhow::Result<(Vec<Mount>, Vec<PathBuf>)> {
    let Needed { mut mounts, reads } = needed(vetted, root, made_up.directories().path())?;
    for path in CACHES.map(|name| vetted.cargo_home.join(name)) {
        // A place to show it in.
        if let Ok(below) = path.strip_prefix(root) {
            std::fs::create_dir_all(made_up.source().join(below)).context("failed to prepare the copy")?;
        }
    }
    mounts.insert(0, Mount { source: made_up.source(), target: root.to_owned(), writable: true });
    Ok((mounts, reads))
}

fn selection(command: &CargoCommand) -> Selection {
    let strings = |name: &str| {
        command.option(name).into_iter().map(|value| value.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    Selection {
        packages: [strings("-p"), strings("--package")].concat(),
        excluded: strings("--exclude"),
        workspace: command.flag(&["--workspace", "--all"]),
    }
}

/// Says what was changed and does not count: an honest script that writes into the sources does it, and others.
fn tell(outcome: &Outcome) {
    for (path, why) in outcome.left.iter().take(NAMED) {
        eprintln!("warning: `{}` was changed while fixing and is left as it was: {why}", path.display());
    }
    if outcome.left.len() > NAMED {
        eprintln!("warning: {} more are left as they were", outcome.left.len() - NAMED);
    }
}

fn content(file: &mut File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> CargoCommand {
        CargoCommand::parse(line.split(' ').map(OsString::from).collect())
    }

    fn line(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_rehearsal_is_never_clippys() {
        let command = parse("-v clippy --fix --no-deps -p x -- -W clippy::all");
        assert_eq!(line(&rehearsed(&command).arguments), "-v fix -p x");
        assert_eq!(line(&rehearsed(&parse("fix --lib")).arguments), "fix --lib");
    }

    #[test]
    fn inside_no_place_of_the_host_is_named() {
        let of = |text: &str| line(&arguments(&parse(text), Path::new("/w/Cargo.toml")));
        assert_eq!(of("fix --target-dir t -p x"), "fix --allow-no-vcs -p x");
        assert_eq!(
            of("clippy --manifest-path=Cargo.toml --fix --allow-no-vcs -- -W x"),
            "clippy --manifest-path /w/Cargo.toml --fix --allow-no-vcs -- -W x"
        );
    }
}
