//! The surroundings of the next job, made while the last one runs.
//!
//! A job's process tree, file systems and system call filter take most of the time of its start, and are the same for every job. So
//! the agent keeps one init that has them already, with a child that waits for its job. They hold nothing of the
//! agent's but the socket on which the job comes, and the connection of a broker that has sent nothing yet, if there is one: what
//! comes on that, the child reads by itself, so that the agent's turn is saved. What is not for it, it gives back.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};

use super::client::AgentConnection;
use super::connection::{Incoming, Outgoing, Progress};
use super::failure::{AtStep as _, Failure, Step};
use super::init::{Course, End, Init, Meanwhile, say};
use super::moments;
use super::process::{self, Child, Cloned};
use super::protocol::{JobSpec, Reply, Request, read_message};
use super::spawn::{Confinement, Job, Work};
use super::world::Place;
use crate::passing::WithDescriptors;

/// An init without a job.
#[derive(Debug)]
pub struct Spare {
    init: Child,
    end: OwnedFd,
    /// Where the job is sent, or comes back.
    job: UnixStream,
    place: Place,
}

impl Confinement {
    /// Makes one. Only for jobs that have namespaces of their own.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn spare(&self, place: Place, connection: Option<&UnixStream>) -> Result<Spare, Failure> {
        let (end, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Tree)?;
        let (ours, theirs) = UnixStream::pair().at(Step::Tree)?;
        let agent = rustix::process::getpid();
        // SAFETY: the agent has one thread.
        match unsafe { process::clone(libc::CLONE_NEWPID | libc::CLONE_NEWNS) }.at(Step::Tree)? {
            Cloned::Child => {
                self.wait_for_job(Sources { agent: &theirs, connection }, &report, &place, agent)
            }
            Cloned::Parent(init) => Ok(Spare { init, end, job: ours, place }),
        }
    }

    /// The init of a spare; never returns into the agent's loop.
    fn wait_for_job(&self, sources: Sources<'_>, report: &OwnedFd, place: &Place, agent: Pid) -> ! {
        // The agent's connections above all: their ends must be seen while this waits.
        let connection = sources.connection.unwrap_or(sources.agent);
        let kept = [sources.agent.as_raw_fd(), connection.as_raw_fd(), report.as_raw_fd()];
        let kept = kept.map(i32::cast_unsigned);
        let prepared = self
            .be_killed_first()
            .and_then(|()| process::close_all_but(kept).at(Step::Descriptors))
            .and_then(|()| self.surround(place, agent));
        match prepared {
            Ok(()) => {
                let course = Course::default();
                let meanwhile = Meanwhile::Lend { course: &course, connection: sources.connection };
                Init { tree: self.tree, report, meanwhile }
                    .see_to_end(|| self.become_job(sources, report, place, &course));
            }
            Err(failure) => say(report, &End::Failed(failure)),
        }
        process::exit_now(0)
    }

    /// The process that becomes the job; returns only if it cannot.
    fn become_job(&self, sources: Sources<'_>, report: &OwnedFd, place: &Place, course: &Course) {
        let ready = self.make_ready(place, Some(&self.filter), &self.common);
        // Whether or not it can.
        let _rehearsed = rehearse(place);
        let Some((spec, descriptors)) = sources.receive(&self.common, course) else {
            // Nobody has a use for it any more.
            process::exit_now(0);
        };
        match ready.and_then(|ready| Ok((ready, Work::of(spec, descriptors.len(), place)?))) {
            Ok((ready, work)) => self.confined_job(ready, &work, descriptors, None, report, Some(course)),
            Err(failure) => say(report, &End::Failed(failure)),
        }
    }
}

/// Does once for nobody what comes next, and what the init does at the end, which has this memory too: each page of the program and of
/// its data costs a turn of the kernel when it is first met, which the job then does not wait for.
fn rehearse(place: &Place) -> Option<Work> {
    let (broker, job) = UnixStream::pair().ok()?;
    let variable = b"CARGO_REHEARSAL=/nothing".to_vec();
    let spec = JobSpec {
        program: b"/".to_vec(),
        cwd: b"/".to_vec(),
        argv: vec![variable.clone(); 32],
        env: vec![variable; 64],
        ..JobSpec::default()
    };
    AgentConnection::over(broker.try_clone().ok()?).send(&Request::Run(Box::new(spec)), &[]).ok()?;
    let request = read_message(&mut WithDescriptors::of(&job)).ok()?;
    Outgoing::replies(&[Reply::Exited { wait_status: 0 }]).and_then(|mut reply| reply.send(&job)).ok()?;
    match request {
        Request::Run(spec) => Work::of(*spec, 0, place).ok(),
        _ => None,
    }
}

/// Where a request may come from.
#[derive(Debug, Clone, Copy)]
struct Sources<'a> {
    /// The agent, which has read it; and which gets back what this process cannot do.
    agent: &'a UnixStream,
    /// A broker.
    connection: Option<&'a UnixStream>,
}

impl Sources<'_> {
    /// The job of this process; nothing where there will be none.
    fn receive(self, common: &[PathBuf], course: &Course) -> Option<(JobSpec, Vec<OwnedFd>)> {
        let mut incoming = Incoming::default();
        let mut chunk = Vec::new();
        loop {
            let mut all = Vec::with_capacity(2);
            all.push(PollFd::new(self.agent, PollFlags::IN));
            all.extend(self.connection.map(|connection| PollFd::new(connection, PollFlags::IN)));
            match poll(&mut all, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
            if let (Some(connection), [_, polled]) = (self.connection, all.as_slice())
                && !polled.revents().is_empty()
            {
                return self.take(connection, common, course);
            }
            if all.iter().all(|polled| polled.revents().is_empty()) {
                continue;
            }
            match incoming.receive(self.agent, &mut chunk) {
                Ok(Progress::Complete(Request::Run(spec), descriptors)) => return Some((*spec, descriptors)),
                Ok(Progress::Partial) => {}
                Ok(Progress::Complete(..)) | Err(_) => return None,
            }
        }
    }

    /// Takes what a broker has sent. The agent hears of it by the init, and watches the job from then on.
    fn take(
        self,
        connection: &UnixStream,
        common: &[PathBuf],
        course: &Course,
    ) -> Option<(JobSpec, Vec<OwnedFd>)> {
        // Nothing of what comes behind it, which is the agent's.
        let mut reader = WithDescriptors::of(connection);
        let request = read_message(&mut reader).ok()?;
        let descriptors = reader.descriptors;
        match request {
            Request::Run(spec) if Spare::suits(&spec, common) => {
                course.taken.set(Some((moments::now(), spec.budget)));
                Some((*spec, descriptors))
            }
            request => {
                let back = AgentConnection::over(self.agent.try_clone().ok()?);
                let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
                // An agent that is gone takes this process with it.
                let _gone = back.send(&request, &borrowed);
                None
            }
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
            && spec.terminal.is_none()
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
        let Self { init, end, job, place } = self;
        let sent = AgentConnection::over(job).send(&request, &borrowed);
        match (sent, request) {
            (Err(_), Request::Run(spec)) => {
                // It does not answer.
                let _ = rustix::process::pidfd_send_signal(&init.pidfd, Signal::KILL);
                let _ = process::wait(init.pid);
                Err((spec, descriptors))
            }
            _ => Ok(Job::of_init(init, end, place)),
        }
    }

    /// One that has a connection: its job, which may never come, and where a request comes back that is none for it.
    pub fn with_connection(self) -> (Job, UnixStream) {
        (Job::of_init(self.init, self.end, self.place), self.job)
    }
}
