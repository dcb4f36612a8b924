//! The agent's loop: one thread, one `poll(2)`, so that forking is safe and no peer can hold up another.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use super::connection::{Incoming, Outgoing, Progress, Said, has_more, hear};
use super::failure::{AtStep as _, Failure, Step};
use super::network;
use super::peer::{Peers, may_connect};
use super::protocol::{
    Budget, Exceeded, Greeting, JobSpec, PROTOCOL_VERSION, Reply, Request, SUBREAPER, encode,
};
use super::report::{self, Coming, Origin};
use super::spare::Spare;
use super::spawn::{self, Confinement, Job, ProcessTree, Remains, Work};
use super::watch::{OutOfMemory, Watch, Watched as WatchedJob};
use super::world::Place;

/// How long a job runs before the surroundings of the next one are made: its own start comes first.
const SPARE_DELAY: Timespec = Timespec { tv_sec: 0, tv_nsec: 3_000_000 };

/// How long behind a reply nothing is done: with two processors, whoever waits for it would have to wait for one.
const REPLY_DELAY: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000 };

/// Most inits of jobs that are over that wait for that.
const MOST_REMAINS: usize = 4;

/// The agent once it is in its final world.
#[derive(Debug)]
pub struct Server {
    /// Said in every greeting.
    pub fingerprint: String,
    /// Time without a connection after which the agent ends.
    pub idle: Duration,
    /// Who may connect.
    pub peers: Peers,
    /// What the container was before the agent changed anything.
    pub origin: Origin,
    /// Limits that are not in force yet.
    pub coming: Option<Coming>,
    /// Memory of all jobs, in bytes, for where the kernel does not limit it.
    pub memory: u64,
    /// What every job goes through.
    pub confinement: Confinement,
    /// The surroundings of the next job.
    pub spare: Option<Spare>,
    /// Whether such are made.
    pub spares: bool,
    /// Whether a job came on another connection than the one that has a spare: then one is kept for all as well.
    pub missed: bool,
    /// Limits that the kernel does not keep.
    pub watch: Watch,
    /// Limits that it keeps by killing.
    pub out_of_memory: OutOfMemory,
}

/// One connection, from accept to the last byte of the reply.
struct Connection {
    /// `None` when the peer is gone and its job is being killed.
    stream: Option<UnixStream>,
    /// Whether nothing that the peer says is heard any more: the agent is to end, and a process may just have taken a job.
    deaf: bool,
    state: State,
}

enum State {
    Receiving(Incoming),
    Handed(Handed),
    Running(Job, Purpose, Lifetime),
    Sending(Outgoing),
}

/// A connection that a spare reads.
struct Handed {
    /// Of the spare; it may never come.
    job: Job,
    /// What the spare cannot do comes back here; nothing when it will not any more.
    back: Option<UnixStream>,
    incoming: Incoming,
}

/// What is remembered of a running job for [`Watch`].
#[derive(Default)]
struct Lifetime {
    budget: Budget,
    free: Option<u64>,
}

enum Purpose {
    Program,
    /// The file that the probe writes to.
    Report(OwnedFd),
}

/// What `poll` is asked about.
enum Watched {
    Listener,
    Stream(usize),
    Process(usize),
    Back(usize),
    Remains,
}

