//! A terminal for a job: a fresh pair of pseudo-terminals, so that no job holds the user's own.
//!
//! The job's end controls its session: Ctrl-C, Ctrl-Z and the window's size reach the job through it, as they
//! would without a container. While the job may read, the user's terminal is raw, and every byte goes to the
//! job's, whose settings decide what it means.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr,
    tcgetwinsize, tcsetattr, tcsetwinsize,
};

use super::foreground::{State, state};
use super::request::Request;

/// How many bytes are passed on at once.
const CHUNK: usize = 16 << 10;

/// How often the size and the owner of the user's terminal are looked at.
pub const LOOK: Duration = Duration::from_millis(100);

/// A job's terminal, seen from the broker.
#[derive(Debug)]
pub struct Terminal {
    /// The other end of the job's.
    master: File,
    /// The user's, as the job's wrapper has it.
    user: File,
    /// The wrapper: whoever is in its process group has the user's terminal when it has.
    wrapper: Pid,
    /// Whether the job may read.
    input: bool,
    raw: Option<Raw>,
    size: Winsize,
    /// When the user's terminal was looked at last.
    looked: Option<Instant>,
    /// What was typed and the job's terminal has not taken yet.
    typed: Vec<u8>,
    /// Signals that the wrapper will pass on, and that the job has got by its terminal.
    expected: Vec<i32>,
    /// Whether the job's end is closed.
    closed: bool,
}

impl Terminal {
    /// A terminal for the job of a request, if one of its descriptors is one: with the job's end.
    ///
    /// # Errors
    /// When none can be had.
    pub fn of(request: &Request, wrapper: Option<Pid>) -> io::Result<Option<(Self, OwnedFd)>> {
        let terminals: Vec<&(i32, OwnedFd)> =
            request.descriptors.iter().filter(|(number, own)| *number < 3 && isatty(own)).collect();
        let (Some((first, user)), Some(wrapper)) = (terminals.first(), wrapper) else { return Ok(None) };
        let input = *first == 0;
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let job = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(user)?;
        if !input {
            // The user's own does it, which stays as it is.
            settings.output_modes.remove(OutputModes::OPOST);
        }
        tcsetattr(&job, OptionalActions::Now, &settings)?;
        let size = tcgetwinsize(user)?;
        tcsetwinsize(&job, size)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let terminal = Self {
            master: master.into(),
            user: user.try_clone()?.into(),
            wrapper,
            input,
            raw: None,
            size,
            looked: None,
            typed: Vec::new(),
            expected: Vec::new(),
            closed: false,
        };
        Ok(Some((terminal, job)))
    }

    /// What to wait for: the job's end and the user's.
    pub fn waits(&self) -> [(BorrowedFd<'_>, PollFlags); 2] {
        let mut job = if self.closed { PollFlags::empty() } else { PollFlags::IN };
        let mut user = PollFlags::empty();
        if !self.typed.is_empty() {
            job |= PollFlags::OUT;
        } else if self.raw.is_some() {
            user = PollFlags::IN;
        }
        [(self.master.as_fd(), job), (self.user.as_fd(), user)]
    }

    /// Passes on what has come, and now and then follows the user's terminal: its size, and who has it. To be called
    /// when one of [`waits`](Self::waits) is ready, and every [`LOOK`].
    ///
    /// # Errors
    /// When the user's terminal is gone.
    pub fn pump(&mut self, job: PollFlags, user: PollFlags) -> io::Result<()> {
        // Not for each piece of what a job says.
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.follow();
        }
        if job.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && !self.closed {
            self.show()?;
        }
        if job.contains(PollFlags::OUT) {
            self.type_in();
        }
        if user.intersects(PollFlags::IN) && self.typed.is_empty() && self.raw.is_some() {
            self.take_typed()?;
        }
        Ok(())
    }

    /// Shows what is left. The job is dead.
    pub fn finish(&mut self) {
        while !self.closed && self.show().is_ok_and(|came| came) {}
        self.raw = None;
    }

    /// Whether a signal that the wrapper passes on is one that the job has got already.
    pub fn has_sent(&mut self, signal: i32) -> bool {
        let found = self.expected.iter().position(|expected| *expected == signal);
        found.map(|index| self.expected.swap_remove(index)).is_some()
    }

