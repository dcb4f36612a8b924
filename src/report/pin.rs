//! `cargo-sandbox.lock`: what each dependency was seen to do, and what a later run finds that is not in it.
//!
//! The file is to be committed, so that it holds nothing of one machine: no absolute path outside of the system's
//! directories, no hash, no port that the kernel chose.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::denial::Sort;
use super::explain::shown;
use super::package::{Locked, PackageId};
use super::record::{Record, Source, is_compilers};
use crate::policy::kind::Kind;

/// The file's name, in the project's root.
pub const FILE: &str = "cargo-sandbox.lock";

/// The version of the format.
const VERSION: u32 = 1;

const HEADER: &str = "\
# What dependencies did when they were built, as `cargo-sandbox self report --pin` saw it. Commit it;
# `cargo-sandbox --locked-behaviour build` fails when one does something else.
";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    version: u32,
    #[serde(default)]
    behaviour: Vec<Behaviour>,
}

/// What one kind of job of one version of a package was seen to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Behaviour {
    package: String,
    version: String,
    kind: Kind,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    programs: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    network: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    reads: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    writes: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    variables: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    calls: BTreeSet<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It cannot be read.
    #[error("failed to read `{path}`: {source}")]
    Io {
        /// Where it is.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is none.
    #[error(
        "`{path}` is not what this tool writes: {reason}\n\nhint: take it back from version control, or write it anew: `cargo-sandbox self report --pin`"
    )]
    Syntax {
        /// Where it is.
        path: String,
        /// Why.
        reason: String,
    },
    /// It is of a newer tool.
    #[error("`{path}` was written by a newer cargo-sandbox (format {found})\n\nhint: update cargo-sandbox")]
    Newer {
        /// Where it is.
        path: String,
        /// Its format.
        found: u32,
    },
}

/// What a record has that the file does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Whose.
    pub package: PackageId,
    /// In which kind of job.
    pub kind: Kind,
    /// The version that it is compared with; none where the file knows no such job of it.
    pub before: Option<String>,
    /// What is new: a word for what it is, and which.
    pub new: Vec<(&'static str, String)>,
}

impl Pins {
    /// Reads the file of the project at `root`; nothing where there is none.
    ///
    /// # Errors
    /// When it is none of this tool's.
    pub fn read(root: &Path) -> Result<Option<Self>, PinError> {
        let file = root.join(FILE);
        let path = file.display().to_string();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PinError::Io { path, source }),
        };
        let version = text.parse::<toml::Table>().ok().and_then(|table| table.get("version")?.as_integer());
        if let Some(found) =
            version.and_then(|version| u32::try_from(version).ok()).filter(|found| *found > VERSION)
        {
            return Err(PinError::Newer { path, found });
        }
        toml::from_str(&text)
            .map(Some)
            .map_err(|error| PinError::Syntax { path, reason: error.to_string().trim_end().to_owned() })
    }

    /// What the records say, in place of what `before` says of the same jobs; packages that the project's lock file
    /// does not have any more are left out.
    pub fn updated(before: Option<Self>, records: &[Record], locked: &Locked) -> Self {
        let mut behaviour: Vec<Behaviour> = pinned(records).map(Behaviour::of).collect();
        let kept = before.into_iter().flat_map(|pins| pins.behaviour).filter(|old| {
            let replaced = behaviour.iter().any(|new| new.same_job(old));
            !replaced && locked.has(&PackageId { name: old.package.clone(), version: old.version.clone() })
        });
        let kept: Vec<_> = kept.collect();
        behaviour.extend(kept);
        behaviour.sort();
        Self { version: VERSION, behaviour }
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never, for what this type can hold.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{HEADER}{}\n", toml::to_string_pretty(self)?.trim_end()))
    }

    /// How many jobs it knows.
    pub fn len(&self) -> usize {
        self.behaviour.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.behaviour.is_empty()
    }

    /// What of the records is not in the file.
    pub fn news(&self, records: &[Record]) -> Vec<News> {
        pinned(records)
            .filter_map(|record| {
                let now = Behaviour::of(record);
                let known =
                    self.behaviour.iter().filter(|old| old.package == now.package && old.kind == now.kind);
                let same = known.clone().find(|old| old.version == now.version);
                let before =
                    same.or_else(|| known.max_by(|one, other| by_version(&one.version, &other.version)));
                let mut new = now.beyond(before);
                if before.is_none() && matches!(now.kind, Kind::BuildScript | Kind::Macro) {
                    new.insert(0, ("job", format!("{} runs", record.kind.one())));
                }
                let before = before.map(|before| before.version.clone());
                // Arguments are not compared, and help to judge.
                for (word, what) in &mut new {
                    if *word == "program" {
                        what.push_str(&arguments(record, what));
                    }
                }
                (!new.is_empty()).then(|| News {
                    package: record.package.clone(),
                    kind: record.kind,
                    before,
                    new,
                })
            })
            .collect()
    }
}

