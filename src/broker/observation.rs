//! Having jobs observed, and what is made of it.
//!
//! Where the user asks for it (`--audit`), every job is. Otherwise none, so that none is slower; one that failed is run
//! a second time with closer looks, unheard and with all that it writes thrown away, to find out what was refused to it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::agent::observe::{Closeness, Event, Reach, event};
use crate::agent::protocol::{Budget, JobNetwork, JobSpec, Layer, Layered, Request as AgentRequest, Rights};
use crate::policy::kind::Kind;
use crate::policy::network::Network;
use crate::report::package::{self, PackageId};
use crate::report::places::{CRATES, Places};
use crate::report::record::{Source, Variables};
use crate::report::recorder::Finished;
use crate::wire::Reply;

use super::directives::directive;
use super::identify::{After, Job, JobKind};
use super::network;
use super::request::Request;
use super::rustc_arguments::RustcArguments;
use super::server::Broker;
use super::session::{Origin, Purpose, Session};
use super::wait::Wait;

/// The file that a job's record is written to, without a name.
#[derive(Debug)]
pub struct Observation {
    record: OwnedFd,
    started: Instant,
}

impl Observation {
    /// An empty one.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { record: memfd_create("record", MemfdFlags::CLOEXEC)?, started: Instant::now() })
    }

    /// What goes with the job's request, behind its descriptors.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.record.as_fd()
    }

    /// What was written, and how long it took.
    fn read(self) -> (Vec<Event>, Duration) {
        let took = self.started.elapsed();
        let mut file = File::from(self.record);
        let mut bytes = Vec::new();
        // More than an init writes is not from one.
        let most = 2 * event::MAX_RECORD as u64;
        let _partly = file.rewind().and_then(|()| file.take(most).read_to_end(&mut bytes));
        (event::read(&bytes), took)
    }
}

/// What a job said that tells something of it.
#[derive(Debug, Default)]
pub struct Said {
    /// A compiler's words sound as if something was refused to it.
    suspicious: AtomicBool,
    variables: Mutex<(BTreeSet<String>, BTreeSet<String>)>,
}

/// Words of compilers that fail because something is not there, or not allowed. An error in a program has none of
/// them, and is not compiled twice.
const SUSPICIOUS: &[&str] = &[
    "os error",
    "panicked",
    "ermission denied",
    "not permitted",
    "o such file",
    "nreachable",
    "linking with `",
];

impl Said {
    /// Takes a line of a build script's output.
    pub fn by_script(&self, line: &[u8]) {
        let Some((key, value)) = std::str::from_utf8(line).ok().and_then(directive) else { return };
        match key {
            "rerun-if-env-changed" => drop(self.variables().0.insert(value.to_owned())),
            "rustc-env" => {
                let name = value.split('=').next().unwrap_or(value);
                self.variables().1.insert(name.to_owned());
            }
            _ => {}
        }
    }

    /// Takes a line of a compiler's messages.
    pub fn by_compiler(&self, line: &[u8]) {
        let found = |word: &&str| line.windows(word.len()).any(|part| part == word.as_bytes());
        if !self.suspicious.load(Ordering::Relaxed) && SUSPICIOUS.iter().any(found) {
            self.suspicious.store(true, Ordering::Relaxed);
        }
        if let Some(name) = undefined(line) {
            self.variables().0.insert(name);
        }
    }

