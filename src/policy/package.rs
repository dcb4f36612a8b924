//! Which package a job belongs to, and which entries of a policy are about it.

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// A package, as the broker found it out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, where it has one that cargo understands.
    pub version: Option<Version>,
    /// Who says that it is this package.
    pub provenance: Provenance,
}

/// Who says what a package is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Provenance {
    /// cargo, which unpacked it from a registry.
    Registry,
    /// The repository: a member, a vendored directory, a path, a git dependency. It can call anything anything, so
    /// that no grant of a user's, which is for a package that he knows, is given to it.
    Repository,
}

impl Package {
    /// The package that a registry's directory is named after: `name-1.2.3`. Names have no dots, versions begin with
    /// a number and a dot.
    pub fn of_directory(name: &str, provenance: Provenance) -> Option<Self> {
        let dot = name.find('.')?;
        let dash = name[..dot].rfind('-')?;
        let version = Version::parse(&name[dash + 1..]).ok()?;
        Some(Self { name: name[..dash].to_owned(), version: Some(version), provenance })
    }

    /// A package that nothing is known of but that it is the repository's.
    pub fn unknown() -> Self {
        Self { name: String::new(), version: None, provenance: Provenance::Repository }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.name, &self.version) {
            ("", _) => f.write_str("a package of this project"),
            (name, Some(version)) => write!(f, "{name} {version}"),
            (name, None) => f.write_str(name),
        }
    }
}

/// The name of an entry below `packages`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    text: String,
    name: String,
    range: Option<VersionReq>,
}

impl Selector {
    /// Whether an entry is about a package.
    pub fn matches(&self, package: &Package) -> bool {
        let range = self.range.as_ref().is_none_or(|range| {
            // `1` means what it means in a manifest, and a pre-release of it is no other package.
            let plain = |version: &Version| Version::new(version.major, version.minor, version.patch);
            package
                .version
                .as_ref()
                .is_some_and(|version| range.matches(version) || range.matches(&plain(version)))
        });
        range && glob(self.name.as_bytes(), package.name.as_bytes())
    }

    /// Of two entries about one package, the one with more of this is the one that is meant.
    pub fn exactness(&self) -> (bool, bool, usize) {
        (!self.name.contains('*'), self.range.is_some(), self.name.len())
    }

    /// Whether it names one package, in any version.
    pub fn is_exact(&self) -> bool {
        !self.name.contains('*')
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, range) = match text.split_once('@') {
            Some((name, range)) => (name, Some(range)),
            None => (text, None),
        };
        let allowed = |character: char| character.is_alphanumeric() || "-_*".contains(character);
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(format!("`{text}` names no package: it is `name`, `name@1.2` or `name*`"));
        }
        let range = range.map(|range| {
            VersionReq::parse(range).map_err(|error| format!("`{range}` is no range of versions: {error}"))
        });
        Ok(Self { text: text.to_owned(), name: name.to_owned(), range: range.transpose()? })
    }
}

/// Whether `name` is what `pattern` stands for, in which a star is any characters. Takes no more than one step per
/// pair of characters, whoever wrote the pattern.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while from < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, from));
            at += 1;
        } else if pattern.get(at) == name.get(from) {
            at += 1;
            from += 1;
        } else if let Some((place, taken)) = star {
            star = Some((place, taken + 1));
            at = place + 1;
            from = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(text: &str) -> Package {
        Package::of_directory(text, Provenance::Registry).unwrap()
    }

    #[test]
    fn a_registrys_directory_says_which_package() {
        for (directory, name, version) in [
            ("serde-1.0.2", "serde", "1.0.2"),
            ("a-1-2.0.0-alpha.1", "a-1", "2.0.0-alpha.1"),
            ("libz-ng-sys-1.1.0+zlib-ng.2.1", "libz-ng-sys", "1.1.0+zlib-ng.2.1"),
            ("x86-0.52.0", "x86", "0.52.0"),
        ] {
            let found = package(directory);
            assert_eq!((found.name.as_str(), found.version.unwrap().to_string().as_str()), (name, version));
        }
        for directory in ["serde", "serde-1", "-1.0.0.0", "1.0.0", ""] {
            assert_eq!(Package::of_directory(directory, Provenance::Registry), None, "{directory}");
        }
    }

    #[test]
    fn entries_are_about_names_ranges_and_patterns() {
        let matches = |selector: &str, directory: &str| {
            selector.parse::<Selector>().unwrap().matches(&package(directory))
        };
        assert!(matches("ring", "ring-0.17.8") && !matches("ring", "rings-0.17.8"));
        assert!(matches("ring@0.17", "ring-0.17.8") && !matches("ring@0.17", "ring-0.18.0"));
        assert!(matches("ring@>=0.16, <0.18", "ring-0.17.8") && matches("ring@0.17", "ring-0.17.8-alpha.1"));
        assert!(matches("aws-*", "aws-lc-sys-0.1.0") && !matches("aws-*", "laws-0.1.0"));
        assert!(
            matches("*-sys", "libz-sys-1.0.0") && matches("*", "x-1.0.0") && matches("a*b*", "axbx-1.0.0")
        );
        let unversioned = Package { version: None, ..package("ring-0.17.8") };
        assert!(!"ring@0.17".parse::<Selector>().unwrap().matches(&unversioned));
        for wrong in ["", "@1", "a b", "a@y", "../a", "a/b"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let pattern = "a*".repeat(200);
        assert!(!glob(pattern.as_bytes(), "a".repeat(199).as_bytes()));
        assert!(glob(b"", b"") && !glob(b"", b"a") && glob(b"**", b""));
    }

    #[test]
    fn a_name_is_meant_before_a_pattern() {
        let exactness = |text: &str| text.parse::<Selector>().unwrap().exactness();
        assert!(exactness("ring") > exactness("rin*") && exactness("ring@0.17") > exactness("ring"));
        assert!(exactness("rin*") > exactness("*"));
    }
}
