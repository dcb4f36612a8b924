//! Listening for wrappers, and seeing each request through.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::net::sockopt::socket_peercred;
use rustix::termios::isatty;

use crate::agent::client::AgentConnection;
use crate::agent::protocol::{Reply as AgentReply, Request as AgentRequest};
use crate::caller::Stat;
use crate::policy::kind::Kind;
use crate::publish::channel::provide;
use crate::wire::{BROKER_SOCKET, Reply};

use super::directives::{Grants, complaint, filter};
use super::exceeded;
use super::generated;
use super::identify::{After, Job, JobKind, identify, role};
use super::jobserver::Fifo;
use super::messages::{Sources, printed};
use super::network;
use super::observation::{Observation, Said};
use super::outputs;
use super::probes::{Capture, Question, write_to};
use super::profiles::Kept;
use super::relay::{Judge, Relay};
use super::request::Request;
use super::running::Running;
use super::scripts;
use super::session::{PlainCargo, Purpose, Session};
use super::sockets;
use super::terminal::Terminal;
use super::trace::Timeline;
use super::wait::{Interruption, Wait};

/// What cargo itself exits with when it fails.
const FAILED: Reply = Reply::Exit(101);

/// What all threads of a broker share. It runs as long as the process.
#[derive(Debug)]
pub struct Broker {
    pub(super) session: Arc<Session>,
    /// The wrapper's content, for shims.
    wrapper: Vec<u8>,
    /// Threads that wait for a wrapper.
    idle_workers: AtomicUsize,
}

impl Broker {
    /// Starts a broker whose socket is in `directory`, which must be the user's own.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(session: Arc<Session>, wrapper: Vec<u8>, directory: &Path) -> io::Result<()> {
        Self::listen_on(listen(directory)?, session, wrapper)
    }

    /// Starts a broker that takes wrappers from `listener`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn listen_on(listener: UnixListener, session: Arc<Session>, wrapper: Vec<u8>) -> io::Result<()> {
        let broker = Self { session, wrapper, idle_workers: AtomicUsize::new(0) };
        spawn_worker(Arc::new(broker), Arc::new(listener))
    }
}

/// Workers that wait for wrappers beyond this number end.
const MOST_IDLE_WORKERS: usize = 4;

/// Starts a thread that serves wrappers, one after the other, and has another one started before none is left to
/// wait for the next. There are as many as cargo runs jobs at once.
fn spawn_worker(broker: Arc<Broker>, listener: Arc<UnixListener>) -> io::Result<()> {
    let counted = Arc::clone(&broker);
    counted.idle_workers.fetch_add(1, Ordering::SeqCst);
    let worker = move || {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // One of that connection's, or one that passes: too many open files.
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            if broker.idle_workers.fetch_sub(1, Ordering::SeqCst) == 1 {
                // Where no thread can be had, the next wrapper waits for this one's end.
                let _started = spawn_worker(Arc::clone(&broker), Arc::clone(&listener));
            }
            broker.serve(&stream);
            drop(stream);
            if broker.idle_workers.fetch_add(1, Ordering::SeqCst) >= MOST_IDLE_WORKERS {
                broker.idle_workers.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        }
    };
    let started = std::thread::Builder::new().name("broker".to_owned()).spawn(worker);
    if started.is_err() {
        counted.idle_workers.fetch_sub(1, Ordering::SeqCst);
    }
    started.map(|_| ())
}

/// Binds the socket by the directory's descriptor: the name of a socket may have 107 bytes only.
fn listen(directory: &Path) -> io::Result<UnixListener> {
    use std::os::fd::AsRawFd;
    let opened = std::fs::File::open(directory)?;
    UnixListener::bind(PathBuf::from(format!("/proc/self/fd/{}/{BROKER_SOCKET}", opened.as_raw_fd())))
}

impl Broker {
    fn serve(&self, stream: &UnixStream) {
        let mut timeline = Timeline::of_arrival();
        if self.session.plain.as_ref().is_some_and(|plain| !plain.started(stream)) {
            return;
        }
        // A wrapper that went away, or something else that found the socket: nothing to answer.
        let Ok(mut request) = Request::receive(stream) else { return };
        timeline.received();
        let own = self.session.stderr.as_ref();
        let aside = own.map_or(Ok(()), |stderr| stderr.step_aside(&mut request.descriptors));
        let mut spent = None;
        let mut run = || self.run(stream, &request, timeline, &mut spent);
        let reply = match aside.map_err(Into::into).and_then(|()| run()) {
            Ok(reply) => reply,
            Err(error) => {
                say(&request, &error);
                if self.session.says_of_questions && self.is_question(&request) {
                    eprintln!("error: {error:#}");
                }
                FAILED
            }
        };
        let _gone = (&*stream).write_all(&reply.encode());
        // Cargo reads what a compiler says until nobody can say more.
        drop(request);
        std::thread::sleep(REPLY_DELAY);
        drop(spent);
        // For the next job, while nobody waits.
        self.session.containers.connect_ahead();
    }

