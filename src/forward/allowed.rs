//! What may be reached: a host and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// One host and port that a job may reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Allowed {
    /// Which host.
    pub host: Host,
    /// Which TCP port.
    pub port: u16,
    /// Whether a name may stand for an address of the local network or of this machine. A literal address may always
    /// be what it is: who wrote it knows.
    pub local: bool,
}

/// A host as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name of the domain name system, in lower case, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Why a text names no host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// There is no port.
    #[error("`{0}` names no port; write `host:port`")]
    NoPort(String),
    /// The port is no number from 1 to 65535.
    #[error("`{0}` is no TCP port")]
    Port(String),
    /// The host is neither a name nor an address.
    #[error("`{0}` is no host name and no address")]
    Host(String),
}

impl Allowed {
    /// A host and a port, with nothing local behind a name.
    ///
    /// # Errors
    /// When the host is neither a name nor an address, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, AllowedError> {
        if port == 0 {
            return Err(AllowedError::Port("0".into()));
        }
        Ok(Self { host: host.parse()?, port, local: false })
    }
}

impl FromStr for Allowed {
    type Err = AllowedError;

    /// `host:port`; an IPv6 address is in brackets.
    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| AllowedError::NoPort(text.into()))?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(AllowedError::NoPort(text.into()));
        }
        Self::new(host, port.parse().map_err(|_| AllowedError::Port(port.into()))?)
    }
}

impl FromStr for Host {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some(address) = bare {
            let address = address.parse::<Ipv6Addr>().map_err(|_| AllowedError::Host(text.into()))?;
            return Ok(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
        };
        // A last part that is a number makes resolvers take the whole for an address, in one of its odd forms (`127.1`,
        // `0x7f000001`).
        let last = name.rsplit('.').next().unwrap_or_default();
        let odd = last.starts_with(|first: char| first.is_ascii_digit());
        if name.len() > 253 || odd || !name.split('.').all(is_label) {
            return Err(AllowedError::Host(text.into()));
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port() {
        let name: Allowed = "Index.Crates.IO.:443".parse().unwrap();
        assert_eq!((name.host.clone(), name.port), (Host::Name("index.crates.io".into()), 443));
        assert_eq!(name.to_string(), "index.crates.io:443");
        let four: Allowed = "127.0.0.1:80".parse().unwrap();
        assert_eq!(four.host, Host::Address([127, 0, 0, 1].into()));
        let six: Allowed = "[::1]:80".parse().unwrap();
        assert_eq!(
            (six.host.clone(), six.to_string().as_str()),
            (Host::Address(Ipv6Addr::LOCALHOST.into()), "[::1]:80")
        );
    }

    #[test]
    fn what_is_no_host_and_port() {
        for text in [
            "",
            "a",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "::1:80",
            "[::1",
            "a b:1",
            "a\n127.0.0.1 b:1",
            "-x:1",
            "a..b:1",
        ] {
            assert!(text.parse::<Allowed>().is_err(), "{text:?}");
        }
        for odd in ["127.1:1", "0x7f000001:1", "2130706433:1", "1.2.3.4.5:1", "a.0x7f:1"] {
            assert!(odd.parse::<Allowed>().is_err(), "{odd:?}");
        }
    }
}
