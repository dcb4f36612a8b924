//! Which package a directory holds, from its manifest and not from what a job's environment says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A package, as people and lock files name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageId {
    /// Its name.
    pub name: String,
    /// Its version; empty where it is not known.
    pub version: String,
}

impl std::fmt::Display for PackageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

/// The directory of the package that a file belongs to: the nearest one with a manifest, no further up than
/// `within` says.
pub fn directory(path: &Path, within: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut above = path.ancestors().take_while(|directory| within(directory));
    above
        .find(|directory| manifest(directory).is_some_and(|manifest| manifest.get("package").is_some()))
        .map(Path::to_owned)
}

/// The package in a directory; what it takes over from its workspace is looked up at `root`.
pub fn of(directory: &Path, root: &Path) -> Option<PackageId> {
    let manifest = manifest(directory)?;
    let package = manifest.get("package")?;
    let name = package.get("name")?.as_str()?.to_owned();
    let inherited = || {
        let root = self::manifest(root)?;
        Some(root.get("workspace")?.get("package")?.get("version")?.as_str()?.to_owned())
    };
    let version = match package.get("version") {
        Some(version) => version.as_str().map(str::to_owned).or_else(inherited),
        None => None,
    };
    Some(PackageId { name, version: version.unwrap_or_default() })
}

fn manifest(directory: &Path) -> Option<toml::Table> {
    std::fs::read_to_string(directory.join("Cargo.toml")).ok()?.parse().ok()
}

/// The packages of a project's `Cargo.lock`.
#[derive(Debug, Clone, Default)]
pub struct Locked {
    packages: BTreeSet<PackageId>,
    /// Those that are from somewhere else than the project's own directories.
    foreign: BTreeSet<PackageId>,
}

impl Locked {
    /// Those of the project at `root`; none where there is no lock file.
    pub fn read(root: &Path) -> Self {
        let text = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let packages = table.get("package").and_then(toml::Value::as_array).into_iter().flatten();
        let mut locked = Self::default();
        for package in packages {
            let text = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
            let Some(name) = text("name") else { continue };
            let id = PackageId { name, version: text("version").unwrap_or_default() };
            if text("source").is_some() {
                locked.foreign.insert(id.clone());
            }
            locked.packages.insert(id);
        }
        locked
    }

    /// Whether a package is one of the project's own directories.
    pub fn is_local(&self, package: &PackageId) -> bool {
        self.packages.contains(package) && !self.foreign.contains(package)
    }

    /// Whether the lock file has this package, or there is no lock file.
    pub fn has(&self, package: &PackageId) -> bool {
        self.packages.is_empty() || self.packages.contains(package)
    }

    /// The package whose library file is named so (`lib<name>-<hash>.so` without what is around the name).
    pub fn of_library(&self, library: &str) -> PackageId {
        let mut named = self.packages.iter().filter(|package| package.name.replace('-', "_") == library);
        match (named.next(), named.next()) {
            (Some(only), None) => only.clone(),
            // Of several versions it is not known which.
            (Some(first), Some(_)) => PackageId { name: first.name.clone(), version: String::new() },
            (None, _) => PackageId { name: library.to_owned(), version: String::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_manifest() {
        let root = tempfile::tempdir().unwrap();
        let member = root.path().join("member");
        std::fs::create_dir_all(member.join("src")).unwrap();
        std::fs::write(root.path().join("Cargo.toml"), "[workspace.package]\nversion = \"2.0.0\"\n").unwrap();
        std::fs::write(member.join("Cargo.toml"), "[package]\nname = \"m\"\nversion.workspace = true\n")
            .unwrap();
        let found = directory(&member.join("src/lib.rs"), |path| path.starts_with(root.path())).unwrap();
        assert_eq!(found, member);
        assert_eq!(of(&found, root.path()).unwrap().to_string(), "m 2.0.0");
        assert_eq!(directory(root.path(), |path| path.starts_with(root.path())), None);
        assert_eq!(directory(&member, |_| false), None);
    }

    #[test]
    fn a_library_is_found_in_the_lock_file() {
        let root = tempfile::tempdir().unwrap();
        let lock = "[[package]]\nname = \"my-macro\"\nversion = \"1.2.3\"\n\
                    [[package]]\nname = \"two\"\nversion = \"1.0.0\"\n[[package]]\nname = \"two\"\nversion = \"2.0.0\"\n";
        std::fs::write(root.path().join("Cargo.lock"), lock).unwrap();
        let locked = Locked::read(root.path());
        assert_eq!(locked.of_library("my_macro").to_string(), "my-macro 1.2.3");
        assert_eq!(locked.of_library("two").to_string(), "two");
        assert_eq!(locked.of_library("other").to_string(), "other");
        assert!(
            locked.is_local(&locked.of_library("my_macro")) && !locked.is_local(&locked.of_library("other"))
        );
        assert!(
            Locked::default().has(&locked.of_library("other")) && !locked.has(&locked.of_library("other"))
        );
    }
}
