//! Aliases: written out here and not by cargo, so that what they stand for is known before cargo starts.

use std::ffi::OsString;

use anyhow::bail;
use toml::Value;

use crate::cargo::command_line::is_built_in;

use super::Configuration;

/// How often one alias may stand for another.
const MAX_DEPTH: usize = 8;

/// Options that choose what of the project is built, and how. Whatever names a place on this machine, more
/// configuration, or a program is not here.
#[rustfmt::skip]
const PLAIN: &[&str] = &[
    "--all", "--all-features", "--all-targets", "--bench", "--benches", "--bin", "--bins", "--check", "--color",
    "--doc", "--document-private-items", "--example", "--examples", "--exclude", "--features", "--frozen",
    "--future-incompat-report", "--help", "--ignore-rust-version", "--jobs", "--keep-going", "--lib", "--locked",
    "--message-format", "--no-default-features", "--no-deps", "--no-fail-fast", "--no-run", "--offline",
    "--package", "--profile", "--quiet", "--release", "--target", "--test", "--tests", "--timings", "--verbose",
    "--workspace", "-F", "-h", "-j", "-p", "-q", "-r", "-v", "-vv",
    // tree, metadata, update, clippy
    "--aggressive", "--charset", "--depth", "--dry-run", "--duplicates", "--edges", "--filter-platform",
    "--format", "--format-version", "--invert", "--precise", "--prefix", "--prune", "-d", "-e", "-f", "-i",
];

/// Short options whose value may be in the same word.
const SHORT_WITH_VALUE: &[&str] = &["-j", "-p", "-F"];

/// Subcommands that write where their arguments say.
const WRITERS: &[&str] = &["init", "install", "new", "package", "uninstall", "vendor"];

/// A command line without aliases, and which ones were in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Expansion {
    /// The arguments.
    pub arguments: Vec<OsString>,
    /// The names of the aliases.
    pub aliases: Vec<String>,
}

impl Configuration {
    /// The arguments with aliases written out, as cargo would do it for the word at `position`. Nothing is
    /// judged.
    ///
    /// # Errors
    /// When aliases go round in circles.
    pub fn expand_alias(&self, arguments: &[OsString], position: usize) -> anyhow::Result<Option<Expansion>> {
        let mut arguments = arguments.to_vec();
        let mut aliases = Vec::new();
        for _ in 0..MAX_DEPTH {
            let Some(name) = arguments.get(position).and_then(|word| word.to_str()).map(str::to_owned) else {
                break;
            };
            let Some(words) = self.alias(&name) else {
                return Ok((!aliases.is_empty()).then_some(Expansion { arguments, aliases }));
            };
            let own = words.first().is_some_and(|word| *word == name);
            arguments.splice(position..=position, words.into_iter().map(OsString::from));
            aliases.push(name);
            if own {
                return Ok(Some(Expansion { arguments, aliases }));
            }
        }
        bail!("aliases in the configuration go round in circles")
    }

    fn alias(&self, name: &str) -> Option<Vec<String>> {
        if is_built_in(name) {
            return None;
        }
        self.sources().find_map(|source| words(source.table.get("alias")?.get(name)?))
    }
}

/// An alias in words, as cargo splits it.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(line) => Some(line.split_whitespace().map(str::to_owned).collect()),
        Value::Array(words) => {
            Some(words.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect())
        }
        _ => None,
    }
}

/// What is asked about an alias.
pub(super) trait Judge {
    /// Whether a path is in the repository.
    fn is_inside(&self, path: &str) -> bool;
    /// Whether a value of `--config` is one that the repository's own file could have.
    fn is_harmless(&self, setting: &str) -> bool;
}

/// The word of an alias that is more than a plain option. What follows `--` goes to what runs in the container,
/// but for `fmt`.
pub(super) fn objection(value: &Value, judge: &impl Judge) -> Option<String> {
    let words = words(value)?;
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (own, passed) = words.split_at(end);
    if let Some(writer) = own.iter().find(|word| WRITERS.contains(&word.as_str())) {
        return Some(writer.clone());
    }
    let mut own = own.iter();
    while let Some(word) = own.next() {
        let (name, value) =
            word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let mut value = || value.or_else(|| own.next().map(String::as_str));
        let plain = match name {
            "--config" => value().is_some_and(|setting| judge.is_harmless(setting)),
            "--manifest-path" => value().is_some_and(|path| judge.is_inside(path)),
            _ if !name.starts_with('-') || PLAIN.contains(&name) => true,
            // `-j4`
            _ => SHORT_WITH_VALUE.iter().any(|short| name.starts_with(short)),
        };
        if !plain {
            return Some(word.clone());
        }
    }
    let formats = words.first().is_some_and(|word| word == "fmt");
    let mut files = passed.iter().filter(|word| formats && !word.starts_with('-'));
    files.find(|file| !judge.is_inside(file)).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::project;
    use super::*;

    fn line(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn aliases_are_written_out() {
        let (_directory, configuration) =
            project("[alias]\nb = 'build --release'\nbb = ['b', '-v']\nbuild = 'run'\nclippy = 'clippy --x'");
        let expand = |words: &str| {
            let expansion = configuration.expand_alias(&line(words), 0).unwrap();
            expansion.map(|expansion| (expansion.arguments, expansion.aliases.join(" ")))
        };
        assert_eq!(expand("bb x"), Some((line("build --release -v x"), "bb b".to_owned())));
        assert_eq!(expand("build"), None);
        assert_eq!(expand("clippy"), Some((line("clippy --x"), "clippy".to_owned())));
    }

    #[test]
    fn aliases_that_go_round_in_circles_are_refused() {
        let (_directory, configuration) = project("[alias]\na = 'c'\nc = 'a'");
        assert!(configuration.expand_alias(&line("a"), 0).is_err());
    }

    struct Sample;

    impl Judge for Sample {
        fn is_inside(&self, path: &str) -> bool {
            !path.starts_with("..")
        }

        fn is_harmless(&self, setting: &str) -> bool {
            setting.starts_with("env.")
        }
    }

    #[test]
    fn what_names_places_programs_or_configuration_is_not_plain() {
        let objection = |words: &str| {
            let words: Vec<Value> = words.split(' ').map(Value::from).collect();
            objection(&Value::Array(words), &Sample)
        };
        for plain in [
            "run --package xtask --",
            "run --manifest-path ./xtask/Cargo.toml --",
            "clippy --all-targets --all-features -- -D warnings",
            "build --release --target thumbv7em-none-eabi --features=a,b -vv -j4",
            "test --config env.BLESS='1'",
            "fmt -- --config imports_granularity=Crate",
            "nextest run",
            "run -- --config x -C y",
            "",
        ] {
            assert_eq!(objection(plain), None, "{plain}");
        }
        for (words, word) in [
            ("run --config x", "--config"),
            ("run  --config x", "--config"),
            ("run --config", "--config"),
            ("run --config=target.x.runner='y'", "--config=target.x.runner='y'"),
            ("-C /elsewhere build", "-C"),
            ("build -C/elsewhere", "-C/elsewhere"),
            ("build -Zhost-config", "-Zhost-config"),
            ("build --target-dir ../x", "--target-dir"),
            ("doc --open", "--open"),
            ("build --manifest-path=../x/Cargo.toml", "--manifest-path=../x/Cargo.toml"),
            ("vendor ../x", "vendor"),
            ("fmt -- ../x.rs", "../x.rs"),
            ("build --new-option", "--new-option"),
        ] {
            assert_eq!(objection(words).as_deref(), Some(word), "{words}");
        }
    }
}
