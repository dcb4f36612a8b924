//! A job's output on its way to cargo, each line judged before cargo sees it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::switch_off::{Defence, is_off};

use super::directives::{MAX_LINE, Objection, Verdict};

/// Judges one line, which is given without its end.
pub type Judge = Box<dyn Fn(&[u8]) -> Verdict + Send>;

/// The reading end of a job's output, and cargo's end.
pub struct Relay {
    from: File,
    /// Nothing once cargo does not listen any more.
    to: Option<File>,
    judge: Judge,
    /// The beginning of a line whose end has not come yet.
    pending: Vec<u8>,
    /// What came last.
    last_words: Vec<u8>,
}

/// How much of what came last is kept, in bytes: what explains a failure stands near its end.
const LAST_WORDS: usize = 32 << 10;

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Something came and was passed on.
    Passed,
    /// Nothing is there now.
    Waiting,
    /// Every writer is gone.
    Ended,
}

/// Why a relay stops.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The job said what it must not say.
    #[error("{0}")]
    Objection(#[from] Objection),
    /// Its output cannot be read.
    #[error("wrote what could not be read: {0}")]
    Io(#[from] io::Error),
}

impl Relay {
    /// A relay to `to`, and the end for the job to write to.
    ///
    /// # Errors
    /// When no pipe can be had.
    pub fn new(to: &OwnedFd, judge: Judge) -> io::Result<(Self, OwnedFd)> {
        let (from, job) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only this end: whether writing waits is the job's business.
        rustix::io::ioctl_fionbio(&from, true)?;
        let to = Some(File::from(to.try_clone()?));
        Ok((Self { from: from.into(), to, judge, pending: Vec::new(), last_words: Vec::new() }, job))
    }

    /// Passes on some of what has come, whole lines at a time. Not all: a job that never stops talking must
    /// not keep its caller.
    ///
    /// # Errors
    /// When a line is refused; it and what follows it do not pass.
    pub fn pump(&mut self) -> Result<Flow, RelayError> {
        let mut buffer = [0; 64 << 10];
        loop {
            return match self.from.read(&mut buffer) {
                Ok(0) => Ok(Flow::Ended),
                Ok(count) => self.take(&buffer[..count]).map(|()| Flow::Passed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Flow::Waiting),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Passes on the rest, a last line without an end included. No process of the job is left by then.
    ///
    /// # Errors
    /// As [`pump`](Self::pump).
    pub fn finish(&mut self) -> Result<(), RelayError> {
        while self.pump()? == Flow::Passed {}
        let last = std::mem::take(&mut self.pending);
        let mut passed = Vec::new();
        self.judged(&last, &mut passed)?;
        self.pass(&passed);
        Ok(())
    }

    /// What came last, as the job said it.
    pub fn last_words(&self) -> &[u8] {
        &self.last_words[self.last_words.len().saturating_sub(LAST_WORDS)..]
    }

    fn remember(&mut self, bytes: &[u8]) {
        if self.last_words.len() + bytes.len() > 2 * LAST_WORDS {
            let kept = self.last_words().to_vec();
            self.last_words = kept;
        }
        self.last_words.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]);
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), RelayError> {
        self.remember(bytes);
        let mut passed = Vec::with_capacity(bytes.len() + self.pending.len());
        let mut rest = bytes;
        let mut result = Ok(());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end);
            result = if self.pending.is_empty() {
                self.judged(line, &mut passed)
            } else {
                self.pending.extend_from_slice(line);
                let whole = std::mem::take(&mut self.pending);
                self.judged(&whole, &mut passed)
            };
            if result.is_err() {
                break;
            }
            passed.push(b'\n');
            rest = &behind[1..];
        }
        self.pass(&passed);
        result?;
        self.pending.extend_from_slice(rest);
        if self.pending.len() > MAX_LINE { Err(Objection::Length.into()) } else { Ok(()) }
    }

    /// Where cargo is gone, the job may still write to its end, as to a pipe that nobody empties.
    fn pass(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && self.to.as_mut().is_some_and(|to| to.write_all(bytes).is_err()) {
            self.to = None;
        }
    }

    fn judged(&self, line: &[u8], passed: &mut Vec<u8>) -> Result<(), Objection> {
        match (self.judge)(line) {
            _ if is_off(Defence::Filters) => passed.extend_from_slice(line),
            Verdict::Pass => passed.extend_from_slice(line),
            Verdict::Replace(instead) => passed.extend_from_slice(&instead),
            Verdict::Refuse(objection) => return Err(objection),
        }
        Ok(())
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl AsFd for Relay {
    /// Readable when something has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::directives::{filter, grants};
    use super::*;

    fn relay() -> (Relay, File, File) {
        let (cargo, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let grants = grants("/p", &[]);
        let (relay, script) = Relay::new(&to, Box::new(move |line| filter(line, &grants))).unwrap();
        (relay, script.into(), cargo.into())
    }

    fn all(mut cargo: File, relay: Relay) -> String {
        drop(relay);
        let mut text = String::new();
        cargo.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn lines_pass_byte_for_byte_however_they_come() {
        let (mut relay, mut script, cargo) = relay();
        let text = "one\n\ncargo:rustc-cfg=x\r\n  two\nlast without end";
        for byte in text.bytes() {
            script.write_all(&[byte]).unwrap();
            assert_eq!(relay.pump().unwrap(), Flow::Passed);
            assert_eq!(relay.pump().unwrap(), Flow::Waiting);
        }
        drop(script);
        assert_eq!(relay.pump().unwrap(), Flow::Ended);
        relay.finish().unwrap();
        assert_eq!(all(cargo, relay), text);
    }

    #[test]
    fn a_refused_line_and_all_behind_it_stay_here() {
        let (mut relay, mut script, cargo) = relay();
        script.write_all(b"before\ncargo:rustc-env=LD_PRELOAD=x\nafter\n").unwrap();
        assert!(matches!(relay.pump(), Err(RelayError::Objection(Objection::Variable { .. }))));
        assert_eq!(all(cargo, relay), "before\n");
    }

    #[test]
    fn a_refused_last_line_needs_no_end() {
        let (mut relay, mut script, cargo) = relay();
        script.write_all(b"cargo:rustc-env=PATH=x").unwrap();
        drop(script);
        assert!(relay.finish().is_err());
        assert_eq!(all(cargo, relay), "");
    }

    #[test]
    fn the_last_words_are_kept_however_much_came_before() {
        let (mut relay, _script, _cargo) = relay();
        for _ in 0..100 {
            relay.remember(&[b'x'; 3000]);
        }
        relay.remember(b"the end");
        assert!(relay.last_words().ends_with(b"xthe end"));
        assert_eq!(relay.last_words().len(), LAST_WORDS);
        assert!(relay.last_words.len() <= 3 * LAST_WORDS);
    }

    #[test]
    fn a_script_outlives_a_cargo_that_is_gone() {
        let (mut relay, mut script, cargo) = relay();
        drop(cargo);
        script.write_all(b"one\n").unwrap();
        relay.pump().unwrap();
        script.write_all(b"two\n").unwrap();
        relay.pump().unwrap();
    }

    #[test]
    fn much_output_passes_while_cargo_reads() {
        let (mut relay, mut script, mut cargo) = relay();
        let line = "x".repeat(1000) + "\n";
        let writer =
            std::thread::spawn(move || (0..5000).for_each(|_| script.write_all(line.as_bytes()).unwrap()));
        let reader = std::thread::spawn(move || io::copy(&mut cargo, &mut io::sink()).unwrap());
        while relay.pump().unwrap() != Flow::Ended {
            std::thread::yield_now();
        }
        relay.finish().unwrap();
        drop(relay);
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), 5_005_000);
    }
}
