//! From a request to a running job.
//!
//! 1. The agent forks into new process and mount namespaces: the job's init.
//! 2. The init mounts what is private to the job, writes its files, and forks
//! 3. the job itself, which puts its descriptors in place, gives up what it must not have, and executes.
//!    (An observed job's last step is another filter, whose listener it hands to the init: `super::observe`.)
//! 4. The init waits for the job, kills everything else in its namespace, waits for that too, and only then
//!    says how the job ended. Its own end comes after the reply: taking down a mount namespace has the kernel
//!    wait for all processors, which nobody needs to wait for. Should the init be killed, the kernel kills
//!    everything in its namespace before the agent sees the init's end.
//!
//! Where namespaces are refused, the init is a subreaper and does the killing ([`super::tree`]).

use std::borrow::Cow;
use std::convert::Infallible;
use std::ffi::{CString, c_char};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::ptr;
use std::time::Instant;

use rustix::process::{Pid, Signal};

use super::failure::{AtStep, Failure, Step};
use super::init::{Course, End, Init, Meanwhile, say};
use super::limits::{self, JobLimits};
use super::moments::{self, Moments};
use super::observe::{self, Closeness, Handover};
use super::process::{self, Child, Cloned};
use super::protocol::{
    Access, Budget, Exceeded, JobNetwork, JobSpec, Layered, MAX_LISTENERS, Reply, SystemCall,
};
use super::report::{self, Probe};
use super::world::{self, Place};
use super::{landlock, leader, network, seccomp, signals, sockets, tree};
use crate::switch_off::{Defence, is_off};

/// How a job's process tree is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessTree {
    /// By the kernel, with the first process of a namespace.
    Namespace,
    /// By a subreaper that kills until nothing is left.
    Subreaper,
}

/// What all jobs of a container have in common; made once.
#[derive(Debug)]
pub struct Confinement {
    /// How process trees are ended.
    pub tree: ProcessTree,
    /// Size of each private `/tmp`.
    pub tmp_bytes: u64,
    /// What a private `/tmp` must show of the container's ([`world::mounts_below_tmp`]).
    pub shown: Vec<PathBuf>,
    /// The Landlock ABI of the kernel.
    pub landlock_abi: i32,
    /// The Landlock ABI without which no job runs.
    pub landlock_needed: i32,
    /// What every job may read and execute.
    pub common: Vec<PathBuf>,
    /// Limits of each job.
    pub limits: JobLimits,
    /// Most processes of the container.
    pub pids: u64,
    /// The compiled system call filter.
    pub filter: seccomp::Filter,
    /// Where a job's init says that it is to be killed first; nothing where none can be had.
    pub proc: Option<OwnedFd>,
}

/// What a job does once it is confined.
#[derive(Debug)]
pub enum Work {
    /// Executes a program.
    Execute(Box<Program>),
    /// Reads back what is enforced, and writes it to its standard output.
    Probe,
}

/// A program in the form that `execve(2)` takes.
#[derive(Debug)]
pub struct Program {
    path: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    umask: u32,
    terminal: Option<RawFd>,
    access: Vec<Access>,
    descriptors: Vec<RawFd>,
    files: Vec<(String, Vec<u8>)>,
    layered: Vec<Layered>,
    local_sockets: bool,
    network: Option<JobNetwork>,
    sockets: Vec<Vec<u8>>,
    budget: Budget,
    system_calls: Vec<SystemCall>,
    observe: Option<Closeness>,
    timed: bool,
}

