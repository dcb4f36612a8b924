//! Unix sockets that lead out of a job: at the very paths that a policy grants, in this job's view of files alone.
//!
//! As with networks (`network.rs`): what listens there was opened here, before the job exists, and is held by the front end
//! alone, which connects to the socket of the same path on the host. No directory of the host is shown for it.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use super::failure::{AtStep as _, Failure, Step};
use super::network;
use super::spawn::ProcessTree;
use super::world::Place;
use crate::passing::send_owned;

/// Opens what listens at each path, and sends it through `channel`, in their order.
///
/// # Errors
/// Where jobs have no namespaces of their own, where there is no place for a socket, and when the kernel refuses.
pub fn enter(paths: &[Vec<u8>], channel: &OwnedFd, tree: ProcessTree, place: &Place) -> Result<(), Failure> {
    if tree != ProcessTree::Namespace {
        let why = "namespaces are refused in this container; the native engine has them";
        return Err(Failure::about(Step::Sockets, why.as_bytes(), rustix::io::Errno::PERM));
    }
    let mut made = Vec::new();
    let mut listeners = Vec::with_capacity(paths.len());
    for path in paths {
        let listener = listener(Path::new(OsStr::from_bytes(path)), place, &mut made);
        listeners.push(listener.map_err(|error| Failure::about(Step::Sockets, path, error))?);
    }
    for directory in &made {
        let flags = MountFlags::BIND
            | MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC;
        mount_remount(directory, flags, c"").at(Step::Sockets)?;
    }
    send_owned(channel, &[0], &listeners).at(Step::Sockets)
}

/// A socket that listens at `path`. `made` are the directories that were given a file system of their own.
fn listener(path: &Path, place: &Place, made: &mut Vec<PathBuf>) -> io::Result<OwnedFd> {
    let own = place.tmp().join(".socket");
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(&own)?)?;
    fs::set_permissions(&own, Permissions::from_mode(0o600))?;
    listen(&socket, network::BACKLOG)?;
    make_place(path, made)?;
    mount_bind(&own, path)?;
    // It has no other name then.
    fs::remove_file(own)?;
    Ok(socket)
}

/// Makes what a socket is mounted on. A socket of the host's, in a directory that is shown, is covered by the one that
/// leads to it.
fn make_place(path: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if let Ok(there) = fs::symlink_metadata(path) {
        return match there.file_type().is_socket() {
            true => Ok(()),
            false => Err(io::ErrorKind::AlreadyExists.into()),
        };
    }
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if directory.starts_with("/tmp") {
        fs::create_dir_all(directory)?;
    } else if !made.iter().any(|made| made == directory) {
        // An empty one, which the container has for this.
        if fs::read_dir(directory)?.next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("tmpfs", directory, "tmpfs", flags, Some(c"mode=0755,size=64k"))?;
        made.push(directory.to_owned());
    }
    File::create_new(path).map(drop)
}
