//! What it costs to start a program: `/bin/true` bare, wrapped in a warm Build container, in bubblewrap and by
//! `docker exec`, in one run and in turns, so that a slow moment of the machine hits all alike.
//!
//! `cargo bench --bench start`. `CSB_BENCH_ROUNDS` (200) is how often; with `CSB_BENCH_LIMIT_US` the run fails
//! if a wrapped start costs more microseconds than that over a bare one. What cannot run here is named.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[path = "../tests/support/mod.rs"]
mod support;

use cargo_sandbox::wire::SESSION_DESCRIPTOR;
use support::program;
use support::run::{Running, run, spawn};
use support::tool::Engine;
use support::world::{User, World};

const TRUE: &str = "/bin/true";

/// One way to start a program.
struct Way {
    name: String,
    command: Command,
    /// Started in every n-th round: a slow one need not take minutes.
    every: usize,
    times: Vec<Duration>,
    /// The session's directory, which cargo's children have open under a number that wrappers know.
    session: Option<fs::File>,
}

impl Way {
    fn new(name: impl Into<String>, command: Command, every: usize) -> Self {
        Self { name: name.into(), command, every, times: Vec::new(), session: None }
    }

    fn once(&mut self) -> Result<Duration, String> {
        if let Some(session) = &self.session {
            // SAFETY: dup2 takes two numbers; what is open under the second one is this function's own.
            let made = unsafe { libc::dup2(session.as_raw_fd(), SESSION_DESCRIPTOR) };
            assert_eq!(made, SESSION_DESCRIPTOR, "the session's descriptor");
        }
        let started = Instant::now();
        let status = self.command.status().map_err(|error| format!("{}: {error}", self.name))?;
        let took = started.elapsed();
        if status.success() { Ok(took) } else { Err(format!("{}: {status}", self.name)) }
    }

    fn median(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }
}

fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
    command
}

fn bubblewrap() -> Result<Way, String> {
    let mut bwrap = command(program("bwrap")?);
    bwrap.args([
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--unshare-all",
        "--die-with-parent",
    ]);
    bwrap.arg(TRUE);
    Ok(Way::new("bubblewrap", bwrap, 1))
}

/// A container made from an empty image and the host's own system directories.
struct DockerContainer {
    docker: PathBuf,
    id: String,
}

impl DockerContainer {
    const IMAGE: &str = "cargo-sandbox-bench";

    fn start() -> Result<Self, String> {
        Engine::Docker.here()?;
        let docker = program("docker")?;
        let script =
            format!("tar --create --files-from=/dev/null | {} import - {}", docker.display(), Self::IMAGE);
        run(Command::new("sh").args(["-c", &script])).success("an empty image");
        let mut start = Command::new(&docker);
        start.args(["run", "--detach", "--rm", "--network=none"]);
        for dir in ["/usr", "/bin", "/lib", "/lib64"].into_iter().filter(|dir| Path::new(dir).exists()) {
            start.arg(format!("--volume={dir}:{dir}:ro"));
        }
        let output = run(start.args([Self::IMAGE, "/bin/sleep", "600"])).success("docker run");
        Ok(Self { docker, id: output.stdout.trim().to_owned() })
    }

    fn way(&self) -> Way {
        let mut exec = command(&self.docker);
        exec.args(["exec", &self.id, TRUE]);
        Way::new("docker exec", exec, 10)
    }
}

impl Drop for DockerContainer {
    fn drop(&mut self) {
        run(Command::new(&self.docker).args(["kill", &self.id]));
        run(Command::new(&self.docker).args(["image", "rm", "--force", Self::IMAGE]));
    }
}

/// A session of `cargo-sandbox` that stays open: its build script waits until it is told to end. As long as it
/// does, the broker answers, the container is warm, and the runner can be started as cargo would start it.
struct Session {
    world: World,
    project: PathBuf,
    build: Option<Running>,
    runner: PathBuf,
    directory: Option<fs::File>,
    engine: Engine,
}

/// The one entry of a directory.
fn only_entry(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).next()
}

