//! The private parts of a job's world that are files: `/proc`, `/tmp`, `/dev/shm`, and what comes with the
//! request.

use std::ffi::CStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_remount};

use super::failure::{AtStep, Failure, Step};
use super::process::{self, Cloned};
use super::protocol::{JOB_FILES, JOB_HOME};

const NO_DATA: Option<&CStr> = None;

/// Keeps every later mount to the namespace that makes it. Done once; jobs inherit it.
///
/// # Errors
/// When the kernel refuses mounts.
pub fn make_mounts_private() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?)
}

/// Mounts the `/proc` of this process's own process namespace. Read-only, so that `/proc/sys` is, too.
///
/// # Errors
/// `EPERM` where the `/proc` that is there has masked parts.
pub fn mount_proc(target: &str) -> io::Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("proc", target, "proc", flags, NO_DATA)?)
}

/// Mounts an empty directory that takes at most `bytes`. Programs may be executed from it: build scripts
/// compile and run some there.
///
/// # Errors
/// When the kernel refuses.
pub fn mount_scratch(target: &str, bytes: u64) -> io::Result<()> {
    let data = format!("mode=1777,size={bytes}\0");
    let data = CStr::from_bytes_with_nul(data.as_bytes()).map_err(io::Error::other)?;
    Ok(mount("tmpfs", target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(data))?)
}

/// Makes a job's own file systems. The process is the first of its mount and process namespaces.
///
/// # Errors
/// Names the mount that failed.
pub fn make_private_mounts(tmp_bytes: u64) -> Result<(), Failure> {
    mount_proc("/proc").at(Step::Proc)?;
    mount_scratch("/tmp", tmp_bytes).at(Step::Tmp)?;
    mount_scratch("/dev/shm", tmp_bytes).at(Step::SharedMemory)
}

/// Tries in a process of its own whether jobs can have private file systems here.
///
/// # Errors
/// When they cannot.
pub fn try_private_mounts(tmp_bytes: u64) -> io::Result<()> {
    // SAFETY: the agent has one thread.
    match unsafe { process::clone(libc::CLONE_NEWPID | libc::CLONE_NEWNS) }? {
        Cloned::Child => process::exit_now(i32::from(make_private_mounts(tmp_bytes).is_err())),
        Cloned::Parent(child) => match process::wait(child.pid)? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        },
    }
}

/// Makes the job's home and writes the files that came with its request, where the job cannot change them.
///
/// # Errors
/// When a name is not a plain file name, or `/tmp` is full.
pub fn make_private_files(place: &Place, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
    DirBuilder::new().mode(0o700).create(place.home()).at(Step::Files)?;
    if files.is_empty() {
        return Ok(());
    }
    let directory = place.files();
    DirBuilder::new().mode(0o755).create(&directory).at(Step::Files)?;
    for (name, content) in files {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(Failure::request(&format!("{name:?} is no file name")));
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o555);
        let written = options.open(directory.join(name)).and_then(|mut file| file.write_all(content));
        written.map_err(|error| Failure::about(Step::Files, name.as_bytes(), error))?;
    }
    match place {
        // The job owns these files and its rules let it write to all of /tmp, so only a mount keeps them.
        Place::Mounted => {
            let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
            mount_bind(JOB_FILES, JOB_FILES).at(Step::Files)?;
            mount_remount(JOB_FILES, flags, c"").at(Step::Files)
        }
        Place::Shared(_) => Ok(()),
    }
}

/// Where a job's private files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On file systems of its own, at the paths that the protocol names.
    Mounted,
    /// In a directory of its own below the container's `/tmp`, where mounts are refused.
    Shared(PathBuf),
}

impl Place {
    /// A new directory below `/tmp` for one job.
    ///
    /// # Errors
    /// When `/tmp` takes no directory.
    pub fn shared() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(".job-").tempdir_in("/tmp")?;
        Ok(Self::Shared(directory.keep()))
    }

    /// The job's `HOME`.
    pub fn home(&self) -> PathBuf {
        match self {
            Self::Mounted => JOB_HOME.into(),
            Self::Shared(path) => path.join(".home"),
        }
    }

    /// The directory of the files that come with a request.
    pub fn files(&self) -> PathBuf {
        match self {
            Self::Mounted => JOB_FILES.into(),
            Self::Shared(path) => path.join(".cargo-sandbox"),
        }
    }

    /// The directory that is the job's `/tmp`.
    pub fn tmp(&self) -> &Path {
        match self {
            Self::Mounted => Path::new("/tmp"),
            Self::Shared(path) => path,
        }
    }

    /// Rewrites the protocol's paths in an argument or a variable to where they are.
    pub fn translate(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Self::Shared(path) = self else { return bytes };
        let path = path.as_os_str().as_encoded_bytes();
        let mut result = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some(first) = rest.first() {
            if let Some(tail) = [JOB_FILES, JOB_HOME]
                .iter()
                .find(|known| rest.starts_with(known.as_bytes()))
                .and_then(|known| known.as_bytes().strip_prefix(b"/tmp"))
            {
                result.extend_from_slice(path);
                result.extend_from_slice(tail);
                rest = &rest[b"/tmp".len() + tail.len()..];
            } else {
                result.push(*first);
                rest = &rest[1..];
            }
        }
        result
    }

    /// Removes a shared directory; a mounted one goes with its namespace.
    pub fn remove(&self) {
        if let Self::Shared(path) = self {
            // What a job left unremovable there stays until the container ends.
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_paths_are_rewritten_where_mounts_are_refused() {
        let place = Place::Shared("/tmp/.job-1".into());
        let translated = place.translate(b"@/tmp/.cargo-sandbox/args:/tmp/.home".to_vec());
        assert_eq!(translated, b"@/tmp/.job-1/.cargo-sandbox/args:/tmp/.job-1/.home");
        assert_eq!(Place::Mounted.translate(b"/tmp/.home".to_vec()), b"/tmp/.home");
    }
}
