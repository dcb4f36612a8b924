//! A build that fails because something is not installed says so in its own words; here they are understood, and what
//! to install is said in this machine's.
//!
//! - `recognise`: from what a job wrote to what was missing.
//! - `packages`: from what was missing to the package that brings it, per distribution (`packages.toml`).
//! - `crates`: from a dependency graph to what it is known to need (`crates.toml`), before anything fails.
//! - `distribution`: which distribution this is.

mod crates;
mod distribution;
mod packages;
mod recognise;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use crates::{Graph, needs_by_name};
pub use distribution::{Distribution, MANAGERS, Manager};
pub use recognise::Missing;

/// Where jobs find programs and libraries, and what to say where they do not.
#[derive(Debug)]
pub struct Advisor {
    /// The directories in which jobs see the system.
    visible: Vec<PathBuf>,
    place: Place,
}

/// Whose packages are missing.
#[derive(Debug)]
enum Place {
    /// This machine's, with the user's own `PATH`.
    Machine { os_release: PathBuf, programs: Option<OsString> },
    /// An image's, by its name.
    Image(String),
}

impl Advisor {
    /// For jobs that see this machine's own system in `visible`; `programs` is the user's `PATH`.
    pub fn of_machine(visible: Vec<PathBuf>, programs: Option<OsString>) -> Self {
        Self { visible, place: Place::Machine { os_release: "/etc/os-release".into(), programs } }
    }

    /// For jobs in an image.
    pub fn of_image(name: &str) -> Self {
        Self { visible: Vec::new(), place: Place::Image(name.to_owned()) }
    }

    /// What to do about the failure that a job describes in its last words; nothing where they name nothing that could
    /// be installed.
    pub fn advice(&self, last_words: &[u8]) -> Option<String> {
        let missing = Missing::recognise(&String::from_utf8_lossy(last_words))?;
        Some(match &self.place {
            Place::Image(image) => format!(
                "hint: {missing} is not in the image `{image}`; an image that has it is needed ({}), or, for an image with a \
                 name and a Dockerfile, its package in `native.packages = […]` of your configuration or `cargo-sandbox.toml`",
                packages::everywhere(&missing)
            ),
            Place::Machine { os_release, programs } => match self.hidden(&missing, programs.as_ref()) {
                Some(hidden) => {
                    let directory = hidden.parent().unwrap_or(&hidden);
                    format!(
                        "hint: {missing} is `{}` on this machine, which jobs do not see; let those of the workspace \
                         read it: `cargo-sandbox --sandbox-read {} …`, or install the system's: {}",
                        hidden.display(),
                        directory.display(),
                        Distribution::read(os_release).command(&missing)
                    )
                }
                None => {
                    let distribution = Distribution::read(os_release);
                    let what = if missing.may_be_made() {
                        format!("{missing} was not found; if no build script was to make it, ")
                    } else {
                        format!("{missing} is not installed on this machine; ")
                    };
                    let mut text = format!("hint: {what}{}", distribution.command(&missing));
                    if let Some(name) = distribution.shown_without_installing(&missing) {
                        text.push_str(&format!(
                            ", or have jobs see it without that: `native.packages = [\"{name}\"]` in your configuration or \
                             `cargo-sandbox.toml`"
                        ));
                    }
                    text
                }
            },
        })
    }

