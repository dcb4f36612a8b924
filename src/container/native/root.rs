//! The container's file system: a small tmpfs with the host's mounts, links and devices in it, read-only.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, symlinkat};
use rustix::mount::{MountFlags, MoveMountFlags, mount, move_mount};
use rustix::process::fchdir;

use super::plan::Plan;
use super::trees::{self, DEVICES};
use super::trouble::Trouble;
use crate::agent;

/// Directories that are there whether the plan shows something in them or not.
const DIRECTORIES: &[&str] = &["/dev", "/dev/pts", "/dev/shm", "/proc", "/tmp"];

/// Links that programs expect in `/dev`.
const LINKS: &[(&str, &str)] = &[
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Builds the root on top of the working directory and makes it this process's root. `trees` are what
/// [`trees::open`] gave. The process is the first of its process namespace, so that `/proc` is its own.
///
/// # Errors
/// Names the step that failed.
pub fn enter(plan: &Plan, trees: Vec<OwnedFd>) -> Result<(), Trouble> {
    let step = |what: &'static str| move |error| Trouble::namespaces(what, error);
    let root = agent::root::new().map_err(step("cannot make a root file system"))?;
    let attach = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    // An empty path: the user of jobs need not be able to enter the directory by name.
    move_mount(&root, "", CWD, "", attach).map_err(step("cannot mount the root file system"))?;
    fchdir(&root).map_err(step("cannot enter the root file system"))?;

    for directory in DIRECTORIES {
        place(&root, Path::new(directory), true).map_err(step("cannot fill the root file system"))?;
    }
    for name in DEVICES {
        place(&root, &Path::new("/dev").join(name), false).map_err(step("cannot fill /dev"))?;
    }
    let devices = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    let targets = plan.binds.iter().map(super::plan::Bind::target).chain(devices);
    for (tree, target) in trees.iter().zip(targets) {
        let what = |error: io::Error| {
            Trouble::step(format!("cannot show something at {}", target.display()), error)
                .hint("The directory that it is in must have it, and no symbolic link in its place.")
        };
        let stat = fstat(tree).map_err(|error| what(error.into()))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let place = place(&root, &target, directory).map_err(|error| what(error.into()))?;
        move_mount(tree, "", &place, "", attach).map_err(|error| what(error.into()))?;
    }
    drop(trees);
    let fixed = LINKS.iter().map(|(path, to)| (Path::new(path).to_owned(), Path::new(to).to_owned()));
    for (path, target) in fixed.chain(plan.links()) {
        let what = |error| Trouble::step(format!("cannot make the link {}", path.display()), error);
        let parent = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default();
        let parent = place(&root, parent, true).map_err(what)?;
        symlinkat(&target, parent, name).map_err(what)?;
    }
    let options = c"newinstance,ptmxmode=0666,mode=0620";
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", "dev/pts", "devpts", flags, Some(options)).map_err(step("cannot mount /dev/pts"))?;
    agent::mount_proc("proc").map_err(|error| Trouble::namespaces("cannot mount /proc", error))?;
    trees::seal(&root).map_err(|error| Trouble::step("cannot make the root read-only", error))?;

    agent::root::enter().map_err(step("cannot change the root"))
}

/// Opens a path of the new root, made where it is missing. No link is followed: one in a repository could
/// lead out of the root, which is not in force yet.
fn place(root: &OwnedFd, path: &Path, directory: bool) -> rustix::io::Result<OwnedFd> {
    let mut names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Ok(name)),
        Component::ParentDir => Some(Err(rustix::io::Errno::INVAL)),
        _ => None,
    });
    let mut at = open(root, ".")?;
    let mut next = names.next().transpose()?;
    while let Some(name) = next {
        next = names.next().transpose()?;
        let name = Path::new(name);
        at = match open(&at, name) {
            Err(rustix::io::Errno::NOENT) => {
                if next.is_some() || directory {
                    mkdirat(&at, name, Mode::from_raw_mode(0o755))?;
                } else {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    drop(openat(&at, name, flags, Mode::from_raw_mode(0o444))?);
                }
                open(&at, name)?
            }
            other => other?,
        };
    }
    Ok(at)
}

fn open(at: &OwnedFd, name: impl AsRef<Path>) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(at, name.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}
