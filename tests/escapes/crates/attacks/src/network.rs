//! Reaching the network, or a socket of the host's. Listeners of the suite note every token that arrives.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use super::Attack;
use super::attempt::{Attempt, Outcome, home, project, said};
use super::lab;
use super::sys::{reaches, succeeds};

pub const ATTACKS: &[Attack] = &[
    ("tcp-loopback", |a| tcp(a, ([127, 0, 0, 1], lab::TCP).into())),
    ("tcp-host-address", |a| tcp(a, format!("{}:{}", lab::HOST_ADDRESS, lab::TCP).parse().map_err(said)?)),
    ("tcp-every-address", |a| tcp(a, ([0, 0, 0, 0], lab::TCP).into())),
    ("tcp-ipv6", |a| tcp(a, ([0, 0, 0, 0, 0, 0, 0, 1], lab::TCP6).into())),
    ("tcp-mapped-ipv4", |a| tcp(a, ([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], lab::TCP).into())),
    ("tcp-fast-open", |a| {
        let socket = succeeds_number(41, &[2, 0x8_0001, 0])?;
        let address = ipv4([127, 0, 0, 1], lab::TCP);
        let token = a.token();
        // sendto with MSG_FASTOPEN connects and sends at once.
        succeeds(
            44,
            &[socket, token.as_ptr() as u64, token.len() as u64, 0x2000_0000, address.as_ptr() as u64, 16],
        )
    }),
    ("udp-loopback", |a| udp(a.token().as_bytes(), "127.0.0.1", lab::UDP)),
    ("udp-broadcast", |a| {
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(said)?;
        socket.set_broadcast(true).map_err(said)?;
        socket.send_to(a.token().as_bytes(), ("127.255.255.255", lab::UDP)).map_err(said)?;
        Ok("sent".into())
    }),
    ("dns-question", |a| {
        // The listener stands for the machine's own name server.
        let mut question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
        let name = a.token();
        question.push(u8::try_from(name.len().min(63)).map_err(said)?);
        question.extend_from_slice(&name.as_bytes()[..name.len().min(63)]);
        question.extend_from_slice(b"\x00\x00\x01\x00\x01");
        udp(&question, lab::HOST_ADDRESS, lab::UDP)
    }),
    ("route-to-metadata", |_| {
        // No packet: the kernel looks for a route, and has one.
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(said)?;
        socket.connect("169.254.169.254:80").map_err(said)?;
        Ok(format!("from {}", socket.local_addr().map_err(said)?))
    }),
    ("route-to-internet", |_| {
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(said)?;
        socket.connect("192.0.2.123:443").map_err(said)?;
        Ok(format!("from {}", socket.local_addr().map_err(said)?))
    }),
    ("see-interfaces", |_| {
        let text = std::fs::read_to_string("/proc/net/dev").map_err(said)?;
        let names = text.lines().skip(2).filter_map(|line| line.split_once(':').map(|part| part.0.trim()));
        names.filter(|name| *name != "lo").map(str::to_owned).next().ok_or_else(|| "only loopback".into())
    }),
    ("see-host-sockets", |_| {
        let text = std::fs::read_to_string("/proc/net/tcp").map_err(said)?;
        let port = format!(":{:04X} ", lab::TCP);
        text.lines().find(|line| line.contains(&port)).map(str::to_owned).ok_or_else(|| "not there".into())
    }),
    ("see-host-unix-sockets", |_| {
        let text = std::fs::read_to_string("/proc/net/unix").map_err(said)?;
        text.lines().find(|line| line.contains(lab::ABSTRACT)).map(str::to_owned).ok_or_else(|| "not there".into())
    }),
    ("unix-abstract", |a| {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(lab::ABSTRACT).map_err(said)?;
        send(a, UnixStream::connect_addr(&address))
    }),
    ("unix-abstract-datagram", |a| {
        let name = format!("{}-datagram", lab::ABSTRACT);
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).map_err(said)?;
        let socket = UnixDatagram::unbound().map_err(said)?;
        socket.send_to_addr(a.token().as_bytes(), &address).map_err(said)?;
        Ok("sent".into())
    }),
    ("unix-in-home", |a| send(a, UnixStream::connect(home(".ssh/agent.sock")))),
    ("unix-in-tmp", |a| send(a, UnixStream::connect(format!("{}/host.sock", lab::TMP)))),
    ("unix-in-workspace", |a| send(a, UnixStream::connect(project("host.ipc")))),
    ("unix-of-session", |a| {
        let sessions = std::fs::read_dir(format!("{}/sessions", lab::STATE)).map_err(said)?;
        let mut answers = sessions.flatten().map(|entry| long(a, &entry.path()));
        answers.find(Result::is_ok).unwrap_or_else(|| Err("no session".into()))
    }),
    ("unix-of-docker", |_| {
        UnixStream::connect("/var/run/docker.sock").map(|_| "connected".into()).map_err(said)
    }),
    ("socket-vsock", |_| reaches(41, &[40, 1, 0])),
    ("socket-packet", |_| reaches(41, &[17, 3, 0x0300])),
    ("socket-raw", |_| reaches(41, &[2, 3, 1])),
    ("socket-raw-ipv6", |_| reaches(41, &[10, 3, 58])),
    ("socket-algorithms", |_| reaches(41, &[38, 5, 0])),
    ("socket-netlink-uevent", |_| reaches(41, &[16, 3, 15])),
    ("socket-netlink-netfilter", |_| reaches(41, &[16, 3, 12])),
    ("socket-netlink-diagnosis", |_| reaches(41, &[16, 3, 4])),
    ("socket-netlink-audit", |_| reaches(41, &[16, 3, 9])),
    ("socket-netlink-crypto", |_| reaches(41, &[16, 3, 21])),
    ("socket-xdp", |_| reaches(41, &[44, 3, 0])),
    ("socket-key", |_| reaches(41, &[15, 3, 2])),
    ("socket-sctp", |_| reaches(41, &[2, 1, 132])),
    ("socket-udplite", |_| reaches(41, &[2, 2, 136])),
    ("socket-high-bits", |_| reaches(41, &[0x1_0000_0010, 3, 15])),
    ("socketpair-exotic", |_| reaches(53, &[16, 3, 0, super::sys::NOWHERE])),
];

