//! The broker's end of a connection to an agent.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{SendFlags, send};

use super::protocol::{AGENT_SOCKET, Greeting, PROTOCOL_VERSION, Reply, Request, encode, read_message};
use crate::passing::send_with;

/// How long an agent may take to greet. It greets before it does anything else, so a longer wait means that
/// nobody serves the socket.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection to an agent: one [`Request`] and its [`Reply`].
///
/// All methods take `&self`, so that one thread can wait in [`read_reply`](Self::read_reply) while another
/// calls [`shutdown`](Self::shutdown). Dropping it ends the job as well.
#[derive(Debug)]
pub struct AgentConnection {
    stream: UnixStream,
}

/// What a job can expect on a connection that has none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// A process that waits for it alone.
    Ready,
    /// The agent's next turn.
    Turn,
    /// Nothing: the agent has closed its end.
    Gone,
}

impl AgentConnection {
    /// Connects to the agent whose socket is in `directory` and checks that it is the one that was meant.
    ///
    /// # Errors
    /// `NotFound` and `ConnectionRefused` when no agent is there, `TimedOut` or `UnexpectedEof` when it does
    /// not greet, `InvalidData` when the container was made to another specification or by another version.
    pub fn open(directory: &Path, fingerprint: &str) -> io::Result<Self> {
        Self::greeted(connect(directory)?, fingerprint)
    }

    /// Takes over a stream whose other end is known.
    pub(super) fn over(stream: UnixStream) -> Self {
        Self { stream }
    }

    /// Takes over a connected stream and reads the greeting.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn greeted(stream: UnixStream, fingerprint: &str) -> io::Result<Self> {
        stream.set_read_timeout(Some(GREETING_TIMEOUT))?;
        let greeting: Greeting = read_message(&mut &stream).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the agent does not answer"),
            _ => error,
        })?;
        stream.set_read_timeout(None)?;
        if greeting.version != PROTOCOL_VERSION {
            let message =
                format!("the agent speaks version {}, this is version {PROTOCOL_VERSION}", greeting.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if greeting.fingerprint != fingerprint {
            let message = format!("the container was made to {}, not to {fingerprint}", greeting.fingerprint);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Self { stream })
    }

    /// What a job can expect that is sent now.
    pub fn outlook(&self) -> Outlook {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut polled = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::RDHUP)];
        match poll(&mut polled, Some(&now)) {
            Ok(0) => Outlook::Turn,
            Ok(_) if polled[0].revents() == PollFlags::IN => match self.next_reply() {
                Ok(Reply::Ready) => Outlook::Ready,
                _ => Outlook::Gone,
            },
            _ => Outlook::Gone,
        }
    }

    /// Sends the request, with its descriptors on the first byte.
    ///
    /// # Errors
    /// When the agent is gone, or the request exceeds the protocol's limits.
    pub fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_with(&self.stream, &encode(request)?, descriptors)
    }

    /// Waits for the reply.
    ///
    /// # Errors
    /// `UnexpectedEof` when the agent is gone: the container was killed, or [`shutdown`](Self::shutdown)
    /// was called.
    pub fn read_reply(&self) -> io::Result<Reply> {
        loop {
            match self.next_reply()? {
                Reply::Ready => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Waits for whatever comes next, which may be [`Reply::Ready`].
    ///
    /// # Errors
    /// As [`read_reply`](Self::read_reply).
    pub fn next_reply(&self) -> io::Result<Reply> {
        read_message(&mut &self.stream)
    }

    /// Sends the running job a signal.
    ///
    /// # Errors
    /// When the agent is gone.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let byte = u8::try_from(signal).map_err(io::Error::other)?;
        rustix::io::retry_on_intr(|| send(&self.stream, &[byte], SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Ends the job: the agent kills every process of it. Wakes a thread in
    /// [`read_reply`](Self::read_reply).
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn shutdown(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }
}

/// Connects to the socket of the agent in `directory`, and says nothing yet.
///
/// # Errors
/// `NotFound` and `ConnectionRefused` when no agent is there.
pub fn connect(directory: &Path) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, directory, flags, Mode::empty())?;
    // By descriptor: the name of a socket may have 107 bytes, a project's directory has more.
    UnixStream::connect(format!("/proc/self/fd/{}/{AGENT_SOCKET}", directory.as_raw_fd()))
}

impl AsFd for AgentConnection {
    /// Readable when the reply is there, or the agent is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
