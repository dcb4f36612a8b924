//! cargo's standard error on its way to the user.
//!
//! Where cargo shows a command line (`Running …`, `process didn't exit successfully: …`), it names the wrapper that it
//! starts. What a user of cargo would see there is put in its place; nothing else is changed. Where the user has a
//! terminal, cargo has one, too: colours, progress and the width of lines are decided as ever.
//!
//! The project's programs get the user's own descriptor, after everything that cargo has said before them
//! ([`CargoStderr::step_aside`]): what they and cargo say keeps its order.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fstat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    OptionalActions, OutputModes, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::broker::identify::role;

const CHUNK: usize = 16 * 1024;

/// How often the size of the user's terminal is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How long a terminal may take to hand on what was written to it, which the kernel does in a thread of its own.
const HANDED_ON: Timespec = Timespec { tv_sec: 0, tv_nsec: 3_000_000 };

/// What cargo writes to in place of the user's standard error.
#[derive(Debug)]
pub struct CargoStderr {
    /// cargo's end, by which it is known again.
    end: OwnedFd,
    terminal: bool,
    passing: Mutex<Passing>,
}

/// What is on its way.
#[derive(Debug)]
struct Passing {
    /// `None` when the user's standard error takes nothing any more: cargo hears of it as it would have.
    from: Option<File>,
    to: File,
    replaced: Replaced,
}

impl CargoStderr {
    /// Takes the place of this process's standard error for a cargo that is told to start the wrapper in `bin` for the
    /// toolchain in `sysroot`.
    ///
    /// # Errors
    /// When no descriptor or no thread can be had.
    pub fn start(bin: &Path, sysroot: &Path) -> io::Result<Arc<Self>> {
        let user = rustix::stdio::stderr().try_clone_to_owned()?;
        let terminal = isatty(&user);
        let (from, end) = if terminal { terminal_like(&user)? } else { pipe_with(PipeFlags::CLOEXEC)? };
        rustix::io::ioctl_fionbio(&from, true)?;
        let watched: File = from.try_clone()?.into();
        let passing =
            Passing { from: Some(from.into()), to: user.into(), replaced: Replaced::new(bin, sysroot) };
        let own = Arc::new(Self { end, terminal, passing: Mutex::new(passing) });
        let passed = Arc::clone(&own);
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || passed.pass_on(&watched))?;
        Ok(own)
    }

    /// cargo's end.
    ///
    /// # Errors
    /// When no descriptor can be had.
    pub fn end(&self) -> io::Result<OwnedFd> {
        self.end.try_clone()
    }

    /// Passes on what cargo has said so far.
    pub fn settle(&self) {
        let mut passing = self.passing();
        passing.pass();
        while self.terminal
            && passing.from.as_ref().is_some_and(|from| is_readable(from, Some(&HANDED_ON)))
            && passing.pass()
        {}
        passing.flush();
    }

    /// Puts the user's own standard error in the place of cargo's end among these, where there is one.
    ///
    /// # Errors
    /// When no descriptor can be had.
    pub fn step_aside(&self, descriptors: &mut [(i32, OwnedFd)]) -> io::Result<()> {
        let identity = |descriptor: &OwnedFd| {
            fstat(descriptor).map(|stat| (stat.st_dev, stat.st_ino, stat.st_rdev)).ok()
        };
        let own = identity(&self.end);
        let mut settled = false;
        for (_, descriptor) in descriptors.iter_mut().filter(|(_, descriptor)| identity(descriptor) == own) {
            if !settled {
                self.settle();
                settled = true;
            }
            *descriptor = self.passing().to.as_fd().try_clone_to_owned()?;
        }
        Ok(())
    }

    fn pass_on(&self, watched: &File) {
        let look = self.terminal.then_some(&LOOK);
        let mut size = None;
        loop {
            let readable = is_readable(watched, look);
            let mut passing = self.passing();
            if self.terminal
                && let Ok(now) = tcgetwinsize(&passing.to)
            {
                let rows_and_columns = (now.ws_row, now.ws_col);
                if size.replace(rows_and_columns) != Some(rows_and_columns) {
                    let _gone = tcsetwinsize(watched, now);
                }
            }
            if readable && !passing.pass() {
                // Only this process has the end still, or nobody listens.
                return;
            }
        }
    }

    fn passing(&self) -> MutexGuard<'_, Passing> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passing {
    /// Passes on all that is there. Returns whether more may come.
    fn pass(&mut self) -> bool {
        let mut bytes = [0; CHUNK];
        loop {
            let Some(from) = &mut self.from else { return false };
            match from.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    let text = self.replaced.next(&bytes[..count]);
                    self.say(&text);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    fn flush(&mut self) {
        let rest = self.replaced.rest();
        self.say(&rest);
    }

    fn say(&mut self, text: &[u8]) {
        if self.to.write_all(text).is_err() {
            self.from = None;
        }
    }
}

fn is_readable(from: &File, limit: Option<&Timespec>) -> bool {
    let mut waits = [PollFd::new(from, PollFlags::IN)];
    poll(&mut waits, limit).is_ok_and(|ready| ready > 0)
}

/// A terminal like the user's: this process's end, and the other one.
fn terminal_like(user: &OwnedFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let end = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = tcgetattr(user)?;
    // The user's own does it.
    settings.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&end, OptionalActions::Now, &settings)?;
    tcsetwinsize(&end, tcgetwinsize(user)?)?;
    Ok((master, end))
}

