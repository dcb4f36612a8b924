//! What a job may reach.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::nearest;
use super::words::word;

use crate::forward::{AllowedError, Host, Reach, reach};

pub use crate::forward::Allowed as Endpoint;

/// A job's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Nothing, not even a loopback.
    None,
    /// The container's loopback, which the jobs of a project share, and nothing beyond.
    Loopback,
    /// A loopback of its own, and these.
    Only(BTreeSet<Endpoint>),
    /// What a program of the user's reaches.
    Host,
}

impl Network {
    /// What both allow.
    pub fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::Host, one) | (one, Self::Host) => one.clone(),
            (Self::Loopback, _) | (_, Self::Loopback) => Self::Loopback,
            (Self::Only(one), Self::Only(other)) => {
                let both: BTreeSet<Endpoint> = one.intersection(other).cloned().collect();
                if both.is_empty() { Self::Loopback } else { Self::Only(both) }
            }
        }
    }

    /// What one of them allows.
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Host, _) | (_, Self::Host) => Self::Host,
            (Self::None, one) | (one, Self::None) | (Self::Loopback, one) | (one, Self::Loopback) => {
                one.clone()
            }
            (Self::Only(one), Self::Only(other)) => Self::Only(one.union(other).cloned().collect()),
        }
    }

    /// Whether the other allows all that this one does.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::Host) | (Self::Loopback, Self::Loopback | Self::Only(_)) => true,
            (Self::Only(one), Self::Only(other)) => one.is_subset(other),
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Loopback => f.write_str("loopback"),
            Self::Host => f.write_str("host"),
            Self::Only(list) => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                f.write_str(&list.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

/// The names that stand for a network.
pub const NAMES: [&str; 3] = ["none", "loopback", "host"];

impl<'de> Visitor<'de> for Value {
    type Value = Network;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none`, `loopback`, `host`, or a list of `host:port`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
        match text {
            "none" => Ok(Network::None),
            "loopback" => Ok(Network::Loopback),
            "host" => Ok(Network::Host),
            _ => {
                let hint = match text.contains(':') {
                    true => format!("hint: a list is meant: `[\"{text}\"]`"),
                    false => nearest::hint(text, &NAMES),
                };
                Err(E::custom(format!("there is no network `{text}`\n\n{hint}")))
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Network, A::Error> {
        let mut all = BTreeSet::new();
        while let Some(Entry(endpoint)) = list.next_element()? {
            all.insert(endpoint);
        }
        Ok(if all.is_empty() { Network::Loopback } else { Network::Only(all) })
    }
}

struct Entry(Endpoint);

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let endpoint: Endpoint = text.parse().map_err(|error: AllowedError| error.to_string())?;
        match endpoint.host {
            Host::Address(address) if reach(address) == Reach::Never => Err(format!(
                "`{text}` is the address of no single host, or of a cloud's metadata service, which no policy grants"
            )),
            _ => Ok(Self(endpoint)),
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// A port of this machine that leads to one of a program's: `8080`, or `8080:80` with the program's behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishedPort {
    /// On this machine's loopback.
    pub host: u16,
    /// On the program's.
    pub program: u16,
}

impl FromStr for PublishedPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, program) = text.split_once(':').unwrap_or((text, text));
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        match (port(host), port(program)) {
            (Some(host), Some(program)) => Ok(Self { host, program }),
            _ => Err(format!("`{text}` is no port: it is `8080`, or `8080:80` for port 80 of the program")),
        }
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host == self.program {
            true => write!(f, "{}", self.host),
            false => write!(f, "{}:{}", self.host, self.program),
        }
    }
}

impl<'de> Deserialize<'de> for PublishedPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Network> {
        let only = |list: &[&str]| Network::Only(list.iter().map(|text| text.parse().unwrap()).collect());
        vec![
            Network::None,
            Network::Loopback,
            Network::Host,
            only(&["a.example:1"]),
            only(&["b.example:1"]),
            only(&["a.example:1", "b.example:1"]),
        ]
    }

    #[test]
    fn they_are_ordered() {
        for one in all() {
            assert!(one.is_within(&one));
            for other in all() {
                let (meet, join) = (one.meet(&other), one.join(&other));
                assert!(meet.is_within(&one) && meet.is_within(&other), "{one} and {other}: {meet}");
                assert!(one.is_within(&join) && other.is_within(&join), "{one} or {other}: {join}");
            }
        }
    }

    #[test]
    fn ports_are_one_or_two() {
        let port = |text: &str| text.parse::<PublishedPort>();
        assert_eq!(port("8080"), Ok(PublishedPort { host: 8080, program: 8080 }));
        assert_eq!(port("8080:80").unwrap().to_string(), "8080:80");
        for wrong in ["", "0", "80:", ":80", "65536", "a", "1:2:3", "0.0.0.0:80"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }
}
