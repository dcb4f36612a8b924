//! `native.provider`: who gives jobs the compilers and libraries that are not Rust.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::Deserializer;
use toml::Spanned;

use super::effective::Said;
use super::invalid::line;
use super::nearest;
use super::question::Item;
use super::words::word;

/// Who gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Provider {
    /// What the containers are made from: this machine's own system, or an image where one is chosen.
    #[default]
    Host,
    /// An image, which has to be chosen.
    Image,
    /// `riff print-dev-env`, on top of what the containers are made from.
    Riff,
    /// The project's `flake.nix` or `shell.nix`, likewise.
    Nix,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Host, Self::Image, Self::Riff, Self::Nix];

    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Image => "image",
            Self::Riff => "riff",
            Self::Nix => "nix",
        }
    }

    /// Whether it runs what a repository says, to find out what jobs get.
    pub fn evaluates(self) -> bool {
        matches!(self, Self::Riff | Self::Nix)
    }

    /// What of a repository's wish for it needs trust, if anything does; `own` is the user's choice, which comes first.
    pub fn item(text: &str, asked: &Spanned<Self>, own: Option<&Said<Self>>) -> Option<Item> {
        let provider = *asked.get_ref();
        let who = match provider {
            Self::Host | Self::Image => return None,
            Self::Nix => "nix evaluates the project's `flake.nix` or `shell.nix`",
            Self::Riff => "riff reads what the project and its dependencies ask for, and nix evaluates it",
        };
        own.is_none().then(|| Item {
            line: Some(line(text, asked.span().start)),
            key: "native.provider".into(),
            value: Some(format!("\"{provider}\"")),
            effect: format!(
                "{who}, confined in a container of its own that reaches a few hosts of Nix's and GitHub; all jobs use the \
                 programs, libraries and variables that come of it: its linker and C compiler make what is built"
            ),
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|provider| provider.name() == text).ok_or_else(|| {
            let hint = nearest::hint(text, &Self::ALL.map(Self::name));
            format!("there is no provider `{}`\n\n{hint}", text.escape_debug())
        })
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_a_slip_is_seen_through() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse(), Ok(provider));
        }
        assert!("nxi".parse::<Provider>().unwrap_err().contains("did you mean `nix`?"));
        assert!("docker".parse::<Provider>().unwrap_err().contains("host, image, riff, nix"));
    }
}
