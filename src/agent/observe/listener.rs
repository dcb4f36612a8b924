//! The listener: takes each call that the kernel asks about, notes it, and has the kernel go on.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::calls::{Meaning, Named, meaning};
use super::event::{Act, Event, MAX_RECORD, Reach};
use super::memory::{Memories, base};
use super::network::{self, DNS};
use crate::agent::seccomp::Filter;

/// Most different events that are kept in mind.
const MOST_EVENTS: usize = 50_000;

/// Longest path that is kept in mind as it was named.
const MAX_NAMED: usize = 256;

/// Longest data for a socket that is looked at.
const MAX_PACKET: usize = 512;

/// How often the end of the job is looked for where the kernel does not say it.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Wakes the other side on the same processor (Linux 6.6): each waits for the other anyway.
const SYNC_WAKE_UP: u64 = 1;

/// What `SECCOMP_USER_NOTIF_FLAG_CONTINUE` is in an answer.
const GO_ON: u32 = 1;

/// One job's listener, and what it has noted.
pub struct Listener {
    listener: OwnedFd,
    ordinary: Filter,
    record: File,
    written: usize,
    told: HashSet<Event>,
    /// Paths as they were named, of which all is told already.
    named: HashSet<(Act, Vec<u8>)>,
    memories: Memories,
    /// Sockets of threads that lead to a name server.
    resolvers: HashSet<(u32, i32)>,
    /// Whether the job's own program was executed; what comes before is this tool's.
    begun: bool,
}

impl Listener {
    /// A listener that decides what is refused as `ordinary` does.
    pub fn new(listener: OwnedFd, ordinary: Filter, record: File) -> Self {
        Self {
            listener,
            ordinary,
            record,
            written: 0,
            told: HashSet::new(),
            named: HashSet::new(),
            memories: Memories::default(),
            resolvers: HashSet::new(),
            begun: false,
        }
    }