    fn is_question(&self, request: &Request) -> bool {
        identify(&self.session, request).is_ok_and(|job| job.kind == JobKind::Query)
    }

    /// What cargo is answered. The connection of the job, which is done with, is left in `spent`.
    fn run(
        &self,
        stream: &UnixStream,
        request: &Request,
        mut timeline: Timeline,
        spent: &mut Option<Arc<AgentConnection>>,
    ) -> anyhow::Result<Reply> {
        let session = &*self.session;
        if session.role(&request.exe) == Some(role::CREDENTIAL) {
            let Some(tokens) = &session.tokens else { anyhow::bail!("cargo has its tokens by itself") };
            provide(request, &|question| tokens.answer_reading(question))?;
            return Ok(Reply::Exit(0));
        }
        let mut job = identify(session, request)?;
        if let (Purpose::Rehearsal(reached), true) = (&session.purpose, job.kind != JobKind::Query) {
            reached.store(true, Ordering::SeqCst);
            anyhow::bail!("nothing is run yet");
        }
        if session.verbose {
            say_line(request, &format!("{} of {}", job.kind.name(), job.package));
        }
        let question = match job.kind {
            JobKind::Query => Question::of(&session.probes, &job, request),
            _ => None,
        };
        if let Some(stdout) = question.as_ref().and_then(Question::known) {
            write_to(request, 1, &stdout)?;
            return Ok(Reply::Exit(0));
        }
        let capture = question.as_ref().map(|_| Capture::new()).transpose()?;
        let kept =
            Kept::give(session, &mut job).context("failed to make a directory for a job's profiles")?;
        let observation = self.observe(&mut job)?;
        job.spec.timed = session.trace.is_some();
        let said = Arc::new(Said::default());
        let started = Instant::now();
        let extra = Extra {
            capture: capture.as_ref(),
            observation: observation.as_ref(),
            said: &said,
            timeline: &mut timeline,
            spent,
        };
        let reply = self.hand_over(stream, request, &mut job, extra);
        let outcome = (reply.as_ref().ok().copied(), started.elapsed());
        self.conclude(stream, request, &job, observation, &said, outcome);
        let reply = reply?;
        if let Some(kept) = kept {
            kept.take(session, reply == Reply::Exit(0))?;
        }
        if let (Some(capture), Some(question)) = (capture, question) {
            let answer = capture.forward(request)?;
            if let (Some(answer), Reply::Exit(0)) = (answer, reply) {
                question.keep(answer)?;
            }
        }
        if reply == Reply::Exit(0) {
            self.after(&job)?;
        }
        if let Some(trace) = &session.trace {
            trace.write(&job, &timeline);
        }
        Ok(reply)
    }

    fn after(&self, job: &Job) -> anyhow::Result<()> {
        let directories = &self.session.directories;
        match &job.after {
            After::Nothing => {}
            After::CheckOutputs { directory, stem } => outputs::check(&directories.build(), directory, stem)?,
            After::TakeScript { executable } => scripts::take(directories, executable, &self.wrapper)?,
        }
        Ok(())
    }

