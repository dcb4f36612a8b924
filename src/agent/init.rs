//! A job's init: starts the process that becomes the job, sees it to its end, and says how that was.
//!
//! As a rule that process has the init's memory until it executes the job's program ([`process::lend_memory`]). Then the init
//! also knows what that process has come across by then ([`Course`]), and can answer the broker by itself.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::connection::Outgoing;
use super::failure::{Failure, Step};
use super::moments::{self, Moments};
use super::observe::{Observer, Seat};
use super::process::{self, Child, Cloned};
use super::protocol::{Budget, Reply};
use super::signals::{self, Reach};
use super::spawn::ProcessTree;
use super::{seccomp, tree};

/// How a job ended, as its init says it to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum End {
    /// Its wait status, and when its first process ended.
    Exited(i32, u64),
    /// It succeeded, and its broker has heard so already.
    Answered,
    Failed(Failure),
    /// No end yet: when it had its request, where that did not come by the agent, and what it may use up.
    Began(u64, Budget),
    /// No end yet: when it was about to execute its program.
    Executes(u64),
    /// No end yet: it has stopped, as its terminal has jobs do.
    Paused,
}

/// How far a job has come, as the process that becomes it leaves it in the memory of its init. The agent hears of it when the job's
/// program runs: it would take a processor from the start of the job.
#[derive(Debug, Default)]
pub struct Course {
    /// When it took a request from a broker, and what it may use up.
    pub taken: Cell<Option<(u64, Budget)>>,
    /// When it was about to execute its program, where the broker wants to know.
    pub executed: Cell<Option<u64>>,
}

/// What an init does until the job's program is executed.
#[derive(Debug)]
pub enum Meanwhile<'a> {
    /// It lends its memory, and stands still.
    Lend {
        /// What it finds in it then.
        course: &'a Course,
        /// Where the job may come from.
        connection: Option<&'a UnixStream>,
    },
    /// It goes on, as one must that passes signals on, or listens to the job's calls by the filter's verdicts.
    GoOn(Option<(Seat, seccomp::Filter)>),
}

/// The init, before it starts anything.
#[derive(Debug)]
pub struct Init<'a> {
    /// How the job's process tree is ended.
    pub tree: ProcessTree,
    /// Where ends are said.
    pub report: &'a OwnedFd,
    /// What it does at first.
    pub meanwhile: Meanwhile<'a>,
}

impl Init<'_> {
    /// Starts the process of the job and sees it to its end.
    pub fn see_to_end(self, job: impl FnOnce()) {
        let Self { tree, report, meanwhile } = self;
        signals::hold();
        let released = || {
            signals::release();
            job();
        };
        let started = match meanwhile {
            // SAFETY: one thread, as in the agent. Of what the job borrows this process uses nothing but the course.
            Meanwhile::Lend { .. } => unsafe { process::lend_memory(released) },
            Meanwhile::GoOn(_) => fork(released),
        };
        let (seat, course, connection) = match meanwhile {
            Meanwhile::Lend { course, connection } => (None, Some(course), connection),
            Meanwhile::GoOn(seat) => (seat, None, None),
        };
        let end = match started {
            Ok(pid) => {
                let reach = match tree {
                    ProcessTree::Namespace => Reach::Namespace,
                    ProcessTree::Subreaper => Reach::Group,
                };
                signals::pass_on_to(pid, reach);
                // Nothing of the job's, nothing of the agent's: a job that closes its output must really have
                // closed it.
                let own = report.as_raw_fd().cast_unsigned();
                let [first, second] = seat.as_ref().map_or([own; 2], |(seat, _)| seat.descriptors());
                let answers = connection.map_or(own, |connection| connection.as_raw_fd().cast_unsigned());
                let _ = process::close_all_but([own, first, second, answers]);
                course.into_iter().for_each(|course| course.tell(report));
                // Without a listener the job's calls fail, and with them the job.
                let observer = seat.and_then(|(seat, filter)| seat.listen(filter).ok());
                let end = match tree {
                    ProcessTree::Namespace => reap_until(pid, report),
                    ProcessTree::Subreaper => tree::reap_until(pid, || say(report, &End::Paused)),
                };
                observer.into_iter().for_each(Observer::finish);
                end
            }
            Err(error) => Some(End::Failed(Failure::new(Step::Tree, error))),
        };
        let Some(end) = end else { return };
        let end = match (end, course, connection) {
            (End::Exited(0, ended), Some(course), Some(connection)) if course.answer(connection, ended) => {
                End::Answered
            }
            (end, ..) => end,
        };
        say(report, &end);
        // Of a job that has not started the agent waits for this process.
        if matches!(end, End::Exited(..) | End::Answered) {
            wait_for_agent(report);
        }
    }
}

