//! What well-known packages need: data that comes with this tool (`known.toml`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::file::{PackageRules, PolicyFile};
use super::invalid::Mistake;
use super::layers::{Source, Written};
use super::package::Selector;

/// The list.
const TEXT: &str = include_str!("known.toml");

/// The list, read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KnownPackages {
    /// Raised whenever an entry changes.
    pub version: u32,
    /// The entries.
    #[serde(default)]
    pub entry: Vec<KnownPackage>,
}

/// What one package needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KnownPackage {
    /// Which, in which versions.
    pub package: Selector,
    /// Why it needs that.
    pub reason: String,
    /// Where that can be looked up.
    pub source: String,
    /// What it gets.
    pub rules: PackageRules,
    /// How it is shown to be needed.
    pub shown: Shown,
}

/// A build that an entry makes a difference for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shown {
    /// The version.
    pub with: semver::Version,
    /// Features of the package.
    pub features: Vec<String>,
    /// The environment of the build.
    pub variables: BTreeMap<String, String>,
    /// What the build says with the entry, and does not say without.
    pub says: String,
}

impl KnownPackages {
    /// The list that comes with this tool.
    ///
    /// # Errors
    /// Never: a test reads it.
    pub fn shipped() -> Result<Self, Mistake> {
        toml::from_str(TEXT).map_err(|error| Mistake::of(TEXT, &error))
    }

    /// The list as a layer of a policy.
    pub fn layer(self) -> Written {
        let packages = self.entry.into_iter().map(|entry| (entry.package, entry.rules)).collect();
        let file = PolicyFile { packages, ..PolicyFile::default() };
        Written { source: Source::Known, path: PathBuf::new(), text: TEXT.to_owned(), file, trusted: true }
    }
}

#[cfg(test)]
mod tests {
    use super::super::package::{Package, Provenance};
    use super::*;

    #[test]
    fn every_entry_is_about_the_version_that_it_is_shown_with() {
        let known = KnownPackages::shipped().unwrap();
        assert!(known.version > 0);
        for entry in &known.entry {
            assert!(entry.package.is_exact(), "{}", entry.package);
            let name = entry.package.to_string();
            let name = name.split('@').next().unwrap_or_default().to_owned();
            let version = Some(entry.shown.with.clone());
            assert!(entry.package.matches(&Package { name, version, provenance: Provenance::Registry }));
            assert!(!entry.reason.is_empty() && !entry.source.is_empty(), "{}", entry.package);
        }
        known.layer().file.check(TEXT).unwrap();
    }
}
