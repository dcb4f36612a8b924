//! What shells complete, in real shells, and the manual page as `man` shows it.

use std::process::Command;

use super::support::program;
use super::*;

/// What is typed, and a word that must be offered for it.
const TYPED: &[(&[&str], &str)] = &[
    (&["buil"], "build"),
    (&["sel"], "self"),
    (&["self", "doc"], "doctor"),
    (&["build", "--rel"], "--release"),
    (&["--engine", "na"], "native"),
    (&["--engine", "native", "test", "--messa"], "--message-format"),
    (&["generate-lockfile", "--mani"], "--manifest-path"),
];

fn script(world: &World, shell: &str) -> PathBuf {
    let mut command = world.sandbox(Engine::Native, &world.work());
    let output = run(command.args(["self", "completions", shell])).success("self completions");
    let path = world.work().join(format!("completions.{shell}"));
    world.write(&path, &output.stdout);
    path
}

#[test]
fn bash_completes_own_and_cargos_words() {
    let (Some(world), Some(bash)) = (world("completions-bash"), need(program("bash"))) else { return };
    let script = script(&world, "bash");
    // As the shell does when the key is pressed.
    let press = "source \"$1\"; shift; COMP_WORDS=(cargo-sandbox \"$@\"); COMP_CWORD=$#; f=$(complete -p cargo-sandbox); \
                 f=${f#*-F }; \"${f%% *}\" cargo-sandbox \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                 printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (typed, expected) in TYPED {
        let output = run(Command::new(&bash).args(["--norc", "-c", press, "bash"]).arg(&script).args(*typed));
        let offered: Vec<_> = output.success("bash").stdout.lines().map(String::from).collect();
        assert!(offered.iter().any(|word| word == expected), "{typed:?}: {offered:?}");
    }
}

#[test]
fn fish_completes_own_and_cargos_words() {
    let (Some(world), Some(fish)) = (world("completions-fish"), need(program("fish"))) else { return };
    let script = script(&world, "fish");
    for (typed, expected) in TYPED {
        // fish asks its own parser of options, for which an option whose value is not there yet is an error.
        let (typed, expected): (&[&str], _) = match typed {
            ["--engine", "na"] => (&["--engine=na"], &"--engine=native"),
            _ => (typed, expected),
        };
        let ask = format!("source $argv[1]; complete --do-complete 'cargo-sandbox {}'", typed.join(" "));
        let mut command = world.command(&fish);
        let output = run(command.args(["--no-config", "-c", &ask]).arg(&script)).success("fish");
        let offered: Vec<_> = output.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        assert!(offered.contains(expected), "{typed:?}: {offered:?}");
    }
}

#[test]
fn zsh_completes_own_and_cargos_words() {
    let (Some(world), Some(zsh)) = (world("completions-zsh"), need(program("zsh"))) else { return };
    let script = script(&world, "zsh");
    let functions = world.work().join("functions");
    world.copy(&script, &functions.join("_cargo-sandbox"));
    // An interactive shell on a terminal of its own, where the key is pressed for real.
    let press = "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z \"PS1=; fpath=($1 \\$fpath); autoload -U compinit; compinit \
                 -u -D; bindkey '^I' list-choices; echo RE''ADY\"; zpty -r z out '*READY*'; zpty -w -n z \"cargo-sandbox \
                 $2\"$'\\t'; for i in {1..100}; do sleep 0.05; zpty -rt z part && print -r -- $part; [[ $part == *$3* ]] && \
                 break; done; zpty -d z";
    for (typed, expected) in TYPED {
        // A single match is written behind what was typed only in part, a longer list below it.
        let mut command = world.command(&zsh);
        command.args(["-f", "-c", press, "zsh"]).arg(&functions).arg(typed.join(" ")).arg(expected);
        let output = run(command.env("TERM", "dumb"));
        assert!(output.stdout.contains(expected), "{typed:?}: {:?}", output.stdout);
    }
}

#[test]
fn the_manual_page_is_one() {
    let (Some(world), Some(man)) = (world("man"), need(program("man"))) else { return };
    let page = run(world.sandbox(Engine::Native, &world.work()).args(["self", "man"])).success("self man");
    let path = world.work().join("cargo-sandbox.1");
    world.write(&path, &page.stdout);
    let mut command = world.command(man);
    command.args(["--warnings", "--local-file"]).arg(&path).env("MANPAGER", "cat").env("MANWIDTH", "100");
    let output = run(&mut command).success("man");
    assert_eq!(output.stderr, "", "groff has something to say");
    for word in ["NAME", "SYNOPSIS", "--sandbox-read", "--engine", "self"] {
        assert!(output.stdout.contains(word), "{word}: {}", output.stdout);
    }
}
