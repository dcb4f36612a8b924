//! The user's own configuration file. Everything in it must be known: a setting that is misspelt would protect
//! nobody.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::container::engines::Selection;

use super::bar::Weakness;
use super::effective::Said;
use super::file::{BuildScripts, Defaults, Packages, PolicyFile};
use super::invalid::{self, Mistake};
use super::layers::{Place, Source};
use super::limits::LimitSettings;
use super::native::Native;
use super::words::word;

/// The file's name in the configuration directory.
pub const FILE: &str = "cargo-sandbox/config.toml";

/// What the user has written down. Options of a command line win.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UserConfig {
    /// As `--engine`.
    pub engine: Option<Spanned<Selection>>,
    /// As `--sandbox-image`.
    pub image: Option<Spanned<String>>,
    /// What of the system the jobs of every project see beside.
    #[serde(default)]
    pub native: Native,
    /// As `--sandbox-idle`.
    pub idle_seconds: Option<u64>,
    /// As `--sandbox-limit`.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Installed subcommands that run though this tool does not know what they do.
    #[serde(default)]
    pub subcommands: Vec<String>,
    /// What may be missing of the promised confinement. There is no option and no variable for it.
    #[serde(default, deserialize_with = "weaknesses")]
    pub allow_weaker_confinement: BTreeSet<Weakness>,
    /// Which build scripts run at all, in every project.
    pub build_scripts: Option<Spanned<BuildScripts>>,
    /// What holds for every package.
    #[serde(default)]
    pub defaults: Defaults,
    /// What holds for some that come from a registry.
    #[serde(default)]
    pub packages: Packages,
    /// All of the file.
    #[serde(skip)]
    pub text: String,
}

/// A list whose every entry is known.
fn weaknesses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Weakness>, D::Error> {
    struct Name(Weakness);
    impl<'de> Deserialize<'de> for Name {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            word(deserializer).map(Self)
        }
    }
    Ok(Vec::<Name>::deserialize(deserializer)?.into_iter().map(|Name(weakness)| weakness).collect())
}

/// Why the configuration cannot be used; nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum UserConfigError {
    /// It is there and cannot be read.
    #[error("failed to read your configuration `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is not understood.
    #[error("your configuration `{}` is not valid, {mistake}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What, and where.
        mistake: Mistake,
    },
}

impl UserConfig {
    /// Reads the file; one that is not there says nothing.
    ///
    /// # Errors
    /// When it cannot be read or something in it is not understood.
    pub fn read(path: &Path) -> Result<Self, UserConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(source) => Err(UserConfigError::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, UserConfigError> {
        let read = || -> Result<Self, Mistake> {
            let mut config: Self = toml::from_str(text).map_err(|error| Mistake::of(text, &error))?;
            config.text = text.to_owned();
            config.policy().check(text)?;
            Ok(config)
        };
        read().map_err(|mistake| UserConfigError::Invalid { path: path.to_owned(), mistake })
    }

    /// A value of it, which was read from `path`, and where it is said.
    pub fn said<T: Clone>(&self, path: &Path, value: &Spanned<T>) -> Said<T> {
        let line = invalid::line(&self.text, value.span().start);
        let by = Place {
            source: Some(Source::User),
            file: path.to_owned(),
            line: Some(line),
            table: String::new(),
        };
        Said { value: value.get_ref().clone(), by }
    }

    /// The tables of a policy in it.
    pub fn policy(&self) -> PolicyFile {
        let Self { build_scripts, defaults, packages, .. } = self.clone();
        PolicyFile { build_scripts, defaults, packages, ..PolicyFile::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UserConfig, String> {
        UserConfig::parse(Path::new("config.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_that_is_known_is_read() {
        let config = parse(
            "engine = \"native\"\nimage = \"debian\"\nidle-seconds = 5\nallow-weaker-confinement = [\"landlock\"]\n\
             subcommands = [\"mine\"]\n\
             [limits]\nmemory = \"2G\"\nprocesses = 100\n",
        )
        .unwrap();
        assert_eq!(config.engine.map(Spanned::into_inner), Some(Selection::Native));
        assert_eq!(config.image.map(Spanned::into_inner).as_deref(), Some("debian"));
        assert_eq!(config.idle_seconds, Some(5));
        assert_eq!(config.allow_weaker_confinement, [Weakness::Landlock].into());
        let limits = config.limits.resolve(1 << 34).container;
        assert_eq!((limits.memory, limits.per_job.processes), (2 << 30, 100));
        assert_eq!(config.subcommands, ["mine"]);
        assert_eq!(parse("").unwrap(), UserConfig::default());
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_place() {
        for (text, place, words) in [
            ("engin = \"docker\"", "line 1, column 1", ["unknown key `engin`", "did you mean `engine`?"]),
            ("\n\n  images = \"x\"", "line 3, column 3", ["unknown key `images`", "did you mean `image`?"]),
            ("[limits]\nmemry = \"1G\"", "line 2, column 1", ["no limit `memry`", "did you mean `memory`?"]),
            ("[limits]\nmemory = \"much\"", "line 2, column 10", ["`much`", "a size such as"]),
            ("[limits]\nmemory = true", "line 2, column 10", ["boolean", "a number"]),
            ("engine = \"podman\"", "line 1, column 10", ["podman", "docker"]),
            ("engine = \"nativ\"", "line 1, column 10", ["nativ", "did you mean `native`?"]),
            (
                "allow-weaker-confinement = [\"landlock\", \"landlok\"]",
                "line 1, column 41",
                ["landlok", "did you mean"],
            ),
            ("idle-seconds = -1", "line 1, column 16", ["-1", "u64"]),
            ("engine = ", "line 1, column 10", ["", ""]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(place), "{text}: {error}");
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }

    #[test]
    fn the_schema_has_every_key_and_no_other() {
        let error = parse("zzzzzzzzzzzzzzzzzzzz = 1").unwrap_err();
        let mut known: Vec<&str> = error.rsplit("known are ").next().unwrap().split(", ").collect();
        known.sort_unstable();
        let schema = super::super::reference::user_schema();
        let mut keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn a_file_that_is_not_there_says_nothing_and_one_that_cannot_be_read_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(UserConfig::read(&directory.path().join("none")).unwrap(), UserConfig::default());
        assert!(matches!(UserConfig::read(directory.path()), Err(UserConfigError::Read { .. })));
    }
}
