//! The project: a workspace, named by its canonical root, and the directories that this tool keeps for it.

pub mod asked;
mod cache_tag;
mod directories;
mod git_config;
mod git_view;
pub mod leftovers;
pub mod outside;
pub mod planted;
pub mod record;
pub mod single_use;
pub mod staged;
mod workspace;

pub use cache_tag::create_cache_directory;
pub use directories::{ProjectDirectories, StateDirectory, file_name, private_directory, put_json};
pub use git_view::GitView;
pub use workspace::{WorkspaceError, find_manifest, workspace_root};

use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::container::spec::StableHasher;

/// A workspace and its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The canonical directory of the workspace's manifest.
    pub root: PathBuf,
    /// A name that no other root has, fit for a file name: the last part of the root and a hash of all of it.
    pub id: String,
}

impl Project {
    /// The project of a workspace root, which must be canonical.
    pub fn new(root: &Path) -> Self {
        let mut hasher = StableHasher::default();
        hasher.write(root.as_os_str().as_bytes());
        let name: String = root
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'))
            .take(32)
            .collect();
        let name = if name.is_empty() { "project".to_owned() } else { name.to_ascii_lowercase() };
        Self { root: root.to_owned(), id: format!("{name}-{:016x}", hasher.finish()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clones_of_one_name_are_two_projects() {
        let (one, other) = (Project::new(Path::new("/a/app")), Project::new(Path::new("/b/app")));
        assert_ne!(one.id, other.id);
        assert!(one.id.starts_with("app-") && other.id.starts_with("app-"));
    }

    #[test]
    fn an_identity_is_fit_for_a_file_name() {
        for root in ["/", "/sp ace/ü", "/x/a:b$(c)", "/UPPER"] {
            let id = Project::new(Path::new(root)).id;
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{id}");
            assert!(!id.starts_with('-') && id.len() <= 49, "{id}");
        }
    }
}
