//! A root that costs no look-ups, in a container that an engine made.
//!
//! An engine puts the container's root together from the layers of its image (overlayfs), and the kernel asks the layers at each
//! step of each path that goes through it, of which a linker has thousands. What a container sees of the machine lies below. So
//! jobs get a small file system in the root's place, with directories on the way to what is mounted, and everything else of the
//! image's in them. Nothing is seen in it that was not seen before.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::landlock::PROCESSORS;
use super::world::mount_proc;
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
    let mounted: Vec<PathBuf> = mountinfo::parse(&text).into_iter().map(|entry| entry.target).collect();
    // On what it does without.
    let on_proc = |root: &OwnedFd| {
        move_mount(root, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .and_then(|()| fchdir(root))
    };
    let Some(root) = new().ok().filter(|root| on_proc(root).is_ok()) else { return Ok(false) };
    if fill(&root, &mounted).is_ok() {
        enter()?;
        return Ok(true);
    }
    chdir("/")?;
    unmount("/proc", UnmountFlags::DETACH)?;
    Ok(false)
}

/// `root` is the working directory.
fn fill(root: &OwnedFd, mounted: &[PathBuf]) -> io::Result<()> {
    mkdirat(root, "proc", Mode::from_raw_mode(0o555))?;
    mirror(root, Path::new("/"), mounted)?;
    mount_proc("proc")?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount_remount(".", flags, "")?)
}

/// Shows in the new root what is in a directory of the old one.
fn mirror(root: &OwnedFd, directory: &Path, mounted: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let place = in_root(&path);
        if path == Path::new("/proc") {
            continue;
        }
        if path == Path::new("/sys") && mounted.iter().any(|target| target == Path::new(PROCESSORS)) {
            // Nothing else of it is for jobs, and engines mount much there.
            fs::create_dir_all(in_root(Path::new(PROCESSORS)))?;
            show(Path::new(PROCESSORS))?;
        } else if kind.is_symlink() {
            symlinkat(fs::read_link(&path)?, root, place)?;
        } else if kind.is_dir() {
            mkdirat(root, place, Mode::from_raw_mode(0o700))?;
            fs::set_permissions(place, entry.metadata()?.permissions())?;
            if comes_apart(&path, mounted) { mirror(root, &path, mounted)? } else { show(&path)? }
        } else {
            let (flags, file) =
                (OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC, entry.metadata()?);
            drop(openat(root, place, flags, Mode::from_raw_mode(0o400))?);
            fs::set_permissions(place, file.permissions())?;
            // Engines leave a file without content in the root.
            if mounted.contains(&path) || !kind.is_file() || file.len() > 0 {
                show(&path)?;
            }
        }
    }
    Ok(())
}

/// Whether a directory is of the image, and empty or on the way to something that is mounted.
fn comes_apart(path: &Path, mounted: &[PathBuf]) -> bool {
    let leads_on = || mounted.iter().any(|target| target.starts_with(path));
    let entries = || fs::read_dir(path).map_or(usize::MAX, |entries| entries.take(MOST_ENTRIES + 1).count());
    !mounted.iter().any(|target| target == path)
        && match entries() {
            0 => true,
            number => number <= MOST_ENTRIES && leads_on(),
        }
}

/// Shows a path of the old root, and what is mounted below it, in the same place of the new one, which is the working directory.
fn show(path: &Path) -> io::Result<()> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, clone | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let attach = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(tree, "", CWD, in_root(path), attach)?)
}

fn in_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
