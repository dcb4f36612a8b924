//! What a daemon told an earlier command, so that a start need not ask again: to tell it, Docker runs programs.
//!
//! What is remembered decides how a container is asked for, and nothing about what is accepted: that is what came of
//! it ([`super::verify`]). Only the facts that ask for the most are kept, so that a daemon that has changed since then
//! fails that look and is asked again.

use std::hash::Hasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::connection::{Facts, Users};
use crate::container::enforced::boot_id;
use crate::container::spec::StableHasher;
use crate::project::put_json;

/// The record of the daemon behind one socket.
#[derive(Debug)]
pub(super) struct Record {
    file: PathBuf,
    /// Which daemon it is: nothing tells it exactly, and a new one mostly makes its socket anew.
    daemon: String,
}

#[derive(Serialize, Deserialize)]
struct Content {
    daemon: String,
    facts: Facts,
}

impl Record {
    /// The record of the daemon that listens at `socket`, in `directory`, which no job sees.
    ///
    /// # Errors
    /// When the socket is not there.
    pub fn of(directory: &Path, socket: &Path) -> io::Result<Self> {
        let found = socket.metadata()?;
        let daemon = format!(
            "{} {} {}/{} {}.{} {} {}",
            env!("CARGO_PKG_VERSION"),
            boot_id()?,
            found.dev(),
            found.ino(),
            found.ctime(),
            found.ctime_nsec(),
            found.uid(),
            socket.display()
        );
        let mut hasher = StableHasher::default();
        hasher.write(socket.as_os_str().as_bytes());
        Ok(Self { file: directory.join(format!("{:016x}.json", hasher.finish())), daemon })
    }

    /// What is remembered of this daemon.
    pub fn read(&self) -> Option<Facts> {
        let content: Content = serde_json::from_slice(&std::fs::read(&self.file).ok()?).ok()?;
        (content.daemon == self.daemon).then_some(content.facts)
    }

    /// Remembers `facts`, where they are such; otherwise nothing is remembered of it. What cannot be written is asked
    /// for again.
    pub fn keep(&self, facts: &Facts) {
        let asks_for_most = facts.abilities.limits && facts.abilities.users == Users::Same;
        let kept = if asks_for_most { self.write(facts) } else { Err(io::ErrorKind::Unsupported.into()) };
        if kept.is_err() {
            let _absent = std::fs::remove_file(&self.file);
        }
    }

    fn write(&self, facts: &Facts) -> io::Result<()> {
        put_json(&self.file, &Content { daemon: self.daemon.clone(), facts: facts.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::connection::{Abilities, Flavour};
    use super::*;

    fn facts(users: Users, limits: bool) -> Facts {
        Facts {
            flavour: Flavour::Docker,
            product: "Docker 1".into(),
            api: (1, 41),
            abilities: Abilities { users, limits },
        }
    }

    #[test]
    fn a_socket_that_was_made_anew_is_another_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, records) = (directory.path().join("d.sock"), directory.path().join("daemons"));
        let listener = UnixListener::bind(&socket).unwrap();
        let record = Record::of(&records, &socket).unwrap();
        assert_eq!(record.read(), None);
        record.keep(&facts(Users::Same, true));
        assert_eq!(Record::of(&records, &socket).unwrap().read(), Some(facts(Users::Same, true)));

        std::fs::write(&record.file, "{").unwrap();
        assert_eq!(record.read(), None);
        record.keep(&facts(Users::Same, true));

        drop(listener);
        std::fs::remove_file(&socket).unwrap();
        assert!(Record::of(&records, &socket).is_err());
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(Record::of(&records, &socket).unwrap().read(), None);
    }

    #[test]
    fn what_asks_for_less_is_never_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("d.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let record = Record::of(directory.path(), &socket).unwrap();
        for less in [facts(Users::RootIsCaller, true), facts(Users::Same, false)] {
            record.keep(&facts(Users::Same, true));
            record.keep(&less);
            assert_eq!(record.read(), None);
        }
    }
}
