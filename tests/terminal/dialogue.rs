//! A shell on a pseudo-terminal, and somebody who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::terminal;

/// Far longer than anything takes, so that only a hang is caught.
const PATIENCE: Duration = Duration::from_secs(120);

pub const PROMPT: &str = "PROMPT> ";

/// An interactive shell, with job control.
pub struct Dialogue {
    shell: Child,
    terminal: File,
    /// All that came, and how much of it was expected so far.
    came: String,
    seen: usize,
}

impl Dialogue {
    /// Starts `shell` on a new terminal of this size; it has shown its prompt.
    pub fn start(mut shell: Command, rows: u16, columns: u16) -> Self {
        let (master, terminal) = terminal::pair();
        let end = || Stdio::from(terminal.try_clone().expect("a descriptor"));
        shell.stdin(end()).stdout(end()).stderr(end()).env("PS1", PROMPT).env("TERM", "dumb");
        terminal::control(&mut shell, terminal);
        let child = shell.spawn().expect("a shell");
        let mut dialogue = Self { shell: child, terminal: master.into(), came: String::new(), seen: 0 };
        dialogue.resize(rows, columns);
        dialogue.expect(PROMPT);
        dialogue
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal, size).expect("a window's size");
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("the terminal takes it");
    }

    /// How often this has come.
    pub fn count(&self, text: &str) -> usize {
        self.came.matches(text).count()
    }

    /// Waits until this comes.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.came[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{text:?} does not come; there is\n{}", self.came);
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            let ready =
                poll(&mut [PollFd::from_borrowed_fd(self.terminal.as_fd(), PollFlags::IN)], Some(&second));
            if ready.is_ok_and(|count| count > 0) {
                let mut bytes = [0; 4096];
                let count = self.terminal.read(&mut bytes).unwrap_or(0);
                assert!(count > 0, "the shell is gone; it said\n{}", self.came);
                self.came.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    }

    /// Waits for this, and returns what came before it.
    #[track_caller]
    pub fn up_to(&mut self, text: &str) -> String {
        let start = self.seen;
        self.expect(text);
        self.came[start..self.seen - text.len()].to_owned()
    }

    /// Whether the rest of the line that was begun starts so.
    #[track_caller]
    pub fn comes_next(&mut self, text: &str) -> bool {
        self.up_to("\n").starts_with(text)
    }

    /// A command, and its exit code once the prompt is back.
    #[track_caller]
    pub fn expect_code(&mut self, code: i32) {
        self.expect(PROMPT);
        self.send("echo code=$?=\n");
        self.expect(&format!("\ncode={code}="));
        self.expect(PROMPT);
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
