//! What memory the parts hold: the agent at rest and with 64 jobs, each job's wrapper, and the front end.
//!
//! `cargo bench --bench memory` prints a table as Markdown, `CSB_BENCH_JSON` names a directory for the figures.
//! *Resident* is what a process has of memory, pages of the executable that others have as well included; *private* is what
//! nobody else has (`Private_*` of proc_pid_smaps(5)).

use std::process::{Child, ExitCode};

use serde_json::json;

#[path = "../tests/support/mod.rs"]
mod support;
#[path = "../tests/soak/survey.rs"]
#[allow(dead_code, reason = "the rest is for the soak")]
mod survey;

use support::figures;
use support::session::Session;
use support::tool::Engine;
use support::world::User;

const JOBS: usize = 64;

/// The figures of one engine, as rows: what, how many, the largest of resident and private memory.
fn measure(engine: Engine) -> Result<Vec<(&'static str, usize, u64, u64)>, String> {
    let session = Session::open(&format!("memory-{engine}"), &User::me(), engine)?;
    let row = |what, pids: &[u32]| {
        let all: Vec<_> = pids.iter().filter_map(|pid| survey::holds(*pid)).collect();
        let largest = |of: fn(&survey::Holds) -> u64| all.iter().map(of).max().unwrap_or(0);
        (what, all.len(), largest(|holds| holds.resident), largest(|holds| holds.private))
    };
    // One job runs all the time, the build script that keeps the session open.
    let rest = survey::settled(&session.world.home);
    session.enter();
    let sleep = session.runner("/bin/sleep");
    let mut jobs: Vec<Child> = (0..JOBS).map(|_| sleep().arg("60").spawn().expect("a wrapper")).collect();
    let many = survey::settled(&session.world.home);
    let rows = vec![
        row("agent and the inits of its jobs, at rest", &rest),
        row("the same with 64 jobs", &many),
        row("a job's wrapper", &jobs.iter().map(Child::id).collect::<Vec<_>>()),
        row("front end, with 64 jobs", &[session.front_end()]),
    ];
    for job in &mut jobs {
        // A wrapper that goes ends its job.
        job.kill().and_then(|()| job.wait()).expect("the end of a wrapper");
    }
    Ok(rows)
}

fn main() -> ExitCode {
    let mut all = Vec::new();
    let mut failed = false;
    println!("| engine | | processes | largest, resident | largest, private |");
    println!("|---|---|---|---|---|");
    for engine in Engine::ALL {
        match measure(engine) {
            Ok(rows) => {
                for (what, processes, resident, private) in rows {
                    println!("| {engine} | {what} | {processes} | {resident} KiB | {private} KiB |");
                    all.push(json!({
                        "engine": engine.to_string(), "what": what, "processes": processes, "resident": resident, "private": private,
                    }));
                }
            }
            Err(why) => {
                println!("skipped: {engine} engine: {why}");
                failed |= support::ci();
            }
        }
    }
    figures::write("memory", &all);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
