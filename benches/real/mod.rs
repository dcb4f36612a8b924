//! Real projects to build, one of each kind: `CSB_BENCH_PROJECTS=real`.

use crate::projects::{Extent, Project, Source};

/// A program as published, with the lock file in it.
const fn published(name: &'static str, version: &'static str, touched: &'static str) -> Project {
    Project { name, source: Source::Published { name, version }, touched, exit: 0, extent: Extent::Long }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Project> {
    std::iter::once(Project::named("ripgrep")).chain(MORE)
}

/// The one of that name, where the parity tests have none.
pub fn named(name: &str) -> Option<&'static Project> {
    MORE.iter().find(|project| project.name == name)
}

/// Those that the parity tests, which take minutes for a small one, do without.
const MORE: &[Project] = &[
    // More than 300 units.
    published("cargo-audit", "0.22.2", "src/lib.rs"),
    // Derive and attribute macros for all of its types, and what they bring.
    published("async-graphql", "7.0.17", "src/lib.rs"),
    // Oniguruma and libgit2, compiled by `cc`.
    published("bat", "0.26.1", "src/lib.rs"),
    // A workspace of 50 members, back in one place. Nothing depends on `gix` itself.
    Project {
        name: "gitoxide",
        source: Source::Workspace { members: GITOXIDE },
        touched: "gix/src/lib.rs",
        exit: 0,
        extent: Extent::Long,
    },
];

/// As in the lock file of cargo-audit 0.22.2.
const GITOXIDE: &[(&str, &str)] = &[
    ("gix", "0.84.0"),
    ("gix-actor", "0.41.1"),
    ("gix-attributes", "0.33.1"),
    ("gix-bitmap", "0.3.2"),
    ("gix-chunk", "0.7.2"),
    ("gix-command", "0.9.1"),
    ("gix-commitgraph", "0.37.1"),
    ("gix-config", "0.57.0"),
    ("gix-config-value", "0.18.1"),
    ("gix-credentials", "0.38.1"),
    ("gix-date", "0.15.4"),
    ("gix-diff", "0.64.0"),
    ("gix-discover", "0.52.0"),
    ("gix-error", "0.2.4"),
    ("gix-features", "0.48.1"),
    ("gix-filter", "0.31.0"),
    ("gix-fs", "0.21.2"),
    ("gix-glob", "0.26.1"),
    ("gix-hash", "0.25.1"),
    ("gix-hashtable", "0.15.1"),
    ("gix-ignore", "0.21.1"),
    ("gix-index", "0.52.0"),
    ("gix-lock", "23.0.0"),
    ("gix-negotiate", "0.32.0"),
    ("gix-object", "0.61.0"),
    ("gix-odb", "0.81.0"),
    ("gix-pack", "0.71.0"),
    ("gix-packetline", "0.21.4"),
    ("gix-path", "0.12.1"),
    ("gix-pathspec", "0.18.1"),
    ("gix-prompt", "0.15.1"),
    ("gix-protocol", "0.62.0"),
    ("gix-quote", "0.7.2"),
    ("gix-ref", "0.64.0"),
    ("gix-refspec", "0.42.0"),
    ("gix-revision", "0.46.0"),
    ("gix-revwalk", "0.32.0"),
    ("gix-sec", "0.14.1"),
    ("gix-shallow", "0.12.1"),
    ("gix-submodule", "0.31.0"),
    ("gix-tempfile", "23.0.0"),
    ("gix-trace", "0.1.20"),
    ("gix-transport", "0.57.1"),
    ("gix-traverse", "0.58.0"),
    ("gix-url", "0.36.1"),
    ("gix-utils", "0.3.3"),
    ("gix-validate", "0.11.2"),
    ("gix-worktree", "0.53.0"),
    ("gix-worktree-state", "0.31.0"),
    ("gix-worktree-stream", "0.33.0"),
];