/// The records of which something is kept: jobs of dependencies that are part of a build.
fn pinned(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| {
        let kinds = [Kind::BuildScript, Kind::Compile, Kind::Macro, Kind::Rustdoc];
        record.source == Source::Dependency && kinds.contains(&record.kind)
    })
}

fn arguments(record: &Record, program: &str) -> String {
    let commands = record.programs.iter().filter(|one| program_name(&one.path) == program);
    let Some(first) = commands.map(|one| one.arguments.join(" ")).find(|text| !text.is_empty()) else {
        return String::new();
    };
    format!(" ({first})")
}

fn program_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_system = ["/usr/", "/bin/", "/sbin/", "{toolchain}/"].iter().any(|start| path.starts_with(start));
    match (is_compilers(path), in_system) {
        (true, _) if name.starts_with("rust") => name.to_owned(),
        // Which compiler, assembler and linker is the machine's affair.
        (true, _) => "cc".to_owned(),
        // Which shell `sh` is, too, and which pkg-config.
        (false, true) if name == "pkgconf" => "pkg-config".to_owned(),
        (false, true) if ["dash", "bash", "ash", "busybox"].contains(&name) => "sh".to_owned(),
        (false, true) => name.to_owned(),
        (false, false) => path.to_owned(),
    }
}

impl Behaviour {
    fn of(record: &Record) -> Self {
        let programs = record
            .programs
            .iter()
            .filter(|program| record.kind == Kind::BuildScript || !is_compilers(&program.path));
        let refused = |sort| record.refused.iter().filter(move |denial| denial.sort == sort);
        let variables = record.variables.asked.union(&record.variables.set);
        Self {
            package: record.package.name.clone(),
            version: record.package.version.clone(),
            kind: record.kind,
            programs: programs.map(|program| program_name(&program.path)).collect(),
            network: network(record),
            reads: record.reads.iter().map(|path| file(path)).collect(),
            writes: record.writes.iter().map(|path| file(path)).collect(),
            variables: variables.filter(|name| !is_cargos(name)).cloned().collect(),
            calls: refused(Sort::Call).map(|denial| denial.what.clone()).collect(),
        }
    }

    fn same_job(&self, other: &Self) -> bool {
        (&self.package, &self.version, self.kind) == (&other.package, &other.version, other.kind)
    }

