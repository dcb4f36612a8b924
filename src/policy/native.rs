//! `[native]`: what of the system the crates of a project need that is not Rust.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use super::nearest;
use super::provider::Provider;
use super::words::word;

/// The table, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Native {
    /// Packages of the distribution that jobs see.
    pub packages: Option<Spanned<SystemPackages>>,
    /// Who gives jobs their compilers and libraries.
    pub provider: Option<Spanned<Provider>>,
}

/// Packages of the distribution: some, or those that the dependency graph is known to need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemPackages {
    /// What the graph needs.
    Auto,
    /// These.
    Named(BTreeSet<PackageName>),
}

/// The word for what the dependency graph needs.
pub const AUTO: &str = "auto";

/// Longest name that is taken: several times Debian's longest.
const LONGEST: usize = 200;

/// The name of a package, without version, architecture or anything else that a package manager would take for more than
/// a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SystemPackages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str(AUTO),
            Self::Named(names) => {
                let names: Vec<&str> = names.iter().map(PackageName::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PackageName {
    type Err = String;

    /// Debian's rule (Debian Policy, 5.6.7): at least two of lower case letters, digits, `+`, `-` and `.`, of which the
    /// first is a letter or a digit. apt takes a `-` at the end for the wish to remove something.
    fn from_str(text: &str) -> Result<Self, String> {
        let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let first = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        let length = (2..=LONGEST).contains(&text.len());
        if first && length && text.bytes().all(of_name) && !text.ends_with('-') {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{}` is no name of a package, such as `libssl-dev`; versions and architectures are the distribution's to choose",
            text.escape_debug()
        ))
    }
}

impl<'de> Deserialize<'de> for PackageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

impl<'de> Deserialize<'de> for SystemPackages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = SystemPackages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto`, or a list of names of packages")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SystemPackages, E> {
        if text == AUTO {
            return Ok(SystemPackages::Auto);
        }
        let hint = match (nearest::nearest(text, [AUTO]), text.parse::<PackageName>()) {
            (None, Ok(name)) => format!("hint: a list is meant: `[\"{name}\"]`"),
            _ => nearest::hint(text, &[AUTO]),
        };
        Err(E::custom(format!("`{}` is neither `{AUTO}` nor a list\n\n{hint}", text.escape_debug())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SystemPackages, A::Error> {
        let mut all = BTreeSet::new();
        while let Some(name) = list.next_element()? {
            all.insert(name);
        }
        Ok(SystemPackages::Named(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SystemPackages, String> {
        let read = toml::from_str::<Native>(&format!("packages = {text}"));
        read.map(|native| native.packages.unwrap().into_inner()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_names_and_nothing_else() {
        for name in ["libssl-dev", "g++", "libstdc++-12-dev", "libglib2.0-dev", "0ad", "zlib1g-dev"] {
            assert_eq!(name.parse::<PackageName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(LONGEST + 1);
        for name in [
            "",
            "a",
            "-oDir::Etc=/x",
            "--",
            "-y",
            "libssl-dev=1.0",
            "libssl-dev/sid",
            "libssl-dev:i386",
            "libssl-dev-",
            "./x.deb",
            "/tmp/x.deb",
            "../x",
            "~nlib",
            "?installed",
            "lib*",
            "lib[a]",
            "libssl-dev^",
            "a b",
            "a\nb",
            "a;b",
            "a|b",
            "$(x)",
            "`x`",
            "a\0b",
            "+a",
            ".a",
            "Lib",
            "libé",
            "http://x",
            &long,
        ] {
            assert!(name.parse::<PackageName>().is_err(), "{name:?}");
            assert!(parse(&format!("[{name:?}]")).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_list_or_one_word() {
        assert_eq!(parse("\"auto\"").unwrap(), SystemPackages::Auto);
        let two: BTreeSet<PackageName> = ["b1", "a1"].map(|name| name.parse().unwrap()).into();
        assert_eq!(parse("[\"b1\", \"a1\", \"b1\"]").unwrap(), SystemPackages::Named(two));
        assert!(parse("\"libssl-dev\"").unwrap_err().contains("`[\"libssl-dev\"]`"));
        assert!(parse("\"atuo\"").unwrap_err().contains("auto"));
        assert!(parse("\"-x\"").unwrap_err().contains("neither"));
        assert!(parse("true").is_err() && parse("[1]").is_err());
    }
}
