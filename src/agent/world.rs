//! The private parts of a job's world that are files: `/proc`, `/tmp`, `/dev/shm`, and what comes with the
//! request.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsmount, fsopen, mount, mount_bind, mount_change, mount_remount,
    move_mount, open_tree,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::Overlay;
use super::failure::{AtStep, Failure, Step};
use super::process::{self, Cloned};
use super::protocol::{JOB_FILES, JOB_HOME, Layer, Layered};
use crate::mountinfo;

const NO_DATA: Option<&CStr> = None;

/// The private directory of a job whose `/tmp` shows mounts of the container.
const APART: &str = "/tmp/.job";

/// Where a layer has what was written.
const UPPER: &str = "upper";

/// How much sooner the kernel kills a job than its agent (`oom_score_adj`): a tenth of the container's memory.
const SOONER_THAN_AGENT: i32 = 100;

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
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", target, "proc", flags, NO_DATA)?;
    // The mount is what becomes read-only, and not the file system: the kernel gives no namespace within this one a
    // writable `/proc` where it has seen none (`mount_too_revealing` in `fs/namespace.c`).
    Ok(mount_remount(target, flags | MountFlags::BIND | MountFlags::RDONLY, "")?)
}

/// A `/proc` of this process's own process namespace that can be written and has no path.
///
/// # Errors
/// `EPERM` where the `/proc` that is there has masked parts, or was made read-only by others.
pub fn detached_proc() -> io::Result<OwnedFd> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Has the kernel choose this process, and all that it will start, before the agent where the container has no memory
/// left: what a killed job holds of memory is not free at once, and the next one to be killed shall be a process of
/// that job's. Where it cannot be said the agent may be chosen, and all jobs end with it. `proc` is [`detached_proc`]: every
/// other one is read-only.
///
/// # Errors
/// When the process stays visible to others.
pub fn be_killed_before_agent(proc: &OwnedFd) -> io::Result<()> {
    // The files of a process that cannot be looked at are root's. No other process sees this one in the meantime.
    let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(own) = openat(proc, "self/oom_score_adj", flags, Mode::empty()) {
        let mut own = File::from(own);
        let mut text = String::new();
        let inherited = own.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<i32>().ok());
        let wanted = (inherited.unwrap_or(0) + SOONER_THAN_AGENT).min(1000);
        let _ = own.write_all(wanted.to_string().as_bytes());
    }
    process::hide_from_others()
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

/// Makes a job's own file systems. The process is the first of its mount and process namespaces. `shown` are
/// the mounts that the job's own `/tmp` would cover.
///
/// # Errors
/// Names the mount that failed.
pub fn make_private_mounts(tmp_bytes: u64, shown: &[PathBuf]) -> Result<(), Failure> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, NO_DATA).at(Step::Proc)?;
    if shown.is_empty() {
        mount_scratch("/tmp", tmp_bytes).at(Step::Tmp)?;
        return mount_scratch("/dev/shm", tmp_bytes).at(Step::SharedMemory);
    }
    let trees = shown.iter().map(|path| Ok((path, tree_at(path)?)));
    let trees: Vec<_> = trees.collect::<io::Result<_>>().at(Step::Tmp)?;
    mount_scratch("/tmp", tmp_bytes).at(Step::Tmp)?;
    for (path, tree) in trees {
        show_at(path, &tree)
            .map_err(|error| Failure::about(Step::Tmp, path.as_os_str().as_bytes(), error))?;
    }
    DirBuilder::new().mode(0o700).create(APART).at(Step::Tmp)
}

/// A copy of what is seen at a path, with what is mounted below: the kernel does not give out a part of what it locked together.
pub(super) fn tree_at(path: &Path) -> io::Result<OwnedFd> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, clone | OpenTreeFlags::OPEN_TREE_CLOEXEC)?)
}

/// Attaches such a copy at a path, which is made where it is missing.
pub(super) fn show_at(path: &Path, tree: &OwnedFd) -> io::Result<()> {
    let directory = File::from(tree.try_clone()?).metadata()?.is_dir();
    if directory {
        fs::create_dir_all(path)?;
    } else if !path.exists() {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        File::create(path)?;
    }
    Ok(move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// The mounts below `/tmp`, parents before children: a project, or this tool's own directories, may be there.
///
/// # Errors
/// When the kernel does not say what is mounted.
pub fn mounts_below_tmp() -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mounts = mountinfo::parse(&text).into_iter().map(|entry| entry.target);
    let mut below: Vec<PathBuf> = Vec::new();
    for path in mounts.filter(|path| path.starts_with("/tmp") && path != Path::new("/tmp")) {
        // What is below another one comes with it.
        if !below.iter().any(|known| path.starts_with(known)) {
            below.push(path);
        }
    }
    Ok(below)
}

/// Tries in a process of its own whether jobs can have private file systems here.
///
/// # Errors
/// When they cannot.
pub fn try_private_mounts(tmp_bytes: u64) -> io::Result<()> {
    // SAFETY: the agent has one thread.
    match unsafe { process::clone(libc::CLONE_NEWPID | libc::CLONE_NEWNS) }? {
        Cloned::Child => process::exit_now(i32::from(make_private_mounts(tmp_bytes, &[]).is_err())),
        Cloned::Parent(child) => match process::wait(child.pid)? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        },
    }
}