    fn beyond(&self, before: Option<&Self>) -> Vec<(&'static str, String)> {
        type Part = fn(&Behaviour) -> &BTreeSet<String>;
        let parts: [(&'static str, Part); 6] = [
            ("network", |one| &one.network),
            ("program", |one| &one.programs),
            ("write", |one| &one.writes),
            ("read", |one| &one.reads),
            ("variable", |one| &one.variables),
            ("system call", |one| &one.calls),
        ];
        let none = BTreeSet::new();
        parts
            .iter()
            .flat_map(|(word, part)| {
                let old = before.map_or(&none, part);
                part(self).difference(old).map(|what| (*word, what.clone())).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn network(record: &Record) -> BTreeSet<String> {
    let names = record.network.names.iter().cloned();
    let addresses = record.network.connects.iter().map(|address| {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let number: u32 = port.parse().unwrap_or(0);
        if address.starts_with("unix:") {
            file(address)
        } else if host.starts_with("127.") || host == "[::1]" {
            // The kernel chooses from there on.
            if number >= 32768 { format!("{host}:*") } else { address.clone() }
        } else if record.network.names.is_empty() {
            address.clone()
        } else {
            // What a name led to is another address tomorrow.
            format!("port {port}")
        }
    });
    names.chain(addresses).collect()
}

/// `{build}/debug/build/name/out/file` is another path in another profile.
fn file(path: &str) -> String {
    match path.strip_prefix("{build}/").and_then(|below| Some(below.split_once("build/")?.1)) {
        Some(of_script) => format!("{{build}}/{}", of_script.split('/').next().unwrap_or_default()),
        None => path.to_owned(),
    }
}

/// Variables that cargo sets for every package.
fn is_cargos(name: &str) -> bool {
    let exact =
        ["OUT_DIR", "TARGET", "HOST", "NUM_JOBS", "OPT_LEVEL", "PROFILE", "DEBUG", "RUSTC", "RUSTDOC"];
    name.starts_with("CARGO") || name.starts_with("DEP_") || exact.contains(&name)
}

/// As versions count, so far as that decides which is the newest.
fn by_version(one: &str, other: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
    };
    numbers(one).cmp(&numbers(other)).then_with(|| one.cmp(other))
}

/// What is new, as a reviewer reads it.
pub fn text(news: &[News]) -> String {
    let mut text = String::new();
    for one in news {
        let compared = match &one.before {
            Some(version) if *version == one.package.version => "the same version did less".to_owned(),
            Some(version) => format!("compared with {version}"),
            None => format!("not in {FILE}"),
        };
        let _infallible =
            writeln!(text, "new behaviour: {} of `{}` ({compared})", one.kind.one(), one.package);
        for (word, what) in &one.new {
            let _infallible = writeln!(text, "  + {word}: {}", shown(what));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::record::Program;
    use super::*;

    fn record(name: &str, version: &str, kind: Kind) -> Record {
        Record::new(PackageId { name: name.into(), version: version.into() }, Source::Dependency, kind)
    }

    fn program(path: &str, arguments: &str) -> Program {
        Program { path: path.into(), arguments: arguments.split_whitespace().map(str::to_owned).collect() }
    }

    #[test]
    fn a_new_version_that_does_more_is_news_and_one_that_does_the_same_is_not() {
        let mut old = record("known", "1.9.0", Kind::BuildScript);
        old.programs.insert(program("/usr/bin/x86_64-linux-gnu-gcc-12", "-c"));
        old.variables.asked.extend(["KNOWN_DIR".to_owned(), "CARGO_CFG_X".to_owned()]);
        let pins = Pins::updated(None, &[old.clone()], &Locked::default());
        assert_eq!(pins.news(&[old.clone()]), []);
        let mut new = old.clone();
        new.package.version = "1.10.0".into();
        new.programs.insert(program("/usr/bin/clang", "-c"));
        assert_eq!(pins.news(&[new.clone()]), [], "another compiler of the machine's");
        new.programs.insert(program("/usr/bin/dash", "-c x"));
        new.network.names.insert("drop.example".into());
        new.network.connects.insert("192.0.2.1:443".into());
        new.reads.insert("~/.netrc".into());
        new.writes.insert("{package}/x".into());
        new.variables.asked.insert("TOKEN".into());
        let news = pins.news(&[new]);
        assert_eq!(news[0].before.as_deref(), Some("1.9.0"));
        let expected = "new behaviour: the build script of `known 1.10.0` (compared with 1.9.0)\n  + network: drop.example\n  \
                        + network: port 443\n  + program: sh (-c x)\n  + write: {package}/x\n  + read: ~/.netrc\n  + \
                        variable: TOKEN\n";
        assert_eq!(text(&news), expected);
    }

    #[test]
    fn a_new_dependency_is_news_where_it_runs_something() {
        let pins = Pins::updated(None, &[], &Locked::default());
        assert_eq!(pins.news(&[record("plain", "1.0.0", Kind::Compile)]), []);
        let news = pins.news(&[record("helper", "0.1.0", Kind::BuildScript)]);
        assert_eq!(
            text(&news),
            "new behaviour: the build script of `helper 0.1.0` (not in cargo-sandbox.lock)\n  + job: the build script runs\n"
        );
        let mut own = record("member", "0.1.0", Kind::BuildScript);
        own.source = Source::Workspace;
        assert_eq!(pins.news(&[own]), []);
    }

    #[test]
    fn the_file_comes_back_and_forgets_what_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let mut one = record("one", "1.0.0", Kind::BuildScript);
        one.network.connects.insert("127.0.0.1:40000".into());
        one.reads.insert("{build}/debug/build/other/out/x.h".into());
        let pins = Pins::updated(None, &[one, record("gone", "1.0.0", Kind::Compile)], &Locked::default());
        std::fs::write(root.path().join(FILE), pins.text().unwrap()).unwrap();
        assert_eq!(Pins::read(root.path()).unwrap().as_ref(), Some(&pins));
        let text = pins.text().unwrap();
        assert!(text.contains("\"127.0.0.1:*\"") && text.contains("\"{build}/other\""), "{text}");
        std::fs::write(root.path().join("Cargo.lock"), "[[package]]\nname = \"one\"\nversion = \"1.0.0\"\n")
            .unwrap();
        let later = Pins::updated(Some(pins), &[], &Locked::read(root.path()));
        assert_eq!(later.len(), 1);
        for (text, word) in [("version = 9\n", "newer"), ("version = [", "not what"), ("x = 1\n", "not what")]
        {
            std::fs::write(root.path().join(FILE), text).unwrap();
            assert!(Pins::read(root.path()).unwrap_err().to_string().contains(word), "{text}");
        }
    }

    #[test]
    fn versions_count_by_number() {
        assert_eq!(by_version("1.10.0", "1.9.9"), Ordering::Greater);
        assert_eq!(by_version("1.0.0", "1.0.0"), Ordering::Equal);
    }
}