    /// A program that the user has, in a place that jobs do not see.
    fn hidden(&self, missing: &Missing, programs: Option<&OsString>) -> Option<PathBuf> {
        let Missing::Program(name) = missing else { return None };
        let found = which::which_in_global(name, programs).ok()?;
        let seen = |path: &PathBuf| {
            path.canonicalize().is_ok_and(|path| self.visible.iter().any(|visible| path.starts_with(visible)))
        };
        let mut found = found.peekable();
        // One that jobs see as well is not what is missing.
        let first = found.peek().cloned()?;
        (!found.any(|path| seen(&path))).then_some(first).filter(|path| path.parent() != Some(Path::new("")))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(name) => write!(f, "`{name}`"),
            Self::PkgConfig(name) => write!(f, "the library `{name}` (its file `{name}.pc`)"),
            Self::Library(name) => write!(f, "the library `{name}`"),
            Self::Header(name) => write!(f, "the header `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(os: &str, programs: Option<&Path>) -> (tempfile::TempDir, Advisor) {
        let directory = tempfile::tempdir().unwrap();
        let os_release = directory.path().join("os-release");
        std::fs::write(&os_release, os).unwrap();
        let place = Place::Machine { os_release, programs: programs.map(Into::into) };
        (directory, Advisor { visible: vec!["/usr".into()], place })
    }

    #[test]
    fn the_advice_is_in_the_words_of_the_distribution() {
        for (os, expected) in [
            ("ID=debian\n", "`apt install libssl-dev`"),
            ("ID=pop\nID_LIKE=\"ubuntu debian\"\n", "`apt install libssl-dev`"),
            ("ID=fedora\n", "`dnf install openssl-devel`"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "`dnf install openssl-devel`"),
            ("ID=manjaro\nID_LIKE=arch\n", "`pacman -S openssl`"),
            ("ID=alpine\n", "`apk add openssl-dev`"),
            ("ID=nixos\n", "`nix-shell -p openssl`"),
        ] {
            let (_kept, advisor) = machine(os, None);
            let advice = advisor.advice(b"/usr/bin/ld: cannot find -lssl: No such file").unwrap();
            assert!(
                advice.starts_with("hint: the library `ssl`") && advice.contains(expected),
                "{os}: {advice}"
            );
        }
        let line = "`native.packages = [\"libssl-dev\"]`";
        for (os, offered) in [("ID=debian\n", true), ("ID=fedora\n", false), ("ID=other\n", false)] {
            let (_kept, advisor) = machine(os, None);
            let advice = advisor.advice(b"/usr/bin/ld: cannot find -lssl").unwrap();
            assert_eq!(advice.contains(line), offered, "{os}: {advice}");
        }
        let (_kept, advisor) = machine("ID=other\n", None);
        let advice = advisor.advice(b"/usr/bin/ld: cannot find -lssl").unwrap();
        assert!(advice.contains("libssl-dev") && advice.contains("openssl-devel"), "{advice}");
    }

    #[test]
    fn what_no_package_is_known_for_may_have_been_to_be_made() {
        for (os, expected) in [
            (
                "ID=debian\n",
                "hint: the library `made_here` was not found; if no build script was to make it, `apt-file search \
                 libmade_here.so` names the package that has it",
            ),
            (
                "ID=other\n",
                "hint: the library `made_here` was not found; if no build script was to make it, the package that has it is \
                 not known here",
            ),
        ] {
            let (_kept, advisor) = machine(os, None);
            assert_eq!(advisor.advice(b"/usr/bin/ld: cannot find -lmade_here").unwrap(), expected);
        }
    }

    #[test]
    fn a_program_that_jobs_do_not_see_is_named_with_its_place() {
        use std::os::unix::fs::PermissionsExt;
        let bin = tempfile::tempdir().unwrap();
        let protoc = bin.path().join("protoc");
        std::fs::write(&protoc, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&protoc, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (_kept, advisor) = machine("ID=debian\n", Some(bin.path()));
        let advice = advisor.advice(b"Could not find `protoc`.").unwrap();
        assert!(advice.contains(&format!("--sandbox-read {}", bin.path().display())), "{advice}");
        assert!(advice.contains("`apt install protobuf-compiler`"), "{advice}");
    }

    #[test]
    fn in_an_image_every_distribution_s_name_is_said() {
        let advice = Advisor::of_image("base:1").advice(b"is `cmake` not installed?").unwrap();
        assert!(advice.contains("`base:1`") && advice.contains("Debian: cmake"), "{advice}");
    }

    #[test]
    fn other_failures_get_no_advice() {
        let (_kept, advisor) = machine("ID=debian\n", None);
        assert_eq!(advisor.advice(b"error[E0425]: cannot find value `x` in this scope"), None);
        assert_eq!(advisor.advice(b"thread 'main' panicked at build.rs:1:1:\nno"), None);
    }
}