    /// Runs a job in the container and waits for its end, or for the end of the wrapper.
    fn hand_over(
        &self,
        stream: &UnixStream,
        request: &Request,
        job: &mut Job,
        extra: Extra<'_>,
    ) -> anyhow::Result<Reply> {
        let Extra { capture, observation, said, timeline, spent } = extra;
        let mut relays = self.relays(request, job, said)?;
        let wrapper = socket_peercred(stream).ok().map(|credentials| credentials.pid);
        let (mut terminal, job_end) = Terminal::of(request, wrapper)?.unzip();
        let fifo = Fifo::of(request, &mut job.spec.env);
        let of_fifo = fifo.iter().flat_map(|fifo| &fifo.descriptors);
        let descriptors: Vec<(i32, BorrowedFd<'_>)> = request
            .descriptors
            .iter()
            .chain(of_fifo)
            .map(|(number, own)| match (number, capture, relays.ends.iter().find(|(of, _)| of == number)) {
                (_, _, Some((_, end))) => (*number, end.as_fd()),
                (1, Some(capture), None) => (1, capture.stdout.as_fd()),
                (2, Some(capture), None) => (2, capture.stderr.as_fd()),
                _ => (*number, own.as_fd()),
            })
            .map(|(number, own)| match &job_end {
                Some(end) if number < 3 && isatty(own) => (number, end.as_fd()),
                _ => (number, own),
            })
            .collect();
        job.spec.terminal = job_end.as_ref().and_then(|end| {
            let (number, _) = descriptors.iter().find(|(_, own)| own.as_raw_fd() == end.as_raw_fd())?;
            Some(*number)
        });
        job.spec.descriptors = descriptors.iter().map(|(number, _)| *number).collect();
        let _published = network::publish(job, &self.session)?;
        let record = observation.map(Observation::descriptor);
        let mut attempts = 1;
        let reply = loop {
            let served = network::serve(job)?;
            job.spec.network = served.as_ref().map(|served| served.network.clone());
            let channel = served.as_ref().map(|served| served.channel.as_fd());
            let leading_out = sockets::serve(job)?;
            job.spec.sockets = leading_out.as_ref().map(|served| served.paths.clone()).unwrap_or_default();
            let leads_out = leading_out.as_ref().map(|served| served.channel.as_fd());
            let borrowed: Vec<BorrowedFd<'_>> = descriptors
                .iter()
                .map(|(_, own)| *own)
                .chain(channel)
                .chain(leads_out)
                .chain(record)
                .collect();
            let agent = Arc::new(self.session.containers.connect(&self.session, network::of_container(job))?);
            let running = Running::new(Arc::clone(&agent));
            let sent = agent.send(&AgentRequest::Run(Box::new(job.spec.clone())), &borrowed);
            timeline.sent();
            let wait = Wait {
                stream,
                agent: &agent,
                relays: &mut relays.all,
                terminal: terminal.as_mut(),
                when_calm: &|| self.session.containers.connect_ahead(),
                moments: &mut timeline.moments,
            };
            let reply = sent.map_err(Interruption::from).and_then(|()| wait.for_end());
            timeline.answered();
            drop(running);
            *spent = Some(Arc::clone(&agent));
            match reply {
                Err(Interruption::Agent(error)) if was_not_taken(&error) && attempts < MOST_ATTEMPTS => {
                    attempts += 1;
                }
                Err(Interruption::Relay(error)) => {
                    // The job ends with its connection.
                    let _gone = agent.shutdown();
                    break Err(Interruption::Relay(error));
                }
                reply => break reply,
            }
        };
        match reply {
            Ok(Some(AgentReply::Exited { wait_status })) => {
                let reply = ended(wait_status);
                if reply != Reply::Exit(0) {
                    self.advise(request, job, &relays);
                }
                Ok(reply)
            }
            Ok(Some(AgentReply::Exceeded(limit))) => {
                anyhow::bail!("{}", exceeded::explain(&self.session.policy, job, limit))
            }
            Ok(Some(AgentReply::Failed { message, errno, at_exec })) => {
                let what = format!("{} of {}", job.kind.name(), job.package);
                if at_exec {
                    let reason = io::Error::from_raw_os_error(errno);
                    anyhow::bail!("could not execute the {what}: {reason}");
                }
                anyhow::bail!("the {what} cannot be confined as promised, and was not started: {message}");
            }
            Ok(Some(other)) => anyhow::bail!("the agent answered {other:?} to a job"),
            // The wrapper went away; nobody reads the reply.
            Ok(None) => Ok(FAILED),
            Err(Interruption::Relay(error)) => {
                anyhow::bail!("the {} of {} {error}", job.kind.name(), job.package)
            }
            Err(Interruption::Agent(error)) => Err(self.session.containers.lost(&self.session, &error)),
        }
    }

    /// Says what to install, or to write down, where a job has failed without it.
    fn advise(&self, request: &Request, job: &Job, relays: &Relays) {
        let generated = |words: &[u8]| {
            let subject = job.subject.as_ref().filter(|subject| subject.kind != Kind::BuildScript)?;
            generated::advice(&self.session, &subject.package, request, words)
        };
        // Standard error, which is the last, before what was tried on the way.
        let mut words = relays.all.iter().rev().map(Relay::last_words);
        let advice = words.find_map(|words| self.session.advisor.advice(words).or_else(|| generated(words)));
        if let Some(advice) = advice {
            let _gone = write_to(request, 2, format!("\n{advice}\n").as_bytes());
        }
    }

    /// Between a job and cargo, which obeys, passes on or prints what a build script or a compiler says. Programs of
    /// the project speak to the user.
    fn relays(&self, request: &Request, job: &Job, said: &Arc<Said>) -> io::Result<Relays> {
        let said = Arc::clone(said);
        // What the job may read itself, and what the user lets every job of the workspace read.
        let readable = || {
            let listed = job.spec.access.iter().map(|access| PathBuf::from(OsStr::from_bytes(&access.path)));
            listed.chain([self.session.directories.build()]).chain(self.session.extra_reads.iter().cloned())
        };
        let judges: Vec<(i32, Judge)> = match job.kind {
            JobKind::BuildScript => {
                let package = request.cwd.clone();
                let grants =
                    Grants { package, directories: readable().collect(), variables: job.sets.clone() };
                let judge = move |line: &[u8]| {
                    said.by_script(line);
                    filter(line, &grants)
                };
                vec![(1, Box::new(judge)), (2, Box::new(complaint))]
            }
            JobKind::Crate | JobKind::BuildScriptCrate | JobKind::Rustdoc => {
                let sources = Sources { cwd: request.cwd.clone(), readable: readable().collect() };
                let judge = move |line: &[u8]| {
                    said.by_compiler(line);
                    sources.said(line)
                };
                vec![(1, Box::new(printed)), (2, Box::new(judge))]
            }
            JobKind::Query
            | JobKind::Program
            | JobKind::Cargo
            | JobKind::Coverage
            | JobKind::LanguageServer => Vec::new(),
        };
        let mut relays = Relays::default();
        for (number, judge) in judges {
            // A compiler's only where a program reads it: a terminal, or a file, is the user's own.
            let heard = |output: &&OwnedFd| job.kind == JobKind::BuildScript || is_pipe(output);
            if let Some(output) = request.descriptor(number).filter(heard) {
                let (relay, end) = Relay::new(output, judge)?;
                relays.all.push(relay);
                relays.ends.push((number, end));
            }
        }
        Ok(relays)
    }
}

impl PlainCargo {
    /// Whether what connected is the user's, and was started by this cargo or is what this cargo became. A socket
    /// without a place in a file system can be found by everybody.
    fn started(&self, stream: &UnixStream) -> bool {
        let Ok(peer) = socket_peercred(stream) else { return false };
        let id = peer.pid.as_raw_nonzero().get();
        let stat = std::fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent = Stat::parse(&stat).map(|stat| String::from_utf8_lossy(stat.parent).into_owned());
        peer.uid == rustix::process::geteuid()
            && (id == self.process || parent.is_some_and(|parent| parent == self.process.to_string()))
    }
}

/// What goes with a job beside its request.
#[derive(Debug)]
struct Extra<'a> {
    /// Where its output goes, if not to cargo.
    capture: Option<&'a Capture>,
    /// Where it is recorded.
    observation: Option<&'a Observation>,
    /// What it says.
    said: &'a Arc<Said>,
    /// When it comes how far.
    timeline: &'a mut Timeline,
    /// Where its connection is left.
    spent: &'a mut Option<Arc<AgentConnection>>,
}