impl Work {
    /// Checks a request as far as that is possible without the kernel.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn of(spec: JobSpec, received: usize, place: &Place) -> Result<Self, Failure> {
        // Behind the job's own: one for its network, one for its sockets, one for its record.
        let numbers = spec.descriptors.len()
            + usize::from(spec.network.is_some())
            + usize::from(!spec.sockets.is_empty())
            + usize::from(spec.observe.is_some());
        if numbers != received {
            return Err(Failure::request(&format!("{received} descriptors came for {numbers} numbers")));
        }
        if spec.network.as_ref().is_some_and(|network| network.listeners.len() > MAX_LISTENERS)
            || spec.sockets.len() > MAX_LISTENERS
        {
            return Err(Failure::request("too many listening sockets"));
        }
        let mut sorted = spec.descriptors.clone();
        sorted.sort_unstable();
        if spec.terminal.is_some_and(|terminal| !sorted.contains(&terminal)) {
            return Err(Failure::request("the terminal is none of the job's descriptors"));
        }
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.first().is_some_and(|first| *first < 0)
        {
            return Err(Failure::request("a descriptor's number is negative or comes twice"));
        }
        if !spec.program.starts_with(b"/") || !spec.cwd.starts_with(b"/") {
            return Err(Failure::request("the program and the working directory must be absolute"));
        }
        let string = |bytes: Vec<u8>| {
            CString::new(place.translate(bytes)).map_err(|_| Failure::request("a string holds a zero byte"))
        };
        let strings = |list: Vec<Vec<u8>>| list.into_iter().map(string).collect::<Result<Vec<_>, _>>();
        let mut env = strings(spec.env)?;
        if let Some(variable) = place.variable() {
            env.push(string(variable)?);
        }
        Ok(Self::Execute(Box::new(Program {
            path: string(spec.program)?,
            argv: strings(spec.argv)?,
            env,
            cwd: string(spec.cwd)?,
            umask: spec.umask,
            terminal: spec.terminal,
            access: spec.access,
            descriptors: spec.descriptors,
            files: spec.files,
            layered: spec.layered,
            local_sockets: spec.local_sockets,
            network: spec.network,
            sockets: spec.sockets,
            budget: spec.budget,
            system_calls: spec.system_calls,
            observe: spec.observe,
            timed: spec.timed,
        })))
    }
}

/// The rules of a job that is ready for its own; none where the kernel has no Landlock, and none is needed.
pub(super) type Ready = Option<landlock::Prepared>;

/// A job that was started and whose processes may live.
#[derive(Debug)]
pub struct Job {
    init: Child,
    /// The read end of the pipe for [`End`]s: the job's, if it could not start, then the init's. `None` when
    /// both are gone.
    end: Option<OwnedFd>,
    said: Vec<u8>,
    place: Place,
    tree: ProcessTree,
    started: Instant,
    taken: u64,
    /// When it took its request by itself, and what it may use up.
    began: Option<(u64, Budget)>,
    /// When it executed its program, if it says so.
    executes: Option<u64>,
    /// Why it was killed.
    exceeded: Option<Exceeded>,
}

/// The init of a job that is over; it has nothing to do but to end, once it is [let go](Self::let_go).
#[derive(Debug)]
pub struct Remains {
    init: Child,
    /// What the init waits for (`super::init`).
    end: Option<OwnedFd>,
}

