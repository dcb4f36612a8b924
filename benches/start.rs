//! What it costs to start a program: `/bin/true` bare, wrapped in a warm Build container, in bubblewrap and by
//! `docker exec`, in one run and in turns, so that a slow moment of the machine hits all alike; one, two and eight at once.
//!
//! `cargo bench --bench start` prints the table as Markdown. `CSB_BENCH_ROUNDS` (200) is how often, `CSB_BENCH_AT_ONCE`
//! (`1,2,8`) how many at once; `CSB_BENCH_JSON` names a directory for every single figure; `CSB_BENCH_STAGES=1` shows where the
//! time of wrapped starts goes, which makes them a little slower. With `CSB_BENCH_LIMIT_US` the run fails if a wrapped
//! start costs more microseconds than that over a bare one. What cannot run here is named.
//!
//! Where several are started at once, a start's time is that of all of them divided by their number: on two
//! processors eight cannot be faster than each other.
//!
//! A second table is of containers: `run` of a program that does nothing, in a container that is there and in one that is
//! started for it. The difference is what a start costs to its first job.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

mod peers;
#[path = "../tests/support/mod.rs"]
mod support;

use peers::{Docker, silent};
use support::figures::{self, percentile};
use support::session::Session;
use support::tool::Engine;
use support::world::{User, World, base};

const TRUE: &str = "/bin/true";

/// How many are started at once, where `CSB_BENCH_AT_ONCE` does not say.
const AT_ONCE: &str = "1,2,8";

/// Between two measurements.
const PAUSE: Duration = Duration::from_millis(5);

/// One way to start a program.
struct Way {
    name: String,
    command: Box<dyn Fn() -> Command + Sync>,
    /// Started in every n-th round: a slow one need not take minutes.
    every: usize,
    /// Where it belongs to, if it is a wrapped one.
    session: Option<Session>,
    /// Microseconds, by how many are started at once.
    took: Vec<Vec<f64>>,
}

impl Way {
    fn new(name: impl Into<String>, every: usize, command: impl Fn() -> Command + Sync + 'static) -> Self {
        Self { name: name.into(), command: Box::new(command), every, session: None, took: Vec::new() }
    }

    fn wrapped(session: Session) -> Self {
        let way = Self::new(format!("wrapped, {} engine", session.engine), 1, session.runner(TRUE));
        Self { session: Some(session), ..way }
    }

    /// What `outer` confines.
    fn within(name: &str, every: usize, outer: impl Fn() -> Command + Sync + 'static) -> Self {
        Self::new(name, every, move || {
            let mut command = outer();
            command.arg(TRUE);
            command
        })
    }

    /// Starts some at once; the microseconds of all, divided by their number.
    fn start(&self, number: usize) -> Result<f64, String> {
        if let Some(session) = &self.session {
            session.enter();
        }
        let failed = |what: String| Err(format!("{}: {what}", self.name));
        if number == 1 {
            let mut command = (self.command)();
            let started = Instant::now();
            let status = command.status();
            let took = started.elapsed();
            return match status {
                Ok(status) if status.success() => Ok(took.as_secs_f64() * 1e6),
                Ok(status) => failed(status.to_string()),
                Err(error) => failed(error.to_string()),
            };
        }
        let barrier = Barrier::new(number + 1);
        let command = &self.command;
        let one = || {
            let mut command = command();
            barrier.wait();
            command.status()
        };
        thread::scope(|scope| {
            let all: Vec<_> = (0..number).map(|_| scope.spawn(one)).collect();
            barrier.wait();
            let started = Instant::now();
            for thread in all {
                match thread.join().expect("a thread") {
                    Ok(status) if status.success() => {}
                    Ok(status) => return failed(status.to_string()),
                    Err(error) => return failed(error.to_string()),
                }
            }
            #[allow(clippy::cast_precision_loss, reason = "a small number")]
            Ok(started.elapsed().as_secs_f64() * 1e6 / number as f64)
        })
    }
}

/// Medians of what `--sandbox-trace` has written down of programs.
fn stages(trace: &Path) {
    let jobs = figures::trace(trace);
    let programs = || jobs.iter().filter(|job| job["job"] == "program");
    println!("\n{}, {} starts, medians in microseconds:", trace.display(), programs().count());
    let stages =
        jobs.first().and_then(|job| job["microseconds"].as_object()).into_iter().flat_map(|all| all.keys());
    for stage in stages {
        let [median, slow] = [50, 95].map(|percent| percentile(figures::stage(programs(), stage), percent));
        println!("{stage:>12} {median:>6.0} {slow:>6.0}");
    }
}

/// Rounds of containers for one of programs: they take a hundred times as long.
const CONTAINERS: usize = 10;

