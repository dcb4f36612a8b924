//! Where this tool keeps what belongs to a project: outside every repository, for the user alone.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

/// The user's directory of this tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirectory(PathBuf);

impl StateDirectory {
    /// The directory that the user named (`CARGO_SANDBOX_HOME`), else `cargo-sandbox` in the user's cache
    /// directory (XDG). Created if it is missing, for the user alone.
    ///
    /// # Errors
    /// When it cannot be created, or belongs to somebody else.
    pub fn open(named: Option<OsString>) -> io::Result<Self> {
        let path = match named.filter(|path| !path.is_empty()) {
            Some(named) => std::path::absolute(named)?,
            None => {
                etcetera::choose_base_strategy().map_err(io::Error::other)?.cache_dir().join("cargo-sandbox")
            }
        };
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        private_directory(&path)?;
        Ok(Self(path.canonicalize()?))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory that holds one directory per project.
    pub fn projects(&self) -> PathBuf {
        self.0.join("projects")
    }

    /// What a project keeps.
    pub fn project(&self, id: &str) -> ProjectDirectories {
        ProjectDirectories(self.projects().join(id))
    }

    /// Answers of the compiler about itself, which are the same for every project.
    pub fn probes(&self) -> PathBuf {
        self.0.join("probes")
    }

    /// The `/etc` that containers see.
    pub fn etc(&self) -> PathBuf {
        self.0.join("etc")
    }
}

/// A project's directories. Jobs see [`Self::build`] and [`Self::scripts`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectDirectories(PathBuf);

impl ProjectDirectories {
    /// All of them.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Says which root this is the directory of.
    pub fn record(&self) -> PathBuf {
        self.0.join("project.json")
    }

    /// Parent of the build directory. Containers mount this and not the build directory, which `cargo clean`
    /// removes.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// cargo's build directory: intermediate artifacts.
    pub fn build(&self) -> PathBuf {
        self.work().join("build")
    }

    /// The build scripts' executables, in the places that they have below the build directory. Containers see
    /// it read-only; the host never executes anything in it.
    pub fn scripts(&self) -> PathBuf {
        self.0.join("scripts")
    }

    /// What cargo executes instead of the build scripts, in the same places.
    pub fn shims(&self) -> PathBuf {
        self.0.join("shims")
    }

    /// The wrapper under the names of its roles.
    pub fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// One directory per running front end, with its broker's socket.
    pub fn sessions(&self) -> PathBuf {
        self.0.join("sessions")
    }

    /// One directory per container, with its agent's socket.
    pub fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    /// cargo's temporary files. Always the same place: its name is part of what build scripts that look at
    /// `TMPDIR` depend on.
    pub fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Creates what is missing.
    ///
    /// # Errors
    /// When one cannot be created, or belongs to somebody else.
    pub fn create(&self) -> io::Result<()> {
        if let Some(projects) = self.0.parent() {
            private_directory(projects)?;
        }
        let all = [
            self.work(),
            self.scripts(),
            self.shims(),
            self.bin(),
            self.sessions(),
            self.containers(),
            self.temporary(),
        ];
        private_directory(&self.0)?;
        all.iter().try_for_each(|path| private_directory(path))
    }
}

/// Creates a directory that only this user can enter; one that is there must be the user's own, and no link.
///
/// # Errors
/// When it cannot be created or is not the user's own.
pub fn private_directory(path: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result.map_err(|error| named(path, &error)),
    }
    let found = std::fs::symlink_metadata(path).map_err(|error| named(path, &error))?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && own && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("`{}` is not a directory that only you can write", path.display()),
    ))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// The last part of a path for people.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_directory_that_others_can_write_or_a_link_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let open = parent.path().join("open");
        private_directory(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(private_directory(&open).is_err());
        let link = parent.path().join("link");
        symlink(parent.path(), &link).unwrap();
        assert!(private_directory(&link).is_err());
    }
}
