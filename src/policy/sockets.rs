//! Unix sockets of this machine that a policy can grant, and those that none can.
//!
//! A socket is a way to whatever listens there, with the user's own rights. So what is refused by name is what would act
//! for the user: engines of containers, agents that hold keys, the desktop, the system's own services.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use serde::de::Deserializer;

use super::paths::{PathRight, Places};
use super::words::word;

/// Longest path of a socket: `sun_path` of `struct sockaddr_un` (unix(7)) without the zero byte at its end.
const LONGEST: usize = 107;

/// What of `/run` can be granted: the directories in which databases have their sockets. All else there is the system's, or
/// a session's.
const OF_RUN: &[&str] = &[
    "postgresql",
    "pgbouncer",
    "pgpool",
    "mysqld",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "memcached",
    "mongodb",
];

/// Parts of a path that no granted one has, in any place: whole ones, and beginnings where a `*` ends them.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "docker",
            ".docker",
            "docker.*",
            "containerd",
            "containerd.*",
            "podman",
            "podman.*",
            "podman-machine*",
            "buildkit",
            "buildkitd.*",
            "crio",
            "lxd",
            "incus",
        ],
        "an engine of containers listens there",
    ),
    (&["libvirt"], "an engine of virtual machines listens there"),
    (
        &["ssh-*", "agent.*", "S.*", ".gnupg", "gnupg", "keyring", "keyring-*", "keyrings"],
        "an agent that holds keys or passwords listens there",
    ),
    (&["dbus", "dbus-*", "bus", "system_bus_socket"], "a message bus listens there"),
    (&[".X11-unix", ".ICE-unix", "wayland-*", "pulse", "pulse-*", "pipewire-*"], "the desktop listens there"),
    (&["systemd", "nscd", "daemon-socket"], "the system's own services listen there"),
    (&["tmux-*", "vscode-*"], "a terminal or an editor listens there"),
];

/// The path of a Unix socket: absolute, and written in one way only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketPath(PathBuf);

impl SocketPath {
    /// The path; `/var/run` is `/run`, as it is everywhere since 2011 (Filesystem Hierarchy Standard 3.0).
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl FromStr for SocketPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |reason: &str| Err(format!("`{text}` {reason}"));
        if !text.starts_with('/') || text.contains(['\0', '$']) {
            return wrong("is no absolute path of a Unix socket");
        }
        let text = match text.strip_prefix("/var/run/") {
            Some(below) => format!("/run/{below}"),
            None => text.to_owned(),
        };
        let parts = || text.split('/').skip(1);
        if parts().any(|part| part.is_empty() || part == "." || part == "..") {
            return wrong("is not written out: no `.`, no `..` and no second `/`");
        }
        if text.len() > LONGEST {
            return wrong("is longer than the path of a socket can be");
        }
        let is = |part: &str, name: &str| match name.strip_suffix('*') {
            Some(start) => part.starts_with(start),
            None => part == name,
        };
        if let Some((_, why)) =
            REFUSED.iter().find(|(names, _)| parts().any(|part| names.iter().any(|name| is(part, name))))
        {
            return wrong(&format!("is no policy's to grant: {why}"));
        }
        let mut parts = parts();
        if parts.next() == Some("run")
            && !(parts.next().is_some_and(|name| OF_RUN.contains(&name)) && parts.next().is_some())
        {
            return wrong(&format!(
                "is no policy's to grant: of `/run` only the sockets of databases are\n\nhint: they are in {}",
                OF_RUN.join(", ")
            ));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for SocketPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

impl Places {
    /// Whether a socket can be granted, whether or not it is there.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn judge_socket(&self, socket: &SocketPath) -> Result<(), String> {
        let path = socket.path();
        let directory = path.parent().unwrap_or(path);
        // What is mounted there in a job must cover nothing else that is shown.
        if let Some(shown) =
            [&self.root, &self.target_dir, &self.home, &self.cargo_home, &self.sysroot].into_iter().find(
                |shown| shown.starts_with(directory) && *shown != directory && directory != Path::new("/tmp"),
            )
        {
            return Err(format!("is in a directory that has `{}` in it", shown.display()));
        }
        if directory == self.home || directory == Path::new("/") {
            return Err(
                "is in your home directory itself, or in the root: a directory of its own is needed".into()
            );
        }
        if !path.starts_with("/run") {
            self.allow(path, PathRight::Read)?;
        }
        // The nearest directory that is there.
        let there = directory.ancestors().find(|path| path.symlink_metadata().is_ok());
        if let Some(there) = there
            && let Ok(real) = there.canonicalize()
            && real != there
        {
            return Err(format!("leads to `{}` by a symbolic link: name that", real.display()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_for_the_user_is_no_policys_to_grant() {
        for text in [
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/user/1000/bus",
            "/run/user/1000/podman/podman.sock",
            "/run/user/1000/gnupg/S.gpg-agent",
            "/run/containerd/containerd.sock",
            "/run/dbus/system_bus_socket",
            "/run/systemd/private",
            "/run/nscd/socket",
            "/run/snapd.socket",
            "/run/postgresql",
            "/tmp/ssh-XXXX/agent.1",
            "/tmp/.X11-unix/X0",
            "/home/me/.docker/run/docker.sock",
            "/home/me/.colima/default/docker.sock",
        ] {
            let error = text.parse::<SocketPath>().unwrap_err();
            assert!(error.contains("no policy's to grant"), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_is_written_in_one_way() {
        for text in
            ["", "x", "~/x", "/a/../b", "/a//b", "/a/./b", "/a/", "/a/$X", &format!("/{}", "x".repeat(107))]
        {
            assert!(text.parse::<SocketPath>().is_err(), "{text}");
        }
        let path = "/var/run/postgresql/.s.PGSQL.5432".parse::<SocketPath>().unwrap();
        assert_eq!(path.path(), Path::new("/run/postgresql/.s.PGSQL.5432"));
        assert!("/srv/db/.s.PGSQL.5432".parse::<SocketPath>().is_ok());
        assert!("/tmp/mysql.sock".parse::<SocketPath>().is_ok());
    }

    #[test]
    fn its_directory_is_itself_and_covers_nothing() {
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = base.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("db")).unwrap();
        std::os::unix::fs::symlink(base.join("db"), base.join("link")).unwrap();
        let places = Places {
            root: base.join("home/project"),
            target_dir: base.join("home/project/target"),
            home: base.join("home"),
            ..Places::default()
        };
        let judge = |text: &str| places.judge_socket(&base.join(text).to_str().unwrap().parse().unwrap());
        assert_eq!(judge("db/s"), Ok(()));
        assert_eq!(judge("not/there/s"), Ok(()));
        assert_eq!(judge("home/project/db/s"), Ok(()));
        for (text, word) in
            [("s", "has"), ("home/s", "has"), ("link/s", "name that"), ("home/.ssh/s", "credentials")]
        {
            let error = judge(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
