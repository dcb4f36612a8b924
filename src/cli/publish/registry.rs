//! `owner`, `yank`, `login` and `logout`.

use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};

use super::super::vetted::Vetted;
use super::host::Host;
use super::send::Sending;
use crate::broker::escapes::visible;
use crate::project::Project;
use crate::project::single_use::SingleUse;
use crate::publish::protocol::{Answer, Done, Login, Operation, Refusal};
use crate::publish::warrant::{Keeping, Purpose};

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
    let name = vetted.command.subcommand.as_str();
    // An empty place: the project has no part in it.
    let made_up = SingleUse::create(&state, name).context("failed to make a directory")?;
    let empty = made_up.source();
    std::fs::create_dir_all(&empty).context("failed to make a directory")?;
    let (words, purpose, operation) = match name {
        "login" => return login(vetted, &sending, &empty),
        "logout" => return logout(vetted, &sending, &empty),
        "owner" => owner(vetted)?,
        _ => yank(vetted)?,
    };
    let crate_name = match &operation {
        Operation::Owners { name } | Operation::Yank { name, .. } | Operation::Unyank { name, .. } => {
            name.clone()
        }
        _ => String::new(),
    };
    let project = root.map_or_else(|| made_up.project(&empty), Project::new);
    sending.load_index(&Host::new(vetted, project)?, &crate_name)?;
    sending.run(arguments(vetted, &sending, name, words), purpose, &operation, &empty, &[])
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

/// Has cargo ask the registry where tokens are to be had, and keeps the one that the user gives. cargo, in its container,
/// hands over no token: it is read on this side, when cargo asks for it to be kept.
fn login(vetted: &Vetted<'_>, sending: &Sending<'_>, empty: &Path) -> anyhow::Result<u8> {
    let named =
        vetted.command.positionals(WITH_VALUE).first().map(|token| token.to_string_lossy().into_owned());
    if named.is_some() && !vetted.command.quiet {
        eprintln!("warning: `cargo login <token>` is deprecated in favor of reading `<token>` from stdin");
    }
    let (tokens, registry) = (vetted.tokens(), sending.registry.clone());
    let keep = move |login: &Login| -> anyhow::Result<()> {
        let url = login.login_url.as_deref();
        let token = named.clone().map_or_else(|| ask(registry.display(), url), Ok)?;
        let token = token.trim();
        if token.is_empty() {
            bail!("please provide a non-empty token");
        }
        tokens.login(&registry, token, url).map(drop)
    };
    let keeper = move |what: Keeping<'_>| match what {
        Keeping::Keep(login) => match keep(login) {
            Ok(()) => Answer::Ok(Done::Login),
            Err(error) => Answer::refuse(format!("{error:#}")),
        },
        Keeping::Forget => Answer::Err(Refusal::OperationNotSupported),
    };
    let line = arguments(vetted, sending, "login", Vec::new());
    let code = sending.keep(line, Purpose::Login, Box::new(keeper), empty)?;
    if code == 0 && !vetted.command.quiet {
        eprintln!("       Login token for `{}` saved", sending.registry.display());
    }
    Ok(code)
}

fn logout(vetted: &Vetted<'_>, sending: &Sending<'_>, empty: &Path) -> anyhow::Result<u8> {
    let (tokens, registry) = (vetted.tokens(), sending.registry.clone());
    let forgotten = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&forgotten);
    let forget = move || match tokens.logout(&registry) {
        Ok(Some(_)) => {
            done.store(true, Ordering::SeqCst);
            Answer::Ok(Done::Logout)
        }
        // cargo says that there was none.
        Ok(None) => Answer::Err(Refusal::NotFound),
        Err(error) => Answer::refuse(format!("{error:#}")),
    };
    let keeper = move |what: Keeping<'_>| match what {
        Keeping::Forget => forget(),
        Keeping::Keep(_) => Answer::Err(Refusal::OperationNotSupported),
    };
    let line = arguments(vetted, sending, "logout", Vec::new());
    let code = sending.keep(line, Purpose::Logout, Box::new(keeper), empty)?;
    if forgotten.load(Ordering::SeqCst) && !vetted.command.quiet {
        let name = sending.registry.display();
        eprintln!(
            "      Logout token for `{name}` has been removed from local storage\nnote: This does not revoke the token on \
             the registry server.\n    If you need to revoke the token, visit the `{name}` website and follow the \
             instructions there."
        );
    }
    Ok(code)
}

/// Reads the token from standard input; from a terminal without showing it.
fn ask(registry: &str, login_url: Option<&str>) -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut token = String::new();
    if !input.is_terminal() {
        input.lock().take(1 << 16).read_line(&mut token).context("failed to read the token")?;
        return Ok(token);
    }
    match login_url {
        Some(url) => eprintln!("please paste the token found on {} below", visible(url)),
        None => eprintln!("please paste the token for `{registry}` below"),
    }
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