/// Starts a process with a copy of this one's memory.
fn fork(work: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: one thread, as in the agent.
    match unsafe { process::clone(0) }? {
        Cloned::Child => {
            work();
            process::exit_now(127)
        }
        Cloned::Parent(Child { pid, .. }) => Ok(pid),
    }
}

impl Course {
    /// Says to the agent how far the job has come.
    fn tell(&self, report: &OwnedFd) {
        if let Some((at, budget)) = self.taken.get() {
            say(report, &End::Began(at, budget));
        }
        if let Some(at) = self.executed.get() {
            say(report, &End::Executes(at));
        }
    }

    /// Says to the broker that its job has succeeded, which saves the agent's turn. Returns whether it is done with: not where
    /// the job's request came another way. What ended in any other way is for the agent, which knows whether it was a limit.
    fn answer(&self, connection: &UnixStream, ended: u64) -> bool {
        let Some((taken, _)) = self.taken.get() else { return false };
        let executed = self.executed.get();
        let moments = executed.map(|executed| Reply::Moments(Moments { taken, executed, ended }));
        let replies: Vec<Reply> = moments.into_iter().chain([Reply::Exited { wait_status: 0 }]).collect();
        let Ok(mut outgoing) = Outgoing::replies(&replies) else { return false };
        // So few bytes go in one piece or not at all; and a peer that is gone needs no answer.
        outgoing.send(connection).unwrap_or(true)
    }
}

/// Reaps whatever ends in this namespace until the job does, then kills and reaps all that is left.
fn reap_until(job: Pid, report: &OwnedFd) -> Option<End> {
    let mut end = None;
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if status.stopped() => {
                if pid == job && !signals::has_stopped() {
                    say(report, &End::Paused);
                }
            }
            Ok(Some((pid, status))) if pid == job => {
                end = Some(tree::Ended::exited(status.as_raw()));
                // All processes of this namespace but this one. None can fork its way out: the kernel lets
                // no process fork that is about to be killed.
                // SAFETY: kill takes numbers.
                unsafe { libc::kill(-1, libc::SIGKILL) };
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // No child is left. Every process of a namespace has its first one as an ancestor, so nothing
            // else is left either.
            Err(rustix::io::Errno::CHILD) => return end,
            Err(error) => return Some(End::Failed(Failure::new(Step::Tree, error))),
        }
    }
}

impl tree::Ended for End {
    fn exited(status: i32) -> Self {
        Self::Exited(status, moments::now())
    }

    fn failed(error: io::Error) -> Self {
        Self::Failed(Failure::new(Step::Tree, error))
    }
}

/// Writes one record to the pipe: short enough to be whole, and nobody but the agent reads it.
pub fn say(report: &impl AsFd, end: &End) {
    if let Ok(record) = postcard::to_stdvec(end) {
        let _ = rustix::io::write(report, &record);
    }
}

/// Waits until the agent has heard what was said: it has more to do just then than this process, whose end takes
/// the kernel longer than the agent's reply.
fn wait_for_agent(report: &OwnedFd) {
    use rustix::event::{PollFd, PollFlags, poll};
    // The write end of a pipe is ready when nobody holds the read end. An error has no better answer than to go.
    let _ = poll(&mut [PollFd::new(report, PollFlags::empty())], None);
}
