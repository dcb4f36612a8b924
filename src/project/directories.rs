//! Where this tool keeps what belongs to a project: outside every repository, for the user alone.

use std::ffi::OsString;
use std::hash::Hasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Serialize;

use crate::container::spec::StableHasher;

use super::Project;

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
        ProjectDirectories { path: self.projects().join(id), shared: None }
    }

    /// What is kept of the last installation of a crate, by the name that the user gave it. Created if it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn installed(&self, name: &str) -> io::Result<PathBuf> {
        let all = self.0.join("installed");
        private_directory(&all)?;
        let path = all.join(Project::new(&Path::new("/").join(name)).id);
        private_directory(&path)?;
        Ok(path)
    }

    /// Answers of the compiler about itself, which are the same for every project.
    pub fn probes(&self) -> PathBuf {
        self.0.join("probes")
    }

    /// What container daemons told about themselves.
    pub fn daemons(&self) -> PathBuf {
        self.0.join("daemons")
    }

    /// Images that were unpacked, by digest.
    pub fn images(&self) -> PathBuf {
        self.path().join("images")
    }

    /// Packages that were unpacked, for containers to show them.
    pub fn packages(&self) -> PathBuf {
        self.path().join("packages")
    }

    /// The `/etc` that containers see.
    pub fn etc(&self) -> PathBuf {
        self.0.join("etc")
    }
}

/// A project's directories. Jobs see [`Self::build`] and [`Self::scripts`] only, and what is said of others here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectDirectories {
    path: PathBuf,
    /// A build directory that is not this tool's own: where plain cargo was told, or left, to build.
    shared: Option<SharedBuild>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SharedBuild {
    build: PathBuf,
    /// Where what belongs to it is below `scripts` and `shims`; no profile and no triple has such a name.
    name: String,
}

impl ProjectDirectories {
    /// All of them.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same with another build directory, whose scripts and shims are kept apart from those of all others: they
    /// may have the same names.
    #[must_use]
    pub fn with_build(self, build: &Path) -> Self {
        let own = Self { path: self.path, shared: None };
        // Equal paths may differ in bytes (`target/`), and a hash is made of those.
        let build: PathBuf = build.components().collect();
        if build == own.build() {
            return own;
        }
        let mut hasher = StableHasher::default();
        hasher.write(build.as_os_str().as_bytes());
        let shared = SharedBuild { name: format!("@{:016x}", hasher.finish()), build };
        Self { shared: Some(shared), ..own }
    }

    /// What another project keeps.
    #[must_use]
    pub fn of_other(&self, id: &str) -> Self {
        Self { path: self.path.with_file_name(id), shared: None }
    }

