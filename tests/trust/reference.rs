//! The table of keys against cargo's own documentation and ours.

use std::collections::BTreeSet;

use cargo_sandbox::cargo::configuration::keys::{KEYS, reference};

use super::*;

/// Keys of the cargo book, chapter "Configuration", for cargo 1.95.
const DOCUMENTED: &[&str] = &[
    "include",
    "paths",
    "build.jobs",
    "build.rustc",
    "build.rustc-wrapper",
    "build.rustc-workspace-wrapper",
    "build.rustdoc",
    "build.target",
    "build.target-dir",
    "build.build-dir",
    "build.rustflags",
    "build.rustdocflags",
    "build.incremental",
    "build.dep-info-basedir",
    "build.pipelining",
    "doc.browser",
    "cargo-new.name",
    "cargo-new.email",
    "cargo-new.vcs",
    "future-incompat-report.frequency",
    "cache.auto-clean-frequency",
    "http.debug",
    "http.proxy",
    "http.timeout",
    "http.cainfo",
    "http.proxy-cainfo",
    "http.check-revoke",
    "http.ssl-version",
    "http.low-speed-limit",
    "http.multiplexing",
    "http.user-agent",
    "install.root",
    "net.retry",
    "net.git-fetch-with-cli",
    "net.offline",
    "net.ssh.known-hosts",
    "profile.<name>.build-override",
    "profile.<name>.package.<name>",
    "profile.<name>.codegen-units",
    "profile.<name>.debug",
    "profile.<name>.split-debuginfo",
    "profile.<name>.debug-assertions",
    "profile.<name>.incremental",
    "profile.<name>.lto",
    "profile.<name>.overflow-checks",
    "profile.<name>.opt-level",
    "profile.<name>.panic",
    "profile.<name>.rpath",
    "profile.<name>.strip",
    "resolver.incompatible-rust-versions",
    "registries.<name>.index",
    "registries.<name>.token",
    "registries.<name>.credential-provider",
    "registries.crates-io.protocol",
    "registry.index",
    "registry.default",
    "registry.credential-provider",
    "registry.token",
    "registry.global-credential-providers",
    "source.<name>.replace-with",
    "source.<name>.directory",
    "source.<name>.registry",
    "source.<name>.local-registry",
    "source.<name>.git",
    "source.<name>.branch",
    "source.<name>.tag",
    "source.<name>.rev",
    "target.<triple>.ar",
    "target.<triple>.linker",
    "target.<cfg>.linker",
    "target.<triple>.runner",
    "target.<cfg>.runner",
    "target.<triple>.rustflags",
    "target.<cfg>.rustflags",
    "target.<triple>.rustdocflags",
    "target.<triple>.<links>",
    "term.quiet",
    "term.verbose",
    "term.color",
    "term.hyperlinks",
    "term.unicode",
    "term.progress.when",
    "term.progress.width",
    "term.progress.term-integration",
];

/// Whether the table knows a documented key, or keys below it.
fn is_classified(documented: &str) -> bool {
    KEYS.iter().any(|key| {
        let mut pattern = key.pattern.split('.');
        documented.split('.').all(|part| pattern.next().is_some_and(|own| own == part || own == "*"))
    })
}

#[test]
fn every_documented_key_is_classified() {
    for key in DOCUMENTED {
        assert!(is_classified(key), "{key}");
    }
    assert!(!is_classified("build.next-year"));
}

/// The book that comes with the toolchain, where it is installed: a key of a newer cargo's is found here.
#[test]
fn the_toolchains_own_book_has_no_other_key() {
    let toolchain = support::world::toolchain(&User::me()).expect("toolchain");
    let book = toolchain.join("share/doc/rust/html/cargo/reference/config.html");
    let Ok(book) = fs::read_to_string(&book) else {
        return support::note("skipped: the toolchain has no documentation");
    };
    let keys: BTreeSet<String> = book
        .split("<h4 id=\"")
        .skip(1)
        .filter_map(|part| part.split_once("<code>")?.1.split_once("</code>"))
        .map(|(key, _)| key.replace("&lt;", "<").replace("&gt;", ">").replace(['[', ']'], ""))
        .filter(|key| key.contains('.'))
        .collect();
    assert!(keys.len() > 50, "the book has another shape: {keys:?}");
    for key in keys {
        assert!(is_classified(&key), "{key}");
    }
}

#[test]
fn the_documentation_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&path).expect("docs/configuration.md");
    assert!(text.contains(&reference()), "docs/configuration.md needs this table:\n{}", reference());
}
