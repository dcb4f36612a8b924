//! What a build costs: cargo itself, `cargo-sandbox` on each engine, `--audit`, `docker run cargo`, build-wrap, cargo as rustup
//! starts it, and cargo once more, in one run and in turns, so that a slow moment of the machine hits all alike. What cargo
//! differs from itself is the machine's noise. Prints the table as Markdown: medians of the ratios to the cargo of the same
//! round, to the mean of both where it is measured twice.
//!
//! `cargo bench --bench builds`. `CSB_BENCH_ROUNDS` (5) is how often, `CSB_BENCH_PROJECTS` (`hello-native,hexyl`) on which
//! projects of `tests/parity/projects.rs` (`real`: on those of `real/`), `CSB_BENCH_DIRS` (`path=src/lib.rs,…`) on which
//! others, each with the file that is changed, `CSB_BENCH_WAYS` (`docker,native,audit,run,build-wrap`, and `rustup`, `again`) in
//! which ways beside cargo; with `CSB_BENCH_COLD=0` only the round that does not count builds all of it, and the others what is short;
//! `CSB_BENCH_JSON` names a directory for every single figure, and standard error has them as they come
//! (round 0 does not count). Processor time is that of the whole machine, since jobs are nobody's children here: let nothing
//! else run.
//!
//! | phase | |
//! |---|---|
//! | cold build, cold check | after `clean`, in a container that is started for it |
//! | fresh check | again, with nothing to do; the one in the middle of five |
//! | changed | `build` after one line more in one file; the one in the middle of five |
//!
//! cargo has a copy of the project beside the one that `cargo-sandbox` has, and builds it into its `target/`.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

mod peers;
#[path = "../tests/parity/projects.rs"]
#[allow(dead_code, reason = "the table is for the parity tests")]
mod projects;
mod real;
#[path = "../tests/support/mod.rs"]
mod support;

use peers::Docker;
use projects::{Extent, Project, Seed, Source};
use support::figures;
use support::tool::Engine;
use support::world::{User, World};

const PHASES: [&str; 4] = ["cold build", "changed", "cold check", "fresh check"];

/// How often what is short is run in each round.
const SHORT_RUNS: usize = 5;

const CARGO: &str = "cargo";
const AGAIN: &str = "cargo, again";

/// What one command took, in seconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: f64,
    processor: f64,
}

/// One way to build.
struct Way {
    name: &'static str,
    /// The project, or a copy of it.
    place: &'static Path,
    command: Box<dyn Fn() -> Command>,
    options: &'static [&'static str],
    /// Ends its container, if it has one.
    stop: Box<dyn Fn()>,
    /// By phase, then by round.
    took: [Vec<Took>; PHASES.len()],
}

impl Way {
    /// One that keeps nothing running.
    fn plain(name: &'static str, place: &'static Path, command: impl Fn() -> Command + 'static) -> Self {
        Self {
            name,
            place,
            command: Box::new(command),
            options: &[],
            stop: Box::new(|| {}),
            took: Default::default(),
        }
    }

    fn run(&self, words: &[&str]) -> Took {
        let mut command = (self.command)();
        command.args(self.options).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (started, busy) = (Instant::now(), busy());
        let status = command.status().expect("a program");
        let took = Took { wall: started.elapsed().as_secs_f64(), processor: self::busy() - busy };
        assert!(status.success(), "{} {words:?}: {status}", self.name);
        took
    }

    fn clean(&self) {
        self.run(&["clean"]);
        (self.stop)();
    }

    /// One figure for each phase, in their order; none for the cold ones where they are left out.
    fn round(&self, touched: &str, cold: bool) -> [Option<Took>; PHASES.len()] {
        let cold = |command: &str| {
            cold.then(|| {
                self.clean();
                self.run(&[command, "--locked"])
            })
        };
        let changed = &self.place.join(touched);
        let build = cold("build");
        let change = typical(|| {
            let mut source = fs::read_to_string(changed).expect("a source");
            source.push_str("\n// One line more.\n");
            fs::write(changed, source).expect("a source");
            self.run(&["build", "--locked"])
        });
        let check = cold("check");
        [build, Some(change), check, Some(typical(|| self.run(&["check", "--locked"])))]
    }
}

/// What a round took, for whoever waits for the table, or does without the rest of it.
fn in_words(figures: &[Option<Took>; PHASES.len()]) -> String {
    let one = |(phase, took): (&str, &Option<Took>)| {
        took.map(|took| format!("{phase} {:.3} s (processor {:.2} s)", took.wall, took.processor))
    };
    PHASES.into_iter().zip(figures).filter_map(one).collect::<Vec<_>>().join(", ")
}

