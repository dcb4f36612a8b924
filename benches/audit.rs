//! What a record costs: a cold build by cargo, by `cargo-sandbox` and by `cargo-sandbox --audit`, in one run and in
//! turns, so that a slow moment of the machine hits all alike. Containers are warm, as they are for who builds often.
//!
//! `cargo bench --bench audit`. `CSB_BENCH_ROUNDS` (5) is how often, `CSB_BENCH_PROJECTS` (`hello-native,hexyl`) on which
//! projects of `tests/parity/projects.rs`; with `CSB_BENCH_LIMIT` (`1.25`) the run fails if a recorded build takes
//! longer than so many times cargo's.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[path = "../tests/parity/projects.rs"]
#[allow(dead_code, reason = "the table is for the parity tests")]
mod projects;
#[path = "../tests/support/mod.rs"]
mod support;

use projects::Project;
use support::tool::Engine;
use support::world::{User, World};

/// One way to build.
struct Way {
    name: String,
    build: Command,
    clean: Command,
    times: Vec<Duration>,
}

impl Way {
    fn new(name: &str, command: impl Fn() -> Command, options: &[&str]) -> Self {
        let with = |words: &[&str]| {
            let mut command = command();
            command.args(words).env("CARGO_NET_OFFLINE", "true");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let build = with(&[options, &["build", "--locked"]].concat());
        Self { name: name.to_owned(), build, clean: with(&["clean"]), times: Vec::new() }
    }

    fn once(&mut self) -> Duration {
        let cleaned = self.clean.status().expect("cargo clean");
        assert!(cleaned.success(), "{}: clean: {cleaned}", self.name);
        let started = Instant::now();
        let status = self.build.status().expect("cargo build");
        assert!(status.success(), "{}: {status}", self.name);
        started.elapsed()
    }

    fn median(&mut self) -> f64 {
        self.times.sort_unstable();
        self.times.get(self.times.len() / 2).copied().unwrap_or_default().as_secs_f64()
    }
}

/// Whether all are fast enough.
fn measure(name: &str, engine: Engine, rounds: usize, limit: Option<f64>) -> Result<bool, String> {
    engine.here()?;
    let seed = Project::named(name).seed()?;
    let world = World::new(&format!("bench-audit-{name}-{engine}"), &User::me())?;
    let project = world.work().join(name);
    world.copy(&seed.project, &project);
    world.copy(&seed.cargo_home, &world.home.join(".cargo"));
    let plain = || {
        let mut command = world.plain(&project);
        command.env("CARGO_TARGET_DIR", world.home.join("plain"));
        command
    };
    let sandbox = || world.sandbox(engine, &project);
    let mut ways = [
        Way::new("cargo", plain, &[]),
        Way::new("cargo-sandbox", sandbox, &[]),
        Way::new("cargo-sandbox --audit", sandbox, &["--audit"]),
    ];
    // The first of each pays for what is then in the page cache, and for the container.
    ways.iter_mut().for_each(|way| {
        way.once();
    });
    for _ in 0..rounds {
        for way in &mut ways {
            let took = way.once();
            way.times.push(took);
        }
    }
    world.stop(engine, &project);
    let cargo = ways[0].median();
    let mut fast = true;
    for way in &mut ways {
        let (median, ratio) = (way.median(), way.median() / cargo);
        println!("{name:<16} {engine:<8} {:<24} {median:>8.2} s {ratio:>8.3} times cargo", way.name);
        fast &= !way.name.ends_with("--audit") || limit.is_none_or(|limit| ratio <= limit);
    }
    Ok(fast)
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let rounds = variable("CSB_BENCH_ROUNDS").map_or(5, |number| number.parse().expect("a number"));
    let limit = variable("CSB_BENCH_LIMIT").map(|limit| limit.parse().expect("a number"));
    let names = variable("CSB_BENCH_PROJECTS").unwrap_or_else(|| "hello-native,hexyl".to_owned());
    let mut failed = false;
    for name in names.split(',') {
        for engine in Engine::ALL {
            match measure(name, engine, rounds, limit) {
                Ok(fast) => failed |= !fast,
                Err(why) => {
                    println!("skipped: {name}, {engine} engine: {why}");
                    failed |= support::ci();
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
