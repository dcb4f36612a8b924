//! Where the store is that an evaluation builds into, and that jobs read.
//!
//! Who writes a store that programs of the user's are started from, nix itself among them, runs what he likes on the host. So
//! what an expression builds goes into a store that belongs to one project, or through Nix's daemon, which builds as users of its
//! own in its own sandbox and lets nobody else write.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::container::spec::Mount;
use crate::project::private_directory;

/// Where every store is seen: its paths are in all that is built.
pub const STORE: &str = "/nix/store";

/// The directory of the daemon's socket.
pub const SOCKETS: &str = "/nix/var/nix/daemon-socket";

/// The daemon's configuration.
const CONFIGURATION: &str = "/etc/nix/nix.conf";

/// How many files may include each other.
const MOST_INCLUDED: usize = 10;

/// A store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// The machine's, which the daemon writes.
    Daemon,
    /// The project's own, `store` and `var` of it.
    Own(PathBuf),
}

impl Store {
    /// The store of a project that keeps its own in `directory`.
    ///
    /// # Errors
    /// When nix is in a store that no daemon serves: another one in its place would hide nix itself.
    pub fn find(directory: &Path, nix: &Path) -> anyhow::Result<Self> {
        let socket = Path::new(SOCKETS).join("socket");
        // An ordinary user who can write the store is whom a daemon is not there for.
        if socket.symlink_metadata().is_ok_and(|socket| socket.file_type().is_socket()) {
            if let Some(setting) = unconfined(Path::new(CONFIGURATION), 0) {
                bail!(
                    "`{CONFIGURATION}` says `{setting}`, so that Nix's daemon runs what an expression builds on this machine as \
                     it is\n\nhint: `sandbox = true` there"
                );
            }
            return Ok(Self::Daemon);
        }
        if nix.starts_with(STORE) {
            bail!(
                "`{}` is in a store that no daemon serves (a single-user installation): what an expression builds there \
                 could take the place of programs that you run\n\nhint: install Nix with its daemon (multi-user), or the \
                 package of your distribution",
                nix.display()
            );
        }
        Ok(Self::Own(directory.join("root")))
    }

    /// The own store of a project that keeps it in `directory`, where it has one.
    pub fn existing(directory: &Path) -> Option<Self> {
        let own = directory.join("root");
        let is_there = own.join("store").symlink_metadata().is_ok_and(|store| store.is_dir());
        is_there.then_some(Self::Own(own))
    }

    /// Makes what is not there yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> io::Result<()> {
        let Self::Own(root) = self else { return Ok(()) };
        private_directory(root)?;
        for name in ["store", "var"] {
            private_directory(&root.join(name))?;
        }
        Ok(())
    }

    /// How an evaluation sees it: what may be written, and what is only read. Each directory is a mount of its own, so that
    /// nothing that is evaluated can put a link in its place.
    pub fn mounts(&self) -> Vec<Mount> {
        match self {
            Self::Daemon => vec![Mount::read_only(STORE), Mount::read_only(SOCKETS)],
            Self::Own(root) => {
                let own = |name: &str| Mount {
                    source: root.join(name),
                    target: Path::new("/nix").join(name),
                    writable: true,
                };
                vec![own("store"), own("var")]
            }
        }
    }

    /// How jobs see it.
    pub fn mount(&self) -> Mount {
        match self {
            Self::Daemon => Mount::read_only(STORE),
            Self::Own(root) => Mount { source: root.join("store"), target: STORE.into(), writable: false },
        }
    }
}

/// The setting of a configuration by which the daemon builds outside of its sandbox: all, or what asks for that. It is on where
/// nothing is said.
fn unconfined(file: &Path, depth: usize) -> Option<String> {
    let text = std::fs::read_to_string(file).ok().filter(|_| depth < MOST_INCLUDED)?;
    let mut found = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["include" | "!include", name, ..] => {
                let included = file.parent().unwrap_or(Path::new("/")).join(name);
                found = unconfined(&included, depth + 1).or(found);
            }
            // Each of its names.
            [name @ ("sandbox" | "build-use-sandbox" | "build-use-chroot"), "=", value, ..] => {
                found = (value != "true").then(|| format!("{name} = {value}"));
            }
            _ => {}
        }
    }
    found
}

/// Lets what lies in `directory` be removed by its owner: nobody can write the directories of a store.
pub fn make_removable(directory: &Path) {
    let Ok(metadata) = directory.symlink_metadata() else { return };
    if !metadata.is_dir() {
        return;
    }
    let _left = std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        make_removable(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nix_in_a_store_of_nobodys_is_refused() {
        if Path::new(SOCKETS).exists() {
            return;
        }
        let own = Store::find(Path::new("/d"), Path::new("/usr/bin/nix")).unwrap();
        assert_eq!(own, Store::Own("/d/root".into()));
        assert_eq!(own.mount().source, Path::new("/d/root/store"));
        let error = Store::find(Path::new("/d"), Path::new("/nix/store/x-nix/bin/nix")).unwrap_err();
        assert!(error.to_string().contains("single-user"), "{error}");
    }

    #[test]
    fn a_daemon_without_its_sandbox_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nix.conf");
        for (text, expected) in [
            ("", None),
            ("sandbox = true\ncores = 2\n", None),
            ("# sandbox = false\n", None),
            ("sandbox = false\n", Some("sandbox = false")),
            ("  sandbox   =  relaxed # some\n", Some("sandbox = relaxed")),
            ("build-use-sandbox = false\n", Some("build-use-sandbox = false")),
            ("sandbox = false\nsandbox = true\n", None),
            ("!include other.conf\n", Some("sandbox = false")),
            ("include other.conf\nsandbox = true\n", None),
            ("include nix.conf\n", None),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::write(directory.path().join("other.conf"), "sandbox = false\n").unwrap();
            assert_eq!(unconfined(&file, 0).as_deref(), expected, "{text}");
        }
        assert_eq!(unconfined(&directory.path().join("none"), 0), None);
    }

    #[test]
    fn a_store_can_be_removed() {
        let parent = tempfile::tempdir().unwrap();
        let (store, path) = (parent.path().join("store"), parent.path().join("store/a/b"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        for directory in [&path, &path.parent().unwrap().to_owned(), &store] {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o555)).unwrap();
        }
        make_removable(&store);
        std::fs::remove_dir_all(&store).unwrap();
    }
}
