//! Why a container could not be made, on its way from the keeper to `start`.

use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};

use crate::container::engine::EngineError;

/// An [`EngineError`] that travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    message: String,
    hints: Vec<String>,
    unavailable: bool,
}

impl Trouble {
    /// The engine is there but failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), unavailable: false }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A step that the kernel refused.
    pub fn step(what: impl fmt::Display, error: impl Into<io::Error>) -> Self {
        Self::failed(format!("{what}: {}", error.into()))
    }

    /// A step on namespaces that the kernel refused, with what is known to forbid it.
    pub fn namespaces(what: impl fmt::Display, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let mut trouble = Self::failed(format!("{what}: {error}"));
        let Some(cause) = cause(error.raw_os_error(), |path| fs::read_to_string(path).ok()) else {
            return trouble;
        };
        trouble.message = format!("{what}: {}", cause.what);
        trouble.unavailable = true;
        trouble.hint(cause.remedy).hint(
            "Or use Docker or Podman: `--engine docker` (in a container, with the daemon's socket mounted: docs/ci.md).",
        )
    }

    /// As the engine's callers see it.
    pub fn into_error(self) -> EngineError {
        EngineError { message: self.message, hints: self.hints, unavailable: self.unavailable }
    }
}

struct Cause {
    what: &'static str,
    remedy: &'static str,
}

/// A setting of the kernel (sysctl(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelSetting {
    /// Its name, with dots.
    pub name: &'static str,
    /// What it should be.
    pub value: &'static str,
}

/// Settings that switch user namespaces off, each with the value that does.
const SWITCHES: [(KernelSetting, &str); 2] = [
    (KernelSetting { name: "kernel.unprivileged_userns_clone", value: "1" }, "0"),
    (KernelSetting { name: "user.max_user_namespaces", value: "10000" }, "0"),
];

impl KernelSetting {
    /// Its file.
    pub fn path(&self) -> String {
        format!("/proc/sys/{}", self.name.replace('.', "/"))
    }

    /// What is switched off, and can be switched on with nothing else changed. Not AppArmor's restriction: that
    /// protects from other programs as well, and a profile of this program's lifts it for this program alone.
    pub fn switched_off() -> Vec<Self> {
        let is_off = |(setting, off): &&(Self, &str)| {
            fs::read_to_string(setting.path()).is_ok_and(|value| value.trim() == *off)
        };
        SWITCHES.iter().filter(is_off).map(|(setting, _)| *setting).collect()
    }
}

/// What on this machine forbids user namespaces, as far as it can be read.
fn cause(errno: Option<i32>, read: impl Fn(&str) -> Option<String>) -> Option<Cause> {
    let is = |name: &str, value: &str| {
        read(&format!("/proc/sys/{name}")).is_some_and(|content| content.trim() == value)
    };
    match errno? {
        libc::ENOSPC => Some(Cause {
            what: "the limit on user namespaces is reached (user.max_user_namespaces)",
            remedy: "Raise it: `sudo sysctl -w user.max_user_namespaces=10000`.",
        }),
        libc::EPERM | libc::EACCES => {
            if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
                Some(Cause {
                    what: "AppArmor forbids user namespaces to programs without a profile",
                    remedy: "Give this program a profile that has `userns`, or allow it to all: \
                             `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`.",
                })
            } else if is("kernel/unprivileged_userns_clone", "0") {
                Some(Cause {
                    what: "user namespaces are switched off for ordinary users",
                    remedy: "Switch them on: `sudo sysctl -w kernel.unprivileged_userns_clone=1`.",
                })
            } else if is("user/max_user_namespaces", "0") {
                Some(Cause {
                    what: "user namespaces are switched off (user.max_user_namespaces is 0)",
                    remedy: "Raise it: `sudo sysctl -w user.max_user_namespaces=10000`.",
                })
            } else {
                Some(Cause {
                    what: "the kernel refuses namespaces and mounts here; this is probably a container itself",
                    remedy: "Start the container with `--security-opt seccomp=unconfined --security-opt \
                             systempaths=unconfined --security-opt apparmor=unconfined`, as an ordinary user \
                             (docs/ci.md), or run this outside of it.",
                })
            }
        }
        libc::ENOSYS | libc::EINVAL => Some(Cause {
            what: "the kernel is too old or was built without namespaces",
            remedy: "Linux 6.2 or newer is needed.",
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_named() {
        let with = |path: &'static str, value: &'static str| {
            move |asked: &str| (asked == path).then(|| format!("{value}\n"))
        };
        let what =
            |errno, read: &dyn Fn(&str) -> Option<String>| cause(Some(errno), read).map(|cause| cause.what);
        let apparmor = with("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1");
        assert!(what(libc::EACCES, &apparmor).unwrap().contains("AppArmor"));
        let none = with("", "");
        assert!(what(libc::ENOSPC, &none).unwrap().contains("max_user_namespaces"));
        assert!(what(libc::EPERM, &none).unwrap().contains("container itself"));
        assert_eq!(what(libc::EIO, &none), None);
    }
}
