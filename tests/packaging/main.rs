//! A release (`packaging/release`): the same bytes from two directories, and what it makes is whole and works.

#[path = "../support/mod.rs"]
mod support;

mod installed;
mod release;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use release::{Release, releases};
use serde_json::Value;
use support::elf::loading;
use support::run::run;

#[test]
fn two_releases_of_one_commit_are_the_same_byte_for_byte() {
    let Some([one, two]) = releases() else { return };
    let names = |release: &Release| -> BTreeSet<_> {
        release.made().iter().map(|path| path.file_name().unwrap().to_owned()).collect()
    };
    assert_eq!(names(one), names(two));
    assert_eq!(one.made().len(), 4, "{:?}", names(one));
    for (path, other) in one.made().iter().zip(two.made()) {
        assert!(fs::read(path).unwrap() == fs::read(&other).unwrap(), "{} differs", path.display());
    }
    let mut check = Command::new("sha256sum");
    run(check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(one.checkout.join("dist")))
        .success("sha256sum");
}

#[test]
fn the_archive_has_static_executables_and_no_path_of_the_machine() {
    let Some([one, two]) = releases() else { return };
    let unpacked = one.unpacked();
    for name in ["cargo-sandbox", "cargo-sandbox-rustc"] {
        let path = unpacked.join("bin").join(name);
        assert!(!loading(&path).interpreter, "{name} asks for a loader");
        let bytes = fs::read(&path).unwrap();
        for private in [&one.checkout, &two.checkout, &one.cargo_home, &two.cargo_home] {
            let private = private.as_os_str().as_encoded_bytes();
            let found = bytes.windows(private.len()).any(|window| window == private);
            assert!(!found, "{name} has {}", private.escape_ascii());
        }
    }
    let version = run(Command::new(unpacked.join("bin/cargo-sandbox")).arg("--version")).success("--version");
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
    for file in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "README.md",
        "docs/policy.md",
        "man/cargo-sandbox.1",
        "cargo-sandbox.cdx.json",
    ] {
        assert!(unpacked.join(file).is_file(), "{file}");
    }
    for file in ["cargo-sandbox.bash", "_cargo-sandbox", "cargo-sandbox.fish"] {
        let script = fs::read_to_string(unpacked.join("completions").join(file)).unwrap();
        assert!(script.contains("sandbox-read") && script.contains("message-format"), "{file}");
    }
}

/// Crates by what was compiled (rustc's lists of source files), and by the list that goes with the release.
#[test]
fn the_list_of_crates_has_every_crate_that_was_compiled() {
    let Some([one, _]) = releases() else { return };
    let listed = fs::read_to_string(one.unpacked().join("cargo-sandbox.cdx.json")).unwrap();
    let list: Value = serde_json::from_str(&listed).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let components = list["components"].as_array().unwrap();
    let named: BTreeSet<String> = components
        .iter()
        .map(|component| format!("{}-{}", text(component, "name"), text(component, "version")))
        .collect();
    assert!(one.compiled.len() > 100, "{:?}", one.compiled);
    let missing: Vec<_> = one.compiled.difference(&named).collect();
    assert!(missing.is_empty(), "not in the list: {missing:?}");
    // Each with the checksum that Cargo.lock has, so that it can be compared.
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    for component in components {
        let hash = text(&component["hashes"][0], "content");
        assert!(hash.len() == 64 && lock.contains(&hash), "{component}");
    }
    assert_eq!(text(&list["metadata"]["component"], "name"), "cargo-sandbox");
    assert!(!listed.contains(&one.checkout.display().to_string()));
}