impl Server {
    /// Serves until the agent was idle for long enough or was told to stop.
    ///
    /// # Errors
    /// When the listener fails; jobs fail alone.
    pub fn serve(&mut self, listener: UnixListener) -> anyhow::Result<()> {
        listener.set_nonblocking(true).context("cannot prepare the agent's socket")?;
        let greeting = Greeting { version: PROTOCOL_VERSION, fingerprint: self.fingerprint.clone() };
        let greeting = encode(&greeting)?;
        let mut listener = Some(listener);
        let mut connections: Vec<Connection> = Vec::new();
        let mut remains: Vec<Remains> = Vec::new();
        let mut chunk = Vec::new();
        let mut idle_since = Instant::now();
        loop {
            if connections.is_empty() {
                if listener.is_none() || idle_since.elapsed() >= self.idle {
                    return Ok(());
                }
            } else {
                idle_since = Instant::now();
            }
            if connections.iter().any(|connection| matches!(connection.state, State::Running(..))) {
                self.watch.arm();
            } else {
                self.watch.due = None;
            }
            let events = self.wait(listener.as_ref(), &connections, &remains, idle_since)?;
            let calm = events.is_empty();
            for event in events {
                match event {
                    Watched::Listener => {
                        if let Some(listener) = &listener {
                            self.accept(listener, &greeting, &mut connections)?;
                        }
                    }
                    Watched::Stream(index) => {
                        if self.advance(&mut connections[index], &mut chunk) {
                            listener = None;
                        }
                    }
                    Watched::Back(index) => {
                        let (stop, left) = self.take_back(&mut connections[index], &mut chunk);
                        if stop {
                            listener = None;
                        }
                        remains.extend(left);
                    }
                    Watched::Process(index) => {
                        let (stop, unused) = self.begun(&mut connections[index], &mut chunk);
                        if stop {
                            listener = None;
                        }
                        remains.extend(unused);
                        remains.extend(self.finish(&mut connections, index));
                    }
                    Watched::Remains => remains.retain(|remains| !remains.bury()),
                }
            }
            if self.watch.due.is_some_and(|due| Instant::now() >= due) {
                self.look(&mut connections);
            }
            connections.retain_mut(|connection| {
                let receiving = matches!(connection.state, State::Receiving(_));
                let running = matches!(connection.state, State::Running(..) | State::Handed(_));
                if let (State::Handed(_), Some(stream), None) =
                    (&connection.state, &connection.stream, &listener)
                {
                    // What has been sent is read, and what is sent now is refused.
                    let _gone = stream.shutdown(Shutdown::Read);
                    connection.deaf = true;
                }
                // Once told to stop, a request that has not come is not waited for.
                running || (connection.stream.is_some() && !(receiving && listener.is_none()))
            });
            if calm || remains.len() > MOST_REMAINS {
                remains.iter_mut().for_each(Remains::let_go);
            }
            if calm {
                self.make_spare(&mut connections);
            }
            // One large request must not stay in memory for the life of the container.
            chunk = Vec::new();
        }
    }