/// Lays directories over those of the system (overlayfs, Linux 5.11 for user namespaces), read-only. Whatever is allowed
/// below the mount that they are in is allowed in them: rules are about what is seen, and not about where it comes from.
///
/// # Errors
/// Names the directory that could not be covered.
pub fn lay_over(overlays: &[Overlay]) -> io::Result<()> {
    for Overlay { over, target } in overlays {
        show_over(over, target)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", target.display())))?;
    }
    Ok(())
}

/// Makes the job's home.
///
/// # Errors
/// When `/tmp` is full.
pub fn make_private_home(place: &Place) -> Result<(), Failure> {
    DirBuilder::new().mode(0o700).create(place.home()).at(Step::Files)
}

/// Puts a layer over each directory that takes what the job writes there, or shows what an earlier one took (overlayfs,
/// Linux 5.11 for user namespaces). A convenience and no defence: where it cannot be made, the directory stays as it is.
pub fn make_layers(place: &Place, layered: &[Layered]) {
    for (number, Layered { directory, layer }) in layered.iter().enumerate() {
        let own = |own: &Path| make_layer(own, directory);
        let _readable_all_the_same = match layer {
            Layer::Lost => own(&place.tmp().join(format!(".layer-{number}"))),
            Layer::Kept(kept) => own(Path::new(OsStr::from_bytes(kept))),
            Layer::Shown(kept) => {
                let kept = Path::new(OsStr::from_bytes(kept)).join(UPPER);
                show_over(&kept, Path::new(OsStr::from_bytes(directory)))
            }
        };
    }
}

fn make_layer(own: &Path, directory: &[u8]) -> io::Result<()> {
    let (upper, work) = (own.join(UPPER), own.join("work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let data = layer_options(&[
        (b"lowerdir=", &[directory]),
        (b",upperdir=", &[upper.as_os_str().as_bytes()]),
        (b",workdir=", &[work.as_os_str().as_bytes()]),
    ])?;
    mount("overlay", directory, "overlay", MountFlags::NOSUID | MountFlags::NODEV, Some(&*data))?;
    // The kernel makes a directory in it that nobody may look into, so that whoever removes all of it later cannot.
    fs::set_permissions(work.join("work"), Permissions::from_mode(0o700))
}

/// Shows what one directory has over another, in the place of that one and read-only.
fn show_over(over: &Path, target: &Path) -> io::Result<()> {
    let directories = [over.as_os_str().as_bytes(), target.as_os_str().as_bytes()];
    let data = layer_options(&[(b"lowerdir=", &directories)])?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount("overlay", target, "overlay", flags, Some(&*data))?)
}

/// Options of an overlay, each with its directories.
fn layer_options(options: &[(&[u8], &[&[u8]])]) -> io::Result<CString> {
    let mut data = Vec::new();
    for (option, directories) in options {
        // These separate what the kernel is told.
        if let Some(wrong) = directories.iter().find(|path| path.iter().any(|byte| b",:\\".contains(byte))) {
            let wrong = String::from_utf8_lossy(wrong);
            return Err(io::Error::other(format!("`{wrong}` has a letter that a mount cannot")));
        }
        data.extend_from_slice(option);
        data.extend_from_slice(&directories.join(&b':'));
    }
    data.extend_from_slice(b",userxattr");
    CString::new(data).map_err(io::Error::other)
}

/// Writes the files that came with a job's request, where the job cannot change them.
///
/// # Errors
/// When a name is not a plain file name, or `/tmp` is full.
pub fn make_private_files(place: &Place, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
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
        Place::Mounted | Place::Apart => {
            let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
            mount_bind(&directory, &directory).at(Step::Files)?;
            mount_remount(&directory, flags, c"").at(Step::Files)
        }
        Place::Shared(_) => Ok(()),
    }
}

/// Where a job's private files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On file systems of its own, at the paths that the protocol names.
    Mounted,
    /// In a directory beside the mounts that its `/tmp` shows. What a rule allows in a directory it allows in
    /// everything that is mounted below it (landlock(7)), so that all of `/tmp` cannot be allowed then.
    Apart,
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
            Self::Apart | Self::Shared(_) => self.tmp().join(".home"),
        }
    }

    /// The directory of the files that come with a request.
    pub fn files(&self) -> PathBuf {
        match self {
            Self::Mounted => JOB_FILES.into(),
            Self::Apart | Self::Shared(_) => self.tmp().join(".cargo-sandbox"),
        }
    }

    /// The directory that is the job's `/tmp`.
    pub fn tmp(&self) -> &Path {
        match self {
            Self::Mounted => Path::new("/tmp"),
            Self::Apart => Path::new(APART),
            Self::Shared(path) => path,
        }
    }

    /// The variable that tells the job where its `/tmp` is, if it is elsewhere.
    pub fn variable(&self) -> Option<Vec<u8>> {
        match self {
            Self::Mounted => None,
            Self::Apart | Self::Shared(_) => Some([b"TMPDIR=", self.tmp().as_os_str().as_bytes()].concat()),
        }
    }

    /// Rewrites the protocol's paths in an argument or a variable to where they are.
    pub fn translate(&self, bytes: Vec<u8>) -> Vec<u8> {
        if *self == Self::Mounted {
            return bytes;
        }
        let path = self.tmp().as_os_str().as_bytes();
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
