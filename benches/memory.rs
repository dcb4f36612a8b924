//! What memory the parts hold: the agent at rest and with 64 jobs, each job's wrapper, and the front end.
//!
//! `cargo bench --bench memory` prints a table as Markdown, `CSB_BENCH_JSON` names a file for the figures.
//! *Resident* is what a process has of memory, pages of the executable that others have as well included; *private* is what
//! nobody else has (`Private_*` of proc_pid_smaps(5)).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

#[path = "../tests/support/mod.rs"]
mod support;

use support::session::Session;
use support::tool::{Engine, front_end};
use support::world::User;

const JOBS: usize = 64;

/// What a process holds, in KiB.
#[derive(Debug, Clone, Copy)]
struct Memory {
    pid: u32,
    resident: u64,
    private: u64,
}

fn memory(pid: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let sum = |names: &[&str]| -> u64 {
        let lines = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    Some(Memory { pid, resident: sum(&["Rss:"]), private: sum(&["Private_Clean:", "Private_Dirty:"]) })
}

/// The processes that execute a file. By its number, since containers see it under another path.
fn executing(file: &Path) -> Vec<Memory> {
    let Ok(file) = fs::metadata(file) else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let same = |pid: &u32| {
        fs::metadata(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| (exe.dev(), exe.ino()) == (file.dev(), file.ino()))
    };
    pids.filter(same).filter_map(memory).collect()
}

/// Looks a few times, until nothing more is made or ended.
fn settled(look: impl Fn() -> Vec<Memory>) -> Vec<Memory> {
    let limit = Instant::now() + Duration::from_secs(10);
    let mut last = look();
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = look();
        let pids = |all: &[Memory]| all.iter().map(|memory| memory.pid).collect::<Vec<_>>();
        if pids(&now) == pids(&last) || Instant::now() > limit {
            return now;
        }
        last = now;
    }
}

/// The figures of one engine, as rows: what, how many, the largest of resident and private memory.
fn measure(engine: Engine) -> Result<Vec<(&'static str, usize, u64, u64)>, String> {
    let session = Session::open(&format!("memory-{engine}"), &User::me(), engine)?;
    let own = session.front_end();
    let others = || executing(&front_end()).into_iter().filter(|memory| memory.pid != own).collect();
    let largest = |all: &[Memory]| {
        (all.iter().map(|memory| memory.resident).max(), all.iter().map(|memory| memory.private).max())
    };
    let row = |what, all: &[Memory]| {
        let (resident, private) = largest(all);
        (what, all.len(), resident.unwrap_or(0), private.unwrap_or(0))
    };
    // One job runs all the time, the build script that keeps the session open.
    let rest = settled(others);
    session.enter();
    let mut jobs: Vec<Child> = (0..JOBS)
        .map(|_| {
            let mut runner = session.runner("/bin/sleep");
            runner.arg("60").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            runner.spawn().expect("a wrapper")
        })
        .collect();
    let sleeping = || jobs.iter().filter_map(|job| memory(job.id())).collect::<Vec<_>>();
    let many = settled(others);
    let rows = vec![
        row("agent and the inits of its jobs, at rest", &rest),
        row("the same with 64 jobs", &many),
        row("a job's wrapper", &sleeping()),
        row("front end, with 64 jobs", &memory(own).into_iter().collect::<Vec<_>>()),
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
    if let Some(path) = std::env::var_os("CSB_BENCH_JSON") {
        fs::write(&path, serde_json::to_string_pretty(&all).expect("JSON")).expect("a file for the figures");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
