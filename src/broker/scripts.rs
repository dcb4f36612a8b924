//! Build scripts: compiled inside, kept where the host never executes anything, and replaced for cargo by a
//! shim.
//!
//! cargo hard-links what the compiler made and executes the link. Here that is a symbolic link to a shim, a copy
//! of the wrapper written for this one script. A copy for each, since cargo compares modification times: one
//! shim for all would make every script look older or newer than it is, and be built again and again.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::project::ProjectDirectories;

use super::outputs;

/// Why a build script could not be put away. cargo is told that its compilation failed, and does not execute it.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The compiler said that it succeeded, and left no executable.
    #[error("the compiler left no build script at `{}`", .0.display())]
    Missing(PathBuf),
    /// It left something else.
    #[error("the build script at `{}` is {what}", path.display())]
    Planted {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A step failed.
    #[error("failed to {step} `{}`: {source}", path.display())]
    Io {
        /// What was to be done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Takes a compiled build script out of the build directory and puts a link to its shim there. `wrapper` is the
/// wrapper's content.
///
/// # Errors
/// When a step fails.
pub fn take(directories: &ProjectDirectories, executable: &Path, wrapper: &[u8]) -> Result<(), ScriptError> {
    let failed = |step, path: &Path| {
        let path = path.to_owned();
        move |source| ScriptError::Io { step, path, source }
    };
    let build = directories.build();
    let place = executable.strip_prefix(&build).map_err(|_| ScriptError::Missing(executable.to_owned()))?;
    let (script, shim) = (directories.scripts().join(place), directories.shims().join(place));
    for path in [&script, &shim] {
        let parent = path.parent().unwrap_or(path);
        std::fs::create_dir_all(parent).map_err(failed("create", parent))?;
    }

    let parent = place.parent().unwrap_or(Path::new(""));
    let name = Path::new(place.file_name().unwrap_or_default());
    let directory = outputs::open_directory(&build, parent).map_err(failed("open", executable))?;
    let metadata = outputs::metadata_at(&directory, name).map_err(failed("look at", executable))?;
    let metadata = metadata.ok_or_else(|| ScriptError::Missing(executable.to_owned()))?;
    if let Some(what) = outputs::wrong(&metadata) {
        return Err(ScriptError::Planted { path: executable.to_owned(), what });
    }
    // From a directory that a job wrote into one that none can: by descriptor, so that no link is followed.
    move_out(&directory, name, &script).map_err(failed("move", executable))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o555))
        .map_err(failed("set the mode of", &script))?;
    write_executable(&shim, wrapper).map_err(failed("write", &shim))?;
    rustix::fs::symlinkat(&shim, &directory, name).map_err(|error| failed("link", executable)(error.into()))
}

/// Moves a file out of a directory; the other place may be on another file system.
fn move_out(directory: &OwnedFd, name: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat(directory, name, rustix::fs::CWD, to) {
        Err(rustix::io::Errno::XDEV) => {}
        result => return Ok(result?),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut from = std::fs::File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    let mut content = Vec::new();
    from.read_to_end(&mut content)?;
    write_executable(to, &content)?;
    Ok(rustix::fs::unlinkat(directory, name, rustix::fs::AtFlags::empty())?)
}

/// Writes an executable under a new inode, so that one that runs just now is left alone.
///
/// # Errors
/// When the file cannot be written.
pub fn write_executable(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let temporary = path.with_extension(format!("new{}", std::process::id()));
    let _stale = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o555).open(&temporary)?;
    file.write_all(content)?;
    drop(file);
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::StateDirectory;
    use std::os::unix::fs::symlink;

    fn directories() -> (tempfile::TempDir, ProjectDirectories, PathBuf) {
        let state = tempfile::tempdir().unwrap();
        let directories = StateDirectory::open(Some(state.path().join("s").into())).unwrap().project("p-1");
        directories.create().unwrap();
        let place = directories.build().join("debug/build/x-1");
        std::fs::create_dir_all(&place).unwrap();
        (state, directories, place)
    }

    #[test]
    fn a_script_is_put_away_and_a_shim_is_in_its_place() {
        let (_state, directories, place) = directories();
        let executable = place.join("build_script_build-1");
        std::fs::write(&executable, "script").unwrap();
        take(&directories, &executable, b"shim").unwrap();
        let below = "debug/build/x-1/build_script_build-1";
        assert_eq!(std::fs::read_to_string(directories.scripts().join(below)).unwrap(), "script");
        assert_eq!(std::fs::read_link(&executable).unwrap(), directories.shims().join(below));
        assert_eq!(std::fs::read_to_string(&executable).unwrap(), "shim");
        // And again, as after a change of build.rs: cargo removes what is there first.
        std::fs::remove_file(&executable).unwrap();
        std::fs::write(&executable, "second").unwrap();
        take(&directories, &executable, b"shim").unwrap();
        assert_eq!(std::fs::read_to_string(directories.scripts().join(below)).unwrap(), "second");
    }

    #[test]
    fn a_link_in_the_place_of_a_script_is_not_taken() {
        let (_state, directories, place) = directories();
        let executable = place.join("build_script_build-1");
        symlink("/bin/true", &executable).unwrap();
        assert!(matches!(take(&directories, &executable, b""), Err(ScriptError::Planted { .. })));
        assert!(matches!(take(&directories, &place.join("none"), b""), Err(ScriptError::Missing(_))));
    }

    #[test]
    fn a_script_comes_away_from_another_file_system() {
        use std::os::unix::fs::MetadataExt;
        let (_state, directories, _) = directories();
        let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
        if memory.path().metadata().unwrap().dev() == directories.path().metadata().unwrap().dev() {
            return;
        }
        let directories = directories.with_build(&memory.path().join("target"));
        directories.create().unwrap();
        let executable = directories.build().join("debug/build/x-1/build_script_build-1");
        std::fs::create_dir_all(executable.parent().unwrap()).unwrap();
        std::fs::write(&executable, "script").unwrap();
        take(&directories, &executable, b"shim").unwrap();
        let script = directories.scripts().join("debug/build/x-1/build_script_build-1");
        assert_eq!(std::fs::read_to_string(script).unwrap(), "script");
        assert_eq!(std::fs::read_to_string(&executable).unwrap(), "shim");
    }
}