impl Session {
    fn open(engine: Engine) -> Result<Self, String> {
        engine.here()?;
        let world = World::new(&format!("bench-{engine}"), &User::me())?;
        let project = world.work().join("session");
        let manifest =
            "[package]\nname = \"session\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
        let script = "fn main() {\n    for _ in 0..6000 {\n        if std::path::Path::new(\"end\").exists() {\n            \
                      return;\n        }\n        std::thread::sleep(std::time::Duration::from_millis(100));\n    }\n}\n";
        world.write(&project.join("Cargo.toml"), manifest);
        world.write(&project.join("build.rs"), script);
        world.write(&project.join("src/main.rs"), "fn main() {}\n");
        let build = spawn(world.sandbox(engine, &project).arg("build"));
        let mut session =
            Self { world, project, build: Some(build), runner: PathBuf::new(), directory: None, engine };
        session.runner = session.join()?;
        Ok(session)
    }

    /// Waits until the build script runs, so that the container is warm, and opens the session's directory.
    /// Returns the runner.
    fn join(&mut self) -> Result<PathBuf, String> {
        let limit = Instant::now() + Duration::from_secs(60);
        let projects = self.world.state().join("projects");
        while Instant::now() < limit {
            if !self.build.as_mut().is_some_and(Running::running) {
                let said = self.build.take().map(|build| build.wait(Duration::from_secs(60)).stderr);
                return Err(format!("the session ended early: {}", said.unwrap_or_default()));
            }
            // The scripts directory is filled when the script was compiled, which takes a warm container.
            if let Some(project) = only_entry(&projects)
                && only_entry(&project.join("scripts")).is_some()
                && let Some(session) = only_entry(&project.join("sessions"))
            {
                self.directory = Some(fs::File::open(session).map_err(|error| error.to_string())?);
                return Ok(project.join("bin/runner"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the build script did not start".into())
    }

    /// A wrapped `/bin/true`: the runner as cargo starts it for a program of the project.
    fn way(&mut self) -> Way {
        // Only artifacts of the project are run.
        let program = self.project.join("target/debug/true");
        fs::copy(TRUE, &program).expect("a copy of /bin/true");
        let mut wrapped = command(&self.runner);
        wrapped.arg(program).current_dir(&self.project);
        let way = Way::new(format!("wrapped, {} engine", self.engine), wrapped, 1);
        Way { session: self.directory.take(), ..way }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.world.write(&self.project.join("end"), "");
        if let Some(build) = self.build.take() {
            build.wait(Duration::from_secs(60));
        }
        self.world.stop(self.engine, &self.project);
    }
}

fn main() -> ExitCode {
    let rounds = std::env::var("CSB_BENCH_ROUNDS").map_or(200, |number| number.parse().expect("a number"));
    let limit = std::env::var("CSB_BENCH_LIMIT_US").ok().map(|limit| limit.parse::<f64>().expect("a number"));
    let mut failed = false;
    let mut skip = |what: &str, why: &str| {
        println!("skipped: {what}: {why}");
        failed |= support::ci();
    };
    let mut ways = vec![Way::new("bare", command(TRUE), 1)];
    let mut sessions = Vec::new();
    for engine in Engine::ALL {
        match Session::open(engine) {
            Ok(mut session) => {
                ways.push(session.way());
                sessions.push(session);
            }
            Err(why) => skip(&format!("wrapped, {engine} engine"), &why),
        }
    }
    match bubblewrap() {
        Ok(way) => ways.push(way),
        Err(why) => skip("bubblewrap", &why),
    }
    let container = DockerContainer::start();
    match &container {
        Ok(container) => ways.push(container.way()),
        Err(why) => skip("docker exec", why),
    }
    // The first start of each pays for what is then in the page cache; a way that does not work is left out.
    ways.retain_mut(|way| match way.once() {
        Ok(_) => true,
        Err(why) => {
            skip(&way.name, &why);
            false
        }
    });
    for round in 0..rounds {
        for way in &mut ways {
            if round % way.every == 0 {
                match way.once() {
                    Ok(took) => way.times.push(took),
                    Err(why) => panic!("{why} in round {round}"),
                }
            }
        }
    }
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let bare = micros(ways[0].median());
    println!("{:<24} {:>8} {:>12} {:>10} {:>12}", TRUE, "starts", "median", "times bare", "more");
    for way in &mut ways {
        let median = micros(way.median());
        let (number, more) = (way.times.len(), median - bare);
        println!("{:<24} {number:>8} {median:>9.0} µs {:>10.2} {more:>9.0} µs", way.name, median / bare);
        if way.name.starts_with("wrapped") && limit.is_some_and(|limit| more > limit) {
            println!("too slow: {} costs {more:.0} µs over a bare start", way.name);
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
