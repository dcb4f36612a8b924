//! What is built once and thrown away: an installed crate, the copy of a project that `fix` works on.
//!
//! It has the directories of a project that no other command finds, so that nothing of it is shared with anything,
//! and they go with the command.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Project, ProjectDirectories, StateDirectory, private_directory};

/// How the directories' names start.
const PREFIX: &str = "once-";

/// Held locked while the command runs.
const LOCK: &str = "once.lock";

/// A project for one command.
#[derive(Debug)]
pub struct SingleUse {
    directories: ProjectDirectories,
    id: String,
    _lock: File,
}

impl SingleUse {
    /// Makes one; `name` is for people who read a list. What commands that were killed left is removed.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn create(state: &StateDirectory, name: &str) -> io::Result<Self> {
        let projects = state.projects();
        private_directory(&projects)?;
        remove_stale(&projects);
        let prefix = Project::new(Path::new("/").join(name).as_path()).id;
        let prefix = prefix.rsplit_once('-').map_or(prefix.as_str(), |(name, _hash)| name);
        let directory =
            tempfile::Builder::new().prefix(&format!("{PREFIX}{prefix}-")).tempdir_in(&projects)?;
        // It has its name when it is held: one that is not is taken for a killed command's.
        let unnamed = directory.path().join("new.lock");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        std::fs::rename(&unnamed, directory.path().join(LOCK))?;
        let path = directory.keep();
        let id = super::file_name(&path);
        Ok(Self { directories: state.project(&id), id, _lock: lock })
    }

    /// The project that this is in all that keeps projects apart, with `root` as its root.
    pub fn project(&self, root: &Path) -> Project {
        Project { root: root.to_owned(), id: self.id.clone() }
    }

    /// Its identity.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directories.
    pub fn directories(&self) -> &ProjectDirectories {
        &self.directories
    }

    /// A directory for what is made up for it: an empty root, the copy of a real one. Containers see of it what they
    /// are shown.
    pub fn source(&self) -> PathBuf {
        self.directories.path().join("source")
    }
}

impl Drop for SingleUse {
    /// Containers of it must have ended.
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(self.directories.path());
    }
}

/// Removes what belongs to commands that were killed: nobody holds their lock.
pub fn remove_stale(projects: &Path) {
    for entry in std::fs::read_dir(projects).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // One that is being made has no lock yet, and is left.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _left = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether the command that these directories belong to runs.
pub fn is_used(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_the_command_and_a_killed_one_with_the_next() {
        let state = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(Some(state.path().join("s").into())).unwrap();
        let first = SingleUse::create(&state, "hexyl").unwrap();
        assert!(first.id().starts_with("once-hexyl-"), "{}", first.id());
        let killed = state.projects().join("once-killed-1");
        std::fs::create_dir(&killed).unwrap();
        std::fs::write(killed.join(LOCK), "").unwrap();
        let second = SingleUse::create(&state, "hexyl").unwrap();
        assert!(first.id() != second.id() && !killed.exists());
        let path = first.directories().path().to_owned();
        assert!(path.exists());
        drop(first);
        assert!(!path.exists() && second.directories().path().exists());
    }
}