/// Text in which some things stand for others, as it comes.
#[derive(Debug)]
struct Replaced {
    /// What is replaced by what.
    all: Vec<(Vec<u8>, Vec<u8>)>,
    /// The beginning of something that is replaced, perhaps.
    held: Vec<u8>,
}

impl Replaced {
    fn new(bin: &Path, sysroot: &Path) -> Self {
        let own = |name: &str| format!("{} ", bin.join(name).display());
        let real = |name: &str| format!("{} ", sysroot.join("bin").join(name).display());
        let all = [
            (format!("--test-runtool {}", own(role::RUNNER)), String::new()),
            (own(role::RUNNER), String::new()),
            // What is said of a build script's environment.
            (format!("RUSTC_WRAPPER={}", own(role::RUSTC_WRAPPER)), String::new()),
            (own(role::RUSTC_WRAPPER), String::new()),
            (own(role::RUSTC), real("rustc")),
            (own(role::RUSTDOC), real("rustdoc")),
        ];
        let bytes = |(from, to): (String, String)| (from.into_bytes(), to.into_bytes());
        Self { all: all.map(bytes).into(), held: Vec::new() }
    }

    /// What can be said now that this has come.
    fn next(&mut self, came: &[u8]) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(came);
        let mut said = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if let Some((from, to)) = self.all.iter().find(|(from, _)| rest.starts_with(from)) {
                said.extend_from_slice(to);
                at += from.len();
            } else if self.all.iter().any(|(from, _)| from.starts_with(rest)) {
                self.held = rest.to_vec();
                break;
            } else {
                said.push(text[at]);
                at += 1;
            }
        }
        said
    }

    /// What was held back.
    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_shows_of_its_commands_is_as_without_the_wrapper() {
        let text = "   Compiling a v0.1.0\n     Running `/p/bin/rustc-wrapper /p/bin/rustc --crate-name a`\n     \
                    Running `/p/bin/runner target/debug/a --x`\n/p/bin/rust";
        let expected = "   Compiling a v0.1.0\n     Running `/t/bin/rustc --crate-name a`\n     \
                        Running `target/debug/a --x`\n/p/bin/rust";
        for size in [1, 2, 7, 1000] {
            let mut replaced = Replaced::new(Path::new("/p/bin"), Path::new("/t"));
            let mut said: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|chunk| replaced.next(chunk)).collect();
            said.extend(replaced.rest());
            assert_eq!(String::from_utf8(said).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_replaced_by_nothing_else_passes_at_once() {
        let mut replaced = Replaced::new(Path::new("/p/bin"), Path::new("/t"));
        assert_eq!(replaced.next(b"\r  Building [=>  ] 3/5: a"), b"\r  Building [=>  ] 3/5: a");
        assert_eq!(replaced.next(b"\x1b[K"), b"\x1b[K");
    }
}
