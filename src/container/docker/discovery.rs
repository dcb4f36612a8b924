//! Where a daemon may answer, and which one does.
//!
//! The user's own variables are read at the front end alone and passed in: by the time a wrapper runs, the
//! environment may hold what an attacker put there.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::container::EngineError;

/// The places where a daemon is looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerEndpoints {
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    /// The variable that named it; none for the usual places.
    variable: Option<&'static str>,
    address: Address,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    /// A form that cannot be used, as it was written, and why.
    Refused(String, &'static str),
}

/// Why `tcp://` and `ssh://` cannot do, whatever the daemon behind them is.
const OTHER_KERNEL: &str =
    "jobs run on the descriptors of this machine's cargo, and those cannot cross to another kernel";

impl DockerEndpoints {
    /// From the variables of the user's own environment, as the front end found them at its start. A daemon
    /// that the user named is the only one that is asked; else the usual places are looked at.
    pub fn from_env_of_front_end(
        docker_host: Option<OsString>,
        container_host: Option<OsString>,
        xdg_runtime_dir: Option<OsString>,
    ) -> Self {
        let named: Vec<_> = [("DOCKER_HOST", docker_host), ("CONTAINER_HOST", container_host)]
            .into_iter()
            .filter_map(|(variable, value)| Some((variable, value.filter(|value| !value.is_empty())?)))
            .map(|(variable, value)| Candidate { variable: Some(variable), address: Address::parse(&value) })
            .collect();
        if !named.is_empty() {
            return Self { candidates: named };
        }
        let runtime = xdg_runtime_dir.map(PathBuf::from).filter(|directory| directory.is_absolute());
        let below = |name: &str| runtime.as_ref().map(|directory| directory.join(name));
        let usual = [
            Some(PathBuf::from("/var/run/docker.sock")),
            below("docker.sock"),
            below("podman/podman.sock"),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        let candidates = usual.into_iter().flatten();
        Self {
            candidates: candidates
                .map(|path| Candidate { variable: None, address: Address::Unix(path) })
                .collect(),
        }
    }

    /// The first socket that accepts a connection. Only the connection is tried: what listens may still not be
    /// a daemon.
    ///
    /// # Errors
    /// When none does: what was wrong with the most telling one, and what to do.
    pub(super) async fn listening(&self, patience: Duration) -> Result<PathBuf, EngineError> {
        let mut failures = Vec::new();
        for candidate in &self.candidates {
            let cause = match &candidate.address {
                Address::Refused(text, reason) => Cause::Refused(text.clone(), reason),
                Address::Unix(path) => match timeout(patience, UnixStream::connect(path)).await {
                    Ok(Ok(_)) => return Ok(path.clone()),
                    Ok(Err(error)) => Cause::of(path, &error),
                    Err(_) => Cause::Silent(path.clone()),
                },
            };
            failures.push((candidate, cause));
        }
        // A socket that is there and closed to us tells more than one that is missing.
        let telling = failures.iter().max_by_key(|(_, cause)| cause.rank());
        let mut error = match telling {
            Some((candidate, cause)) => cause.explain(candidate.variable, &self.to_string()),
            None => EngineError::unavailable("no place to look for a daemon"),
        };
        if !error.hints.iter().any(|hint| hint.contains("--engine native")) {
            error = error.hint("`--engine native` needs no daemon");
        }
        Err(error)
    }
}

impl fmt::Display for DockerEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, candidate) in self.candidates.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match &candidate.address {
                Address::Unix(path) => write!(f, "{separator}{}", path.display())?,
                Address::Refused(text, _) => write!(f, "{separator}{text}")?,
            }
        }
        Ok(())
    }
}

impl Address {
    fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let refused = |reason| Self::Refused(text.to_string_lossy().into_owned(), reason);
        let path = bytes.strip_prefix(b"unix://").unwrap_or(bytes);
        if path.first() == Some(&b'/') {
            return Self::Unix(PathBuf::from(OsStr::from_bytes(path)));
        }
        match bytes.split(|byte| *byte == b':').next() {
            Some(b"tcp" | b"http" | b"https" | b"ssh") => refused(OTHER_KERNEL),
            Some(b"npipe") => refused("named pipes are Windows'"),
            _ => refused("it is not of the form unix:///path"),
        }
    }
}