/// The one in the middle of several runs of what is short: a millisecond matters in it.
fn typical(mut run: impl FnMut() -> Took) -> Took {
    let mut all: [Took; SHORT_RUNS] = std::array::from_fn(|_| run());
    all.sort_by(|one, other| one.wall.total_cmp(&other.wall));
    all[SHORT_RUNS / 2]
}

/// Seconds that the machine's processors were busy since it was started (proc_stat(5)).
fn busy() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // All but idle, waiting for disks, and guests, which are in the first two.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (ticks.iter().take(8).sum::<f64>() - idle) / 100.0
}

fn median(all: Vec<f64>) -> f64 {
    figures::percentile(all, 50)
}

/// Builds one project in every way; its rows of the table, and all figures.
fn measure(project: &Project, rounds: usize) -> Result<Vec<Value>, String> {
    let seed = project.seed()?;
    let world = World::new(&format!("bench-{}", project.name), &User::me())?.incremental();
    let world: &'static World = Box::leak(Box::new(world));
    world.copy(&seed.cargo_home, &world.home.join(".cargo"));
    let copy = |name: &str| {
        let place: &'static Path = world.work().join(name).leak();
        world.copy(&seed.project, place);
        place
    };
    let place = copy(project.name);
    let of_cargo = copy(&format!("{}-cargo", project.name));
    let started_in = move |cargo: &Path, place: &Path| {
        let mut command = world.command(cargo);
        command.current_dir(place).env("CARGO_NET_OFFLINE", "true");
        command
    };
    let plain_in = move |place: &Path| started_in(&world.cargo(), place);
    let plain = move || plain_in(of_cargo);
    let mut ways = vec![Way::plain(CARGO, of_cargo, plain)];
    let wanted =
        std::env::var("CSB_BENCH_WAYS").unwrap_or_else(|_| "docker,native,audit,run,build-wrap".to_owned());
    let wanted = |way: &str| wanted.split(',').any(|one| one == way);
    for engine in Engine::ALL {
        let (own, names) = match engine {
            Engine::Docker => ("docker", ["docker", "docker, `--audit`"]),
            Engine::Native => ("native", ["native", "native, `--audit`"]),
        };
        if !wanted(own) {
            continue;
        }
        if let Err(why) = engine.here() {
            println!("\nskipped: {engine} engine: {why}");
            assert!(!support::ci(), "missing in CI: {why}");
            continue;
        }
        let recorded = if wanted("audit") { names.len() } else { 1 };
        for (name, options) in names.into_iter().zip([&[][..], &["--audit"]]).take(recorded) {
            ways.push(Way {
                name,
                place,
                command: Box::new(move || {
                    let mut command = world.sandbox(engine, place);
                    command.env("CARGO_NET_OFFLINE", "true");
                    command
                }),
                options,
                stop: Box::new(move || world.stop(engine, place)),
                took: Default::default(),
            });
        }
    }
    if wanted("again") {
        let again = copy(&format!("{}-again", project.name));
        ways.push(Way::plain(AGAIN, again, move || plain_in(again)));
    }
    if wanted("rustup") {
        match peers::rustup() {
            Ok(rustup) => ways.push(Way::plain("cargo, by rustup", of_cargo, move || {
                let mut command = started_in(&rustup.cargo, of_cargo);
                command.env("RUSTUP_HOME", &rustup.home).env("RUSTUP_TOOLCHAIN", &world.toolchain);
                command
            })),
            Err(why) => println!("\nskipped: cargo, by rustup: {why}"),
        }
    }
    if wanted("run") {
        match Docker::here() {
            Ok(docker) => ways.push(Way::plain("`docker run cargo`", of_cargo, move || {
                docker.instead(&plain(), &[world.home.as_path(), &world.toolchain])
            })),
            Err(why) => println!("\nskipped: `docker run cargo`: {why}"),
        }
    }
    if wanted("build-wrap") {
        match build_wrap(world, &seed, of_cargo, plain) {
            Ok(way) => ways.push(way),
            Err(why) => println!("\nskipped: build-wrap: {why}"),
        }
    }
    let cold = std::env::var_os("CSB_BENCH_COLD").is_none_or(|value| value != "0");
    let count = ways.len();
    // The first round pays for what is in the page cache then.
    for round in 0..=rounds {
        // Each is the first in its turn: none always comes after the same other, whose traces it would bear.
        for position in 0..count {
            let way = &mut ways[(round + position) % count];
            let figures = way.round(project.touched, cold || round == 0);
            eprintln!("{}, round {round} of {rounds}, {}: {}", project.name, way.name, in_words(&figures));
            for (took, figure) in way.took.iter_mut().zip(figures).filter(|_| round > 0) {
                took.extend(figure);
            }
        }
    }
    ways.iter().for_each(|way| (way.stop)());
    Ok(rows(project.name, &ways))
}

