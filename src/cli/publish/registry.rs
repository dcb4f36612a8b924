//! `owner`, `yank`, `login` and `logout`.

use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, bail};

use super::super::vetted::Vetted;
use super::host::Host;
use super::send::Sending;
use crate::project::Project;
use crate::project::single_use::SingleUse;
use crate::publish::protocol::Operation;
use crate::publish::warrant::Purpose;

/// Options of these commands that take a value.
const WITH_VALUE: &[&str] = &[
    "-a",
    "--add",
    "-r",
    "--remove",
    "--version",
    "--vers",
    "--index",
    "--registry",
    "--token",
    "--color",
    "--config",
    "-Z",
    "-C",
];

/// Runs one of them; `root` is the project's that the user is in, if it is one.
pub fn run(vetted: &Vetted<'_>, root: Option<&Path>) -> anyhow::Result<u8> {
    let state = vetted.front_end.state()?;
    let sending = Sending::new(vetted, &state, None)?;
    match vetted.command.subcommand.as_str() {
        "login" => login(vetted, &sending),
        "logout" => logout(&sending),
        name => {
            let (words, purpose, operation) = match name {
                "owner" => owner(vetted)?,
                _ => yank(vetted)?,
            };
            // An empty place: the project has no part in it.
            let made_up = SingleUse::create(&state, name).context("failed to make a directory")?;
            std::fs::create_dir_all(made_up.source()).context("failed to make a directory")?;
            let crate_name = match &operation {
                Operation::Owners { name }
                | Operation::Yank { name, .. }
                | Operation::Unyank { name, .. } => name.clone(),
                _ => String::new(),
            };
            let empty = made_up.source();
            let project = root.map_or_else(|| made_up.project(&empty), Project::new);
            sending.load_index(&Host::new(vetted, project)?, &crate_name)?;
            sending.run(arguments(vetted, &sending, name, words), purpose, &operation, &empty, &[])
        }
    }
}

/// cargo's command line in the Publish container.
fn arguments(
    vetted: &Vetted<'_>,
    sending: &Sending<'_>,
    subcommand: &str,
    words: Vec<OsString>,
) -> Vec<OsString> {
    let command = &vetted.command;
    let mut all: Vec<OsString> = Vec::new();
    for color in command.option("--color") {
        all.extend(["--color".into(), color]);
    }
    for flag in ["-q", "--quiet", "-v", "--verbose"].iter().filter(|flag| command.flag(&[flag])) {
        all.push(flag.into());
    }
    all.push(subcommand.into());
    match &sending.registry.name {
        Some(name) => all.extend(["--registry".into(), name.into()]),
        None => all.extend(["--index".into(), sending.registry.index.clone().into()]),
    }
    all.extend(words);
    all
}

/// A crate that the command names, else the package that the user is in.
fn crate_name(vetted: &Vetted<'_>) -> anyhow::Result<String> {
    if let Some(name) = vetted.command.positionals(WITH_VALUE).first() {
        return Ok(name.to_string_lossy().into_owned());
    }
    let manifest = crate::project::find_manifest(&vetted.directory, None)
        .context("no crate is named, and this is no package's directory")?;
    let text = std::fs::read_to_string(&manifest)
        .with_context(|| format!("failed to read `{}`", manifest.display()))?;
    let table: toml::Table =
        toml::from_str(&text).with_context(|| format!("failed to read `{}`", manifest.display()))?;
    let name = table.get("package").and_then(|package| package.get("name")?.as_str());
    name.map(str::to_owned).context("no crate is named, and this is no package's directory")
}

fn owner(vetted: &Vetted<'_>) -> anyhow::Result<(Vec<OsString>, Purpose, Operation)> {
    let (command, name) = (&vetted.command, crate_name(vetted)?);
    let mut words = Vec::new();
    for (short, long) in [("-a", "--add"), ("-r", "--remove")] {
        for login in [command.option(short), command.option(long)].concat() {
            words.extend([long.into(), login]);
        }
    }
    if command.flag(&["-l", "--list"]) {
        words.push("--list".into());
    }
    words.push(name.clone().into());
    Ok((words, Purpose::Owners(name.clone()), Operation::Owners { name }))
}

fn yank(vetted: &Vetted<'_>) -> anyhow::Result<(Vec<OsString>, Purpose, Operation)> {
    let (command, named) = (&vetted.command, crate_name(vetted)?);
    let option = [command.option("--version"), command.option("--vers")].concat().pop();
    let (name, version) = match (named.split_once('@'), option) {
        (Some((name, version)), None) => (name.to_owned(), version.to_owned()),
        (None, Some(version)) => (named.clone(), version.to_string_lossy().into_owned()),
        _ => bail!("a version is needed: `cargo-sandbox yank {named} --version 1.0.0`"),
    };
    let mut words: Vec<OsString> = vec!["--version".into(), version.clone().into(), name.clone().into()];
    if command.flag(&["--undo"]) {
        words.push("--undo".into());
        let operation = Operation::Unyank { name: name.clone(), vers: version.clone() };
        return Ok((words, Purpose::Unyank(name, version), operation));
    }
    let operation = Operation::Yank { name: name.clone(), vers: version.clone() };
    Ok((words, Purpose::Yank(name, version), operation))
}

/// Keeps a token. Nothing is sent anywhere: cargo sends none either.
fn login(vetted: &Vetted<'_>, sending: &Sending<'_>) -> anyhow::Result<u8> {
    let named =
        vetted.command.positionals(WITH_VALUE).first().map(|token| token.to_string_lossy().into_owned());
    let token = match named {
        Some(token) => token,
        None => ask(sending)?,
    };
    let token = token.trim().to_owned();
    if token.is_empty() {
        bail!("please provide a non-empty token");
    }
    let place = sending.tokens.login(&sending.registry, &token)?;
    if !vetted.command.quiet {
        eprintln!("       Login token for `{}` saved in {place}", sending.registry.display());
    }
    Ok(0)
}

fn logout(sending: &Sending<'_>) -> anyhow::Result<u8> {
    match sending.tokens.logout(&sending.registry)? {
        Some(place) => {
            eprintln!(
                "      Logout token for `{}` has been removed from {place}",
                sending.registry.display()
            );
        }
        None => eprintln!("      Logout not currently logged in to `{}`", sending.registry.display()),
    }
    Ok(0)
}

/// Reads the token from standard input; from a terminal without showing it.
fn ask(sending: &Sending<'_>) -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut token = String::new();
    if !input.is_terminal() {
        input.lock().take(1 << 16).read_line(&mut token).context("failed to read the token")?;
        return Ok(token);
    }
    eprintln!("please paste the token for `{}` below", sending.registry.display());
    std::io::stderr().flush()?;
    let before = rustix::termios::tcgetattr(&input).context("failed to prepare the terminal")?;
    let mut silent = before.clone();
    silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
    let now = rustix::termios::OptionalActions::Now;
    rustix::termios::tcsetattr(&input, now, &silent).context("failed to prepare the terminal")?;
    let read = input.lock().take(1 << 16).read_line(&mut token);
    rustix::termios::tcsetattr(&input, now, &before).context("failed to restore the terminal")?;
    read.context("failed to read the token")?;
    eprintln!();
    Ok(token)
}