    fn variables(&self) -> MutexGuard<'_, (BTreeSet<String>, BTreeSet<String>)> {
        self.variables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The variable that a compiler's message says is not defined (`env!`).
fn undefined(line: &[u8]) -> Option<String> {
    const BEFORE: &str = "environment variable `";
    const AFTER: &str = "` not defined at compile time";
    let line = std::str::from_utf8(line).ok()?;
    let (before, _) = line.split_once(AFTER)?;
    Some(before.rsplit_once(BEFORE)?.1.to_owned())
}

/// A job that took longer than this is not run again.
const LONGEST: Duration = Duration::from_secs(30);

/// Longest list of what a compilation depends on that is read, in bytes.
const MAX_DEPENDENCIES: u64 = 4 << 20;

impl Broker {
    /// Has a job observed from its start, where every job is.
    pub(super) fn observe(&self, job: &mut Job) -> io::Result<Option<Observation>> {
        let recorder = self.session.recorder.as_ref().filter(|_| job.kind != JobKind::Query);
        job.spec.observe = recorder.and_then(|recorder| recorder.closeness());
        job.spec.observe.map(|_| Observation::new()).transpose()
    }

    /// Takes down what came of a job, or what was refused to it if it failed.
    pub(super) fn conclude(
        &self,
        stream: &UnixStream,
        request: &Request,
        job: &Job,
        observation: Option<Observation>,
        said: &Said,
        (reply, took): (Option<Reply>, Duration),
    ) {
        let Some(recorder) = &self.session.recorder else { return };
        let failed = reply.is_none_or(|reply| reply != Reply::Exit(0));
        let (events, took) = match observation {
            Some(observation) => observation.read(),
            None if failed && self.is_worth_another_look(job, said, reply, took) => {
                (self.look_again(stream, job, took).unwrap_or_default(), took)
            }
            // What it said may tell of a variable.
            None if failed && job.kind != JobKind::Query => (Vec::new(), took),
            None => return,
        };
        let exit = match reply {
            Some(Reply::Exit(code)) => code.to_string(),
            Some(Reply::Signal(signal)) => format!("signal {signal}"),
            None => "stopped".to_owned(),
        };
        let events = by_name(events, job.spec.network.as_ref());
        let finished = finished(&self.session, request, job, &events, said, took, exit);
        let message = recorder.take(&finished, failed);
        // Where no front end waits for cargo's end. Not with what the job says: cargo keeps that where other jobs can
        // read it, and whether something is there on this machine is not for them to know.
        let cargo = self.session.plain.as_ref().and_then(|plain| plain.cargo.as_ref());
        if let (Some(message), Some(cargo)) = (message, cargo) {
            let _gone = cargo.say(&format!("\n{message}\n"));
        }
    }

    fn is_worth_another_look(&self, job: &Job, said: &Said, reply: Option<Reply>, took: Duration) -> bool {
        let kind = match job.kind {
            JobKind::BuildScript => true,
            JobKind::Crate | JobKind::BuildScriptCrate | JobKind::Rustdoc => {
                // Documentation tests take as long as they like, and so do programs.
                said.suspicious.load(Ordering::Relaxed) && !job.spec.local_sockets
            }
            JobKind::Query
            | JobKind::Program
            | JobKind::Cargo
            | JobKind::Coverage
            | JobKind::LanguageServer => false,
        };
        // By a signal it was ended by somebody, or has crashed.
        let by_itself = matches!(reply, Some(Reply::Exit(_)));
        // What it reached the first time, it would not reach again.
        let alone = matches!(job.network, Network::None | Network::Loopback);
        kind && alone && by_itself && took < LONGEST && matches!(self.session.purpose, Purpose::Build)
    }