/// What was wrong with one place.
#[derive(Debug)]
enum Cause {
    Missing(PathBuf),
    Silent(PathBuf),
    Other(PathBuf, String),
    Denied(PathBuf),
    Refused(String, &'static str),
}

impl Cause {
    fn of(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing(path.into()),
            io::ErrorKind::ConnectionRefused => Self::Silent(path.into()),
            io::ErrorKind::PermissionDenied => Self::Denied(path.into()),
            _ => Self::Other(path.into(), error.to_string()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Missing(_) => 0,
            Self::Silent(_) => 1,
            Self::Other(..) => 2,
            Self::Denied(_) => 3,
            Self::Refused(..) => 4,
        }
    }

    fn explain(&self, variable: Option<&str>, all: &str) -> EngineError {
        let named = variable.map(|name| format!(" (from {name})")).unwrap_or_default();
        match self {
            Self::Missing(_) if variable.is_none() => {
                EngineError::unavailable(format!("no Docker or Podman daemon answers (looked at {all})"))
                    .hint("start one: `systemctl start docker`, or `systemctl --user start podman.socket`")
            }
            Self::Missing(path) => {
                EngineError::unavailable(format!("there is no socket {}{named}", path.display()))
                    .hint("start the daemon that listens there, or set the variable to another one")
            }
            Self::Silent(path) => {
                EngineError::unavailable(format!("no daemon listens on {}{named}", path.display()))
                    .hint("start it: `systemctl start docker`, or `systemctl --user start podman.socket`")
            }
            Self::Other(path, text) => {
                EngineError::unavailable(format!("cannot connect to {}{named}: {text}", path.display()))
            }
            Self::Denied(path) => {
                EngineError::unavailable(format!("permission denied to connect to {}{named}", path.display()))
                    .hint("rootless Docker and Podman need no permission: https://docs.docker.com/engine/security/rootless/")
                    .hint("`sudo usermod -aG docker $USER` and a new login give it, and with it the same power over this machine as root")
            }
            Self::Refused(text, reason) => {
                EngineError::unavailable(format!("cannot use the daemon at {text}{named}: {reason}"))
                    .hint("use a daemon on this machine by its Unix socket, or `--engine native`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(docker: &str, container: &str) -> DockerEndpoints {
        DockerEndpoints::from_env_of_front_end(
            Some(docker.into()),
            Some(container.into()),
            Some("/run/user/1".into()),
        )
    }

    #[test]
    fn what_the_user_named_is_the_only_place() {
        assert_eq!(endpoints("unix:///a.sock", "").to_string(), "/a.sock");
        assert_eq!(endpoints("", "unix:///b.sock").to_string(), "/b.sock");
        assert_eq!(endpoints("/a.sock", "unix:///b.sock").to_string(), "/a.sock, /b.sock");
    }

    #[test]
    fn without_a_name_the_usual_places_are_looked_at() {
        let usual = endpoints("", "").to_string();
        assert_eq!(
            usual,
            "/var/run/docker.sock, /run/user/1/docker.sock, /run/user/1/podman/podman.sock, \
             /run/podman/podman.sock"
        );
    }

    #[test]
    fn a_relative_runtime_directory_is_not_followed() {
        let endpoints = DockerEndpoints::from_env_of_front_end(None, None, Some("run".into()));
        assert_eq!(endpoints.to_string(), "/var/run/docker.sock, /run/podman/podman.sock");
    }

    #[test]
    fn another_machine_is_refused_with_the_reason() {
        for text in ["tcp://10.0.0.1:2375", "ssh://host", "npipe:////./pipe/docker", "docker.sock"] {
            assert!(matches!(Address::parse(OsStr::new(text)), Address::Refused(..)), "{text}");
        }
    }
}
