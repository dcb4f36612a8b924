//! Every key of cargo's configuration, and what a repository may decide by it.
//!
//! After the cargo book, "Configuration" and "Unstable Features", for cargo 1.95. A key that is not here needs
//! trust: a later cargo may take it for anything. `docs/configuration.md` shows this table; a test compares them.

use std::fmt::Write as _;

/// What a key in a repository's file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It does nothing on this machine that the repository's own code and manifests could not ask for.
    Harmless,
    /// This tool decides it: what the file says is overridden, or comes to pass only inside the container.
    Decided,
    /// It acts on this machine: only after `self trust`.
    Trust,
    /// It depends on the value.
    When(Condition),
}

/// When a value is harmless. What is not needs trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The path, or every path, is inside the repository.
    Inside,
    /// The variable is none that a loader, a shell, a toolchain or this tool obeys.
    PlainVariable,
    /// It is not the index of a registry that the user's own files know by this name.
    NewRegistry,
    /// It names a source that a configuration file defines, and no registry.
    KnownSource,
    /// The table has `replace-with` too: then the address only says what is replaced.
    Replaced,
    /// The alias has nothing but plain options.
    PlainAlias,
    /// Nothing is started for it: `git` and `none`.
    BuiltInVcs,
    /// It is off, or what the user's own files say too.
    Off,
}

impl Condition {
    /// For the reference.
    fn words(self) -> &'static str {
        match self {
            Self::Inside => "harmless for paths inside the repository",
            Self::PlainVariable => {
                "harmless unless a loader, shell, toolchain or this tool obeys the variable"
            }
            Self::NewRegistry => "harmless unless your own files have an address or a token for that name",
            Self::KnownSource => "harmless if it names a `[source]`, which is looked at itself",
            Self::Replaced => "harmless in a table with `replace-with`",
            Self::PlainAlias => "harmless with plain options; looked at when it is used",
            Self::BuiltInVcs => "harmless for `git` and `none`",
            Self::Off => "harmless if it is `false`, or your own files say the same",
        }
    }
}

/// A key, or keys of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its parts between dots; `*` stands for any one part.
    pub pattern: &'static str,
    /// What it means.
    pub class: Class,
    /// Why; for what needs trust, what trust lets it do.
    pub why: &'static str,
}

const fn harmless(pattern: &'static str, why: &'static str) -> Key {
    Key { pattern, class: Class::Harmless, why }
}

const fn decided(pattern: &'static str, why: &'static str) -> Key {
    Key { pattern, class: Class::Decided, why }
}

const fn trust(pattern: &'static str, why: &'static str) -> Key {
    Key { pattern, class: Class::Trust, why }
}

const fn when(condition: Condition, pattern: &'static str, why: &'static str) -> Key {
    Key { pattern, class: Class::When(condition), why }
}

const OUTPUT: &str = "what cargo shows";
const COMPILER: &str = "how the compiler works, which runs in the container";
const PACE: &str = "how patiently cargo downloads";
const PROGRAM: &str = "cargo starts the program that it names on this machine, and hands it registry tokens";
const LOGIN: &str = "cargo logs in to a registry with what the repository says, in place of your own token";
const NETWORK: &str = "cargo's downloads go through, or are vouched for by, what the repository names";
const ORIGIN: &str = "the code of dependencies comes from there";
const OUTSIDE: &str = "the code of dependencies comes from a directory outside of the repository";
const WRITES: &str = "cargo writes there";
const UNSTABLE: &str = "only a nightly cargo obeys it; nothing on this machine";
const LINKS: &str = "what a library's build script would say; the compiler in the container obeys";

