//! Networks: a loopback that leads nowhere, and the one of a single job, on which something listens.
//!
//! A job that may reach some hosts still has no way out of its own: there is no interface but its loopback, and no name
//! resolves but those of its `/etc/hosts`. What listens there was opened here, before the job exists, and is held by the
//! front end alone, which connects to what the user allows and to nothing else (`crate::forward`).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount_bind, mount_remount};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket, socket_with};
use rustix::thread::UnshareFlags;

use super::failure::{AtStep as _, Failure, Step};
use super::protocol::JobNetwork;
use super::spawn::ProcessTree;
use super::world::Place;
use crate::passing::send_owned;

/// Connections that wait to be accepted, per listening socket.
pub(super) const BACKLOG: i32 = 128;

/// How long the kernel may take to make an address usable.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);

/// The loopback interface of a new network namespace: its first one.
const LOOPBACK_INDEX: i32 = 1;

/// The name of that interface, as `ifreq` has it.
const LOOPBACK: &[u8] = b"lo\0";

/// Puts this process into a network of its own, opens what listens there, and sends it through `channel`.
///
/// # Errors
/// Where jobs have no namespaces of their own, and when the kernel refuses.
pub fn enter(
    wanted: &JobNetwork,
    channel: &OwnedFd,
    tree: ProcessTree,
    place: &Place,
) -> Result<(), Failure> {
    if tree != ProcessTree::Namespace {
        let why = "namespaces are refused in this container; the native engine has them";
        return Err(Failure::about(Step::Network, why.as_bytes(), rustix::io::Errno::PERM));
    }
    // SAFETY: this flag changes nothing that Rust code relies on.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.at(Step::Network)?;
    raise_loopback().at(Step::Network)?;
    let at = |address: &SocketAddr, error: io::Error| {
        Failure::about(Step::Network, address.to_string().as_bytes(), error)
    };
    let mut listeners = Vec::with_capacity(wanted.listeners.len());
    let mut added: Vec<IpAddr> = Vec::new();
    for address in &wanted.listeners {
        if !address.ip().is_loopback() && !added.contains(&address.ip()) {
            add_address(address.ip()).map_err(|error| at(address, error))?;
            added.push(address.ip());
        }
        listeners.push(listener(address).map_err(|error| at(address, error.into()))?);
    }
    send_owned(channel, &[0], &listeners).at(Step::Network)?;
    cover_hosts(&wanted.hosts, place).at(Step::Network)
}

/// Connects to a port of this process's loopback, and sends the connection through `channel`.
///
/// # Errors
/// When nothing listens there.
pub fn connect(port: u16, channel: &OwnedFd) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).at(Step::Network)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(Failure::about(Step::Network, address.to_string().as_bytes(), error)),
    }
    send_owned(channel, &[0], &[socket]).at(Step::Network)
}

fn listener(address: &SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let deadline = Instant::now() + ADDRESS_PATIENCE;
    loop {
        match bind(&socket, address) {
            // The kernel looks for other owners of a new IPv6 address before it takes it, here as well, where it waits
            // for nobody's answer.
            Err(rustix::io::Errno::ADDRNOTAVAIL) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => break result?,
        }
    }
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Shows the job a `/etc/hosts` of its own, which it cannot write.
fn cover_hosts(content: &str, place: &Place) -> io::Result<()> {
    let file = place.tmp().join(".hosts");
    fs::write(&file, content)?;
    let target = Path::new("/etc/hosts");
    mount_bind(&file, target)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(target, flags, c"")?;
    // Its content has no other name then.
    fs::remove_file(file)
}

/// Switches `lo` on; a new network namespace has it down. Abstract sockets and ports are its own as well.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_loopback() -> io::Result<()> {
    let mut request = loopback_request();
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).unwrap_or_default();
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives here.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the loopback interface one more address.
fn add_address(address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(address) => add_ipv4(address),
        IpAddr::V6(address) => add_ipv6(address),
    }
}

fn loopback_request() -> libc::ifreq {
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(LOOPBACK) {
        *to = from.cast_signed();
    }
    request
}

fn add_ipv4(address: Ipv4Addr) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // An alias (`lo:…`) holds one address, as `ifconfig` names them; its number is made of the address.
    let name = format!("lo:{:x}\0", u32::from(address));
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = from.cast_signed();
    }
    let mut mask = request;
    for (request, address) in [(&mut request, address), (&mut mask, Ipv4Addr::BROADCAST)] {
        let address = libc::sockaddr_in {
            sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default(),
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
            sin_zero: [0; 8],
        };
        // SAFETY: both are plain old data of 16 bytes: a `sockaddr` is what any address is passed as.
        request.ifr_ifru.ifru_addr =
            unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(address) };
    }
    for (call, request) in [(libc::SIOCSIFADDR, &request), (libc::SIOCSIFNETMASK, &mask)] {
        // SAFETY: both calls read one `ifreq`, which lives here.
        if unsafe { libc::ioctl(socket.as_raw_fd(), call, std::ptr::from_ref(request)) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn add_ipv6(address: Ipv6Addr) -> io::Result<()> {
    /// The kernel's `struct in6_ifreq` (linux/ipv6.h).
    #[repr(C)]
    struct Request {
        address: [u8; 16],
        prefix: u32,
        index: i32,
    }
    let request = Request { address: address.octets(), prefix: 128, index: LOOPBACK_INDEX };
    let socket = socket(AddressFamily::INET6, SocketType::DGRAM, None)?;
    // SAFETY: SIOCSIFADDR of an IPv6 socket reads one `in6_ifreq`, which lives here.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
