//! Addresses and names in what a job passes to the kernel.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::memory::number;

/// The port of name servers.
pub const DNS: u16 = 53;

/// An address of `struct sockaddr`, in the form of [`super::Event::Address`], and its port where it has one.
pub fn address(bytes: &[u8]) -> Option<(String, Option<u16>)> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let port = || Some(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
    match i32::from(u16::from_le_bytes(*family)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(<[u8; 4]>::try_from(rest.get(2..6)?).ok()?);
            let port = port()?;
            Some((format!("{ip}:{port}"), Some(port)))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(<[u8; 16]>::try_from(rest.get(6..22)?).ok()?);
            let port = port()?;
            Some((format!("[{ip}]:{port}"), Some(port)))
        }
        libc::AF_UNIX => {
            let (abstract_, name) = match rest.split_first() {
                Some((0, name)) => (true, name),
                _ => (false, rest),
            };
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            let name = String::from_utf8_lossy(&name[..end]);
            (!name.is_empty()).then(|| (format!("unix:{}{name}", if abstract_ { "@" } else { "" }), None))
        }
        _ => None,
    }
}

/// The name that a query to a name server asks for.
pub fn queried(packet: &[u8]) -> Option<String> {
    let (header, mut rest) = packet.split_first_chunk::<12>()?;
    let is_query = header[2] & 0x80 == 0 && u16::from_be_bytes([header[4], header[5]]) >= 1;
    let mut name = String::new();
    if !is_query {
        return None;
    }
    loop {
        let (length, tail) = rest.split_first()?;
        if *length == 0 {
            break;
        }
        let label = tail.get(..usize::from(*length)).filter(|_| *length < 64)?;
        if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        rest = &tail[label.len()..];
    }
    (!name.is_empty() && name.len() < 254).then_some(name)
}

/// The first buffer of each message of `sendmmsg(2)`: address and length. `headers` are as many `struct mmsghdr` as
/// are looked at.
pub fn buffers(headers: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    // struct msghdr: name, its length, the buffers, their number, control, its length, flags; and the length.
    headers.chunks_exact(64).map(|header| (number(&header[16..24]), number(&header[24..32])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_each_family() {
        let of = |bytes: &[u8]| address(bytes).map(|(text, _)| text);
        assert_eq!(of(&[2, 0, 1, 187, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap(), "192.0.2.1:443");
        let mut six = vec![10, 0, 0, 80, 0, 0, 0, 0];
        six.extend(Ipv6Addr::LOCALHOST.octets());
        assert_eq!(of(&six).unwrap(), "[::1]:80");
        assert_eq!(of(b"\x01\0/run/x.sock\0").unwrap(), "unix:/run/x.sock");
        assert_eq!(of(b"\x01\0\0name").unwrap(), "unix:@name");
        for nothing in [&b""[..], b"\x02\0\x01", b"\x01\0", b"\x10\0\0\0\0\0"] {
            assert_eq!(of(nothing), None);
        }
    }

    #[test]
    fn a_query_names_what_it_asks_for() {
        let mut packet = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        packet.extend(b"\x06Static\x07example\x03org\0\0\x01\0\x01");
        assert_eq!(queried(&packet).unwrap(), "static.example.org");
        packet[2] |= 0x80;
        assert_eq!(queried(&packet), None, "an answer");
        for end in 0..packet.len() {
            let _no_panic = queried(&packet[..end]);
        }
    }
}
