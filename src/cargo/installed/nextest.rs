//! What a repository's `.config/nextest.toml` asks for.
//!
//! nextest starts setup scripts and wrapper scripts itself: not through the runner, and so on the host.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use toml::de::DeTable;
use toml::{Table, Value};

use crate::cargo::configuration::{key_of, line_of};
use crate::policy::question::{Item, Question};

/// Largest configuration file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Tables that say which tests run, when, and what is said about them.
const HARMLESS: &[&str] = &["experimental", "nextest-version", "test-groups"];

const SETUP: &str = "a program that nextest starts on this machine before the tests; there it may execute the \
                     system's programs and the toolchain's, and reads and writes what cargo may";
const WRAPPER: &str = "a program that nextest starts on this machine in place of tests; there it may execute the \
                       system's programs and the toolchain's, and reads and writes what cargo may";
const PLACE: &str = "nextest writes there what tests say";
const UNKNOWN: &str = "not a key that nextest documents: what nextest takes it for is not known";

/// What needs trust in the file of a project, if there is one.
///
/// # Errors
/// When it cannot be read, or is no TOML.
pub fn question(root: &Path) -> anyhow::Result<Option<Question>> {
    let file = root.join(".config/nextest.toml");
    let Ok(metadata) = file.metadata() else { return Ok(None) };
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        bail!("the configuration file `{}` is no file of acceptable size", file.display());
    }
    // An error would show what is in it, and nextest could not read it.
    let inside =
        file.canonicalize().is_ok_and(|path| root.canonicalize().is_ok_and(|root| path.starts_with(root)));
    if !inside {
        bail!("the configuration file `{}` is a link that leads out of the project", file.display());
    }
    let mut text = String::new();
    let failed = || format!("failed to read configuration file `{}`", file.display());
    File::open(&file).with_context(failed)?.take(MAX_FILE).read_to_string(&mut text).with_context(failed)?;
    let parsed = toml::from_str::<Table>(&text);
    let table: Table = parsed.with_context(|| format!("could not parse TOML in `{}`", file.display()))?;
    let lines = DeTable::parse(&text).ok();
    let mut items: Vec<Item> = found(&table)
        .into_iter()
        .map(|(path, value, effect)| Item {
            line: lines.as_ref().and_then(|table| line_of(&text, table.get_ref(), &path)),
            key: key_of(&path),
            value: Some(value.to_string()),
            effect: effect.to_owned(),
        })
        .collect();
    items.sort_by_key(|item| item.line);
    Ok((!items.is_empty()).then_some(Question { file, text, items }))
}

type Found<'a> = (Vec<&'a str>, &'a Value, &'static str);

/// Names are compared as a reader would that knows no case.
fn found(table: &Table) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    for (key, value) in table {
        let below = || value.as_table().into_iter().flatten();
        let path = vec![key.as_str()];
        match key.to_ascii_lowercase().as_str() {
            name if HARMLESS.contains(&name) => {}
            "store" => found.extend(below().filter_map(|(name, value)| place(&[key, name], value))),
            // `junit.path`, relative to the profile's directory in the store.
            "profile" => found.extend(below().flat_map(|(profile, settings)| {
                let junit = settings.as_table().into_iter().flatten();
                let junit = junit.filter(|(name, _)| name.eq_ignore_ascii_case("junit"));
                junit.flat_map(move |(name, table)| {
                    let settings = table.as_table().into_iter().flatten();
                    let paths = settings.filter(|(setting, _)| setting.eq_ignore_ascii_case("path"));
                    paths.filter_map(move |(setting, value)| place(&[key, profile, name, setting], value))
                })
            })),
            // The name of these before nextest 0.9.98.
            "script" => found.extend(below().map(|(name, value)| (vec![key.as_str(), name], value, SETUP))),
            "scripts" => found.extend(below().flat_map(|(kind, scripts)| {
                let effect = if kind.eq_ignore_ascii_case("setup") { SETUP } else { WRAPPER };
                let scripts = scripts.as_table().into_iter().flatten();
                scripts.map(move |(name, value)| (vec![key.as_str(), kind, name], value, effect))
            })),
            _ => found.push((path, value, UNKNOWN)),
        }
    }
    found
}

/// A place that is not simply below the one it is relative to.
fn place<'a>(path: &[&'a str], value: &'a Value) -> Option<Found<'a>> {
    let plain = value.as_str().is_none_or(|place| {
        PathBuf::from(place).components().all(|part| match part {
            Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
            part => part == Component::CurDir,
        })
    });
    (!plain).then(|| (path.to_vec(), value, PLACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(".config")).unwrap();
        std::fs::write(root.path().join(".config/nextest.toml"), text).unwrap();
        let question = question(root.path()).unwrap();
        let items = question.into_iter().flat_map(|question| question.items);
        items.map(|item| format!("{}: {}", item.line.unwrap(), item.key)).collect()
    }

    #[test]
    fn what_real_projects_set_needs_no_trust() {
        let text = r#"
            nextest-version = "0.9.100"
            experimental = ["setup-scripts"]
            [store]
            dir = "target/nextest"
            [profile.default]
            retries = { backoff = "fixed", count = 2, delay = "1s" }
            slow-timeout = { period = "60s", terminate-after = 2 }
            [profile.ci.junit]
            path = "junit.xml"
            [[profile.default.overrides]]
            filter = 'test(serial)'
            test-group = "serial"
            [test-groups]
            serial = { max-threads = 1 }
        "#;
        assert_eq!(asked(text), [""; 0]);
    }

    #[test]
    fn what_starts_programs_or_writes_elsewhere_needs_trust() {
        for (text, item) in [
            ("\n[scripts.setup.db]\ncommand = 'sh x'", "2: scripts.setup.db"),
            ("[scripts.wrapper.w]\ncommand = 'sh x'", "1: scripts.wrapper.w"),
            ("[scripts.later.w]\ncommand = 'sh x'", "1: scripts.later.w"),
            ("[script.old]\ncommand = 'sh x'", "1: script.old"),
            ("[Scripts.Setup.db]\ncommand = 'sh x'", "1: Scripts.Setup.db"),
            ("scripts = { setup = { a = { command = 'x' } } }", "1: scripts.setup.a"),
            ("store.dir = '../x'", "1: store.dir"),
            ("store.dir = '/x'", "1: store.dir"),
            ("[profile.ci]\njunit.path = '../../../.git/hooks/pre-commit'", "2: profile.ci.junit.path"),
            ("profile.ci.junit.path = 'a/.cargo/config.toml'", "1: profile.ci.junit.path"),
            ("runner = 'x'", "1: runner"),
        ] {
            assert_eq!(asked(text), [item], "{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert!(question(root.path()).unwrap().is_none());
        std::fs::create_dir_all(root.path().join(".config/nextest.toml")).unwrap();
        assert!(question(root.path()).is_err());
        std::fs::remove_dir(root.path().join(".config/nextest.toml")).unwrap();
        std::fs::write(root.path().join(".config/nextest.toml"), "= 1").unwrap();
        assert!(question(root.path()).is_err());
        std::fs::remove_file(root.path().join(".config/nextest.toml")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join(".config/nextest.toml")).unwrap();
        assert!(question(root.path()).unwrap_err().to_string().contains("leads out of the project"));
    }
}
