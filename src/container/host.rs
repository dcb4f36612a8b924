//! The default world of a container: the host's own system directories, read-only, and an `/etc` that is
//! written for it.
//!
//! Compilers, linkers and libraries are in `/usr` and its kin, so a container that shows these builds what
//! the host builds, byte for byte, without an image to fetch. The host's `/etc` is never shown: it holds
//! keys, the machine's name, its users and its network. What a build needs of it is copied (see [`etc`]).

pub mod etc;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::spec::Mount;

/// Top-level directories that distributions merge into `/usr` or keep beside it.
pub const MERGED: &[&str] = &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Directories that hold programs and libraries, and nothing else, where they exist.
pub const SYSTEM: &[&str] = &["/usr", "/nix/store", "/gnu/store"];

/// Who the caller is inside a container: the entry of the synthetic `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// User id of the jobs.
    pub uid: u32,
    /// Group id of the jobs.
    pub gid: u32,
    /// Login name.
    pub name: String,
    /// Name of the primary group.
    pub group: String,
    /// Home directory: the name only, it is not shown.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// What a container without an image shows: see [`system_world`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemWorld {
    /// Read-only mounts of system directories, and of the synthetic `/etc`.
    pub mounts: Vec<Mount>,
    /// Links of the root directory, path and target (`/bin` to `usr/bin`).
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// The host's system directories and a synthetic `/etc`, which is kept below `synthetic_etc` (made if it is
/// missing). Costs some thirty `stat` calls while nothing has changed on the host.
///
/// # Errors
/// When the host has no `/usr`, or `synthetic_etc` cannot be written.
pub fn system_world(synthetic_etc: &Path, user: &UserIdentity) -> io::Result<SystemWorld> {
    let mut mounts = Vec::new();
    let mut links = Vec::new();
    for path in SYSTEM {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => mounts.push(resolved(path)?),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && *path != "/usr" => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("cannot read {path}: {error}"))),
        }
    }
    for path in MERGED {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => links.push((path.into(), fs::read_link(path)?)),
            Ok(metadata) if metadata.is_dir() => mounts.push(Mount::read_only(*path)),
            _ => {}
        }
    }
    mounts.push(Mount {
        source: etc::synthesize(Path::new("/etc"), synthetic_etc, user)?,
        target: "/etc".into(),
        writable: false,
    });
    Ok(SystemWorld { mounts, links })
}

/// A read-only mount of what `path` really is: `/usr` may be a link on hosts with an unusual layout.
fn resolved(path: &str) -> io::Result<Mount> {
    Ok(Mount { source: fs::canonicalize(path)?, target: path.into(), writable: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserIdentity {
        UserIdentity {
            uid: 1234,
            gid: 1235,
            name: "alice".into(),
            group: "users".into(),
            home: "/home/alice".into(),
            shell: "/bin/sh".into(),
        }
    }

    #[test]
    fn the_world_of_this_host_can_resolve_its_own_shell() {
        let directory = tempfile::tempdir().unwrap();
        let world = system_world(directory.path(), &user()).unwrap();
        let shown = |path: &Path| world.mounts.iter().any(|mount| path.starts_with(&mount.target));
        assert!(shown(Path::new("/usr/bin/env")));
        let bin = world.links.iter().find(|(path, _)| path == Path::new("/bin"));
        assert!(shown(Path::new("/bin/sh")) || bin.is_some_and(|(_, to)| shown(&Path::new("/").join(to))));
        assert!(world.mounts.iter().all(|mount| !mount.writable));
    }

    #[test]
    fn nothing_of_the_hosts_own_etc_is_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let world = system_world(directory.path(), &user()).unwrap();
        assert!(world.mounts.iter().all(|mount| !mount.source.starts_with("/etc")));
    }
}
