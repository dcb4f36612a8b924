//! Unix sockets of this machine that one job may connect to.
//!
//! As with hosts: the job connects to a socket of its own, which is held here; the connection to the granted one is made
//! here, to exactly its path, and bytes are copied. Descriptors that are sent along (`SCM_RIGHTS`) do not pass.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::future::try_join;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::net::{AddressFamily, sockopt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::serve::{BREATH, MOST_CONNECTIONS, copy, sockets};
use super::thread::Serving;

/// Serves the Unix sockets of one job, until it is dropped.
#[derive(Debug)]
pub struct LocalForwarder {
    _serving: Serving,
}

impl LocalForwarder {
    /// Serves these paths with the sockets that come on `channel`, in the same order. As
    /// [`Forwarder::start`](super::Forwarder::start).
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(paths: Vec<PathBuf>, channel: StdStream) -> io::Result<Self> {
        Ok(Self { _serving: Serving::start("sockets", || serve(paths, channel))? })
    }
}

/// Opens the socket at a path, through no symbolic link; nothing where nothing is there.
///
/// # Errors
/// When it is something else, or may not be looked at.
pub fn open_socket(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut opened = openat(CWD, "/", flags | OFlags::DIRECTORY, Mode::empty())?;
    let mut kind = FileType::Directory;
    for part in path.as_os_str().as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        opened = match openat(&opened, part, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            result => result?,
        };
        kind = FileType::from_raw_mode(fstat(&opened)?.st_mode);
        if kind == FileType::Symlink {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is a symbolic link on the way"));
        }
    }
    match kind {
        FileType::Socket => Ok(Some(opened)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no Unix socket")),
    }
}

async fn serve(paths: Vec<PathBuf>, channel: StdStream) -> io::Result<()> {
    let Some(sockets) = sockets(channel).await? else { return Ok(()) };
    if sockets.len() != paths.len() {
        return Err(io::Error::other(format!("{} sockets came for {} paths", sockets.len(), paths.len())));
    }
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut tasks = tokio::task::JoinSet::new();
    for (socket, path) in sockets.into_iter().zip(paths) {
        tasks.spawn(accept(checked(socket)?, path, Arc::clone(&room)));
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

fn checked(socket: OwnedFd) -> io::Result<UnixListener> {
    if sockopt::socket_domain(&socket)? != AddressFamily::UNIX || !sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::other("a socket came that is no listening Unix socket"));
    }
    let listener = StdListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn accept(listener: UnixListener, path: PathBuf, room: Arc<Semaphore>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let path = path.clone();
        connections.spawn(async move {
            // Where nothing listens any more, the job sees its connection end.
            let _ended = forward(stream, &path).await;
            drop(permit);
        });
    }
}

async fn forward(stream: UnixStream, path: &Path) -> io::Result<()> {
    let socket = open_socket(path)?.ok_or(io::ErrorKind::NotFound)?;
    // By its descriptor: what was looked at is what is connected to.
    let there = UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await?;
    drop(socket);
    let (from_job, to_job) = stream.into_split();
    let (from_there, to_there) = there.into_split();
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    try_join(copy(from_job, to_there, &sent), copy(from_there, to_job, &received)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_opened_and_nothing_else() {
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = base.path().canonicalize().unwrap();
        let _listener = StdListener::bind(base.join("socket")).unwrap();
        std::os::unix::fs::symlink(base.join("socket"), base.join("link")).unwrap();
        std::os::unix::fs::symlink(&base, base.join("same")).unwrap();
        std::fs::write(base.join("file"), "").unwrap();
        assert!(open_socket(&base.join("socket")).unwrap().is_some());
        assert!(open_socket(&base.join("none/socket")).unwrap().is_none());
        for name in ["link", "same/socket", "file", ""] {
            assert!(open_socket(&base.join(name)).is_err(), "{name}");
        }
    }
}
