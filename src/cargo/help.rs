//! What cargo says of its commands and their options, for completions: the toolchain's own cargo is asked, in no project.

use std::collections::HashSet;
use std::io;
use std::process::{Command, Stdio};

use super::Toolchain;

/// One of cargo's commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// What it does, in a line; empty where cargo does not say.
    pub about: String,
    /// Short forms of the name.
    pub aliases: Vec<String>,
    /// Its options.
    pub options: Vec<KnownOption>,
}

/// An option of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownOption {
    /// `-x`.
    pub short: Option<char>,
    /// `--long`.
    pub long: Option<String>,
    /// What its value is called, if it takes one.
    pub value: Option<String>,
    /// What it may be, where that is a list.
    pub values: Vec<String>,
    /// What it does.
    pub help: String,
}

/// All commands that the toolchain's cargo has.
///
/// # Errors
/// When cargo cannot be started.
pub fn commands(toolchain: &Toolchain) -> io::Result<Vec<Known>> {
    let mut commands = list(&ask(toolchain, &["--list"])?);
    for command in &mut commands {
        command.options = options(&ask(toolchain, &[&command.name, "-h"])?);
    }
    Ok(commands)
}

/// cargo's words, without anything of the user's: an alias or an installed command is not asked about itself.
fn ask(toolchain: &Toolchain, words: &[&str]) -> io::Result<String> {
    let output = Command::new(toolchain.program("cargo"))
        .args(words)
        .env_clear()
        .env("PATH", toolchain.sysroot.join("bin"))
        .env("CARGO_HOME", "/nonexistent")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The lines of `cargo --list`: a name and what it does, or which one it is short for.
fn list(text: &str) -> Vec<Known> {
    let lines = text.lines().filter(|line| line.starts_with("    "));
    let pairs: Vec<(&str, &str)> = lines
        .map(|line| {
            line.trim()
                .split_once(char::is_whitespace)
                .map_or((line.trim(), ""), |(name, rest)| (name, rest.trim()))
        })
        .filter(|(name, _)| !name.starts_with('-'))
        .collect();
    let alias = |rest: &str| rest.strip_prefix("alias: ").map(str::to_owned);
    let mut commands: Vec<Known> = pairs
        .iter()
        .filter(|(_, rest)| alias(rest).is_none())
        .map(|(name, about)| Known {
            name: (*name).to_owned(),
            about: (*about).to_owned(),
            aliases: Vec::new(),
            options: Vec::new(),
        })
        .collect();
    for (name, rest) in pairs {
        if let Some(of) = alias(rest)
            && let Some(command) = commands.iter_mut().find(|command| command.name == of)
        {
            command.aliases.push(name.to_owned());
        }
    }
    commands
}

/// The options in a command's help.
fn options(help: &str) -> Vec<KnownOption> {
    let mut seen = HashSet::new();
    let mut found: Vec<KnownOption> = Vec::new();
    for line in help.lines().filter(|line| line.starts_with("  ") && line.trim_start().starts_with('-')) {
        let line = line.trim_start();
        let (flags, help) = line.split_once("  ").map_or((line, ""), |(flags, help)| (flags, help.trim()));
        let Some(option) = option(flags, help) else { continue };
        let long = option.long.clone().filter(|long| seen.insert(format!("--{long}")));
        let short = option.short.filter(|short| seen.insert(format!("-{short}")));
        if long.is_some() || short.is_some() {
            found.push(KnownOption { long, short, ..option });
        }
    }
    found
}

/// `-p, --package [<SPEC>]` and the like, with what stands behind it.
fn option(flags: &str, help: &str) -> Option<KnownOption> {
    let value =
        flags.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(value, _)| value.to_owned());
    let names = flags.split(['<', '[']).next().unwrap_or_default();
    let mut option =
        KnownOption { short: None, long: None, value, values: Vec::new(), help: help.to_owned() };
    for name in names.split([',', ' ', '=']).map(|name| name.trim_end_matches('.')) {
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if let Some(long) = name.strip_prefix("--").filter(|long| !long.is_empty() && plain(long)) {
            option.long = Some(long.to_owned());
        } else if let Some(short) = name.strip_prefix('-') {
            let mut characters = short.chars();
            if let (Some(short), None) = (characters.next(), characters.next()) {
                option.short = Some(short);
            }
        }
    }
    if let Some((before, list)) = help.split_once("[possible values: ") {
        let list = list.split(']').next().unwrap_or_default();
        option.values = list.split(", ").map(str::to_owned).collect();
        option.help = before.trim_end().to_owned();
    }
    (option.short.is_some() || option.long.is_some()).then_some(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_short_forms() {
        let text = "Installed Commands:\n    add                  Add dependencies to a Cargo.toml\n    b                    \
                    alias: build\n    build                Compile a local package\n    clippy\n";
        let found = list(text);
        let names: Vec<_> = found.iter().map(|command| command.name.as_str()).collect();
        assert_eq!(names, ["add", "build", "clippy"]);
        assert_eq!(
            (found[0].about.as_str(), &found[1].aliases),
            ("Add dependencies to a Cargo.toml", &vec!["b".to_owned()])
        );
    }

    #[test]
    fn options_as_cargo_prints_them() {
        let text = "Usage: cargo build [OPTIONS]\n\nOptions:\n      --message-format <FMT>  Error format [possible values: \
                    human, json]\n  -v, --verbose...            Use verbose output\n  -p, --package [<SPEC>]      Package\n  \
                    -Z <FLAG>                   Unstable\n      --timings[=<FMTS>]      Timing\n  -v                          \
                    twice\n";
        let found = options(text);
        let names: Vec<_> = found.iter().map(|option| (option.short, option.long.as_deref())).collect();
        assert_eq!(
            names,
            [
                (None, Some("message-format")),
                (Some('v'), Some("verbose")),
                (Some('p'), Some("package")),
                (Some('Z'), None),
                (None, Some("timings")),
            ]
        );
        assert_eq!(found[0].values, ["human", "json"]);
        assert_eq!((found[0].help.as_str(), found[2].value.as_deref()), ("Error format", Some("SPEC")));
        assert_eq!(found[1].value, None);
    }
}
