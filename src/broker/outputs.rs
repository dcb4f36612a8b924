//! Looking at what a compiler left before cargo does.
//!
//! cargo links final artifacts into the target directory, copies *through* a link where it cannot, and the user
//! runs them. A job can make no links in those directories (Landlock); this is the second look, for kernels
//! and file systems that let something through.

use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// A file where cargo looks that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A link, a fifo, a device, a set-user-id file: nothing that a compiler leaves.
    #[error("a job left `{}`, which is {what}; it was removed", path.display())]
    Planted {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The directory cannot be read.
    #[error("failed to look at `{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens a directory below `base` without following a single link on the way.
///
/// # Errors
/// When a part of the way is missing, or a link.
pub fn open_directory(base: &Path, relative: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = rustix::fs::open(base, OFlags::PATH | flags, Mode::empty())?;
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    Ok(openat2(base, relative, OFlags::RDONLY | flags, Mode::empty(), resolve)?)
}

/// Checks the files in a directory of the build directory whose names are `stem`, with or without `lib` before
/// and an ending behind. What is wrong is removed.
///
/// # Errors
/// When one is no plain file.
pub fn check(build: &Path, directory: &Path, stem: &str) -> Result<(), OutputError> {
    let failed = |source| OutputError::Io { path: directory.to_owned(), source };
    let Ok(relative) = directory.strip_prefix(build) else { return Ok(()) };
    let opened = open_directory(build, relative).map_err(failed)?;
    // A handful of names instead of a listing: `deps` holds thousands of files.
    for prefix in ["", "lib"] {
        for ending in ["", ".rlib", ".rmeta", ".so", ".a", ".d"] {
            let name = format!("{prefix}{stem}{ending}");
            let path = directory.join(&name);
            let Some(metadata) = metadata_at(&opened, Path::new(&name)).map_err(failed)? else { continue };
            if let Some(what) = wrong(&metadata) {
                rustix::fs::unlinkat(&opened, &name, rustix::fs::AtFlags::empty())
                    .map_err(|error| failed(error.into()))?;
                return Err(OutputError::Planted { path, what });
            }
        }
    }
    Ok(())
}

/// Looks at what has this name in a directory, be it a link; `None` where nothing has.
///
/// # Errors
/// When the directory cannot be searched.
pub fn metadata_at(directory: &OwnedFd, name: &Path) -> io::Result<Option<Metadata>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file).metadata().map(Some),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is wrong with a file, if something is.
pub fn wrong(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_symlink() {
        Some("a symbolic link")
    } else if !metadata.is_file() {
        Some("no plain file")
    } else if metadata.mode() & 0o6000 != 0 {
        Some("a set-user-id or set-group-id file")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn plain_files_pass() {
        let build = tempfile::tempdir().unwrap();
        let deps = build.path().join("debug/deps");
        std::fs::create_dir_all(&deps).unwrap();
        std::fs::write(deps.join("x-1"), "").unwrap();
        check(build.path(), &deps, "x-1").unwrap();
    }

    #[test]
    fn planted_files_are_removed_and_named() {
        let build = tempfile::tempdir().unwrap();
        let deps = build.path().join("debug/deps");
        std::fs::create_dir_all(&deps).unwrap();
        symlink("/etc/passwd", deps.join("libx-1.rlib")).unwrap();
        std::fs::write(deps.join("y-1"), "").unwrap();
        std::fs::set_permissions(deps.join("y-1"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        std::fs::create_dir(deps.join("z-1")).unwrap();
        for stem in ["x-1", "y-1"] {
            assert!(matches!(check(build.path(), &deps, stem), Err(OutputError::Planted { .. })), "{stem}");
            check(build.path(), &deps, stem).unwrap();
        }
        assert!(check(build.path(), &deps, "z-1").is_err());
    }

    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let build = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), build.path().join("debug")).unwrap();
        assert!(check(build.path(), &build.path().join("debug"), "x").is_err());
    }
}
