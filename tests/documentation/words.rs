//! Commands within sentences and tables: their words are words of ours or of cargo's.

use std::collections::BTreeSet;

use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::{World, ordinary};
use super::{pages, text_of};

/// Subcommands that others install and of which the documentation speaks.
const INSTALLED: &[&str] = &[
    "nextest", "llvm-cov", "hack", "expand", "deny", "audit", "outdated", "machete", "fmt", "clippy", "miri",
];

/// What stands between backquotes, outside of blocks.
fn spans(page: &str) -> Vec<String> {
    let mut open = false;
    let prose = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        open ^= fence;
        !open && !fence
    });
    let prose = prose.collect::<Vec<_>>().join(" ");
    prose.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|")).collect()
}

struct Known {
    help: String,
    own: String,
    cargo: BTreeSet<String>,
}

impl Known {
    fn ask(world: &World) -> Self {
        let say = |words: &[&str]| {
            let mut command = world.sandbox(Engine::Native, &world.work());
            run(command.args(words)).success("help").stdout
        };
        let listed = run(world.plain(&world.work()).arg("--list")).success("cargo --list").stdout;
        let names = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        Self {
            help: say(&["--help"]),
            own: say(&["self", "--help"]),
            cargo: names.map(str::to_owned).collect(),
        }
    }

    /// What is wrong with the words behind `cargo-sandbox`.
    fn judge(&self, world: &World, words: &[&str]) -> Result<(), String> {
        let mut words = words.iter().copied().peekable();
        while let Some(option) = words.next_if(|word| word.starts_with("--")) {
            let (name, value) =
                option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            let line = self
                .help
                .lines()
                .find(|line| line.split_whitespace().any(|word| word.trim_end_matches(',') == name));
            let line = line.ok_or_else(|| format!("there is no option {name}"))?;
            if line.contains('<') && value.is_none() {
                words.next();
            }
        }
        let Some(first) = words.next() else { return Ok(()) };
        match first {
            "self" => {
                let Some(name) = words.next() else { return Ok(()) };
                let is_there = self.own.lines().any(|line| line.split_whitespace().next() == Some(name));
                if !is_there {
                    return Err(format!("there is no `self {name}`"));
                }
                let mut command = world.sandbox(Engine::Native, &world.work());
                let help = run(command.args(["self", name, "--help"])).success("help").stdout;
                let unknown = words.find(|word| word.starts_with("--") && !help.contains(*word));
                unknown.map_or(Ok(()), |word| Err(format!("`self {name}` has no option {word}")))
            }
            name if name.starts_with('+') || name.starts_with('-') => Ok(()),
            name if self.cargo.contains(name) || INSTALLED.contains(&name) => Ok(()),
            name => Err(format!("`{name}` is no command of cargo's")),
        }
    }
}

#[test]
fn every_command_in_a_sentence_is_one() {
    let Some(world) = ordinary("documentation-words") else { return };
    let known = Known::ask(&world);
    let mut judged = BTreeSet::new();
    for page in pages() {
        for span in spans(&text_of(&page)) {
            let is_pattern = span.contains(['\u{2026}', '<', '|', '[']) || span.contains("...");
            let words: Vec<&str> = span.split_whitespace().collect();
            let words = match words.as_slice() {
                ["cargo-sandbox", rest @ ..] => rest,
                ["self", ..] => &words,
                _ => continue,
            };
            if is_pattern || !judged.insert(words.join(" ")) {
                continue;
            }
            known.judge(&world, words).unwrap_or_else(|wrong| panic!("{page}: `{span}`: {wrong}"));
        }
    }
    assert!(judged.len() > 20, "{judged:?}");
    assert!(known.judge(&world, &["self", "nonsense"]).is_err());
    assert!(known.judge(&world, &["--nonsense", "build"]).is_err());
}
