//! What `cargo-sandbox self setup` has in a repository's configuration file, and how it comes in and out of it with
//! everything else in the file left as it is.

use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use crate::broker::identify::role;
use crate::project::ProjectDirectories;

/// One setting: where it stands, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    key: Vec<String>,
    value: String,
}

/// What is remembered of a change, to take it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    settings: Vec<Changed>,
    /// Tables that were not there.
    tables: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Changed {
    key: Vec<String>,
    value: String,
    /// What stood there.
    before: Option<String>,
}

/// The settings that lead everything which cargo starts of others' into the project's container. Programs are
/// run by the runner whatever they are built for: a triple that is not named here meets `cfg(all())`.
///
/// # Errors
/// When the project's directories have a name that no configuration file can hold.
pub fn settings(directories: &ProjectDirectories, triples: &[String]) -> anyhow::Result<Vec<Setting>> {
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("`{}` is no UTF-8, and cannot be written to a file", path.display()))
    };
    let bin = |name: &str| text(&directories.bin().join(name));
    let one =
        |key: &[&str], value: String| Setting { key: key.iter().map(|part| (*part).into()).collect(), value };
    let mut all = vec![
        one(&["build", "rustc"], bin(role::RUSTC)?),
        one(&["build", "rustc-wrapper"], bin(role::RUSTC_WRAPPER)?),
        one(&["build", "rustdoc"], bin(role::RUSTDOC)?),
        one(&["build", "build-dir"], text(&directories.build())?),
    ];
    for target in triples.iter().map(String::as_str).chain(["cfg(all())"]) {
        all.push(one(&["target", target, "runner"], bin(role::RUNNER)?));
    }
    Ok(all)
}

/// Puts the settings into a file's text. `earlier` is a change that was made before and not taken back.
///
/// # Errors
/// When the text is no TOML, or something else stands in the place of a table.
pub fn apply(text: &str, settings: &[Setting], earlier: Option<&Change>) -> anyhow::Result<(String, Change)> {
    let mut document: DocumentMut = text.parse()?;
    let mut change = earlier.cloned().unwrap_or_default();
    for Setting { key, value: wanted } in settings {
        let (name, tables) = key.split_last().context("a setting without a name")?;
        let mut place: &mut dyn TableLike = document.as_table_mut();
        for (depth, part) in tables.iter().enumerate() {
            if place.get(part).is_none() {
                let mut table = Table::new();
                table.set_implicit(depth + 1 < tables.len());
                place.insert(part, Item::Table(table));
                change.tables.push(tables[..=depth].to_vec());
            }
            place = place
                .get_mut(part)
                .and_then(Item::as_table_like_mut)
                .with_context(|| format!("`{}` is no table", tables[..=depth].join(".")))?;
        }
        if place.get(name).and_then(Item::as_str) == Some(wanted) {
            continue;
        }
        let known = change.settings.iter().position(|changed| changed.key == *key);
        match known {
            Some(at) => change.settings[at].value.clone_from(wanted),
            None => change.settings.push(Changed {
                key: key.clone(),
                value: wanted.clone(),
                before: place.get(name).map(|item| bare(item, name)).transpose()?,
            }),
        }
        match place.get_mut(name).and_then(Item::as_value_mut) {
            // What surrounds a value (a comment behind it) stays.
            Some(old) => {
                let decor = old.decor().clone();
                *old = wanted.as_str().into();
                *old.decor_mut() = decor;
            }
            None => {
                place.insert(name, value(wanted.as_str()));
            }
        }
    }
    Ok((document.to_string(), change))
}

/// Takes a change back; what the user changed since then stays. Returns the text, and the keys that stay.
///
/// # Errors
/// When the text is no TOML.
pub fn take_back(text: &str, change: &Change) -> anyhow::Result<(String, Vec<String>)> {
    let mut document: DocumentMut = text.parse()?;
    let mut left = Vec::new();
    for changed in &change.settings {
        let (name, tables) = changed.key.split_last().context("a setting without a name")?;
        let Some(place) = table_at(&mut document, tables) else { continue };
        match place.get(name).map(Item::as_str) {
            None => {}
            Some(Some(found)) if found == changed.value => match &changed.before {
                Some(before) => restore(place, name, before)?,
                None => drop(place.remove(name)),
            },
            Some(_) => left.push(changed.key.join(".")),
        }
    }
    for table in change.tables.iter().rev() {
        let Some((name, above)) = table.split_last() else { continue };
        if let Some(place) = table_at(&mut document, above)
            && place.get(name).and_then(Item::as_table_like).is_some_and(TableLike::is_empty)
        {
            place.remove(name);
        }
    }
    Ok((document.to_string(), left))
}

