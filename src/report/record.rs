//! What is written down of jobs. The JSON of [`Audit`] is a public format: `docs/audit.md` describes it, and fields are
//! added to it but none is given another meaning without another [`SCHEMA`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::policy::kind::Kind;

use super::denial::Denial;
use super::package::PackageId;

/// The version of the format.
pub const SCHEMA: u32 = 1;

/// Everything that is written down of one command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// [`SCHEMA`] of who wrote it.
    pub schema: u32,
    /// The version of cargo-sandbox that wrote it.
    pub tool: String,
    /// The project's directory name.
    pub project: String,
    /// cargo's command line.
    pub command: Vec<String>,
    /// When the command was started, in seconds since 1970.
    pub started: u64,
    /// What the names in braces stand for that are the same for all jobs.
    pub places: BTreeMap<String, String>,
    /// One for each package and kind of job.
    pub records: Vec<Record>,
}

impl Audit {
    /// How many jobs there were: a macro is a part of a compiler's.
    pub fn jobs(&self) -> u32 {
        self.records.iter().filter(|record| record.kind != Kind::Macro).map(|record| record.jobs).sum()
    }
}

/// Whose code a package is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The project's own.
    #[default]
    Workspace,
    /// A registry's, git's, or vendored.
    Dependency,
}

/// A program that was started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Program {
    /// Its path.
    pub path: String,
    /// Its arguments behind its own name, cut to a length that can be read.
    pub arguments: Vec<String>,
}

/// Where a job wanted to in the network, whether or not it was let.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Addresses with ports, or `unix:` and a path, that it connected or sent to.
    pub connects: BTreeSet<String>,
    /// Addresses that it listened on.
    pub listens: BTreeSet<String>,
    /// Names that it looked up.
    pub names: BTreeSet<String>,
}

/// Names of environment variables; values are never written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variables {
    /// What the job had in its environment.
    pub passed: BTreeSet<String>,
    /// What it is known to have looked at: a build script by its own word (`rerun-if-env-changed`), a compiler by the
    /// list of what its output depends on.
    pub asked: BTreeSet<String>,
    /// What a build script set for compilers (`rustc-env`).
    pub set: BTreeSet<String>,
}

/// What the jobs of one kind of one package did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whose they are.
    pub package: PackageId,
    /// Whose code that is.
    pub source: Source,
    /// What they are.
    pub kind: Kind,
    /// How many.
    pub jobs: u32,
    /// Files that they read outside of their own source, the toolchain and the system's programs and libraries.
    pub reads: BTreeSet<String>,
    /// Files that they changed or removed outside of what is their own to write.
    pub writes: BTreeSet<String>,
    /// Programs that they started.
    pub programs: BTreeSet<Program>,
    /// Where they wanted to.
    pub network: Network,
    /// Environment variables.
    pub variables: Variables,
    /// What was refused.
    pub refused: BTreeSet<Denial>,
    /// Procedural macros that a compiler loaded; what it did may be theirs.
    pub macros: BTreeSet<String>,
    /// Time from start to end, in seconds, added up.
    pub seconds: f64,
    /// Processor time, in seconds, added up.
    pub processor_seconds: f64,
    /// The most memory that one process had, in bytes.
    pub peak_memory: u64,
    /// How they ended: exit codes, `signal 9`, `stopped` (by a limit), `not started`.
    pub exits: BTreeSet<String>,
    /// Whether all of it was seen: no job did more than a record takes, and none was killed before its end was told.
    pub complete: bool,
}

impl Record {
    /// Nothing yet.
    pub fn new(package: PackageId, source: Source, kind: Kind) -> Self {
        Self {
            package,
            source,
            kind,
            jobs: 0,
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            programs: BTreeSet::new(),
            network: Network::default(),
            variables: Variables::default(),
            refused: BTreeSet::new(),
            macros: BTreeSet::new(),
            seconds: 0.0,
            processor_seconds: 0.0,
            peak_memory: 0,
            exits: BTreeSet::new(),
            complete: true,
        }
    }