    /// Serves until no process has the filter any more. `over` says that none can be left.
    pub fn serve(mut self, over: &AtomicBool) {
        // SAFETY: takes a number by value. An older kernel refuses, and wakes as it always has.
        unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        loop {
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut fds, Some(&LOOK)) {
                Ok(0) if over.load(Ordering::Relaxed) => return,
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return,
            }
            let found = fds[0].revents();
            if found.contains(PollFlags::IN) {
                self.answer();
            } else if found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                return;
            }
        }
    }

    fn answer(&mut self) {
        // SAFETY: all zeroes is what the kernel wants to find there.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one `struct seccomp_notif`, which lives here.
        let taken =
            unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
        if taken != 0 {
            // Who asked is dead by now.
            return;
        }
        let refused = self.ordinary.refuses(&asked.data);
        let mut answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error: 0, flags: GO_ON };
        match refused {
            Some(errno) => {
                (answer.error, answer.flags) = (-errno, 0);
                self.tell(Event::Refused { number: asked.data.nr.into(), errno });
            }
            // Before the answer: the arguments are there as long as the caller waits.
            None if self.begun => self.note(asked.pid, &asked.data),
            // The first call that is asked about.
            None => self.begun = true,
        }
        // SAFETY: the kernel reads one `struct seccomp_notif_resp`, which lives here. It fails where who asked is dead.
        unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }

    fn note(&mut self, thread: u32, data: &libc::seccomp_data) {
        match meaning(data.nr.into(), data.args) {
            Meaning::Files(files) => files.into_iter().for_each(|named| self.file(thread, named)),
            Meaning::Program(named, argv) => {
                let argv = self.memories.strings(thread, argv);
                if let Some((path, found)) = self.place(thread, named) {
                    self.tell(Event::Program { path, argv, found });
                }
                self.memories.forget(thread);
            }
            Meaning::Address(reach, socket, at, length) => self.address(thread, socket, reach, (at, length)),
            Meaning::Send(socket, packet, to) => {
                self.address(thread, socket, Reach::Connect, to);
                self.packet(thread, socket, packet);
            }
            Meaning::SendMany(socket, headers, count) => {
                if !self.resolvers.contains(&(thread, socket)) {
                    return;
                }
                let length = usize::try_from(count.min(4)).unwrap_or(0) * 64;
                let headers = self.memories.bytes(thread, headers, length).unwrap_or_default();
                for (buffers, count) in network::buffers(&headers) {
                    if let Some(first) = self.memories.bytes(thread, buffers, 16).filter(|_| count > 0) {
                        let of = |range: std::ops::Range<usize>| first.get(range).map(super::memory::number);
                        if let (Some(at), Some(length)) = (of(0..8), of(8..16)) {
                            self.packet(thread, socket, (at, length));
                        }
                    }
                }
            }
            Meaning::Nothing => {}
        }
    }

    fn file(&mut self, thread: u32, named: Named) {
        let Some(text) = self.memories.string(thread, named.text) else { return };
        if text.starts_with(b"/") && self.named.contains(&(named.act, text.clone())) {
            return;
        }
        let Some((path, found)) = resolved(thread, &text, named) else { return };
        self.tell(Event::File { act: named.act, path, found });
        // One that was not there may be, the next time.
        if found && text.starts_with(b"/") && text.len() <= MAX_NAMED && self.named.len() < MOST_EVENTS {
            self.named.insert((named.act, text));
        }
    }

    fn place(&mut self, thread: u32, named: Named) -> Option<(Vec<u8>, bool)> {
        let text = self.memories.string(thread, named.text)?;
        resolved(thread, &text, named)
    }

    fn address(&mut self, thread: u32, socket: i32, reach: Reach, (at, length): (u64, u64)) {
        // sockaddr_un is the longest that is looked at.
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(128);
        if at == 0 || length == 0 {
            return;
        }
        let bytes = self.memories.bytes(thread, at, length);
        let Some((address, port)) = bytes.as_deref().and_then(network::address) else { return };
        match port {
            Some(DNS) => {
                if self.resolvers.len() < MOST_EVENTS {
                    self.resolvers.insert((thread, socket));
                }
            }
            _ => {
                self.resolvers.remove(&(thread, socket));
            }
        }
        self.tell(Event::Address { reach, address });
    }

    fn packet(&mut self, thread: u32, socket: i32, (at, length): (u64, u64)) {
        if self.resolvers.contains(&(thread, socket)) {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_PACKET);
            let bytes = self.memories.bytes(thread, at, length);
            if let Some(name) = bytes.as_deref().and_then(network::queried) {
                self.tell(Event::Lookup(name));
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if self.written >= MAX_RECORD || self.told.contains(&event) {
            return;
        }
        let event = if self.told.len() >= MOST_EVENTS { Event::Full } else { event };
        match write(&self.record, &event) {
            Ok(length) => self.written += length,
            Err(_) => self.written = MAX_RECORD,
        }
        if event == Event::Full || self.written >= MAX_RECORD {
            self.written = MAX_RECORD;
            let _full = write(&self.record, &Event::Full);
        } else {
            self.told.insert(event);
        }
    }
}

/// Writes one event at the end of a record; returns its length.
pub fn write(mut record: &File, event: &Event) -> io::Result<usize> {
    let bytes = postcard::to_stdvec(event).map_err(io::Error::other)?;
    record.write_all(&bytes)?;
    Ok(bytes.len())
}

/// Where a path leads, as this process sees it, which has the job's mounts; and whether something is there.
fn resolved(thread: u32, text: &[u8], named: Named) -> Option<(Vec<u8>, bool)> {
    if text.is_empty() {
        // The descriptor itself (`AT_EMPTY_PATH`), which was opened before: told for a program alone.
        let path = base(thread, named.base).filter(|_| named.base != libc::AT_FDCWD)?;
        return (named.act != Act::Look).then_some((path, true));
    }
    let mut path = PathBuf::new();
    if !text.starts_with(b"/") {
        path.push(std::ffi::OsStr::from_bytes(&base(thread, named.base)?));
    }
    path.push(std::ffi::OsStr::from_bytes(text));
    // What is there depends on who looks.
    if ["/proc", "/dev", "/sys"].iter().any(|special| path.starts_with(special)) {
        return Some((clean(&path), true));
    }
    let follow = if named.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    match openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC | follow, Mode::empty()) {
        Ok(file) => {
            let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
            Some((real.map_or_else(|_| clean(&path), |real| real.into_os_string().into_vec()), true))
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Some((clean(&path), false)),
        Err(_) => Some((clean(&path), true)),
    }
}

/// A path without `.` and `..`, by its words alone.
fn clean(path: &Path) -> Vec<u8> {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean.into_os_string().into_vec()
}
