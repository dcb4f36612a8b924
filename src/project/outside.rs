//! Path dependencies that lead out of the project: cargo may not read them, and only says that it may not.
//!
//! Looked for when a command has failed, so that one that succeeds does not pay for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

/// How many manifests are looked at.
const MAX_MANIFESTS: usize = 500;

/// The directories of path dependencies of a project that are neither in it nor below one of `readable`.
pub fn dependencies(root: &Path, readable: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut outside = BTreeSet::new();
    let mut seen = BTreeSet::from([root.to_owned()]);
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let text = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
        let Ok(manifest) = toml::from_str::<Value>(&text) else { continue };
        let mut named = Vec::new();
        paths(&manifest, &mut named);
        members(&manifest, &directory, &mut named);
        for path in named {
            let Ok(path) = directory.join(path).canonicalize() else { continue };
            let inside = path.starts_with(root) || readable.iter().any(|readable| path.starts_with(readable));
            if !inside {
                outside.insert(path);
            } else if seen.len() < MAX_MANIFESTS && seen.insert(path.clone()) {
                open.push(path);
            }
        }
    }
    outside
}

/// Every `path` of a table of dependencies or patches, wherever it stands.
fn paths(value: &Value, found: &mut Vec<PathBuf>) {
    for (key, below) in value.as_table().into_iter().flatten() {
        if key.ends_with("dependencies") || key == "patch" || key == "replace" {
            every_path(below, found);
        } else if key == "target" || key == "workspace" || key.starts_with("cfg(") || below.is_table() {
            paths(below, found);
        }
    }
}

fn every_path(value: &Value, found: &mut Vec<PathBuf>) {
    for (key, below) in value.as_table().into_iter().flatten() {
        match below {
            Value::String(path) if key == "path" => found.push(path.into()),
            _ => every_path(below, found),
        }
    }
}

/// The workspace's members; of patterns only `directory/*`.
fn members(manifest: &Value, directory: &Path, found: &mut Vec<PathBuf>) {
    let list = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    for member in list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        match member.strip_suffix("/*") {
            Some(parent) => {
                let entries = std::fs::read_dir(directory.join(parent)).into_iter().flatten().flatten();
                found.extend(entries.map(|entry| entry.path()));
            }
            None => found.push(member.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_followed_within_the_project_and_named_outside_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        for (path, text) in [
            ("app", "workspace.members = ['m/*']\n[dependencies]\na = { path = 'a' }"),
            ("app/a", "[target.'cfg(unix)'.build-dependencies]\nb = { path = '../../b' }"),
            ("app/m/one", "[dev-dependencies.c]\npath = '../../../c'\n[[bin]]\npath = '../../../d'"),
            ("b", ""),
            ("c", ""),
            ("d", ""),
        ] {
            std::fs::create_dir_all(base.join(path)).unwrap();
            std::fs::write(base.join(path).join("Cargo.toml"), text).unwrap();
        }
        let root = base.join("app");
        let expected = |names: &[&str]| names.iter().map(|name| base.join(name)).collect::<BTreeSet<_>>();
        assert_eq!(dependencies(&root, &[]), expected(&["b", "c"]));
        assert_eq!(dependencies(&root, &[base.join("b")]), expected(&["c"]));
    }
}