/// Milliseconds of a `run` in a container that is there, and in one that is started for it.
fn containers(engine: Engine, rounds: usize) -> Result<[Vec<f64>; 2], String> {
    engine.here()?;
    let world = World::new(&format!("bench-container-{engine}"), &User::me())?;
    let project = world.work().join("nothing");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"nothing\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    let took = || {
        let mut command = world.sandbox(engine, &project);
        command.args(["run", "--quiet"]).stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let status = command.status().map_err(|error| error.to_string())?;
        let took = started.elapsed().as_secs_f64() * 1e3;
        if status.success() { Ok(took) } else { Err(status.to_string()) }
    };
    took()?;
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        all[0].push(took()?);
        world.stop(engine, &project);
        all[1].push(took()?);
    }
    world.stop(engine, &project);
    Ok(all)
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let rounds = variable("CSB_BENCH_ROUNDS").map_or(200, |number| number.parse().expect("a number"));
    let limit = variable("CSB_BENCH_LIMIT_US").map(|limit| limit.parse::<f64>().expect("a number"));
    let mut failed = false;
    let mut skip = |what: &str, why: &str| {
        println!("skipped: {what}: {why}");
        failed |= support::ci();
    };
    let mut traces = Vec::new();
    let mut ways = vec![Way::new("bare", 1, || silent(TRUE))];
    for engine in Engine::ALL {
        let trace = variable("CSB_BENCH_STAGES").map(|_| base().join(format!("trace-{engine}")));
        let options = trace.iter().flat_map(|file| ["--sandbox-trace", file.to_str().expect("a plain path")]);
        let options: Vec<_> = options.collect();
        match Session::with(&format!("bench-{engine}"), &User::me(), engine, &options) {
            Ok(session) => {
                ways.push(Way::wrapped(session));
                traces.extend(trace);
            }
            Err(why) => skip(&format!("wrapped, {engine} engine"), &why),
        }
    }
    match peers::bubblewrap() {
        Ok(bubblewrap) => ways.push(Way::within("bubblewrap", 1, bubblewrap)),
        Err(why) => skip("bubblewrap", &why),
    }
    let docker = Docker::here();
    let container = docker.as_ref().map(Docker::container);
    match &container {
        Ok(container) => ways.push(Way::within("docker exec", 10, container.exec())),
        Err(why) => skip("docker exec", why),
    }
    // The first start of each pays for what is then in the page cache; a way that does not work is left out.
    ways.retain(|way| match way.start(1) {
        Ok(_) => true,
        Err(why) => {
            skip(&way.name, &why);
            false
        }
    });
    let numbers: Vec<usize> = variable("CSB_BENCH_AT_ONCE")
        .unwrap_or_else(|| AT_ONCE.to_owned())
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect();
    ways.iter_mut().for_each(|way| way.took = vec![Vec::new(); numbers.len()]);
    for (level, &number) in numbers.iter().enumerate() {
        for round in 0..rounds {
            for way in ways.iter_mut().filter(|way| round % way.every == 0) {
                // What one does behind its end is not to be counted for the next.
                thread::sleep(PAUSE);
                match way.start(number) {
                    Ok(took) => way.took[level].push(took),
                    Err(why) => panic!("{why} in round {round}"),
                }
            }
        }
    }
    println!(
        "| {TRUE} | at once | rounds | median | 95 % below | more than bare | 95 % below | times bare |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for (level, number) in numbers.into_iter().enumerate() {
        let bare = [50, 95].map(|percent| percentile(ways[0].took[level].clone(), percent));
        for way in &ways {
            let took = &way.took[level];
            let [median, slow] = [50, 95].map(|percent| percentile(took.clone(), percent));
            let (more, slower) = (median - bare[0], slow - bare[1]);
            println!(
                "| {} | {number} | {} | {median:.0} µs | {slow:.0} µs | {more:+.0} µs | {slower:+.0} µs | {:.2} |",
                way.name,
                took.len(),
                median / bare[0]
            );
            all.push(json!({"way": way.name, "at_once": number, "more": more, "more_95": slower, "microseconds": took}));
            if way.session.is_some() && limit.is_some_and(|limit| more > limit) {
                println!("too slow: {} costs {more:.0} µs over a bare start", way.name);
                failed = true;
            }
        }
    }
    println!("\n| container | rounds | there | started for it | more |");
    println!("|---|---|---|---|---|");
    for engine in Engine::ALL {
        match containers(engine, rounds.div_ceil(CONTAINERS)) {
            Ok([there, started]) => {
                let [warm, cold] = [&there, &started].map(|took| percentile(took.clone(), 50));
                let (rounds, more) = (there.len(), cold - warm);
                println!("| {engine} engine | {rounds} | {warm:.1} ms | {cold:.1} ms | {more:+.1} ms |");
                all.push(json!({
                    "way": format!("container, {engine} engine"), "more_ms": more, "there_ms": there, "started_ms": started,
                }));
            }
            Err(why) => {
                println!("skipped: container, {engine} engine: {why}");
                failed |= support::ci();
            }
        }
    }
    traces.iter().for_each(|trace| stages(trace));
    figures::write("start", &all);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
