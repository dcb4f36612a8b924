//! The surroundings of the next job, made while the last one runs.
//!
//! A job's process tree, file systems and system call filter take most of the time of its start, and are the same for every job. So
//! the agent keeps one init that has them already, with a child that waits for its job. They hold nothing of the
//! agent's but the socket on which the job comes.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};

use super::client::AgentConnection;
use super::connection::{Incoming, Progress};
use super::failure::{AtStep as _, Failure, Step};
use super::process::{self, Child, Cloned};
use super::protocol::{JobSpec, Request};
use super::spawn::{Confinement, End, Job, Work, say};
use super::world::Place;

/// An init without a job.
#[derive(Debug)]
pub struct Spare {
    init: Child,
    end: OwnedFd,
    /// Where the job is sent.
    job: AgentConnection,
    place: Place,
}

impl Confinement {
    /// Makes one. Only for jobs that have namespaces of their own.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn spare(&self, place: Place) -> Result<Spare, Failure> {
        let (end, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Tree)?;
        let (ours, theirs) = UnixStream::pair().at(Step::Tree)?;
        let agent = rustix::process::getpid();
        // SAFETY: the agent has one thread.
        match unsafe { process::clone(libc::CLONE_NEWPID | libc::CLONE_NEWNS) }.at(Step::Tree)? {
            Cloned::Child => self.wait_for_job(&theirs, &report, &place, agent),
            Cloned::Parent(init) => Ok(Spare { init, end, job: AgentConnection::over(ours), place }),
        }
    }

    /// The init of a spare; never returns into the agent's loop.
    fn wait_for_job(&self, stream: &UnixStream, report: &OwnedFd, place: &Place, agent: Pid) -> ! {
        // The agent's connections above all: their ends must be seen while this waits.
        let kept = [stream.as_raw_fd(), report.as_raw_fd()].map(i32::cast_unsigned);
        let prepared = self
            .be_killed_first()
            .and_then(|()| process::close_all_but(kept).at(Step::Descriptors))
            .and_then(|()| self.surround(place, agent));
        match prepared {
            Ok(()) => self.see_to_end(report, None, || self.become_job(stream, report, place)),
            Err(failure) => say(report, &End::Failed(failure)),
        }
        process::exit_now(0)
    }

    /// The process that becomes the job; returns only if it cannot.
    fn become_job(&self, stream: &UnixStream, report: &OwnedFd, place: &Place) {
        let ready = self.make_ready(place, Some(&self.filter), &self.common);
        let Some((spec, descriptors)) = receive(stream) else {
            // The agent has no use for it any more.
            process::exit_now(0);
        };
        match ready.and_then(|ready| Ok((ready, Work::of(spec, descriptors.len(), place)?))) {
            Ok((ready, work)) => self.confined_job(ready, &work, descriptors, None, report),
            Err(failure) => say(report, &End::Failed(failure)),
        }
    }
}

fn receive(stream: &UnixStream) -> Option<(JobSpec, Vec<OwnedFd>)> {
    let mut incoming = Incoming::default();
    let mut chunk = Vec::new();
    loop {
        match poll(&mut [PollFd::new(stream, PollFlags::IN)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        match incoming.receive(stream, &mut chunk) {
            Ok(Progress::Complete(Request::Run(spec), descriptors)) => return Some((*spec, descriptors)),
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete(..)) | Err(_) => return None,
        }
    }
}

impl Spare {
    /// Whether it can take a job: one that needs mounts or a network of its own, or another filter, comes too late
    /// for it, and one that has less than what is `common` would have more.
    pub fn suits(spec: &JobSpec, common: &[PathBuf]) -> bool {
        common.iter().all(|path| spec.access.iter().any(|access| access.is_common(path)))
            && spec.files.is_empty()
            && spec.layered.is_empty()
            && spec.network.is_none()
            && spec.sockets.is_empty()
            && spec.system_calls.is_empty()
            && spec.observe.is_none()
    }

    /// Gives it its job.
    ///
    /// # Errors
    /// Gives the job back when the init is gone.
    pub fn start(
        self,
        spec: Box<JobSpec>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Job, (Box<JobSpec>, Vec<OwnedFd>)> {
        let request = Request::Run(spec);
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
        let sent = self.job.send(&request, &borrowed);
        match (sent, request) {
            (Err(_), Request::Run(spec)) => {
                self.end();
                Err((spec, descriptors))
            }
            _ => Ok(Job::of_init(self.init, self.end, self.place)),
        }
    }

    /// Ends an init that is not needed, or does not answer.
    fn end(self) {
        let _ = rustix::process::pidfd_send_signal(&self.init.pidfd, Signal::KILL);
        let _ = process::wait(self.init.pid);
    }
}