    /// Whether the build directory is one that others write in as well.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    fn of_build(&self, name: &str) -> PathBuf {
        let all = self.path.join(name);
        self.shared.as_ref().map_or_else(|| all.clone(), |shared| all.join(&shared.name))
    }

    /// Says which root this is the directory of.
    pub fn record(&self) -> PathBuf {
        self.path.join("project.json")
    }

    /// Parent of the build directory. Containers mount this and not the build directory, which `cargo clean`
    /// removes.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// cargo's build directory: intermediate artifacts.
    pub fn build(&self) -> PathBuf {
        self.shared.as_ref().map_or_else(|| self.work().join("build"), |shared| shared.build.clone())
    }

    /// What containers mount for the build directory.
    pub fn mounted(&self) -> PathBuf {
        if self.is_shared() { self.build() } else { self.work() }
    }

    /// The build scripts' executables, in the places that they have below the build directory. Containers see
    /// it read-only; the host never executes anything in it.
    pub fn scripts(&self) -> PathBuf {
        self.of_build("scripts")
    }

    /// What cargo executes instead of the build scripts, in the same places.
    pub fn shims(&self) -> PathBuf {
        self.of_build("shims")
    }

    /// What build scripts wrote into their own packages, in layers (`generates-source` of a policy): below the path that the
    /// script's own directory has below the build directory. Jobs have no rule for it; the host reads nothing there.
    pub fn generated(&self) -> PathBuf {
        self.of_build("generated")
    }

    /// The wrapper under the names of its roles.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// One directory per running front end, with its broker's socket.
    pub fn sessions(&self) -> PathBuf {
        self.path.join("sessions")
    }

    /// One directory per container, with its agent's socket.
    pub fn containers(&self) -> PathBuf {
        self.path.join("containers")
    }

    /// What the broker remembers of what compilers make: whose it is, and which macros are in it. No job sees it.
    pub fn packages(&self) -> PathBuf {
        self.path.join("packages")
    }

    /// cargo's temporary files. Always the same place: its name is part of what build scripts that look at
    /// `TMPDIR` depend on.
    pub fn temporary(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Temporary files of a tool that has a compiler write there.
    pub fn outputs(&self) -> PathBuf {
        self.work().join("outputs")
    }

    /// One directory for each job that runs and writes profiles of what was executed, or a report on them.
    pub fn profiles(&self) -> PathBuf {
        self.work().join("profiles")
    }

    /// Where cargo works below a test. Of what is there the host executes, reads and follows nothing.
    pub fn nested(&self) -> PathBuf {
        self.path.join("nested")
    }

    /// What is built where all of a command runs inside (`fix`). Raw build scripts are there, and nothing of it is
    /// ever executed, read or followed by the host.
    pub fn inside(&self) -> PathBuf {
        self.path.join("inside")
    }

    /// What an editor's language server has built, and with it cargo and build scripts below it. As [`Self::inside`].
    pub fn editor(&self) -> PathBuf {
        self.path.join("editor")
    }

    /// The repository's `.git` as jobs see it.
    pub fn git(&self) -> PathBuf {
        self.path.join("git")
    }

    /// Nothing: what containers show where a job's sockets will be.
    pub fn empty(&self) -> PathBuf {
        self.path.join("empty")
    }

    /// Creates [`Self::generated`], which few projects need.
    ///
    /// # Errors
    /// When it cannot be created, or belongs to somebody else.
    pub fn create_generated(&self) -> io::Result<()> {
        private_directory(&self.path.join("generated"))?;
        private_directory(&self.generated())
    }

    /// Creates what is missing.
    ///
    /// # Errors
    /// When one cannot be created, or belongs to somebody else.
    pub fn create(&self) -> io::Result<()> {
        if let Some(projects) = self.path.parent() {
            private_directory(projects)?;
        }
        let all = [
            self.work(),
            self.outputs(),
            self.profiles(),
            self.path.join("scripts"),
            self.path.join("shims"),
            self.scripts(),
            self.shims(),
            self.bin(),
            self.sessions(),
            self.containers(),
            self.temporary(),
            self.packages(),
            self.empty(),
        ];
        private_directory(&self.path)?;
        all.iter().try_for_each(|path| private_directory(path))
    }
}

/// Replaces a file by this as JSON, in a directory that only this user can enter and that is made if it is missing.
///
/// # Errors
/// When it cannot be written.
pub fn put_json(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private_directory(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&mut file, content)?;
    file.persist(path)?;
    Ok(())
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

    #[test]
    fn what_belongs_to_another_build_directory_is_kept_apart() {
        let own = ProjectDirectories { path: "/s/p".into(), shared: None };
        assert_eq!(own.clone().with_build(Path::new("/s/p/work/build")), own);
        let shared = own.clone().with_build(Path::new("/w/target"));
        assert_eq!((shared.build(), shared.mounted()), ("/w/target".into(), "/w/target".into()));
        assert!(shared.shims().starts_with("/s/p/shims") && shared.shims() != own.shims());
        assert_ne!(shared.scripts(), own.clone().with_build(Path::new("/v/target")).scripts());
        assert_eq!(shared, own.clone().with_build(Path::new("/w/target/")));
        assert_eq!(shared.bin(), own.bin());
        assert_eq!(shared.with_build(&own.build()), own);
    }
}
