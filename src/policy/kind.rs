//! The kinds of job that a policy tells apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a job is for, as policies and records name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A build script runs.
    BuildScript,
    /// rustc, or clippy, on a crate or on a build script.
    Compile,
    /// A procedural macro runs, in the compiler of a crate that uses it.
    Macro,
    /// rustdoc makes documentation.
    Rustdoc,
    /// Documentation tests are compiled and run.
    Doctest,
    /// A test runs.
    Test,
    /// A benchmark runs.
    Bench,
    /// `cargo run`.
    Run,
}

impl Kind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::BuildScript,
        Self::Compile,
        Self::Macro,
        Self::Rustdoc,
        Self::Doctest,
        Self::Test,
        Self::Bench,
        Self::Run,
    ];

    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BuildScript => "build-script",
            Self::Compile => "compile",
            Self::Macro => "macro",
            Self::Rustdoc => "rustdoc",
            Self::Doctest => "doctest",
            Self::Test => "test",
            Self::Bench => "bench",
            Self::Run => "run",
        }
    }

    /// What the jobs are, for sentences.
    pub fn words(self) -> &'static str {
        match self {
            Self::BuildScript => "build scripts",
            Self::Compile => "compilers",
            Self::Macro => "compilers that load its macros",
            Self::Rustdoc => "rustdoc",
            Self::Doctest => "documentation tests",
            Self::Test => "tests",
            Self::Bench => "benchmarks",
            Self::Run => "programs of `run`",
        }
    }

    /// What one of them is, for sentences.
    pub fn one(self) -> &'static str {
        match self {
            Self::BuildScript => "the build script",
            Self::Compile => "the compiler",
            Self::Macro => "the macro",
            Self::Rustdoc => "rustdoc",
            Self::Doctest => "the documentation tests",
            Self::Test => "the test",
            Self::Bench => "the benchmark",
            Self::Run => "the program",
        }
    }

    /// Which programs the runner is asked to run by a subcommand: everything that is neither `run` nor `bench` tests.
    pub fn of_programs(subcommand: &str) -> Self {
        match subcommand {
            "run" | "r" => Self::Run,
            "bench" => Self::Bench,
            _ => Self::Test,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
