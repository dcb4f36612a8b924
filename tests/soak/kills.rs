//! Sudden ends: a wrapper, the front end, the agent or the daemon is killed at some moment of a build. The next build
//! succeeds, and what it makes is what cargo makes, byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::support::run::{run, spawn};
use super::support::tool::Engine;
use super::support::world::{User, World};
use super::support::{need, program};
use super::{alone, rounds, survey};

/// A build script, a procedural macro, path dependencies.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/members");

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Wrapper,
    FrontEnd,
    Agent,
    Daemon,
}

/// A Docker daemon of the test's own.
struct Daemon {
    program: PathBuf,
    directory: PathBuf,
    process: Child,
}

impl Daemon {
    fn start(directory: &Path) -> Result<Self, String> {
        let program = program("dockerd")?;
        let process = Self::spawn(&program, directory);
        let daemon = Self { program, directory: directory.to_owned(), process };
        daemon.wait()?;
        Ok(daemon)
    }

    fn spawn(program: &Path, directory: &Path) -> Child {
        // What a daemon that was killed leaves keeps the next one from starting.
        let _none = fs::remove_file(directory.join("pid"));
        let _none = fs::remove_file(directory.join("exec/containerd/containerd.pid"));
        let log =
            fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).expect("a log");
        // In a network of its own: each daemon takes the bridge of the machine's for its own, to make or to remove it.
        let mut command = Command::new("unshare");
        command.args(["--net", "--"]).arg(program);
        for (option, path) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(option).arg(directory.join(path));
        }
        command.arg("--host").arg(host(directory)).args(["--bridge=none", "--iptables=false"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("dockerd")
    }

    fn wait(&self) -> Result<(), String> {
        let limit = Instant::now() + Duration::from_secs(60);
        while Instant::now() < limit {
            let mut version = Command::new(program("docker")?);
            if run(version.arg("--host").arg(host(&self.directory)).arg("version")).status.success() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(10).collect();
        Err(format!("a Docker daemon of the test's own does not start: {last:#?}"))
    }

    fn kill_and_start(&mut self) {
        self.process.kill().and_then(|()| self.process.wait().map(drop)).expect("the daemon's end");
        self.process = Self::spawn(&self.program, &self.directory);
        self.wait().expect("the next daemon");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: kill takes two numbers; the process is a child that was not waited for.
        unsafe { libc::kill(self.process.id().cast_signed(), libc::SIGTERM) };
        let _ended = self.process.wait();
        // What one that was killed has left.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|path| Path::new(path).starts_with(&self.directory));
        for path in below.collect::<Vec<_>>().into_iter().rev() {
            run(Command::new("umount").arg("--lazy").arg(path));
        }
    }
}

fn host(directory: &Path) -> String {
    format!("unix://{}/docker.sock", directory.display())
}

/// Numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Final artifacts by name. Of a list of sources without the artifact that it is of: where there are several, cargo names any.
fn artifacts(project: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(project.join("target/debug")).expect("artifacts").flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let named = files.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    named
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| {
            let bytes = fs::read(path).expect("an artifact");
            let sources = bytes.iter().position(|byte| *byte == b':').filter(|_| name.ends_with(".d"));
            (name, bytes[sources.unwrap_or(0)..].to_vec())
        })
        .collect()
}

/// The names of those that differ, or are there once.
fn different(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// Where the builds are, and with what.
struct Place<'a> {
    world: &'a World,
    project: &'a Path,
    engine: Engine,
    /// Where the daemon listens, if it is not the machine's.
    host: Option<String>,
}

impl Place<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.world.sandbox(self.engine, self.project);
        command.args(words);
        command.envs(self.host.as_ref().map(|host| ("DOCKER_HOST", host)));
        command
    }

    /// Waits for one of the victims, and kills it.
    fn kill(&self, victim: Victim, front_end: u32, chosen: u64) -> bool {
        let limit = Instant::now() + Duration::from_secs(5);
        while Instant::now() < limit {
            let candidates = match victim {
                Victim::FrontEnd => vec![front_end],
                Victim::Wrapper => survey::wrappers(&self.world.state()),
                Victim::Agent => survey::agents(&self.world.home),
                Victim::Daemon => unreachable!("a child of the test's"),
            };
            if let Some(pid) =
                candidates.get(usize::try_from(chosen).expect("small") % candidates.len().max(1))
            {
                // SAFETY: kill takes two numbers. It is one of this test's own world.
                return unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) } == 0;
            }
            if !Path::new("/proc").join(front_end.to_string()).join("exe").exists() {
                return false;
            }
        }
        false
    }
}

