//! What is told of an observed job: one frame per event, as [postcard] writes it.
//!
//! The broker reads what a process inside of the container wrote, so that nothing in it is believed beyond what it is:
//! a record.

use serde::{Deserialize, Serialize};

/// How closely a job is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closeness {
    /// What it opens, changes, starts and connects to.
    Record,
    /// Also what it only looks for: what is hidden from it shows in nothing else.
    Refusals,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    /// Its content, or a directory's list, is read.
    Read,
    /// It is made or changed.
    Write,
    /// It is made, and is a directory.
    Make,
    /// It is removed, or moved away.
    Remove,
    /// Whether it is there is asked for.
    Look,
}

/// What is done with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reach {
    /// A connection, or where datagrams go.
    Connect,
    /// Waiting for others.
    Listen,
}

/// One thing that a job asked the kernel for, when it was asked for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// A program was to be executed.
    Program {
        /// Where it is, without links where it is there.
        path: Vec<u8>,
        /// Its arguments, the first one included; as many as are kept.
        argv: Vec<Vec<u8>>,
        /// Whether it was there.
        found: bool,
    },
    /// A file.
    File {
        /// What for.
        act: Act,
        /// Where it is, without links where it is there.
        path: Vec<u8>,
        /// Whether it was there.
        found: bool,
    },
    /// An address: `192.0.2.1:443`, `[::1]:80`, `unix:/path`, `unix:@abstract`.
    Address {
        /// What for.
        reach: Reach,
        /// Which.
        address: String,
    },
    /// A name that was looked up (DNS).
    Lookup(String),
    /// A system call that the filter refuses.
    Refused {
        /// Its number on this architecture.
        number: i64,
        /// The error that the job got.
        errno: i32,
    },
    /// The record is full; what comes after it is missing.
    Full,
    /// The job is over. Comes last.
    End {
        /// Processor time in user mode, in microseconds.
        user: u64,
        /// And in the kernel.
        system: u64,
        /// The most memory that one of its processes had, in bytes.
        peak: u64,
    },
}

/// Longest record that is written and read, in bytes.
pub const MAX_RECORD: usize = 16 << 20;

/// The events of a record. What comes behind something that is no event is left out.
pub fn read(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Ok((event, rest)) = postcard::take_from_bytes(bytes) {
        events.push(event);
        bytes = rest;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_and_what_is_none_ends_them() {
        let events = [
            Event::File { act: Act::Read, path: b"/etc/hosts".to_vec(), found: true },
            Event::Lookup("example.org".into()),
            Event::End { user: 1, system: 2, peak: 3 },
        ];
        let mut bytes: Vec<u8> =
            events.iter().flat_map(|event| postcard::to_stdvec(event).unwrap()).collect();
        assert_eq!(read(&bytes), events);
        bytes.extend([0xff; 8]);
        assert_eq!(read(&bytes), events);
        assert_eq!(read(&bytes[..bytes.len() - 9]).len(), 2);
        assert!(read(b"").is_empty());
    }
}