/// The table. Of two patterns that fit, the first counts.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    harmless("include", "every file that it names is looked at as this one is; one outside of the repository needs trust"),
    when(Condition::Inside, "paths", OUTSIDE),
    when(Condition::PlainAlias, "alias.*", "options of the repository's choice are taken for your own"),

    harmless("build.jobs", "how many compilers run at once"),
    decided("build.rustc", "RUSTC names the wrapper"),
    decided("build.rustc-wrapper", "RUSTC_WRAPPER names the wrapper"),
    decided("build.rustc-workspace-wrapper", "an empty RUSTC_WORKSPACE_WRAPPER takes its place"),
    decided("build.rustdoc", "RUSTDOC names the wrapper"),
    harmless("build.target", COMPILER),
    decided("build.target-dir", "refused where it leads out of the project"),
    decided("build.build-dir", "CARGO_BUILD_BUILD_DIR names this tool's own"),
    harmless("build.rustflags", COMPILER),
    harmless("build.rustdocflags", COMPILER),
    harmless("build.incremental", COMPILER),
    harmless("build.dep-info-basedir", "how paths in `.d` files are written"),
    harmless("build.pipelining", "cargo ignores it"),
    harmless("build.warnings", OUTPUT),
    harmless("build.sbom", "cargo lists the dependencies beside an artifact"),
    harmless("build.analysis.enabled", "cargo keeps figures in your CARGO_HOME"),
    when(Condition::Inside, "build.artifact-dir", WRITES),

    trust("credential-alias.*", PROGRAM),

    trust("doc.browser", "`doc --open` starts the program that it names on this machine"),
    harmless("doc.extern-map.registries.*", "where links in documentation lead"),
    harmless("doc.extern-map.std", "where links in documentation lead"),

    harmless("cargo-new.name", "cargo ignores it"),
    harmless("cargo-new.email", "cargo ignores it"),
    when(Condition::BuiltInVcs, "cargo-new.vcs", "`cargo new` starts that program on this machine"),

    when(Condition::PlainVariable, "env.*", "compilers, build scripts and programs in the container obey it"),

    harmless("future-incompat-report.frequency", OUTPUT),
    harmless("cache.auto-clean-frequency", "how often cargo looks for what was not used for months"),
    trust("cache.global-clean.*", "cargo removes what it has downloaded for all your projects"),

    harmless("http.debug", "cargo's log, which you have to ask for"),
    trust("http.proxy", NETWORK),
    harmless("http.timeout", PACE),
    trust("http.cainfo", NETWORK),
    trust("http.proxy-cainfo", NETWORK),
    trust("http.check-revoke", "cargo believes certificates that were withdrawn"),
    trust("http.ssl-version", "cargo accepts older encryption"),
    harmless("http.low-speed-limit", PACE),
    harmless("http.multiplexing", PACE),
    harmless("http.user-agent", "what cargo calls itself"),

    trust("install.root", "cargo installs and removes programs there"),

    harmless("net.retry", PACE),
    when(Condition::Off, "net.git-fetch-with-cli", "cargo starts `git` on this machine, and that `ssh`, with your keys"),
    harmless("net.offline", "cargo does not use the network"),
    trust("net.ssh.known-hosts", "cargo believes that a server with this key is the one it looks for"),

    when(Condition::Inside, "patch.*.*", OUTSIDE),

    harmless("profile.*.inherits", COMPILER),
    harmless("profile.*.opt-level", COMPILER),
    harmless("profile.*.debug", COMPILER),
    harmless("profile.*.split-debuginfo", COMPILER),
    harmless("profile.*.strip", COMPILER),
    harmless("profile.*.debug-assertions", COMPILER),
    harmless("profile.*.overflow-checks", COMPILER),
    harmless("profile.*.lto", COMPILER),
    harmless("profile.*.panic", COMPILER),
    harmless("profile.*.incremental", COMPILER),
    harmless("profile.*.codegen-units", COMPILER),
    harmless("profile.*.codegen-backend", COMPILER),
    harmless("profile.*.rpath", COMPILER),
    harmless("profile.*.rustflags", COMPILER),
    harmless("profile.*.trim-paths", COMPILER),
    harmless("profile.*.hint-mostly-unused", COMPILER),
    harmless("profile.*.build-override.*", COMPILER),
    harmless("profile.*.package.*.*", COMPILER),

    harmless("resolver.incompatible-rust-versions", "which versions cargo chooses"),
    harmless("resolver.feature-unification", "which features cargo chooses"),
    when(Condition::Inside, "resolver.lockfile-path", WRITES),
    harmless("publish.timeout", PACE),

    trust("registries.crates-io.index", ORIGIN),
    when(Condition::NewRegistry, "registries.*.index", "your token for this registry is sent there, and code of that name comes from there"),
    trust("registries.*.token", LOGIN),
    trust("registries.*.secret-key", LOGIN),
    trust("registries.*.secret-key-subject", LOGIN),
    trust("registries.*.credential-provider", PROGRAM),
    harmless("registries.*.protocol", "how the index is downloaded"),
    harmless("registry.index", "cargo refuses it"),
    harmless("registry.default", "which registry `cargo add` and `publish` mean"),
    trust("registry.token", LOGIN),
    trust("registry.secret-key", LOGIN),
    trust("registry.secret-key-subject", LOGIN),
    trust("registry.credential-provider", PROGRAM),
    trust("registry.global-credential-providers", PROGRAM),

    when(Condition::KnownSource, "source.*.replace-with", ORIGIN),
    when(Condition::Inside, "source.*.directory", OUTSIDE),
    when(Condition::Inside, "source.*.local-registry", OUTSIDE),
    when(Condition::Replaced, "source.*.registry", ORIGIN),
    when(Condition::Replaced, "source.*.git", ORIGIN),
    harmless("source.*.branch", "a part of `git`"),
    harmless("source.*.tag", "a part of `git`"),
    harmless("source.*.rev", "a part of `git`"),

    harmless("target.*.ar", "cargo ignores it"),
    decided("target.*.linker", "the compiler starts it, in the container"),
    decided("target.*.runner", "CARGO_TARGET_<TRIPLE>_RUNNER names the wrapper"),
    harmless("target.*.rustflags", COMPILER),
    harmless("target.*.rustdocflags", COMPILER),
    when(Condition::PlainVariable, "target.*.*.rustc-env.*", "compilers in the container obey it"),
    harmless("target.*.*.*", LINKS),

    harmless("term.quiet", OUTPUT),
    harmless("term.verbose", OUTPUT),
    harmless("term.color", OUTPUT),
    harmless("term.hyperlinks", OUTPUT),
    harmless("term.unicode", OUTPUT),
    harmless("term.progress.when", OUTPUT),
    harmless("term.progress.width", OUTPUT),
    harmless("term.progress.term-integration", OUTPUT),

    trust("host", "a nightly cargo starts the programs that it names on this machine"),
    trust("target-applies-to-host", "a nightly cargo runs programs without the wrapper"),
    trust("unstable.host-config", "a nightly cargo obeys `[host]`"),
    trust("unstable.target-applies-to-host", "a nightly cargo runs programs without the wrapper"),
    harmless("unstable.allow-features", UNSTABLE),
    harmless("unstable.advanced-env", UNSTABLE),
    harmless("unstable.any-build-script-metadata", UNSTABLE),
    harmless("unstable.avoid-dev-deps", UNSTABLE),
    harmless("unstable.binary-dep-depinfo", UNSTABLE),
    harmless("unstable.bindeps", UNSTABLE),
    harmless("unstable.build-analysis", UNSTABLE),
    harmless("unstable.build-dir-new-layout", UNSTABLE),
    harmless("unstable.build-std", UNSTABLE),
    harmless("unstable.build-std-features", UNSTABLE),
    harmless("unstable.cargo-lints", UNSTABLE),
    harmless("unstable.checksum-freshness", UNSTABLE),
    harmless("unstable.codegen-backend", UNSTABLE),
    harmless("unstable.config-include", UNSTABLE),
    harmless("unstable.direct-minimal-versions", UNSTABLE),
    harmless("unstable.dual-proc-macros", UNSTABLE),
    harmless("unstable.feature-unification", UNSTABLE),
    harmless("unstable.fine-grain-locking", UNSTABLE),
    harmless("unstable.json-target-spec", UNSTABLE),
    harmless("unstable.lockfile-path", UNSTABLE),
    harmless("unstable.minimal-versions", UNSTABLE),
    harmless("unstable.msrv-policy", UNSTABLE),
    harmless("unstable.mtime-on-use", UNSTABLE),
    harmless("unstable.no-embed-metadata", UNSTABLE),
    harmless("unstable.no-index-update", UNSTABLE),
    harmless("unstable.panic-abort-tests", UNSTABLE),
    harmless("unstable.panic-immediate-abort", UNSTABLE),
    harmless("unstable.profile-hint-mostly-unused", UNSTABLE),
    harmless("unstable.profile-rustflags", UNSTABLE),
    harmless("unstable.public-dependency", UNSTABLE),
    harmless("unstable.publish-timeout", UNSTABLE),
    harmless("unstable.rustc-unicode", UNSTABLE),
    harmless("unstable.rustdoc-depinfo", UNSTABLE),
    harmless("unstable.rustdoc-map", UNSTABLE),
    harmless("unstable.rustdoc-mergeable-info", UNSTABLE),
    harmless("unstable.rustdoc-scrape-examples", UNSTABLE),
    harmless("unstable.sbom", UNSTABLE),
    harmless("unstable.section-timings", UNSTABLE),
    harmless("unstable.separate-nightlies", UNSTABLE),
    harmless("unstable.skip-rustdoc-fingerprint", UNSTABLE),
    harmless("unstable.sparse-registry", UNSTABLE),
    harmless("unstable.trim-paths", UNSTABLE),
    harmless("unstable.unstable-options", UNSTABLE),
    harmless("unstable.warnings", UNSTABLE),
];