    /// Runs a job that failed once more; `None` where that says nothing.
    fn look_again(&self, stream: &UnixStream, job: &Job, took: Duration) -> Option<Vec<Event>> {
        let nothing = File::options().read(true).write(true).open("/dev/null").ok()?;
        let observation = Observation::new().ok()?;
        let spec = again(&job.spec, took);
        let agent = self.session.containers.connect(&self.session, network::of_container(job)).ok()?;
        let descriptors = [nothing.as_fd(), nothing.as_fd(), nothing.as_fd(), observation.descriptor()];
        agent.send(&AgentRequest::Run(Box::new(spec)), &descriptors).ok()?;
        // However it ends, what it wanted is in the record.
        let wait = Wait {
            stream,
            agent: &agent,
            relays: &mut [],
            terminal: None,
            when_calm: &|| {},
            moments: &mut None,
        };
        let _reply = wait.for_end().ok()??;
        Some(observation.read().0)
    }
}

/// The same job, with nothing to hear it, nothing to take from other jobs, and nowhere to leave anything.
fn again(spec: &JobSpec, took: Duration) -> JobSpec {
    let mut spec = spec.clone();
    spec.observe = Some(Closeness::Refusals);
    spec.descriptors = vec![0, 1, 2];
    spec.terminal = None;
    // A job that is ended keeps what it took of the jobserver; this one has all to itself.
    let of_make = [&b"CARGO_MAKEFLAGS="[..], b"MAKEFLAGS=", b"MFLAGS="];
    spec.env.retain(|variable| !of_make.iter().any(|name| variable.starts_with(name)));
    let seconds = 3 * took.as_secs() + 10;
    let most = spec.budget.seconds.map_or(seconds, |limit| limit.min(seconds));
    spec.budget = Budget { seconds: Some(most), ..spec.budget };
    for layered in &mut spec.layered {
        if matches!(layered.layer, Layer::Kept(_)) {
            layered.layer = Layer::Lost;
        }
    }
    for access in &spec.access {
        let writes = matches!(access.rights, Rights::WriteAll | Rights::WritePlain);
        if writes && !spec.layered.iter().any(|layered| layered.directory == access.path) {
            spec.layered.push(Layered { directory: access.path.clone(), layer: Layer::Lost });
        }
    }
    spec
}

/// Events with the names that a job's own network has on addresses of its loopback, in the place of these.
fn by_name(mut events: Vec<Event>, network: Option<&JobNetwork>) -> Vec<Event> {
    let Some(network) = network else { return events };
    let names: Vec<(&str, &str)> = network.hosts.lines().filter_map(|line| line.split_once('\t')).collect();
    for event in &mut events {
        let Event::Address { reach: Reach::Connect, address } = event else { continue };
        let known = address.rsplit_once(':').and_then(|(host, port)| {
            let (_, name) = names.iter().find(|(of, name)| *of == host && *name != "localhost")?;
            Some(format!("{name}:{port}"))
        });
        if let Some(known) = known {
            *address = known;
        }
    }
    events
}

fn finished<'a>(
    session: &Session,
    request: &Request,
    job: &'a Job,
    events: &'a [Event],
    said: &Said,
    took: Duration,
    exit: String,
) -> Finished<'a> {
    let directory = package_directory(session, request, job);
    let package = directory.as_deref().and_then(|directory| package::of(directory, &session.project.root));
    let package = package.unwrap_or_else(|| PackageId { name: job.package.clone(), version: String::new() });
    let source = match directory.as_deref().and_then(|directory| session.origin(directory)) {
        Some(Origin::Package(_) | Origin::Extra(_)) => Source::Dependency,
        Some(Origin::Workspace | Origin::Packed(_)) | None => Source::Workspace,
    };
    let name = |variable: &Vec<u8>| {
        let end = variable.iter().position(|byte| *byte == b'=').unwrap_or(variable.len());
        String::from_utf8_lossy(&variable[..end]).into_owned()
    };
    let (mut asked, set) = said.variables().clone();
    if let After::CheckOutputs { directory, stem } = &job.after {
        asked.extend(depends_on(&directory.join(format!("{stem}.d"))));
    }
    Finished {
        package,
        source,
        kind: kind(job),
        access: &job.spec.access,
        network: &job.network,
        variables: Variables { passed: job.spec.env.iter().map(name).collect(), asked, set },
        places: places(session, request, directory.as_deref()),
        events,
        took,
        exit,
    }
}

/// What a policy takes the job for: by what the user's command runs, which no job can say.
fn kind(job: &Job) -> Kind {
    job.subject.as_ref().map_or(Kind::Compile, |subject| subject.kind)
}

