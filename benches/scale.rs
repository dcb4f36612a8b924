//! How the cost of a job grows with the number of crates: `check` of made workspaces, by cargo and by each engine.
//!
//! `cargo bench --bench scale` prints a table and a plot as Markdown. `CSB_BENCH_CRATES` (`100,500`) is how many crates, each a member that
//! depends on the one before it by tens, so that there is always something to do at once; `CSB_BENCH_JSON` names a directory.
//! *Decide* is what the broker needs to know what a job may do, *confine* what the job's own rules take (`--sandbox-trace`), both
//! medians; *rules* is the most that one job has.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

#[path = "../tests/support/mod.rs"]
mod support;

use support::figures;
use support::tool::Engine;
use support::world::{User, World};

/// So many are independent of each other.
const WIDTH: usize = 10;

fn make(world: &World, project: &Path, crates: usize) {
    let mut members = String::new();
    for number in 0..crates {
        let _infallible = write!(members, "\"m{number}\", ");
        let mut manifest = format!(
            "[package]\nname = \"m{number}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n"
        );
        let mut source = format!("pub fn f{number}() -> usize {{\n    {number}");
        if let Some(before) = number.checked_sub(WIDTH) {
            let _infallible = writeln!(manifest, "m{before} = {{ path = \"../m{before}\" }}");
            let _infallible = write!(source, " + m{before}::f{before}()");
        }
        source.push_str("\n}\n");
        let directory = project.join(format!("m{number}"));
        fs::create_dir_all(directory.join("src")).expect("a directory");
        fs::write(directory.join("Cargo.toml"), manifest).expect("a manifest");
        fs::write(directory.join("src/lib.rs"), source).expect("a source");
    }
    world.write(
        &project.join("Cargo.toml"),
        &format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n"),
    );
}

fn seconds(command: &mut Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().expect("a program");
    assert!(status.success(), "{command:?}: {status}");
    started.elapsed().as_secs_f64()
}

/// Of the trace of a check: how many jobs, medians of two stages, and the most rules.
fn read(trace: &Path) -> (usize, f64, f64, u64) {
    let jobs = figures::trace(trace);
    let median = |stage: &str| figures::percentile(figures::stage(jobs.iter(), stage), 50);
    let rules = jobs.iter().filter_map(|job| job["rules"].as_u64()).max().unwrap_or(0);
    (jobs.len(), median("decide"), median("confine"), rules)
}

fn measure(crates: usize, engines: &[Engine]) -> Result<Vec<Value>, String> {
    let world = World::new("scale", &User::me())?.incremental();
    let project = world.work().join("workspace");
    make(&world, &project, crates);
    let plain = |words: &[&str]| {
        let mut command = world.plain(&project);
        command.args(words).env("CARGO_TARGET_DIR", world.home.join("plain"));
        seconds(&mut command)
    };
    plain(&["check", "--offline"]);
    plain(&["clean"]);
    let cargo = plain(&["check", "--offline"]);
    let fresh = plain(&["check", "--offline"]);
    println!("| {crates} | cargo | {cargo:.2} s | | {:.0} ms | | | |", fresh * 1000.0);
    let mut rows = vec![json!({"crates": crates, "way": "cargo", "seconds": cargo, "fresh": fresh})];
    for engine in engines {
        let trace = world.home.join("trace");
        let mut check = world.sandbox(*engine, &project);
        check.arg("--sandbox-trace").arg(&trace).args(["check", "--offline"]);
        let took = seconds(&mut check);
        let (jobs, decide, confine, rules) = read(&trace);
        let again = seconds(world.sandbox(*engine, &project).args(["check", "--offline"]));
        world.stop(*engine, &project);
        seconds(world.sandbox(*engine, &project).arg("clean"));
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let more = (took - cargo) / jobs.max(1) as f64 * 1000.0;
        println!(
            "| {crates} | {engine} | {took:.2} s | {more:+.2} ms | {:.0} ms | {decide} µs | {confine} µs | {rules} |",
            again * 1000.0
        );
        rows.push(json!({
            "crates": crates, "way": engine.to_string(), "seconds": took, "fresh": again, "jobs": jobs, "more_per_job_ms": more,
            "decide_us": decide, "confine_us": confine, "rules": rules,
        }));
    }
    Ok(rows)
}

/// The milliseconds that each way takes per crate, as a diagram of Mermaid's.
fn plot(all: &[Value]) {
    let crates: Vec<_> =
        all.iter().filter(|row| row["way"] == "cargo").map(|row| row["crates"].to_string()).collect();
    println!("\n```mermaid\nxychart-beta\n    x-axis \"crates\" [{}]", crates.join(", "));
    println!("    y-axis \"milliseconds per crate\"");
    let mut ways: Vec<_> = all.iter().filter_map(|row| row["way"].as_str()).collect();
    ways.sort_unstable();
    ways.dedup();
    for way in ways {
        let of_way = all.iter().filter(|row| row["way"] == way);
        let each = of_way.filter_map(|row| Some(row["seconds"].as_f64()? / row["crates"].as_f64()? * 1000.0));
        println!(
            "    line \"{way}\" [{}]",
            each.map(|each| format!("{each:.1}")).collect::<Vec<_>>().join(", ")
        );
    }
    println!("```");
}

fn main() -> ExitCode {
    let crates = std::env::var("CSB_BENCH_CRATES").unwrap_or_else(|_| "100,500".to_owned());
    let mut failed = false;
    let mut engines = Vec::new();
    for engine in Engine::ALL {
        match engine.here() {
            Ok(engine) => engines.push(engine),
            Err(why) => {
                println!("skipped: {engine} engine: {why}");
                failed |= support::ci();
            }
        }
    }
    println!("| crates | | cold check | more per job | fresh check | decide | confine | rules |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for number in crates.split(',') {
        match measure(number.parse().expect("a number"), &engines) {
            Ok(rows) => all.extend(rows),
            Err(why) => {
                println!("skipped: {number} crates: {why}");
                failed |= support::ci();
            }
        }
    }
    plot(&all);
    figures::write("scale", &all);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