    /// The job was stopped by its terminal: so is everything that has the user's, and the shell comes back.
    /// Returns when the wrapper goes on.
    pub fn suspend(&mut self) {
        let pause = || std::thread::sleep(Duration::from_millis(20));
        self.raw = None;
        let Some(State { group, .. }) = state(self.wrapper) else { return };
        let _ = rustix::process::kill_process_group(group, Signal::TSTP);
        // It takes a moment until all have stopped; the front end may be among them.
        for _ in 0..10 {
            if state(self.wrapper).is_none_or(|state| state.stopped) {
                break;
            }
            pause();
        }
        while state(self.wrapper).is_some_and(|state| state.stopped) {
            pause();
        }
        self.follow();
    }

    /// Raw while the wrapper's process group has the user's terminal; the same size.
    fn follow(&mut self) {
        self.looked = Some(Instant::now());
        let foreground = self.input && state(self.wrapper).is_some_and(|state| state.foreground);
        if !foreground {
            self.raw = None;
        } else if !self.raw.as_ref().is_some_and(Raw::holds) {
            self.raw = Raw::set(&self.user);
        }
        if let Ok(size) = tcgetwinsize(&self.user)
            && (size.ws_row, size.ws_col) != (self.size.ws_row, self.size.ws_col)
        {
            let _ = tcsetwinsize(&self.master, size);
            self.size = size;
        }
    }

    /// Returns whether anything came.
    fn show(&mut self) -> io::Result<bool> {
        let mut bytes = [0; CHUNK];
        match self.master.read(&mut bytes) {
            Ok(count) if count > 0 => self.user.write_all(&bytes[..count]).map(|()| true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(false)
            }
            // EIO: nobody has the job's end open any more.
            _ => {
                self.closed = true;
                Ok(false)
            }
        }
    }

    fn take_typed(&mut self) -> io::Result<()> {
        let mut bytes = [0; CHUNK];
        let count = match self.user.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        self.typed.extend_from_slice(&bytes[..count]);
        self.signal_others(&bytes[..count]);
        self.type_in();
        Ok(())
    }

    /// Ctrl-C is for everything that has the terminal: cargo as well.
    fn signal_others(&mut self, typed: &[u8]) {
        let Ok(settings) = tcgetattr(&self.master) else { return };
        if !settings.local_modes.contains(LocalModes::ISIG) {
            return;
        }
        for (code, signal) in
            [(SpecialCodeIndex::VINTR, Signal::INT), (SpecialCodeIndex::VQUIT, Signal::QUIT)]
        {
            let key = settings.special_codes[code];
            if key != 0
                && typed.contains(&key)
                && let Some(State { group, .. }) = state(self.wrapper)
            {
                self.expected.push(signal.as_raw());
                let _ = rustix::process::kill_process_group(group, signal);
            }
        }
    }

    fn type_in(&mut self) {
        match self.master.write(&self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // Nobody will read it.
            Err(_) => self.typed.clear(),
        }
    }
}

/// What the user's terminal was before it was raw, so that it can be put back whoever ends first.
#[derive(Debug)]
struct Before {
    user: OwnedFd,
    settings: Termios,
    /// Which [`Raw`] it belongs to.
    number: u64,
}

static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

/// A user's terminal that is raw for as long as this lives, or until [`restore`].
#[derive(Debug)]
struct Raw(u64);

impl Raw {
    /// `None` where it cannot be set, or is set already: one job types at a time.
    fn set(user: &File) -> Option<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let mut before = before();
        if before.is_some() {
            return None;
        }
        let settings = tcgetattr(user).ok()?;
        let kept = user.as_fd().try_clone_to_owned().ok()?;
        let mut raw = settings.clone();
        raw.make_raw();
        tcsetattr(user, OptionalActions::Drain, &raw).ok()?;
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        *before = Some(Before { user: kept, settings, number });
        Some(Self(number))
    }

    fn holds(&self) -> bool {
        before().as_ref().is_some_and(|before| before.number == self.0)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if self.holds() {
            restore();
        }
    }
}

fn before() -> MutexGuard<'static, Option<Before>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the user's terminal back. Called before this process stops, or ends while a job may still run.
pub fn restore() {
    if let Some(Before { user, settings, .. }) = before().take() {
        let _ = tcsetattr(user, OptionalActions::Drain, &settings);
    }
}
