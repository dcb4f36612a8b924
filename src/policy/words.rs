//! Texts of a policy that mean something: each is understood where it stands, so that a mistake is named with its own
//! place, also within a list.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::broker::directives::{LIBRARY_PATHS, obeyed_variable};
use crate::cargo::environment::is_decided;
use crate::container::Image;

/// Reads a text that is parsed. What is wrong with it is said while the parser still knows where it is: an error that
/// comes later has the place of the list, or the table, around it.
///
/// # Errors
/// When it is no text, or what the type says of it.
pub fn word<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Word(PhantomData))
}

struct Word<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A path, as it is written: absolute, or relative to the project's root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantedPath(String);

impl GrantedPath {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GrantedPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |reason: &str| Err(format!("`{text}` {reason}"));
        if text.is_empty() || text.contains('\0') {
            return wrong("is no path");
        }
        if text.starts_with('~') || text.contains('$') {
            return wrong("is not written out: paths are absolute, or relative to the project's root");
        }
        if text.split('/').any(|part| part == "..") {
            return wrong("leads upwards: write the path that is meant");
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for GrantedPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// The name of a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variable(String);

impl Variable {
    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut letters = name.chars();
        let first = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !first || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return Err(format!("`{name}` is no name of a variable"));
        }
        if obeyed_variable(name).is_some() || is_decided(name) {
            return Err(format!(
                "`{name}` is obeyed by the loader, the toolchain or cargo-sandbox itself, and is no policy's to pass"
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// The name of a variable by which the loader finds libraries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LibraryPath(String);

impl LibraryPath {
    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for LibraryPath {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if LIBRARY_PATHS.contains(&name) {
            return Ok(Self(name.to_owned()));
        }
        Err(format!(
            "`{name}` is no variable that a policy lets a build script set\n\nhint: known are {}; what nothing obeys, a script \
             sets without",
            LIBRARY_PATHS.join(", ")
        ))
    }
}

impl<'de> Deserialize<'de> for LibraryPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// The name that an engine knows an image by, or the path of one in a file, with or without a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName(String);

impl ImageName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@".contains(letter);
        let first = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        match Image::is_path(text) || first && text.chars().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "`{text}` is no name of an image, such as `debian:13`, and no path, such as `./image`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for ImageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}