/// A value without what surrounds it.
fn bare(item: &Item, name: &str) -> anyhow::Result<String> {
    let value = item.as_value().with_context(|| format!("`{name}` is a table, and must be a value"))?;
    Ok(value.clone().decorated("", "").to_string())
}

fn table_at<'a>(document: &'a mut DocumentMut, tables: &[String]) -> Option<&'a mut dyn TableLike> {
    let mut place: &mut dyn TableLike = document.as_table_mut();
    for part in tables {
        place = place.get_mut(part)?.as_table_like_mut()?;
    }
    Some(place)
}

fn restore(place: &mut dyn TableLike, name: &str, before: &str) -> anyhow::Result<()> {
    let Some(old) = place.get_mut(name).and_then(Item::as_value_mut) else { return Ok(()) };
    let decor = old.decor().clone();
    let Ok(value) = before.trim().parse::<toml_edit::Value>() else {
        bail!("`{before}` was `{name}` before, and is no value")
    };
    *old = value;
    *old.decor_mut() = decor;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "# ours\n[build]\nrustc-wrapper = \"sccache\" # fast\njobs = 2\n\n\
                         [target.'cfg(unix)']\nrustflags = [\"-g\"] # why\n\n[alias]\nb = \"build\"\n";

    fn wanted() -> Vec<Setting> {
        let one = |key: &[&str], value: &str| Setting {
            key: key.iter().map(|part| (*part).to_owned()).collect(),
            value: value.to_owned(),
        };
        vec![
            one(&["build", "rustc-wrapper"], "/p/bin/rustc-wrapper"),
            one(&["build", "rustc"], "/p/bin/rustc"),
            one(&["target", "x86_64-unknown-linux-gnu", "runner"], "/p/bin/runner"),
            one(&["target", "cfg(all())", "runner"], "/p/bin/runner"),
        ]
    }

    #[test]
    fn everything_else_stays_as_it_is_and_comes_back() {
        let (text, change) = apply(GIVEN, &wanted(), None).unwrap();
        for line in GIVEN.lines().filter(|line| !line.starts_with("rustc-wrapper")) {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(text.contains("rustc-wrapper = \"/p/bin/rustc-wrapper\" # fast"), "{text}");
        assert!(
            text.contains("[target.\"cfg(all())\"]\nrunner = ") || text.contains("[target.'cfg(all())']"),
            "{text}"
        );
        assert_eq!(take_back(&text, &change).unwrap(), (GIVEN.to_owned(), Vec::new()));
    }

    #[test]
    fn an_empty_file_comes_back_empty() {
        let (text, change) = apply("", &wanted(), None).unwrap();
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(parsed["target"]["cfg(all())"]["runner"].as_str(), Some("/p/bin/runner"));
        assert_eq!(take_back(&text, &change).unwrap(), (String::new(), Vec::new()));
    }

    #[test]
    fn twice_is_as_once() {
        let (text, change) = apply(GIVEN, &wanted(), None).unwrap();
        assert_eq!(apply(&text, &wanted(), Some(&change)).unwrap(), (text.clone(), change.clone()));
        let mut other = wanted();
        other[1].value = "/q/bin/rustc".to_owned();
        let (text, change) = apply(&text, &other, Some(&change)).unwrap();
        assert_eq!(take_back(&text, &change).unwrap().0, GIVEN);
    }

    #[test]
    fn what_the_user_changed_since_then_stays() {
        let (text, change) = apply(GIVEN, &wanted(), None).unwrap();
        let text = text.replace("/p/bin/rustc\"", "/mine\"") + "\n[net]\noffline = true\n";
        let (back, left) = take_back(&text, &change).unwrap();
        assert_eq!(left, ["build.rustc"]);
        assert!(back.contains("rustc = \"/mine\"") && back.contains("offline = true"), "{back}");
        assert!(back.contains("rustc-wrapper = \"sccache\" # fast") && !back.contains("runner"), "{back}");
    }

    #[test]
    fn dotted_keys_and_inline_tables_are_understood() {
        let given = "build.jobs = 1\ntarget = { \"cfg(all())\" = { linker = \"x\" } }\n";
        let (text, change) = apply(given, &wanted(), None).unwrap();
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(parsed["build"]["rustc"].as_str(), Some("/p/bin/rustc"));
        assert_eq!(parsed["target"]["cfg(all())"]["linker"].as_str(), Some("x"));
        let back: toml::Table = toml::from_str(&take_back(&text, &change).unwrap().0).unwrap();
        assert_eq!(back, toml::from_str(given).unwrap());
        assert!(apply("build = 3", &wanted(), None).is_err());
    }
}
