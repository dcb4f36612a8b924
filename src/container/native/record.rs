//! What a container leaves in its directory, so that other commands can find and end it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::procstat::behind_name;
use serde::{Deserialize, Serialize};

use super::cgroup::Cgroup;

/// Written while the container runs.
const RECORD: &str = "container.json";

/// Written at its end, when that was not its own wish: one line.
pub const POST_MORTEM: &str = "post-mortem";

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The keeper.
    pub pid: i32,
    /// When it started, in the kernel's ticks: tells it from a later process with its number.
    pub start_time: u64,
    /// The spec's project.
    pub project: String,
    /// The spec's project root, for people.
    pub project_root: String,
    /// The spec's container name.
    pub name: String,
    /// Where its limits are.
    pub cgroup: Cgroup,
}

impl Record {
    /// Reads the record in a container's directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(directory: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(directory.join(RECORD))?).map_err(io::Error::other)
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// When the directory does not take it.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let temporary = directory.join(".container.json");
        fs::write(&temporary, serde_json::to_vec(self).map_err(io::Error::other)?)?;
        fs::rename(temporary, directory.join(RECORD))
    }

    /// Whether the keeper runs.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// The keeper, if it runs.
    pub fn open(&self) -> Option<OwnedFd> {
        let process = super::open_process(self.pid)?;
        // Looked at after it was opened: the number cannot change its process any more.
        self.is_alive().then_some(process)
    }

    /// Removes the record if it is this one: a new container may have been made meanwhile.
    pub fn clear(&self, directory: &Path) {
        if Self::read(directory)
            .is_ok_and(|found| found.pid == self.pid && found.start_time == self.start_time)
        {
            let _ = fs::remove_file(directory.join(RECORD));
        }
    }
}

/// When a process started; `None` when it is gone or only waits to be reaped.
pub fn start_time(pid: i32) -> Option<u64> {
    parse_start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `/proc/<pid>/stat`. The name in field 2 is free text in parentheses.
fn parse_start_time(stat: &str) -> Option<u64> {
    let mut fields = behind_name(stat)?;
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_forge_a_start_time() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_start_time(&format!("7 (a) b) {rest}")), Some(4711));
        assert_eq!(parse_start_time(&format!("7 (a) {}", rest.replacen('S', "Z", 1))), None);
    }

    #[test]
    fn this_process_has_started() {
        assert!(start_time(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