/// Where the package of a job is: by the source that is compiled, else by what cargo says.
fn package_directory(session: &Session, request: &Request, job: &Job) -> Option<PathBuf> {
    let compiled = match job.kind {
        JobKind::Crate | JobKind::BuildScriptCrate | JobKind::Rustdoc => {
            let words: Vec<_> =
                job.spec.argv.iter().skip(1).map(|word| OsStr::from_bytes(word).to_owned()).collect();
            RustcArguments::parse(&words).input.map(|input| request.cwd.join(input))
        }
        _ => None,
    };
    let named = || request.variable("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let by_cargo = || if job.kind == JobKind::BuildScript { None } else { named() };
    let start = compiled.or_else(by_cargo).unwrap_or_else(|| request.cwd.clone());
    package::directory(&start, |path| session.origin(path).is_some())
}

fn places(session: &Session, request: &Request, package: Option<&Path>) -> Places {
    let directories = &session.directories;
    let out = request.variable("OUT_DIR").map(PathBuf::from);
    let own = out
        .into_iter()
        .map(|out| (out, "{out}"))
        .chain(package.map(|package| (package.to_owned(), "{package}")));
    let home = session.recorder.as_ref().map(|recorder| (recorder.home().to_owned(), "~"));
    let common = [
        (session.toolchain.sysroot.clone(), "{toolchain}"),
        (session.registry_sources(), CRATES),
        (session.git_checkouts(), "{git}"),
        (directories.build(), "{build}"),
        (directories.path().to_owned(), "{sandbox}"),
        (session.target_dir.clone(), "{target}"),
        (session.project.root.clone(), "{workspace}"),
        (session.cargo_home.clone(), "{cargo-home}"),
        (PathBuf::from("/tmp"), "{tmp}"),
    ];
    let vendored = session.vendored_packages().map(|path| (path.clone(), "{vendored}"));
    let all: Vec<_> = own.chain(common).chain(vendored).chain(home).collect();
    // What is seen of jobs is without links.
    let real: Vec<_> =
        all.iter().filter_map(|(path, name)| Some((path.canonicalize().ok()?, *name))).collect();
    Places::new(all.into_iter().chain(real))
}

/// Variables that a compilation's output depends on, from the list that the compiler leaves for cargo.
fn depends_on(list: &Path) -> Vec<String> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let Ok(file) = options.open(list) else { return Vec::new() };
    let mut text = Vec::new();
    let _partly = file.take(MAX_DEPENDENCIES).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let named = text.lines().filter_map(|line| line.strip_prefix("# env-dep:"));
    named.map(|named| named.split('=').next().unwrap_or(named).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::packages::Subject;
    use super::super::session::tests::session;
    use super::*;
    use crate::agent::protocol::Access;
    use crate::policy::package::Package;

    fn job(kind: JobKind, program: &str, argv: &[&str]) -> Job {
        let access = |path: &str, rights| Access { path: path.into(), rights };
        let spec = JobSpec {
            program: program.into(),
            argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            env: vec![b"MAKEFLAGS=-j".to_vec(), b"A=1".to_vec()],
            cwd: b"/w/app".to_vec(),
            descriptors: vec![0, 1, 2, 7],
            access: vec![access("/usr", Rights::Read), access("/b/out", Rights::WriteAll)],
            umask: 0o022,
            budget: Budget { seconds: Some(3600), disk_writes: Some(1), ..Budget::default() },
            ..JobSpec::default()
        };
        Job::new(kind, "x".into(), spec)
    }

    #[test]
    fn a_second_run_leaves_nothing_and_takes_nothing() {
        let first = job(JobKind::BuildScript, "/b/script", &[]).spec;
        let second = again(&first, Duration::from_secs(2));
        let lost = |path: &[u8]| Layered { directory: path.to_vec(), layer: Layer::Lost };
        assert_eq!(second.layered, [lost(b"/b/out")]);
        assert_eq!((second.env, second.descriptors), (vec![b"A=1".to_vec()], vec![0, 1, 2]));
        assert_eq!(second.budget, Budget { seconds: Some(16), disk_writes: Some(1), ..Budget::default() });
        assert_eq!(second.access, first.access, "the same confinement");
    }

    #[test]
    fn a_host_of_a_jobs_own_network_has_its_name() {
        let hosts = "127.0.0.1\tlocalhost\n127.1.0.1\ta.example\n".to_owned();
        let network = JobNetwork { hosts, listeners: Vec::new() };
        let to = |address: &str| Event::Address { reach: Reach::Connect, address: address.into() };
        let events = vec![to("127.1.0.1:443"), to("127.0.0.1:80"), to("192.0.2.1:1")];
        let named = by_name(events.clone(), Some(&network));
        assert_eq!(named, [to("a.example:443"), to("127.0.0.1:80"), to("192.0.2.1:1")]);
        assert_eq!(by_name(events.clone(), None), events);
    }

    #[test]
    fn kinds_are_those_of_a_policy() {
        let mut script = job(JobKind::Program, "/b/debug/deps/x-1", &["x", "--bench"]);
        for own in Kind::ALL {
            let package = Package::unknown();
            script.subject = Some(Subject { package, kind: own, macros: Vec::new() });
            assert_eq!(kind(&script), own, "whatever it is called and told");
        }
        assert_eq!(kind(&job(JobKind::Cargo, "/t/bin/cargo", &["cargo"])), Kind::Compile);
    }

    #[test]
    fn what_is_said_tells_of_variables_and_of_refusals() {
        let said = Said::default();
        for line in
            ["cargo:rerun-if-env-changed=TOKEN", "cargo::rustc-env=A=B=C", "cargo:rustc-cfg=x", "text"]
        {
            said.by_script(line.as_bytes());
        }
        let set = |name: &str| BTreeSet::from([name.to_owned()]);
        assert_eq!(*said.variables(), (set("TOKEN"), set("A")));
        said.by_compiler(b"{\"rendered\":\"error[E0308]: mismatched types\"}");
        assert!(!said.suspicious.load(Ordering::Relaxed));
        said.by_compiler(b"error: environment variable `HERE` not defined at compile time");
        assert!(said.variables().0.contains("HERE") && !said.suspicious.load(Ordering::Relaxed));
        said.by_compiler(b"{\"rendered\":\"error: Permission denied (os error 13)\"}");
        assert!(said.suspicious.load(Ordering::Relaxed));
    }

    #[test]
    fn places_of_a_session() {
        let session = session();
        let env = vec!["OUT_DIR=/o".into()];
        let request =
            Request { exe: "/x".into(), cwd: "/".into(), argv: Vec::new(), env, descriptors: Vec::new() };
        let places = places(&session, &request, Some(Path::new("/c/registry/src/i/p-1")));
        let name = |path: &str| places.name(Path::new(path));
        assert_eq!(name("/o/x"), "{out}/x");
        assert_eq!(name("/c/registry/src/i/p-1/x"), "{package}/x");
        assert_eq!(name("/c/registry/src/i/q-1/x"), "{crates}/q-1/x");
        assert_eq!(name("/w/app/vendor/q/x"), "{vendored}/q/x");
        assert_eq!(name("/w/app/src/x"), "{workspace}/src/x");
        assert_eq!(name("/tmp/.home/x"), "{tmp}/.home/x");
    }

    #[test]
    fn variables_are_read_from_the_compilers_list() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("x.d");
        std::fs::write(&list, "x: src/lib.rs\n\n# env-dep:CARGO_PKG_NAME=x\n# env-dep:UNSET\n").unwrap();
        assert_eq!(depends_on(&list), ["CARGO_PKG_NAME", "UNSET"]);
        assert!(depends_on(&directory.path().join("none")).is_empty());
    }
}