    /// Adds what another job of the same package and kind did.
    pub fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
        self.programs.extend(other.programs);
        self.network.connects.extend(other.network.connects);
        self.network.listens.extend(other.network.listens);
        self.network.names.extend(other.network.names);
        self.variables.passed.extend(other.variables.passed);
        self.variables.asked.extend(other.variables.asked);
        self.variables.set.extend(other.variables.set);
        self.refused.extend(other.refused);
        self.macros.extend(other.macros);
        self.seconds += other.seconds;
        self.processor_seconds += other.processor_seconds;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.exits.extend(other.exits);
        self.complete &= other.complete;
    }

    /// Programs that are not a compiler's own helpers.
    pub fn unusual_programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter().filter(|program| !is_compilers(&program.path))
    }

    /// What is unusual about it, in single words, and how much so: the larger, the more.
    pub fn unusual(&self) -> (Vec<&'static str>, u64) {
        let network = self.network.connects.len() + self.network.names.len();
        let counts = [
            ("network", network, 1000),
            ("refused", self.refused.len(), 300),
            ("listens", self.network.listens.len(), 100),
            ("programs", self.unusual_programs().count(), 50),
            ("writes", self.writes.len(), 50),
            ("reads", self.reads.len(), 10),
        ];
        let failed = self.exits.iter().any(|exit| exit != "0");
        let mut words: Vec<_> =
            counts.iter().filter(|(_, count, _)| *count > 0).map(|(word, ..)| *word).collect();
        words.extend(failed.then_some("failed"));
        words.extend((!self.complete).then_some("incomplete"));
        let sum: u64 = counts.iter().map(|(_, count, weight)| *weight * (*count as u64).min(20)).sum();
        (words, sum + u64::from(failed))
    }
}

/// Programs that compilers start for every package.
const OF_COMPILERS: &[&str] = &[
    "cc",
    "gcc",
    "c++",
    "g++",
    "clang",
    "clang++",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "ld.mold",
    "lld",
    "mold",
    "rust-lld",
    "gcc-ld",
    "collect2",
    "lto-wrapper",
    "lto1",
    "cc1",
    "cc1plus",
    "as",
    "ar",
    "ranlib",
    "rustc",
    "rustdoc",
];

/// Whether a program is one that compilers start for every package.
pub fn is_compilers(path: &str) -> bool {
    let in_system = ["/usr/", "/bin/", "/lib", "{toolchain}/"].iter().any(|start| path.starts_with(start));
    let name = path.rsplit('/').next().unwrap_or(path);
    // x86_64-linux-gnu-gcc-12
    let plain =
        name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-' || letter == '.');
    let last = plain.rsplit("gnu-").next().unwrap_or(plain);
    in_system && (OF_COMPILERS.contains(&name) || OF_COMPILERS.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_programs_are_no_news() {
        for usual in
            ["/usr/bin/x86_64-linux-gnu-gcc-12", "/usr/bin/cc", "{toolchain}/bin/rustc", "/usr/bin/ld"]
        {
            assert!(is_compilers(usual), "{usual}");
        }
        for unusual in ["/usr/bin/curl", "{out}/cc", "~/bin/cc", "/usr/bin/sh"] {
            assert!(!is_compilers(unusual), "{unusual}");
        }
    }

    #[test]
    fn what_reaches_out_comes_before_what_only_starts_programs() {
        let id = PackageId { name: "x".into(), version: "1".into() };
        let mut one = Record::new(id, Source::Dependency, Kind::BuildScript);
        assert_eq!(one.unusual(), (vec![], 0));
        let mut other = one.clone();
        one.network.names.insert("example.org".into());
        for name in 0..15 {
            other.programs.insert(Program { path: format!("/usr/bin/{name}x"), arguments: Vec::new() });
        }
        assert!(one.unusual().1 > other.unusual().1);
        one.add(other);
        assert_eq!(one.unusual().0, ["network", "programs"]);
    }

    #[test]
    fn a_record_of_a_newer_version_is_read() {
        let id = PackageId { name: "x".into(), version: "1".into() };
        let mut value = serde_json::to_value(Record::new(id, Source::Dependency, Kind::Test)).unwrap();
        value["something-new"] = 1.into();
        let read: Record = serde_json::from_value(value).unwrap();
        assert_eq!((read.package.name.as_str(), read.kind), ("x", Kind::Test));
    }
}