/// build-wrap, in a home directory whose configuration asks for it, without which it does nothing.
fn build_wrap(
    world: &World,
    seed: &Seed,
    place: &'static Path,
    plain: impl Fn() -> Command + 'static,
) -> Result<Way, String> {
    let configuration = peers::build_wrap()?;
    let home = world.home.join("build-wrap");
    let cargo_home = home.join(".cargo");
    world.copy(&seed.cargo_home, &cargo_home);
    world.write(&cargo_home.join("config.toml"), &configuration);
    Ok(Way::plain("build-wrap", place, move || {
        let mut command = plain();
        command.env("HOME", &home).env("CARGO_HOME", &cargo_home);
        // It compiles a program of its own for each build script, of crates that it fetches once.
        command.env_remove("CARGO_NET_OFFLINE");
        command
    }))
}

fn rows(project: &str, ways: &[Way]) -> Vec<Value> {
    let mut rows = Vec::new();
    for (phase, name) in PHASES.iter().enumerate() {
        let cargo = &of_cargo(phase, ways);
        for way in ways.iter().filter(|way| !way.took[phase].is_empty()) {
            let ratio = |of: fn(&Took) -> f64| {
                median(way.took[phase].iter().zip(cargo).map(|(took, cargo)| of(took) / of(cargo)).collect())
            };
            let (wall, processor) = (ratio(|took| took.wall), ratio(|took| took.processor));
            let more = way.took[phase].iter().zip(cargo).map(|(took, cargo)| took.wall - cargo.wall);
            let (seconds, more) =
                (median(way.took[phase].iter().map(|took| took.wall).collect()), median(more.collect()));
            println!(
                "| {project} | {name} | {} | {seconds:.3} s | {wall:.3} | {:+.1} ms | {processor:.3} |",
                way.name,
                more * 1000.0
            );
            let figures =
                way.took[phase].iter().map(|took| json!({"wall": took.wall, "processor": took.processor}));
            rows.push(json!({
                "project": project, "phase": name, "way": way.name, "wall_ratio": wall, "processor_ratio": processor,
                "rounds": figures.collect::<Vec<_>>(),
            }));
        }
    }
    rows
}

/// What cargo itself took in each round.
fn of_cargo(phase: usize, ways: &[Way]) -> Vec<Took> {
    let runs: Vec<&Vec<Took>> =
        ways.iter().filter(|way| [CARGO, AGAIN].contains(&way.name)).map(|way| &way.took[phase]).collect();
    let mean = |round: usize, of: fn(&Took) -> f64| {
        runs.iter().map(|took| of(&took[round])).sum::<f64>() / runs.len() as f64
    };
    let rounds = 0..runs.first().map_or(0, |took| took.len());
    rounds
        .map(|round| Took {
            wall: mean(round, |took| took.wall),
            processor: mean(round, |took| took.processor),
        })
        .collect()
}

/// `path=file,…` as projects.
fn others(list: &str) -> Vec<Project> {
    let one = |entry: &str| {
        let (path, changed) = entry.split_once('=').expect("path=file");
        let path: &'static str = path.to_owned().leak();
        let name = Path::new(path).file_name().expect("a name").to_string_lossy().into_owned().leak();
        let touched = changed.to_owned().leak();
        Project { name, source: Source::Here(path), touched, exit: 0, extent: Extent::Short }
    };
    list.split(',').filter(|entry| !entry.is_empty()).map(one).collect()
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let rounds = variable("CSB_BENCH_ROUNDS").map_or(5, |number| number.parse().expect("a number"));
    let names = variable("CSB_BENCH_PROJECTS").unwrap_or_else(|| "hello-native,hexyl".to_owned());
    let more = others(&variable("CSB_BENCH_DIRS").unwrap_or_default()).leak();
    let named = |name| match name {
        "real" => real::all().collect(),
        name => vec![real::named(name).unwrap_or_else(|| Project::named(name))],
    };
    let named: Vec<&Project> =
        names.split(',').filter(|name| !name.is_empty()).flat_map(named).chain(more.iter()).collect();
    println!("| project | phase | | median | times cargo | more | processor, times cargo |");
    println!("|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    let mut failed = false;
    for project in named {
        match measure(project, rounds) {
            Ok(rows) => all.extend(rows),
            Err(why) => {
                println!("\nskipped: {}: {why}", project.name);
                failed |= support::ci();
            }
        }
    }
    figures::write("builds", &all);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
