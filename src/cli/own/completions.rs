//! `self completions` and `self man`: what shells complete, and the manual page.
//!
//! cargo's commands and options are written into the script when it is made. Nothing is started when a key is pressed: in a
//! repository that somebody else wrote, the script would have it run there.

use std::io::Write as _;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use crate::cargo::help::{self, Known, KnownOption};

use super::super::{Arguments, FrontEnd};
use super::OwnArguments;

/// The name of the program.
const PROGRAM: &str = "cargo-sandbox";

/// The arguments of `self completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// For which shell
    shell: Shell,
}

/// Prints the script for a shell.
pub fn run(front_end: &FrontEnd, arguments: &CompletionsArguments) -> anyhow::Result<u8> {
    // The default toolchain, whatever directory this is.
    let toolchain = front_end.toolchain(None)?.resolve("/".as_ref())?;
    let mut command = command(&help::commands(&toolchain)?);
    std::io::stdout().write_all(script(arguments.shell, &mut command).as_bytes())?;
    Ok(0)
}

fn script(shell: Shell, command: &mut Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script);
    // clap_complete 4.6 for bash names a program with a dash in one way where it remembers which command is completed, and
    // in another where it looks that up.
    script.replace("cargo__subcmd__sandbox", "cargo__sandbox")
}

/// Prints the manual page.
pub fn man() -> anyhow::Result<u8> {
    let own = OwnArguments::command().name("self");
    let command = Arguments::command().subcommand(own).disable_help_subcommand(true);
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    std::io::stdout().write_all(&page)?;
    Ok(0)
}

/// Our own options and commands, and cargo's.
fn command(known: &[Known]) -> Command {
    let own = OwnArguments::command().name("self");
    let options: Vec<Arg> = Arguments::command().get_opts().cloned().collect();
    let cargo = known.iter().map(|known| {
        let command = Command::new(known.name.clone())
            .about(known.about.clone())
            .visible_aliases(known.aliases.clone())
            // They are in cargo's own list.
            .disable_help_flag(true)
            .disable_version_flag(true);
        known.options.iter().fold(command, |command, option| command.arg(argument(option)))
    });
    Command::new(PROGRAM)
        .args(options)
        .subcommand(own)
        .subcommands(cargo.filter(|command| command.get_name() != "self"))
        .disable_help_subcommand(true)
}

fn argument(option: &KnownOption) -> Arg {
    let id = option.long.clone().unwrap_or_else(|| option.short.map_or_else(String::new, String::from));
    let mut argument = Arg::new(id).help(option.help.clone());
    if let Some(long) = &option.long {
        argument = argument.long(long.clone());
    }
    if let Some(short) = option.short {
        argument = argument.short(short);
    }
    let Some(value) = &option.value else { return argument.action(ArgAction::Count) };
    argument = argument.value_name(value.clone()).action(ArgAction::Append);
    if option.values.is_empty() {
        let hint = match value.as_str() {
            "PATH" | "FILE" => ValueHint::AnyPath,
            "DIRECTORY" | "DIR" => ValueHint::DirPath,
            _ => ValueHint::Other,
        };
        argument.value_hint(hint)
    } else {
        argument.value_parser(PossibleValuesParser::new(option.values.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_own_and_cargos_words() {
        let option = KnownOption {
            short: Some('r'),
            long: Some("release".into()),
            value: None,
            values: Vec::new(),
            help: "Release".into(),
        };
        let known = Known {
            name: "build".into(),
            about: "Compile".into(),
            aliases: vec!["b".into()],
            options: vec![option],
        };
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell, &mut command(std::slice::from_ref(&known)));
            for word in ["sandbox-read", "doctor", "build", "release"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        command(&[known]).debug_assert();
    }
}
