//! Finding the manifest and the workspace root as cargo does (the cargo book, "Workspaces"), without running
//! anything: the root decides which container and which directories are used, before cargo starts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no project.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkspaceError {
    /// As cargo says it.
    #[error("could not find `Cargo.toml` in `{}` or any parent directory", .0.display())]
    NotFound(PathBuf),
    /// The manifest was named, and is not there.
    #[error("manifest path `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The manifest cannot be read.
    #[error("failed to read `{}`: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
}

/// The manifest that cargo would use: the named one, or the nearest from the current directory upwards.
///
/// # Errors
/// When there is none.
pub fn find_manifest(cwd: &Path, named: Option<&Path>) -> Result<PathBuf, WorkspaceError> {
    if let Some(named) = named {
        let path = cwd.join(named);
        // As it was named, as cargo says it.
        return if path.is_file() { Ok(path) } else { Err(WorkspaceError::Missing(named.to_owned())) };
    }
    cwd.ancestors()
        .map(|directory| directory.join("Cargo.toml"))
        .find(|path| path.is_file())
        .ok_or_else(|| WorkspaceError::NotFound(cwd.to_owned()))
}

/// The canonical root of the workspace that a manifest belongs to.
///
/// A manifest that is no TOML is its own root here: cargo then says what is wrong with it.
///
/// # Errors
/// When a manifest cannot be read.
pub fn workspace_root(manifest: &Path) -> Result<PathBuf, WorkspaceError> {
    let manifest = canonical(manifest)?;
    let own = parent(&manifest);
    let document = read(&manifest)?;
    if document.get("workspace").is_some() {
        return Ok(own);
    }
    let named =
        document.get("package").and_then(|package| package.get("workspace")).and_then(|root| root.as_str());
    if let Some(named) = named {
        return Ok(parent(&canonical(&own.join(named).join("Cargo.toml"))?));
    }
    for directory in own.ancestors().skip(1) {
        let candidate = directory.join("Cargo.toml");
        if !candidate.is_file() {
            continue;
        }
        let document = read(&candidate)?;
        if let Some(workspace) = document.get("workspace") {
            let root = parent(&canonical(&candidate)?);
            return Ok(if excludes(workspace, &root, &own) { own } else { root });
        }
    }
    Ok(own)
}

/// Whether a workspace leaves a directory out: `exclude` does, unless `members` names it all the same.
fn excludes(workspace: &toml::Value, root: &Path, directory: &Path) -> bool {
    let paths = |key: &str| {
        let list = workspace.get(key).and_then(|value| value.as_array()).cloned().unwrap_or_default();
        list.into_iter().filter_map(|path| path.as_str().map(|path| root.join(path))).collect::<Vec<_>>()
    };
    let excluded = paths("exclude").iter().any(|path| directory.starts_with(path));
    let named = paths("members").iter().any(|path| directory.starts_with(path));
    excluded && !named
}

fn parent(manifest: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("/")).to_owned()
}

fn canonical(path: &Path) -> Result<PathBuf, WorkspaceError> {
    path.canonicalize()
        .map_err(|source| WorkspaceError::Unreadable { path: path.to_owned(), source: Arc::new(source) })
}

fn read(path: &Path) -> Result<toml::Value, WorkspaceError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| WorkspaceError::Unreadable { path: path.to_owned(), source: Arc::new(source) })?;
    Ok(toml::from_str(&text).unwrap_or(toml::Value::Table(toml::Table::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn root_of(tree: &tempfile::TempDir, member: &str) -> PathBuf {
        let manifest = find_manifest(&tree.path().join(member), None).unwrap();
        let root = workspace_root(&manifest).unwrap();
        root.strip_prefix(tree.path().canonicalize().unwrap()).unwrap().to_owned()
    }

    #[test]
    fn a_member_belongs_to_the_workspace_above_it() {
        let tree =
            tree(&[("Cargo.toml", "[workspace]\nmembers=['a']"), ("a/Cargo.toml", "[package]\nname='a'")]);
        assert_eq!(root_of(&tree, "a"), Path::new(""));
        assert_eq!(root_of(&tree, ""), Path::new(""));
    }

    #[test]
    fn a_package_below_a_package_without_workspace_is_its_own_root() {
        let tree = tree(&[("Cargo.toml", "[package]\nname='x'"), ("a/Cargo.toml", "[package]\nname='a'")]);
        assert_eq!(root_of(&tree, "a"), Path::new("a"));
    }

    #[test]
    fn an_excluded_package_is_its_own_root_unless_it_is_a_named_member() {
        let text = "[workspace]\nmembers=['e/in']\nexclude=['e']";
        let package = "[package]\nname='a'";
        let tree = tree(&[("Cargo.toml", text), ("e/in/Cargo.toml", package), ("e/out/Cargo.toml", package)]);
        assert_eq!(root_of(&tree, "e/out"), Path::new("e/out"));
        assert_eq!(root_of(&tree, "e/in"), Path::new(""));
    }

    #[test]
    fn a_package_may_name_its_workspace() {
        let tree = tree(&[
            ("w/Cargo.toml", "[workspace]"),
            ("p/Cargo.toml", "[package]\nname='p'\nworkspace='../w'"),
        ]);
        assert_eq!(root_of(&tree, "p"), Path::new("w"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let error = find_manifest(empty.path(), Some(Path::new("x/Cargo.toml"))).unwrap_err();
        assert!(error.to_string().contains("x/Cargo.toml"), "{error}");
    }
}
