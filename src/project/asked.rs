//! Which sources a command line asks for: those of the packages that cargo selects (the cargo book, "Package
//! Selection"), as far as manifests tell without cargo. Where one does not, nothing less than cargo selects is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Value;

/// What is asked for on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Every `-p`.
    pub packages: Vec<String>,
    /// Every `--exclude`.
    pub excluded: Vec<String>,
    /// `--workspace`.
    pub workspace: bool,
}

/// The packages below a root, and which of them are asked for.
#[derive(Debug)]
pub struct Asked {
    /// By directory: whether it is asked for.
    packages: BTreeMap<PathBuf, bool>,
}

impl Asked {
    /// `manifests` are relative to `root`, `current` is the one that cargo starts from.
    pub fn new<'a>(
        root: &Path,
        manifests: impl Iterator<Item = &'a Path>,
        current: &Path,
        selection: &Selection,
    ) -> Self {
        let read = |path: &Path| {
            let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            toml::from_str::<Value>(&text).ok()
        };
        let name = |manifest: &Value| Some(manifest.get("package")?.get("name")?.as_str()?.to_owned());
        let start = read(current).unwrap_or(Value::Boolean(false));
        // A workspace without a package of its own, or one that says which members are meant.
        let several = name(&start).is_none()
            || start.get("workspace").is_some_and(|workspace| workspace.get("default-members").is_some());
        let all = selection.workspace || (several && selection.packages.is_empty());
        let packages = manifests.filter_map(|path| {
            let name = name(&read(path)?)?;
            let chosen = if selection.packages.is_empty() {
                all || root.join(path) == root.join(current)
            } else {
                all || selection.packages.iter().any(|spec| matches(spec, &name))
            };
            let excluded = selection.excluded.contains(&name);
            Some((path.parent()?.to_owned(), chosen && !excluded))
        });
        Self { packages: packages.collect() }
    }

    /// Whether a file, by its path below the root, belongs to a package that is asked for.
    pub fn covers(&self, path: &Path) -> bool {
        path.ancestors().skip(1).find_map(|directory| self.packages.get(directory)).copied().unwrap_or(false)
    }
}

/// `name`, `name@version`, `URL#name@version`, `URL`, or a pattern. A URL names the package in its last part, or by
/// the directory; patterns are taken for everything.
fn matches(spec: &str, name: &str) -> bool {
    if spec.contains(['*', '?', '[']) {
        return true;
    }
    let (url, tail) = spec.split_once('#').map_or((None, spec), |(url, tail)| (Some(url), tail));
    let own = tail.split(['@', ':']).next().unwrap_or(tail);
    let is_version = own.starts_with(|first: char| first.is_ascii_digit());
    match url {
        // `URL#1.0.0`
        Some(url) if is_version => url.rsplit('/').next() == Some(name),
        _ if spec.contains("://") && url.is_none() => spec.rsplit('/').next() == Some(name),
        _ => own == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(current: &str, selection: &Selection, root_text: &str) -> Vec<&'static str> {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Cargo.toml", root_text);
        write("a/Cargo.toml", "package.name = 'a'");
        write("a/b/Cargo.toml", "package.name = 'b'");
        let manifests = ["Cargo.toml", "a/Cargo.toml", "a/b/Cargo.toml"].map(Path::new);
        let asked = Asked::new(directory.path(), manifests.into_iter(), Path::new(current), selection);
        ["src/lib.rs", "a/src/lib.rs", "a/b/src/lib.rs"]
            .into_iter()
            .filter(|path| asked.covers(Path::new(path)))
            .collect()
    }

    #[test]
    fn the_package_of_the_manifest_is_asked_for_and_those_that_are_named() {
        let root = "package.name = 'root'\n[workspace]";
        let none = Selection::default();
        let (r, a, b) = ("src/lib.rs", "a/src/lib.rs", "a/b/src/lib.rs");
        assert_eq!(covered("Cargo.toml", &none, root), [r]);
        assert_eq!(covered("a/Cargo.toml", &none, root), [a]);
        assert_eq!(covered("Cargo.toml", &none, "[workspace]"), [a, b]);
        let packages = |specs: &[&str]| Selection {
            packages: specs.iter().map(|spec| (*spec).to_owned()).collect(),
            ..Selection::default()
        };
        assert_eq!(covered("Cargo.toml", &packages(&["b@0.1.0"]), root), [b]);
        assert_eq!(covered("Cargo.toml", &packages(&["path+file:///x/b#0.1.0"]), root), [b]);
        assert_eq!(covered("Cargo.toml", &packages(&["x"]), "[workspace]"), [""; 0]);
        let workspace = Selection { workspace: true, excluded: vec!["a".into()], ..Selection::default() };
        assert_eq!(covered("a/Cargo.toml", &workspace, root), [r, b]);
    }
}