impl Confinement {
    /// Starts a job. Its descriptors are closed here, whatever comes.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start(&self, work: &Work, descriptors: Vec<OwnedFd>, place: Place) -> Result<Job, Failure> {
        let (end, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Tree)?;
        let agent = rustix::process::getpid();
        let namespaces = match self.tree {
            ProcessTree::Namespace => libc::CLONE_NEWPID | libc::CLONE_NEWNS,
            ProcessTree::Subreaper => 0,
        };
        // SAFETY: the agent has one thread.
        match unsafe { process::clone(namespaces) }.at(Step::Tree)? {
            Cloned::Child => self.init(work, descriptors, &report, &place, agent),
            Cloned::Parent(init) => Ok(Job::new(init, end, place, self.tree)),
        }
    }

    /// The job's init; never returns into the agent's loop.
    fn init(
        &self,
        work: &Work,
        mut descriptors: Vec<OwnedFd>,
        report: &OwnedFd,
        place: &Place,
        agent: Pid,
    ) -> ! {
        let observation = match work {
            Work::Execute(program) if program.observe.is_some() => {
                descriptors.pop().map(observe::prepare).transpose().at(Step::Observe)
            }
            _ => Ok(None),
        };
        let ready = self.be_killed_first().and(observation);
        match ready.and_then(|observation| self.surround(place, agent).map(|()| observation)) {
            Ok(observation) => {
                let (seat, handover) = observation.unzip();
                // Where it may have none the job says so itself.
                let filter = self.filter_of(work).unwrap_or(Cow::Borrowed(&self.filter));
                let seat = seat.map(|seat| (seat, filter.into_owned()));
                let course = Course::default();
                let meanwhile = match work {
                    _ if seat.is_some() || self.tree == ProcessTree::Subreaper => Meanwhile::GoOn(seat),
                    // The leader of its session stays in this program, for as long as the job lives.
                    Work::Execute(program) if program.terminal.is_some() => Meanwhile::GoOn(None),
                    Work::Execute(_) | Work::Probe => Meanwhile::Lend { course: &course, connection: None },
                };
                let told = matches!(meanwhile, Meanwhile::Lend { .. }).then_some(&course);
                Init { tree: self.tree, report, meanwhile }
                    .see_to_end(|| self.job(work, descriptors, handover, report, place, told));
            }
            Err(failure) => say(report, &End::Failed(failure)),
        }
        process::exit_now(0)
    }

    /// Has a job's init, and all below it, be killed before the agent. Before it closes what it has of the agent's.
    pub(super) fn be_killed_first(&self) -> Result<(), Failure> {
        self.proc.as_ref().map_or(Ok(()), world::be_killed_before_agent).at(Step::Limits)
    }

    /// Makes what is around a job, as its init: everything that is the same for all jobs.
    pub(super) fn surround(&self, place: &Place, agent: Pid) -> Result<(), Failure> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::ParentDeath)?;
        rustix::process::setpgid(None, None).at(Step::Group)?;
        // In a user namespace of its own: elsewhere the kernel would count all that the user runs.
        let processes = (self.tree == ProcessTree::Namespace).then_some(self.pids);
        limits::limit_job(&self.limits, processes).at(Step::Limits)?;
        match self.tree {
            // Should the agent have died before the line above, then so did the namespace it was the first
            // process of.
            ProcessTree::Namespace => world::make_private_mounts(self.tmp_bytes, &self.shown)?,
            ProcessTree::Subreaper => {
                if rustix::process::getppid() != Some(agent) {
                    return Err(Failure::new(Step::ParentDeath, rustix::io::Errno::SRCH));
                }
                tree::become_reaper().at(Step::Tree)?;
            }
        }
        world::make_private_home(place)
    }

    /// The job itself; returns only if it cannot be started, which it has then said.
    fn job(
        &self,
        work: &Work,
        mut descriptors: Vec<OwnedFd>,
        handover: Option<Handover>,
        report: &OwnedFd,
        place: &Place,
        course: Option<&Course>,
    ) {
        // Before the filter, which forbids mounts.
        let ready = match work {
            Work::Execute(program) => {
                if self.tree == ProcessTree::Namespace {
                    world::make_layers(place, &program.layered);
                }
                let lead_out = (!program.sockets.is_empty()).then(|| descriptors.pop()).flatten();
                let channel = program.network.as_ref().and_then(|_| descriptors.pop());
                let network = program.network.as_ref().zip(channel);
                let connected = network
                    .map_or(Ok(()), |(wanted, channel)| network::enter(wanted, &channel, self.tree, place));
                let leading_out = lead_out
                    .map_or(Ok(()), |channel| sockets::enter(&program.sockets, &channel, self.tree, place));
                connected.and(leading_out).and_then(|()| world::make_private_files(place, &program.files))
            }
            Work::Probe => Ok(()),
        };
        let filter = self.filter_of(work);
        // One that is observed gets its filter later, and last.
        let now = filter.as_deref().ok().filter(|_| handover.is_none());
        match ready.and_then(|()| self.make_ready(place, now, &[])).and_then(|ready| filter.map(|_| ready)) {
            Ok(ready) => self.confined_job(ready, work, descriptors, handover, report, course),
            Err(failure) => say(report, &End::Failed(failure)),
        }
    }

    /// The filter of a job: its own where a policy lets it make more calls.
    ///
    /// # Errors
    /// Where what such calls reach is not kept within the job: by its process namespace and by Landlock, and by nothing
    /// else.
    fn filter_of(&self, work: &Work) -> Result<Cow<'_, seccomp::Filter>, Failure> {
        let calls: &[SystemCall] = match work {
            Work::Execute(program) => &program.system_calls,
            Work::Probe => &[],
        };
        if is_off(Defence::JobFilter) {
            return Ok(Cow::Owned(seccomp::Filter::none()));
        }
        if calls.is_empty() {
            return Ok(Cow::Borrowed(&self.filter));
        }
        if self.tree != ProcessTree::Namespace || self.landlock_abi == 0 {
            let why = "system calls of a policy's need Landlock and process namespaces for each job";
            return Err(Failure::about(Step::Seccomp, why.as_bytes(), rustix::io::Errno::PERM));
        }
        Ok(Cow::Owned(seccomp::Filter::allowing(calls)))
    }

    /// Takes the steps that are the same for every job; with the filter, if it is not to come later, and the rules for
    /// what is `common`.
    pub(super) fn make_ready(
        &self,
        place: &Place,
        filter: Option<&seccomp::Filter>,
        common: &[PathBuf],
    ) -> Result<Ready, Failure> {
        let tmp = place.tmp().to_string_lossy();
        let private: &[&str] = match place {
            Place::Mounted => &[&tmp, "/dev/shm"],
            Place::Apart | Place::Shared(_) => &[&tmp],
        };
        let prepared = landlock::prepare(self.landlock_abi, self.landlock_needed, private, common)?;
        if self.tree == ProcessTree::Subreaper {
            tree::leave_reaper().at(Step::Tree)?;
        }
        process::drop_capabilities().at(Step::Capabilities)?;
        if let Some(filter) = filter.filter(|_| !is_off(Defence::JobFilter)) {
            filter.install().at(Step::Seccomp)?;
        }
        Ok(prepared)
    }

    /// The job once it is ready, with what is its own; returns only if it cannot be started, which it has then
    /// said.
    pub(super) fn confined_job(
        &self,
        ready: Ready,
        work: &Work,
        descriptors: Vec<OwnedFd>,
        handover: Option<Handover>,
        report: &OwnedFd,
        course: Option<&Course>,
    ) {
        let mut report = report.as_raw_fd();
        let Err(failure) = self.confine_and_run(ready, work, descriptors, handover, &mut report, course);
        // SAFETY: `report` is the number under which the pipe is open here.
        let report = unsafe { BorrowedFd::borrow_raw(report) };
        say(&report, &End::Failed(failure));
    }

    fn confine_and_run(
        &self,
        ready: Ready,
        work: &Work,
        descriptors: Vec<OwnedFd>,
        handover: Option<Handover>,
        report: &mut RawFd,
        course: Option<&Course>,
    ) -> Result<Infallible, Failure> {
        let (numbers, access): (&[RawFd], &[Access]) = match work {
            Work::Execute(program) => (&program.descriptors, &program.access),
            Work::Probe => (&[1], &[]),
        };
        // First, while the rules still have their descriptor: it is closed at exec with all others.
        if let Work::Execute(program) = work {
            rustix::process::umask(rustix::fs::Mode::from_bits_truncate(program.umask & 0o777));
            limits::lower_for(&program.budget).at(Step::Limits)?;
            // No session of its own where it needs none: the kernel's scheduler has a group for each (sched(7), autogroup),
            // and what goes into another one waits its turn again, behind a compiler, beside an idle processor.
            let alone = match program.terminal {
                Some(_) => rustix::process::setsid().map(drop),
                None => rustix::process::setpgid(None, None),
            };
            alone.at(Step::Group)?;
            rustix::process::chdir(&*program.cwd)
                .map_err(|error| Failure::about(Step::WorkingDirectory, program.cwd.to_bytes(), error))?;
        }
        let ready = ready.filter(|_| !is_off(Defence::JobLandlock));
        let fully = ready.map_or(Ok(false), |ready| ready.restrict(access))?;
        if let Work::Execute(program) = work
            && !program.local_sockets
            && self.landlock_abi < landlock::UNIX_SOCKETS_ABI
            && !is_off(Defence::JobFilter)
        {
            seccomp::Filter::no_local_sockets().install().at(Step::Seccomp)?;
        }
        if let (Some(handover), Work::Execute(program)) = (handover, work) {
            let observed = observe::calls::observed(program.observe.unwrap_or(Closeness::Record));
            handover.install(&seccomp::Filter::asking(&observed)).at(Step::Observe)?;
        }
        place_descriptors(descriptors, numbers, report).at(Step::Descriptors)?;
        match work {
            Work::Execute(program) => {
                if let Some(terminal) = program.terminal {
                    leader::lead(terminal)?;
                }
                if program.timed {
                    let now = moments::now();
                    match course {
                        Some(course) => course.executed.set(Some(now)),
                        // SAFETY: the pipe is open under this number until exec.
                        None => say(&unsafe { BorrowedFd::borrow_raw(*report) }, &End::Executes(now)),
                    }
                }
                Err(program.execute())
            }
            Work::Probe => {
                report::probe(fully).at(Step::Probe)?;
                process::exit_now(0)
            }
        }
    }
}

