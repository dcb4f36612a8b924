//! The ways in which a cargo is started, and the kinds of job that each confines.

use std::fmt;

use super::support::tool::Engine;

/// Who starts cargo, and what leads its jobs inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Plain cargo: the control.
    Plain,
    /// `cargo-sandbox build`.
    Sandbox(Engine),
    /// `cargo-sandbox --audit build`: every job is observed.
    Recorded(Engine),
    /// `RUSTC_WRAPPER=cargo-sandbox-rustc cargo build`.
    Wrapper(Engine),
    /// Plain cargo in a repository after `cargo-sandbox self setup`.
    SetUp(Engine),
}

/// cargo's commands, and the kinds of job in which the attacks run because of each.
pub type Commands = &'static [(&'static [&'static str], &'static [&'static str])];

const COMMANDS: Commands = &[
    (
        &["build", "-vv"],
        &[
            "build-script",
            "vendored-script",
            "git-script",
            "member-script",
            "macro-dependency",
            "macro-member",
            "macro-script",
        ],
    ),
    (&["doc", "-vv"], &["rustdoc-macro-dependency", "rustdoc-macro-member"]),
    (&["test", "--doc"], &["doctest-macro-member", "doctest"]),
    (&["run"], &["run"]),
    (&["test", "--test", "all"], &["test"]),
    (&["bench", "--profile", "dev"], &["bench"]),
];

impl Way {
    pub fn engine(self) -> Option<Engine> {
        match self {
            Self::Plain => None,
            Self::Sandbox(engine) | Self::Recorded(engine) | Self::Wrapper(engine) | Self::SetUp(engine) => {
                Some(engine)
            }
        }
    }

    /// What the README says that this way covers: with the wrapper alone, compilers and what they and build scripts
    /// do. All else runs as under plain cargo then, which has a control already.
    pub fn commands(self) -> Commands {
        match self {
            Self::Wrapper(_) => &COMMANDS[..1],
            Self::Plain | Self::Sandbox(_) | Self::Recorded(_) | Self::SetUp(_) => COMMANDS,
        }
    }

    pub fn covers(self, kind: &str) -> bool {
        self.commands().iter().any(|(_, kinds)| kinds.contains(&kind))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain cargo"),
            Self::Sandbox(engine) => write!(f, "cargo-sandbox, {engine} engine"),
            Self::Recorded(engine) => write!(f, "cargo-sandbox --audit, {engine} engine"),
            Self::Wrapper(engine) => write!(f, "the wrapper alone, {engine} engine"),
            Self::SetUp(engine) => write!(f, "cargo after self setup, {engine} engine"),
        }
    }
}
