//! Copies of the host's mounts, not yet attached anywhere: what a container will see of the host.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::plan::Plan;
use super::trouble::Trouble;

/// The device files of a container. Each is the host's own: a user namespace cannot make any.
pub const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Directories of the system: readable by everybody, so there is no need to make their owner the job's user,
/// who could then read what is root's alone.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix"];

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const READ_ONLY: u64 = 0x1;
const NO_SET_ID: u64 = 0x2;
const NO_DEVICES: u64 = 0x4;
const NO_EXECUTE: u64 = 0x8;
const ID_MAP: u64 = 0x0010_0000;

fn set_attributes(tree: BorrowedFd<'_>, recursive: bool, attributes: &MountAttributes) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, and the kernel reads as many bytes of the attributes as it is
    // told there are.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the root itself read-only once everything is in it.
///
/// # Errors
/// When the kernel refuses.
pub fn seal(root: &OwnedFd) -> io::Result<()> {
    let set = READ_ONLY | NO_SET_ID | NO_DEVICES;
    set_attributes(root.as_fd(), false, &MountAttributes { set, ..MountAttributes::default() })
}

/// Copies everything that `plan` shows, in its order, and the devices behind it. With `owner`, a user
/// namespace, the files of the caller become those of that namespace's user.
///
/// # Errors
/// Names the mount that cannot be shown as it must be.
pub fn open(plan: &Plan, owner: Option<BorrowedFd<'_>>) -> Result<Vec<OwnedFd>, Trouble> {
    let mut trees = Vec::with_capacity(plan.binds.len() + DEVICES.len());
    for bind in &plan.binds {
        let source = bind.source();
        let owner = owner.filter(|_| bind.writable || !SYSTEM.iter().any(|path| source.starts_with(path)));
        trees.push(show(&source, bind.writable, owner)?);
    }
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        let what = || format!("cannot show {}", path.display());
        let tree = open_tree(CWD, &path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
            .map_err(|error| Trouble::namespaces(what(), error))?;
        let attributes = MountAttributes {
            set: NO_SET_ID | NO_EXECUTE,
            propagation: libc::MS_PRIVATE,
            ..MountAttributes::default()
        };
        set_attributes(tree.as_fd(), false, &attributes).map_err(|error| Trouble::step(what(), error))?;
        trees.push(tree);
    }
    Ok(trees)
}

/// One bind, with every mount beneath it: leaving those out would show what they cover.
fn show(source: &Path, writable: bool, owner: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Trouble> {
    let what = || format!("cannot show {}", source.display());
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, source, flags).map_err(|error| match error {
        rustix::io::Errno::NOENT => Trouble::step(what(), error),
        error => Trouble::namespaces(what(), error),
    })?;
    let access = if writable { 0 } else { READ_ONLY };
    let attributes = MountAttributes {
        set: access | NO_SET_ID | NO_DEVICES,
        propagation: libc::MS_PRIVATE,
        ..MountAttributes::default()
    };
    set_attributes(tree.as_fd(), true, &attributes).map_err(|error| Trouble::step(what(), error))?;
    if let Some(owner) = owner {
        let user_namespace = u64::from(owner.as_raw_fd().cast_unsigned());
        let attributes = MountAttributes { set: ID_MAP, user_namespace, ..MountAttributes::default() };
        match set_attributes(tree.as_fd(), true, &attributes) {
            Ok(()) => {}
            // Jobs then read what everybody may read, which is right for what is only read.
            Err(_) if !writable => {}
            Err(error) => {
                let what = format!(
                    "jobs of root cannot write to {}: its file system has no idmapped mounts",
                    source.display()
                );
                return Err(Trouble::step(what, error)
                    .hint("Run cargo-sandbox as an ordinary user.")
                    .hint("Or put the build directory on ext4, xfs, btrfs or tmpfs."));
            }
        }
    }
    Ok(tree)
}