    fn wait(
        &self,
        listener: Option<&UnixListener>,
        connections: &[Connection],
        remains: &[Remains],
        idle_since: Instant,
    ) -> anyhow::Result<Vec<Watched>> {
        let mut watched = Vec::with_capacity(2 * connections.len() + 1);
        let mut fds = Vec::with_capacity(2 * connections.len() + 1);
        for (index, connection) in connections.iter().enumerate() {
            if let Some(stream) = &connection.stream {
                let wanted = match connection.state {
                    State::Sending(_) => PollFlags::OUT,
                    // Its own end of hearing would be found again and again; that the peer is gone is said all the same.
                    State::Running(..) | State::Handed(_) if connection.deaf => PollFlags::empty(),
                    State::Receiving(_) | State::Running(..) => PollFlags::IN | PollFlags::RDHUP,
                    // What comes is the spare's.
                    State::Handed(_) => PollFlags::RDHUP,
                };
                watched.push(Watched::Stream(index));
                fds.push(PollFd::new(stream, wanted));
            }
            if let State::Handed(Handed { back: Some(back), .. }) = &connection.state {
                watched.push(Watched::Back(index));
                fds.push(PollFd::new(back, PollFlags::IN));
            }
            if let State::Running(job, ..) | State::Handed(Handed { job, .. }) = &connection.state {
                watched.push(Watched::Process(index));
                fds.push(PollFd::new(job.pidfd(), PollFlags::IN));
                if let Some(end) = job.end() {
                    watched.push(Watched::Process(index));
                    fds.push(PollFd::new(end, PollFlags::IN));
                }
            }
        }
        for remains in remains {
            watched.push(Watched::Remains);
            fds.push(PollFd::new(remains.pidfd(), PollFlags::IN));
        }
        // Last: the broker connects for the next job right behind the request for one.
        if let Some(listener) = listener {
            watched.push(Watched::Listener);
            fds.push(PollFd::new(listener, PollFlags::IN));
        }
        let running = || connections.iter().any(|connection| matches!(connection.state, State::Running(..)));
        let timeout = if remains.iter().any(Remains::waits) {
            Some(REPLY_DELAY)
        } else if self.wants_spare(connections) && running() {
            Some(SPARE_DELAY)
        } else if connections.is_empty() {
            let left = self.idle.saturating_sub(idle_since.elapsed());
            Some(Timespec::try_from(left).context("the idle time is too long")?)
        } else {
            let due = self.watch.due.filter(|_| running());
            let left = due.map(|due| Timespec::try_from(due.saturating_duration_since(Instant::now())));
            left.transpose().context("the next look at jobs is too far away")?
        };
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for requests"),
        }
        let ready = fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>();
        drop(fds);
        Ok(watched.into_iter().zip(ready).filter_map(|(watched, ready)| ready.then_some(watched)).collect())
    }

    fn accept(
        &self,
        listener: &UnixListener,
        greeting: &[u8],
        connections: &mut Vec<Connection>,
    ) -> anyhow::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(()),
                    // The peer has gone already; or there are no descriptors left, and jobs will give some
                    // back.
                    Some(libc::ECONNABORTED | libc::EINTR | libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
                        return Ok(());
                    }
                    _ => return Err(error).context("cannot accept connections"),
                },
            };
            let welcome = may_connect(&stream, self.peers).unwrap_or(false);
            // A fresh socket takes a greeting whole.
            if welcome && Outgoing::new(greeting.to_vec()).send(&stream).unwrap_or(false) {
                let state = State::Receiving(Incoming::default());
                connections.push(Connection { stream: Some(stream), deaf: false, state });
            }
        }
    }

    /// Goes on with a connection whose stream is ready. Returns whether the agent was told to stop.
    fn advance(&mut self, connection: &mut Connection, chunk: &mut Vec<u8>) -> bool {
        let Some(stream) = &connection.stream else { return false };
        match &mut connection.state {
            State::Receiving(incoming) => match incoming.receive(stream, chunk) {
                Ok(Progress::Partial) => false,
                Ok(Progress::Complete(request, descriptors)) => self.answer(connection, request, descriptors),
                Err(_) => {
                    connection.stream = None;
                    false
                }
            },
            State::Handed(_) => {
                // The spare finds out as well, and ends.
                connection.stream = None;
                false
            }
            State::Running(job, ..) => {
                match hear(stream) {
                    Said::Nothing => {}
                    Said::Signals(signals) => {
                        signals.into_iter().for_each(|signal| job.signal(signal.into()))
                    }
                    Said::Gone => {
                        job.kill();
                        connection.stream = None;
                    }
                }
                false
            }
            State::Sending(outgoing) => {
                if outgoing.send(stream).unwrap_or(true) {
                    connection.stream = None;
                }
                false
            }
        }
    }

    /// Starts what a request asks for, or replies. Returns whether the agent was told to stop.
    fn answer(&mut self, connection: &mut Connection, request: Request, descriptors: Vec<OwnedFd>) -> bool {
        let stop = request == Request::Stop;
        match self.begin(request, descriptors) {
            Ok(state) => connection.state = state,
            Err(reply) => connection.reply(&[reply]),
        }
        stop
    }

    /// Takes a request that a spare gives back. Returns whether the agent was told to stop, and what is left of the spare.
    fn take_back(&mut self, connection: &mut Connection, chunk: &mut Vec<u8>) -> (bool, Option<Remains>) {
        let State::Handed(Handed { back, incoming, .. }) = &mut connection.state else {
            return (false, None);
        };
        let Some(stream) = back else { return (false, None) };
        match incoming.receive(stream, chunk) {
            Ok(Progress::Partial) => (false, None),
            Ok(Progress::Complete(request, descriptors)) => {
                let left = connection.take_handed().map(Job::unused);
                (self.answer(connection, request, descriptors), left)
            }
            Err(_) => {
                *back = None;
                (false, None)
            }
        }
    }

    /// Looks whether a spare that has a connection has begun a job, or has ended without one. Returns as
    /// [`take_back`](Self::take_back).
    fn begun(&mut self, connection: &mut Connection, chunk: &mut Vec<u8>) -> (bool, Option<Remains>) {
        let State::Handed(Handed { job, .. }) = &mut connection.state else { return (false, None) };
        if let Some(budget) = job.take_beginning() {
            if let Some(job) = connection.take_handed() {
                if connection.stream.is_none() {
                    job.kill();
                }
                connection.state = State::Running(job, Purpose::Program, Lifetime { budget, free: None });
            }
            return (false, None);
        }
        if !job.is_over() {
            return (false, None);
        }
        self.spares &= !job.has_failed();
        // It may have given something back before its end.
        while let State::Handed(Handed { back: Some(_), .. }) = &connection.state {
            match self.take_back(connection, chunk) {
                (false, None) => {}
                done => return done,
            }
        }
        if !connection.stream.as_ref().is_some_and(has_more) {
            // It may have taken a request with it, for which the broker would wait for ever.
            connection.stream = None;
        }
        (false, connection.take_handed().map(Job::unused))
    }

    /// Starts what a request asks for; `Err` is a reply that needs no process.
    fn begin(&mut self, request: Request, descriptors: Vec<OwnedFd>) -> Result<State, Reply> {
        let started = match request {
            Request::Run(spec) => self.run(spec, descriptors),
            Request::Report => self.probe(),
            Request::Connect(port) => return Err(connect(port, &descriptors)),
            Request::Stop => return Err(Reply::Stopping),
        };
        started.map_err(Failure::into_reply)
    }

    /// Waits until the container's limits are in force.
    fn settle(&mut self) -> Result<(), Failure> {
        if let Some(coming) = &self.coming {
            coming.take(&mut self.origin).at(Step::Limits)?;
            self.out_of_memory = OutOfMemory::new(self.origin.out_of_memory.take());
            self.watch.memory = self.origin.memory_limit.is_none().then_some(self.memory);
            self.coming = None;
        }
        Ok(())
    }

    fn run(&mut self, spec: Box<JobSpec>, descriptors: Vec<OwnedFd>) -> Result<State, Failure> {
        self.settle()?;
        let lifetime = Lifetime { budget: spec.budget, free: None };
        let (spec, descriptors) = match self.spare.take_if(|_| Spare::suits(&spec, &self.confinement.common))
        {
            None => {
                self.missed = true;
                (spec, descriptors)
            }
            Some(spare) => match spare.start(spec, descriptors) {
                Ok(job) => return Ok(State::Running(job, Purpose::Program, lifetime)),
                Err(back) => back,
            },
        };
        let place = self.place()?;
        let started = Work::of(*spec, descriptors.len(), &place)
            .and_then(|work| self.confinement.start(&work, descriptors, place.clone()));
        if started.is_err() {
            place.remove();
        }
        Ok(State::Running(started?, Purpose::Program, lifetime))
    }

    fn probe(&self) -> Result<State, Failure> {
        let file = rustix::fs::memfd_create("probe", rustix::fs::MemfdFlags::CLOEXEC).at(Step::Probe)?;
        let output = file.try_clone().at(Step::Probe)?;
        let job = self.confinement.start(&Work::Probe, vec![output], self.place()?)?;
        Ok(State::Running(job, Purpose::Report(file), Lifetime::default()))
    }

    /// Looks at what jobs use, and ends those that use too much.
    fn look(&mut self, connections: &mut [Connection]) {
        self.out_of_memory.refresh();
        let mut running: Vec<(&mut Job, &mut Lifetime)> = connections
            .iter_mut()
            .filter_map(|connection| match &mut connection.state {
                State::Running(job, _, lifetime) => Some((job, lifetime)),
                _ => None,
            })
            .collect();
        let mut watched: Vec<WatchedJob> = running
            .iter()
            .map(|(job, lifetime)| WatchedJob {
                init: job.init().as_raw_pid(),
                started: job.started(),
                budget: lifetime.budget,
                free: lifetime.free,
                ending: job.is_ending(),
            })
            .collect();
        let over = self.watch.look(&mut watched);
        for ((_, lifetime), watched) in running.iter_mut().zip(watched) {
            lifetime.free = watched.free;
        }
        for (index, exceeded) in over {
            running[index].0.stop(exceeded);
        }
    }

    /// The limit that the kernel has ended a job by, if it has.
    fn ended_by(&mut self, wait_status: i32, started: Instant) -> Option<Exceeded> {
        if wait_status == 0 {
            return None;
        }
        if libc::WIFSIGNALED(wait_status) && libc::WTERMSIG(wait_status) == libc::SIGXFSZ {
            return Some(Exceeded::FileSize { limit: self.confinement.limits.file_size });
        }
        // A compiler whose linker was killed ends by itself, in an error.
        let killed = self.out_of_memory.since(started);
        killed.then_some(Exceeded::Memory { limit: self.origin.memory_limit })
    }

    /// Makes the surroundings of the next job when nobody waits for the agent: behind a reply, or while a job
    /// runs on. Where it fails, each job makes its own, and says why it cannot.
    ///
    /// It gets the connection that was made last, if there is one on which nothing was sent: of one broker, that is the one that the
    /// next job comes on. Where jobs came on others, the next is for whichever comes.
    fn make_spare(&mut self, connections: &mut [Connection]) {
        if !self.wants_spare(connections) {
            return;
        }
        let handed = connections.iter().any(Connection::is_handed);
        let idle = connections.iter_mut().rev().find(|connection| connection.is_idle());
        let idle = idle.filter(|_| !handed);
        let stream = idle.as_ref().and_then(|connection| connection.stream.as_ref());
        let spare = self.place().and_then(|place| self.confinement.spare(place, stream)).ok();
        self.spares = spare.is_some();
        match (spare, idle) {
            (Some(spare), Some(connection)) if connection.stream.is_some() => connection.hand_to(spare),
            (spare, _) => self.spare = spare,
        }
    }

    fn wants_spare(&self, connections: &[Connection]) -> bool {
        let handed = connections.iter().any(Connection::is_handed);
        let for_one = !handed && connections.iter().any(Connection::is_idle);
        let for_all = self.spare.is_none() && (self.missed || !handed);
        // One that is made before the limits are in force would not be under them.
        let settled = self.coming.is_none();
        settled && self.spares && self.confinement.tree == ProcessTree::Namespace && (for_one || for_all)
    }

    fn place(&self) -> Result<Place, Failure> {
        match self.confinement.tree {
            ProcessTree::Namespace if self.confinement.shown.is_empty() => Ok(Place::Mounted),
            ProcessTree::Namespace => Ok(Place::Apart),
            ProcessTree::Subreaper => Place::shared().at(Step::Tmp),
        }
    }

    /// Replies for the job of a connection, if it is over.
    fn finish(&mut self, connections: &mut [Connection], index: usize) -> Option<Remains> {
        let State::Running(job, ..) = &mut connections[index].state else { return None };
        if !job.is_over() {
            if let (true, Some(stream)) = (job.take_stop(), &connections[index].stream)
                && let Ok(mut reply) = Outgoing::replies(&[Reply::Suspended])
            {
                // A peer that does not read has nobody at its terminal.
                let _ = reply.send(stream);
            }
            return None;
        }
        let others: Vec<Pid> = connections
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .filter_map(|(_, connection)| match &connection.state {
                State::Running(job, ..) => Some(job.init()),
                _ => None,
            })
            .collect();
        let connection = &mut connections[index];
        let placeholder = State::Receiving(Incoming::default());
        match std::mem::replace(&mut connection.state, placeholder) {
            State::Running(job, purpose, _) => {
                let started = job.started();
                let (reply, moments, remains) = job.finish(&others);
                let reply = reply.map(|reply| match (purpose, reply) {
                    (Purpose::Report(file), Reply::Exited { wait_status: 0 }) => self.enforced(file),
                    (_, Reply::Exited { wait_status }) => self
                        .ended_by(wait_status, started)
                        .map_or(Reply::Exited { wait_status }, Reply::Exceeded),
                    (_, reply) => reply,
                });
                let replies: Vec<Reply> = moments.map(Reply::Moments).into_iter().chain(reply).collect();
                connection.reply(&replies);
                Some(remains)
            }
            other => {
                connection.state = other;
                None
            }
        }
    }

    fn enforced(&mut self, file: OwnedFd) -> Reply {
        let probe = spawn::read_probe(file).map_err(|error: io::Error| Failure::new(Step::Probe, error));
        match self.settle().and(probe) {
            Ok(probe) => {
                let tree = match self.confinement.tree {
                    ProcessTree::Namespace => "pid namespace",
                    ProcessTree::Subreaper => SUBREAPER,
                };
                let abi = self.confinement.landlock_abi;
                Reply::Enforced(Box::new(report::enforced(&self.origin, probe, abi, tree)))
            }
            Err(failure) => failure.into_reply(),
        }
    }
}