/// Builds again and again, and kills some of `victims` on the way.
fn soak(place: &Place<'_>, victims: &[Victim], number: usize, mut daemon: Option<&mut Daemon>) {
    let Place { world, project, engine, .. } = *place;
    let build_dir = world.status(engine, project).build_dir;
    let mut plain = world.plain(project);
    plain.arg("build").env("CARGO_BUILD_BUILD_DIR", &build_dir);
    run(&mut plain).success("cargo build");
    let expected = artifacts(project);
    assert!(!expected.is_empty());
    let started = Instant::now();
    run(&mut place.command(&["clean"])).success("clean");
    run(&mut place.command(&["build"])).success("a build that nothing disturbs");
    let takes = u64::try_from(started.elapsed().as_millis()).expect("short").max(1);
    let mut numbers = Numbers(number as u64);
    let mut hit = 0;
    for round in 0..number {
        let victim = victims[round % victims.len()];
        run(&mut place.command(&["clean"])).success("clean");
        let moment = Duration::from_millis(numbers.below(takes));
        let build = spawn(&mut place.command(&["build"]));
        thread::sleep(moment);
        let killed = match (victim, daemon.as_deref_mut()) {
            (Victim::Daemon, Some(daemon)) => {
                daemon.kill_and_start();
                true
            }
            _ => place.kill(victim, build.id(), numbers.below(1000)),
        };
        hit += usize::from(killed);
        // It may have failed, or have been over.
        let disturbed = build.wait(Duration::from_secs(120));
        let what = format!(
            "{engine}: {victim:?} killed after {moment:?} in round {round}; that build: {}\n{}",
            disturbed.status, disturbed.stderr
        );
        let next = run(&mut place.command(&["build"]));
        assert!(next.status.success(), "{what}\nthe next:\n{}", next.stderr);
        assert_eq!(
            different(&artifacts(project), &expected),
            Vec::<String>::new(),
            "{what}\nother artifacts than cargo's"
        );
    }
    println!("{engine}: {number} builds, {hit} of them disturbed");
    assert!(
        hit * 2 >= number,
        "{engine}: most of the time nobody was there to be killed ({hit} of {number})"
    );
    run(&mut place.command(&["self", "stop"])).success("stop");
    assert_eq!(survey::agents(&world.home), Vec::<u32>::new(), "{engine}: processes");
}

fn world(name: &str, user: &User) -> Option<(World, PathBuf)> {
    let world = need(World::new(name, user))?;
    let project = world.work().join("members");
    world.copy(Path::new(FIXTURE), &project);
    Some((world, project))
}

#[test]
fn what_is_killed_spoils_nothing() {
    let _turn = alone();
    let Some(user) = need(User::root()) else { return };
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let Some((world, project)) = world(&format!("soak-kills-{engine}"), &user) else { return };
        let place = Place { world: &world, project: &project, engine, host: None };
        let victims = [Victim::Wrapper, Victim::FrontEnd, Victim::Agent];
        soak(&place, &victims, rounds(3, 50), None);
    }
}

#[test]
fn a_killed_daemon_spoils_nothing() {
    let _turn = alone();
    let Some(user) = need(User::root()) else { return };
    let Some((world, project)) = world("soak-daemon", &user) else { return };
    let directory = world.home.join("daemon");
    fs::create_dir_all(&directory).expect("a directory");
    let Some(mut daemon) = need(Daemon::start(&directory)) else { return };
    let host = host(&directory);
    let place = Place { world: &world, project: &project, engine: Engine::Docker, host: Some(host) };
    soak(&place, &[Victim::Daemon], rounds(1, 10), Some(&mut daemon));
}