impl Program {
    /// Replaces this process; returns only if that fails.
    fn execute(&self) -> Failure {
        let pointers = |list: &[CString]| -> Vec<*const c_char> {
            list.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
        };
        let (argv, env) = (pointers(&self.argv), pointers(&self.env));
        // SAFETY: the path ends with a zero byte; both lists end with a null pointer and point at strings
        // that live as long as `self`.
        unsafe { libc::execve(self.path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        Failure::about(Step::Exec, self.path.to_bytes(), io::Error::last_os_error())
    }
}

impl Job {
    /// A job in namespaces of its own, from its init and the pipe on which that speaks.
    pub(super) fn of_init(init: Child, end: OwnedFd, place: Place) -> Self {
        Self::new(init, end, place, ProcessTree::Namespace)
    }

    fn new(init: Child, end: OwnedFd, place: Place, tree: ProcessTree) -> Self {
        Self {
            init,
            end: Some(end),
            said: Vec::new(),
            place,
            tree,
            started: Instant::now(),
            taken: moments::now(),
            began: None,
            executes: None,
            exceeded: None,
        }
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether it was [stopped](Self::stop), and may not be dead yet.
    pub fn is_ending(&self) -> bool {
        self.exceeded.is_some()
    }

    /// Kills every process of the job, for this reason.
    pub fn stop(&mut self, exceeded: Exceeded) {
        // The first reason counts: it may take a while to die.
        if self.exceeded.is_none() {
            self.exceeded = Some(exceeded);
            self.kill();
        }
    }

    /// Readable when the init is dead, and with it the job.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.init.pidfd
    }

    /// Readable when the job may be over.
    pub fn end(&self) -> Option<&OwnedFd> {
        self.end.as_ref()
    }

    /// The init's process number.
    pub fn init(&self) -> Pid {
        self.init.pid
    }

    /// Kills every process of the job.
    pub fn kill(&self) {
        let signal = match self.tree {
            ProcessTree::Namespace => Signal::KILL,
            // The init has to kill the others first; nothing else would.
            ProcessTree::Subreaper => tree::END,
        };
        // The only error is that it has ended already.
        let _ = rustix::process::pidfd_send_signal(&self.init.pidfd, signal);
    }

    /// Sends the job a signal; one that jobs are not sent ends it.
    pub fn signal(&self, signal: i32) {
        match signals::for_init(signal) {
            Some(signal) => {
                let _ = rustix::process::pidfd_send_signal(&self.init.pidfd, signal);
            }
            None => self.kill(),
        }
    }

    /// Whether the job has stopped since this was asked last.
    pub fn take_stop(&mut self) -> bool {
        let stopped = self.ends().iter().any(|end| matches!(end, End::Paused));
        if stopped {
            // Nothing but the end comes behind it, which is not here yet.
            self.said.clear();
        }
        stopped
    }

    /// What it may use up, if it has begun by a request that the agent has not seen.
    pub fn take_beginning(&mut self) -> Option<Budget> {
        self.hear();
        let (at, budget) = self.began.take()?;
        (self.taken, self.started) = (at, Instant::now());
        Some(budget)
    }

    /// What is left where it never had a request.
    pub fn unused(self) -> Remains {
        Remains { init: self.init, end: None }
    }

    /// Whether it could not even wait for one.
    pub fn has_failed(&self) -> bool {
        self.ends().iter().any(|end| matches!(end, End::Failed(_)))
    }

    /// Whether the job is over: every process of it is dead. Asked when one of the descriptors is readable.
    pub fn is_over(&mut self) -> bool {
        self.hear() || is_ready(&self.init.pidfd)
    }

    /// Takes what the job or its init says. Returns whether that was the init's last word.
    fn hear(&mut self) -> bool {
        if let Some(end) = self.end.as_ref().filter(|end| is_ready(end)) {
            let mut bytes = [0; libc::PIPE_BUF];
            match rustix::io::read(end, &mut bytes) {
                // The init is on its way out; `poll` would say so again and again until it is dead.
                Ok(0) | Err(_) => self.end = None,
                Ok(length) => self.said.extend_from_slice(&bytes[..length]),
            }
        }
        let ends = self.ends();
        for end in &ends {
            match end {
                End::Began(at, budget) => self.began = Some((*at, *budget)),
                End::Executes(at) => self.executes = Some(*at),
                End::Exited(..) | End::Answered | End::Failed(_) | End::Paused => {}
            }
        }
        ends.iter().any(|end| matches!(end, End::Exited(..) | End::Answered))
    }

    fn ends(&self) -> Vec<End> {
        let mut ends = Vec::new();
        let mut rest = self.said.as_slice();
        while let Ok((end, left)) = postcard::take_from_bytes(rest) {
            ends.push(end);
            rest = left;
        }
        ends
    }

    /// How the job ended, once it [is over](Self::is_over); no reply where the broker has one. `others` are the inits of other jobs.
    pub fn finish(mut self, others: &[Pid]) -> (Option<Reply>, Option<Moments>, Remains) {
        let dead = is_ready(&self.init.pidfd);
        if dead {
            self.hear();
        }
        if self.tree == ProcessTree::Subreaper && dead {
            // Should the job have killed its init, then what it left is below the agent now.
            tree::kill_all_but(others);
        }
        self.place.remove();
        let mut ends = self
            .ends()
            .into_iter()
            .filter(|end| !matches!(end, End::Paused | End::Began(..) | End::Executes(_)));
        let last = ends.next();
        let moments = match (self.executes, &last) {
            (Some(executed), Some(End::Exited(_, ended))) => {
                Some(Moments { taken: self.taken, executed, ended: *ended })
            }
            _ => None,
        };
        let reply = match last {
            Some(End::Answered) => return (None, None, Remains { init: self.init, end: self.end }),
            // It may have ended by itself at the same moment; then the limit has not ended it.
            None | Some(End::Exited(libc::SIGKILL, _)) if let Some(exceeded) = self.exceeded => {
                Reply::Exceeded(exceeded)
            }
            // The job's own failure to start comes before the init's report of its end.
            Some(End::Failed(failure)) => failure.into_reply(),
            Some(End::Exited(wait_status, _)) => Reply::Exited { wait_status },
            // The init was killed, by us or for want of memory, and with it the job.
            None | Some(End::Paused | End::Began(..) | End::Executes(_)) => {
                Reply::Exited { wait_status: libc::SIGKILL }
            }
        };
        (Some(reply), moments, Remains { init: self.init, end: self.end })
    }
}

impl Remains {
    /// Readable when there is something to [bury](Self::bury).
    pub fn pidfd(&self) -> &OwnedFd {
        &self.init.pidfd
    }

    /// Whether the init still waits to be let go.
    pub fn waits(&self) -> bool {
        self.end.is_some()
    }

    /// Lets the init end. Not before the reply: its end takes the kernel longer, and may be on this processor.
    pub fn let_go(&mut self) {
        self.end = None;
    }

    /// Reaps the init if it has ended; returns whether it has.
    pub fn bury(&self) -> bool {
        let ended = is_ready(&self.init.pidfd);
        if ended {
            let _ = process::wait(self.init.pid);
        }
        ended
    }
}

fn is_ready(descriptor: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready == 1)
}

/// Gives each descriptor its number, and has everything else closed at exec.
fn place_descriptors(descriptors: Vec<OwnedFd>, numbers: &[RawFd], report: &mut RawFd) -> io::Result<()> {
    // First out of the way of every number, or a later one could be overwritten before its turn.
    let beyond = numbers.iter().copied().max().map_or(0, |highest| highest + 1);
    let mut moved = Vec::with_capacity(descriptors.len());
    for descriptor in &descriptors {
        moved.push(rustix::io::fcntl_dupfd_cloexec(descriptor, beyond)?);
    }
    // SAFETY: the caller says that this number is open.
    let old = unsafe { BorrowedFd::borrow_raw(*report) };
    let new = rustix::io::fcntl_dupfd_cloexec(old, beyond)?;
    *report = new.as_raw_fd();
    // Open until exec or exit, by number.
    std::mem::forget(new);
    // The values of this process that own a descriptor are on the stack of the agent's loop, to which this
    // process never returns.
    std::mem::forget(descriptors);
    process::close_all_at_exec()?;
    for (descriptor, number) in moved.iter().zip(numbers) {
        // SAFETY: dup2 takes two numbers; what was open under the second is not used again here.
        if unsafe { libc::dup2(descriptor.as_raw_fd(), *number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// What a probe wrote.
///
/// # Errors
/// When it wrote something else.
pub fn read_probe(file: OwnedFd) -> io::Result<Probe> {
    let mut file = std::fs::File::from(file);
    io::Seek::rewind(&mut file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.flush()?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}