/// Connects to a port of this loopback. The kernel answers at once there.
fn connect(port: u16, descriptors: &[OwnedFd]) -> Reply {
    let connected = match descriptors {
        [channel] => network::connect(port, channel),
        _ => Err(Failure::request("a connection is sent through one descriptor")),
    };
    connected.map_or_else(Failure::into_reply, |()| Reply::Connected)
}

impl Connection {
    /// Has a spare read what comes, and says so to the broker.
    fn hand_to(&mut self, spare: Spare) {
        let (job, back) = spare.with_connection();
        self.state = State::Handed(Handed { job, back: Some(back), incoming: Incoming::default() });
        if let (Some(stream), Ok(mut reply)) = (&self.stream, Outgoing::replies(&[Reply::Ready])) {
            // It is short, and a peer that is gone is seen elsewhere.
            let _gone = reply.send(stream);
        }
    }

    /// The job of a spare that has this connection; what comes on it is the agent's from then on.
    fn take_handed(&mut self) -> Option<Job> {
        match std::mem::replace(&mut self.state, State::Receiving(Incoming::default())) {
            State::Handed(Handed { job, .. }) => Some(job),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Whether nothing has come, and the peer is there.
    fn is_idle(&self) -> bool {
        self.stream.is_some() && matches!(&self.state, State::Receiving(incoming) if incoming.is_empty())
    }

    fn is_handed(&self) -> bool {
        matches!(self.state, State::Handed(_))
    }

    /// Sends replies, of which the last is the end.
    fn reply(&mut self, replies: &[Reply]) {
        let Some(stream) = &self.stream else {
            // Nobody is there to be told; the connection is done with.
            self.state = State::Receiving(Incoming::default());
            return;
        };
        let Ok(mut outgoing) = Outgoing::replies(replies) else {
            self.stream = None;
            return;
        };
        // Nearly always taken whole; a peer that is gone needs no reply.
        if outgoing.send(stream).unwrap_or(true) {
            self.stream = None;
        }
        self.state = State::Sending(outgoing);
    }
}