const PATIENCE: Duration = Duration::from_millis(500);

fn tcp(attempt: &Attempt, address: SocketAddr) -> Outcome {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(said)?;
    stream.write_all(attempt.token().as_bytes()).map_err(said)?;
    Ok(format!("connected to {address}"))
}

fn udp(bytes: &[u8], address: &str, port: u16) -> Outcome {
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(said)?;
    socket.send_to(bytes, (address, port)).map_err(said)?;
    Ok("sent".into())
}

fn send(attempt: &Attempt, stream: std::io::Result<UnixStream>) -> Outcome {
    stream.map_err(said)?.write_all(attempt.token().as_bytes()).map_err(said)?;
    Ok("connected".into())
}

/// The socket in a directory whose path may be longer than an address can be.
fn long(attempt: &Attempt, directory: &std::path::Path) -> Outcome {
    use std::os::fd::AsRawFd;
    let directory = std::fs::File::open(directory).map_err(said)?;
    send(attempt, UnixStream::connect(format!("/proc/self/fd/{}/socket", directory.as_raw_fd())))
}

fn succeeds_number(number: i64, arguments: &[u64]) -> Result<u64, String> {
    let value = super::sys::call(number, arguments).map_err(|error| format!("error {error}"))?;
    u64::try_from(value).map_err(said)
}

/// `struct sockaddr_in`.
fn ipv4(address: [u8; 4], port: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&2_u16.to_ne_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&address);
    bytes
}
