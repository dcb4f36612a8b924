//! Waiting for a job's end, and what goes to and fro meanwhile: its output, its terminal, its signals.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};

use crate::agent::client::AgentConnection;
use crate::agent::moments::Moments;
use crate::agent::protocol::Reply as AgentReply;

use super::relay::{Flow, Relay, RelayError};
use super::terminal::{LOOK, Terminal};

/// After so long a job has started.
const CALM: Duration = Duration::from_millis(2);

/// A job that runs, from all sides.
pub struct Wait<'a> {
    /// The wrapper.
    pub stream: &'a UnixStream,
    /// The agent.
    pub agent: &'a AgentConnection,
    /// Between the job and cargo.
    pub relays: &'a mut [Relay],
    /// Between the job and the user's terminal.
    pub terminal: Option<&'a mut Terminal>,
    /// Done once, when the job has run for a moment ([`CALM`]): whatever is done while it starts takes a processor from it.
    pub when_calm: &'a dyn Fn(),
    /// When the job came how far, where the agent says so.
    pub moments: &'a mut Option<Moments>,
}

/// Why a job has no reply of the agent's.
#[derive(Debug)]
pub enum Interruption {
    /// The agent is gone.
    Agent(io::Error),
    /// The job said what it must not say.
    Relay(RelayError),
}

impl From<io::Error> for Interruption {
    fn from(error: io::Error) -> Self {
        Self::Agent(error)
    }
}

impl From<RelayError> for Interruption {
    fn from(error: RelayError) -> Self {
        Self::Relay(error)
    }
}

/// What [`poll`] found.
#[derive(Debug)]
struct Found {
    agent: PollFlags,
    wrapper: PollFlags,
    said: Vec<PollFlags>,
    job_end: PollFlags,
    user: PollFlags,
}

impl Wait<'_> {
    /// The agent's reply, or nothing where the wrapper went away first.
    ///
    /// # Errors
    /// See [`Interruption`].
    pub fn for_end(mut self) -> Result<Option<AgentReply>, Interruption> {
        // A job may close its output long before it ends.
        let mut listening: Vec<bool> = vec![true; self.relays.len()];
        let mut calm = Some(CALM);
        loop {
            let Some(found) = self.poll(&listening, calm)? else {
                calm = None;
                (self.when_calm)();
                continue;
            };
            if !found.agent.is_empty() {
                match (self.agent.next_reply()?, self.terminal.as_deref_mut()) {
                    (AgentReply::Suspended, Some(terminal)) => {
                        terminal.suspend();
                        self.agent.signal(libc::SIGCONT)?;
                        continue;
                    }
                    (AgentReply::Suspended, None) | (AgentReply::Ready, _) => continue,
                    (AgentReply::Moments(moments), _) => {
                        *self.moments = Some(moments);
                        continue;
                    }
                    (reply, _) => {
                        self.relays.iter_mut().try_for_each(Relay::finish)?;
                        self.terminal.into_iter().for_each(Terminal::finish);
                        return Ok(Some(reply));
                    }
                }
            }
            if !found.wrapper.is_empty() && !self.pass_signals()? {
                self.agent.shutdown()?;
                return Ok(None);
            }
            for (index, relay) in self.relays.iter_mut().enumerate() {
                if found.said.get(index).is_some_and(|said| !said.is_empty()) {
                    listening[index] = relay.pump()? != Flow::Ended;
                }
            }
            if let Some(terminal) = self.terminal.as_deref_mut()
                && terminal.pump(found.job_end, found.user).is_err()
            {
                // As when a terminal's window is closed.
                self.agent.signal(libc::SIGHUP)?;
                self.terminal = None;
            }
        }
    }

    /// Nothing where nothing has happened for so long.
    fn poll(&self, listening: &[bool], limit: Option<Duration>) -> io::Result<Option<Found>> {
        const FIXED: usize = 4;
        let mut places = vec![None; FIXED + self.relays.len()];
        let mut all = Vec::with_capacity(places.len());
        // What is waited for in no way is left out: its hang-up would be found again and again.
        let mut add = |place: usize, descriptor, flags: PollFlags| {
            if !flags.is_empty() {
                places[place] = Some(all.len());
                all.push(PollFd::from_borrowed_fd(descriptor, flags));
            }
        };
        add(0, self.agent.as_fd(), PollFlags::IN);
        add(1, self.stream.as_fd(), PollFlags::IN | PollFlags::RDHUP);
        for (index, relay) in self.relays.iter().enumerate().filter(|(index, _)| listening[*index]) {
            add(FIXED + index, relay.as_fd(), PollFlags::IN);
        }
        if let Some(terminal) = self.terminal.as_deref() {
            let [(job_end, to_read), (user, typed)] = terminal.waits();
            add(2, job_end, to_read);
            add(3, user, typed);
        }
        let look = self.terminal.as_ref().map(|_| LOOK);
        let timeout = limit.or(look).map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut all, timeout.as_ref()) {
            Ok(0) if limit.is_some() => return Ok(None),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let found = |index: Option<usize>| {
            index.and_then(|index| all.get(index)).map_or(PollFlags::empty(), PollFd::revents)
        };
        let mut found = places.into_iter().map(found);
        let [agent, wrapper, job_end, user] =
            std::array::from_fn(|_| found.next().unwrap_or(PollFlags::empty()));
        Ok(Some(Found { agent, wrapper, said: found.collect(), job_end, user }))
    }

    /// Passes on the signals that the wrapper got. Returns whether it is still there.
    fn pass_signals(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16];
        let count = match recv(self.stream, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((count, _)) => count,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(true),
            Err(_) => 0,
        };
        for signal in bytes[..count].iter().map(|byte| i32::from(*byte)) {
            if !self.terminal.as_deref_mut().is_some_and(|terminal| terminal.has_sent(signal)) {
                self.agent.signal(signal)?;
            }
        }
        Ok(count > 0)
    }
}
