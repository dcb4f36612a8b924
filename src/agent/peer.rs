//! Who may speak to the agent: the broker, which is outside the container.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

/// Which processes may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Processes outside the agent's process namespace. The kernel translates a peer's number into the
    /// namespace of whoever asks, so from here they have number 0, and everything inside has another.
    OutsideNamespace,
    /// Every process of the user; for tests that are not in a container.
    Any,
}

/// The user id by which the kernel shows users that this user namespace does not map.
const UNMAPPED: u32 = 65534;

/// Whether this connection may ask for jobs. The user must be the agent's own, root (whom the container may
/// map or not), or one that is not mapped here at all; who may reach the socket is decided by the mode of
/// its directory on the host.
///
/// # Errors
/// When the kernel does not tell who the peer is.
pub fn may_connect(stream: &UnixStream, peers: Peers) -> io::Result<bool> {
    let peer = credentials(stream)?;
    let own = rustix::process::getuid().as_raw();
    let user = [own, 0, UNMAPPED].contains(&peer.uid);
    Ok(user && (peers == Peers::Any || peer.pid == 0))
}

/// rustix has this call, but its process number cannot be 0.
fn credentials(stream: &UnixStream) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: -1, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of_val(&peer)).map_err(io::Error::other)?;
    // SAFETY: the option's value is a `ucred`, of which `length` bytes may be written.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(peer) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_the_same_namespace_may_not_connect() {
        let (here, _there) = UnixStream::pair().unwrap();
        assert_eq!(credentials(&here).unwrap().pid, i32::try_from(std::process::id()).unwrap());
        assert!(!may_connect(&here, Peers::OutsideNamespace).unwrap());
        assert!(may_connect(&here, Peers::Any).unwrap());
    }
}