/// How long behind a reply nothing is done: with two processors, the wrapper would have to wait for one.
const REPLY_DELAY: Duration = Duration::from_micros(500);

/// How often a job is handed over where containers end just then.
const MOST_ATTEMPTS: usize = 3;

/// Whether an agent went away without having read the whole request, so that nothing was started: another command
/// had its container retired.
fn was_not_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// What is relayed of a job's output, and the job's ends with their numbers.
#[derive(Debug, Default)]
struct Relays {
    all: Vec<Relay>,
    ends: Vec<(i32, OwnedFd)>,
}

fn is_pipe(descriptor: &OwnedFd) -> bool {
    use rustix::fs::FileType;
    rustix::fs::fstat(descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

fn ended(wait_status: i32) -> Reply {
    let status = ExitStatus::from_raw(wait_status);
    match (status.code(), status.signal()) {
        (Some(code), _) => Reply::Exit(code),
        (None, Some(signal)) => Reply::Signal(signal),
        (None, None) => FAILED,
    }
}

/// Says why a job failed where the job would have said something itself.
fn say(request: &Request, error: &anyhow::Error) {
    let mut text = String::from("error: ");
    let _infallible = writeln!(text, "{error:#}");
    let _gone = write_to(request, 2, text.as_bytes());
}

fn say_line(request: &Request, line: &str) {
    eprintln!("[sandbox] {line} ({})", request.cwd.display());
}
