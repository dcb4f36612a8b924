//! What processes there are, and what they hold.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cargo_sandbox::agent::AGENT_ARGUMENT;

use super::support::tool::front_end;

/// Every process of the machine.
pub fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process is an agent, or the first of a job's. Docker's are started by a loader, with an argument that says so.
fn is_agent(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    line.split(|byte| *byte == 0).any(|word| word == AGENT_ARGUMENT.as_bytes())
        || file(&front_end()) == file(Path::new(&format!("/proc/{pid}/exe")))
}

/// The agents of containers that show something of `home`, and the first processes of their jobs.
pub fn agents(home: &Path) -> Vec<u32> {
    let own = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
    let elsewhere = |pid: &u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|other| other != own);
    let shows = |pid: &u32| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        mounts.contains(home.to_str().expect("a plain path"))
    };
    processes().into_iter().filter(|pid| is_agent(*pid)).filter(elsewhere).filter(shows).collect()
}

/// The wrappers of a world that run.
pub fn wrappers(state: &Path) -> Vec<u32> {
    let of_state =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(state));
    processes().into_iter().filter(of_state).collect()
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    pub descriptors: usize,
    pub threads: usize,
    /// KiB of memory, pages of the executable that others have as well included.
    pub resident: u64,
    /// KiB that nobody else has (`Private_*` of proc_pid_smaps(5)).
    pub private: u64,
    /// KiB of memory that are no file's, those included that are shared with processes forked from this one.
    pub anonymous: u64,
}

/// Nothing where the process is gone.
pub fn holds(pid: u32) -> Option<Holds> {
    let count = |what: &str| Some(fs::read_dir(format!("/proc/{pid}/{what}")).ok()?.count());
    let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let sum = |name: &str| -> u64 {
        let lines = memory.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    Some(Holds {
        descriptors: count("fd")?,
        threads: count("task")?,
        resident: sum("Rss:"),
        private: sum("Private_"),
        anonymous: sum("Anonymous:"),
    })
}

/// The children of a process that have ended and were not waited for.
pub fn zombies(parent: u32) -> usize {
    let is_one = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(')') else { return false };
        let mut fields = rest.split_whitespace();
        fields.next() == Some("Z") && fields.next().and_then(|field| field.parse().ok()) == Some(parent)
    };
    processes().iter().filter(|pid| is_one(pid)).count()
}

/// Where this machine has mounts: a place for each of those that are there.
pub fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    text.lines().filter_map(|line| line.split(' ').nth(4).map(str::to_owned)).collect()
}

/// The [`agents`] of a world, once none is made or ended any more.
pub fn settled(home: &Path) -> Vec<u32> {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut last = agents(home);
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = agents(home);
        if now == last || Instant::now() > limit {
            return now;
        }
        last = now;
    }
}
