//! A root that costs no look-ups, in a container that an engine made.
//!
//! An engine puts the container's root together from the layers of its image (overlayfs), and the kernel asks the layers at each
//! step of each path that goes through it, of which a linker has thousands. What a container sees of the machine lies below. So
//! jobs get a small file system in the root's place, with directories on the way to what is mounted, and everything else of the
//! image's in them. Nothing is seen in it that was not seen before.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::landlock::PROCESSORS;
use super::world::{self, mount_proc};
use crate::mountinfo;

/// A directory with more than this in it is not taken apart: each job copies all mounts.
const MOST_ENTRIES: usize = 24;

/// A small file system for a root: it holds directories, links and empty files alone. Not mounted anywhere yet.
///
/// # Errors
/// When the kernel refuses.
pub fn new() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [(c"size", c"1m"), (c"mode", c"0755")] {
        fsconfig_set_string(&context, key, value)?;
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Makes the working directory, on which a root is mounted, this process's root, and takes the old one away with everything below
/// it. Nothing else of the same mount namespace may need that.
///
/// # Errors
/// When the kernel refuses.
pub fn enter() -> rustix::io::Result<()> {
    // The old one is put on top of the new one.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")
}

/// Replaces the root of this process's own mount namespace, and its `/proc` by that of its own process namespace. Returns whether
/// it did: where the kernel refuses one of the mounts that are in it, the old root stays, with the old `/proc`.
///
/// # Errors
/// When the process is left between the two roots.
pub fn replace() -> io::Result<bool> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mounted: BTreeSet<PathBuf> = mountinfo::parse(&text).into_iter().map(|entry| entry.target).collect();
    // On what it does without.
    let on_proc = |root: OwnedFd| {
        move_mount(&root, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .and_then(|()| fchdir(&root))
    };
    if new().and_then(on_proc).is_err() {
        return Ok(false);
    }
    if fill(&mounted).is_ok() {
        enter()?;
        return Ok(true);
    }
    chdir("/")?;
    unmount("/proc", UnmountFlags::DETACH)?;
    Ok(false)
}

/// Fills the working directory, on which the new root is mounted.
fn fill(mounted: &BTreeSet<PathBuf>) -> io::Result<()> {
    fs::create_dir("proc")?;
    mirror(Path::new("/"), mounted)?;
    mount_proc("proc")?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount_remount(".", flags, "")?)
}

/// Shows in the new root what is in a directory of the old one.
fn mirror(directory: &Path, mounted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let place = in_root(&path);
        if path == Path::new("/proc") {
            continue;
        }
        if path == Path::new("/sys") && mounted.contains(Path::new(PROCESSORS)) {
            // Nothing else of it is for jobs, and engines mount much there.
            show(Path::new(PROCESSORS))?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path)?, place)?;
        } else if kind.is_dir() && comes_apart(&path, mounted) {
            fs::create_dir(place)?;
            fs::set_permissions(place, entry.metadata()?.permissions())?;
            mirror(&path, mounted)?;
        } else if kind.is_file() && !mounted.contains(&path) && entry.metadata()?.len() == 0 {
            // Engines leave a file without content in the root.
            File::create_new(place)?.set_permissions(entry.metadata()?.permissions())?;
        } else {
            show(&path)?;
        }
    }
    Ok(())
}

/// Whether a directory is of the image, and empty or on the way to something that is mounted.
fn comes_apart(path: &Path, mounted: &BTreeSet<PathBuf>) -> bool {
    let leads_on = || mounted.iter().any(|target| target.starts_with(path));
    let entries = || fs::read_dir(path).map_or(usize::MAX, |entries| entries.take(MOST_ENTRIES + 1).count());
    !mounted.contains(path)
        && match entries() {
            0 => true,
            number => number <= MOST_ENTRIES && leads_on(),
        }
}

/// Shows a path of the old root, and what is mounted below it, in the same place of the new one.
fn show(path: &Path) -> io::Result<()> {
    world::show_at(in_root(path), &world::tree_at(path)?)
}

/// Below the working directory.
fn in_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