/// What the table says of a key.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// This.
    Key(&'static Key),
    /// It is a table in which keys are known.
    LeadsOn,
    /// Nothing.
    Nothing,
}

/// Looks a key up, given in its parts. `is_table` says whether its value is one.
pub fn look_up(path: &[&str], is_table: bool) -> Known {
    for key in KEYS {
        let mut parts = key.pattern.split('.');
        let begins = path.iter().all(|own| parts.next().is_some_and(|part| part == "*" || part == *own));
        match (begins, parts.next()) {
            (true, None) => return Known::Key(key),
            (true, Some(_)) if is_table => return Known::LeadsOn,
            _ => {}
        }
    }
    Known::Nothing
}

/// The table as it stands in `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from("| key | in a repository's file | because |\n|---|---|---|\n");
    for Key { pattern, class, why } in KEYS {
        let class = match class {
            Class::Harmless => "harmless",
            Class::Decided => "handled",
            Class::Trust => "**needs trust**",
            Class::When(condition) => condition.words(),
        };
        let _infallible = writeln!(text, "| `{}` | {class} | {why} |", pattern.replace('*', "\u{2026}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, is_table: bool) -> Known {
        look_up(&key.split('.').collect::<Vec<_>>(), is_table)
    }

    fn class(key: &str) -> Option<Class> {
        match found(key, false) {
            Known::Key(key) => Some(key.class),
            Known::LeadsOn | Known::Nothing => None,
        }
    }

    #[test]
    fn the_first_pattern_that_fits_counts() {
        assert_eq!(class("registries.crates-io.index"), Some(Class::Trust));
        assert_eq!(class("registries.mine.index"), Some(Class::When(Condition::NewRegistry)));
        assert_eq!(class("target.x.runner"), Some(Class::Decided));
        assert_eq!(class("target.x.ssl.rustc-link-lib"), Some(Class::Harmless));
        assert!(
            matches!(found("target.x.ssl.rustc-env", true), Known::LeadsOn),
            "and not what a library says"
        );
    }

    #[test]
    fn parts_of_keys_lead_on_and_unknown_ones_do_not() {
        for key in ["build", "target.x", "target.x.ssl", "http", "profile.dev.package.serde"] {
            assert!(matches!(found(key, true), Known::LeadsOn), "{key}");
            assert!(matches!(found(key, false), Known::Nothing), "{key}");
        }
        for key in ["build.new", "new", "build.jobs.new", "unstable.next", "profile.dev.hook"] {
            assert!(matches!(found(key, true), Known::Nothing), "{key}");
        }
    }

    #[test]
    fn no_pattern_hides_behind_an_earlier_one() {
        for key in KEYS {
            let Known::Key(first) = found(key.pattern, false) else { panic!("{}", key.pattern) };
            assert_eq!(first.pattern, key.pattern);
        }
    }
}
