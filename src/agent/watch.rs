//! Watching jobs for what the kernel has no limit for: processes of one job, time, bytes written, free space, and
//! memory where the container is in no cgroup.
//!
//! The agent's one thread looks at `/proc` a few times a second while jobs run. A job that is over before the
//! first look costs nothing. What counts is only what a job cannot change or hide: a number that cannot be read
//! counts against it.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::limits::JobLimits;
use super::protocol::{Budget, Exceeded};
use crate::procstat::behind_name;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// As short as it gets when memory is nearly used up.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

/// More memory than a machine's programs ask for in a second.
const FASTEST: u64 = 8 << 30;

/// A fall of free space that is worth ending a job for: below it, ending one would not help.
const WORTHWHILE: u64 = 64 << 20;

/// What is watched, and when.
#[derive(Debug)]
pub struct Watch {
    /// Per job.
    pub limits: JobLimits,
    /// For all jobs together; `None` where the kernel sees to it.
    pub memory: Option<u64>,
    /// Directories that jobs may write to.
    pub places: Vec<PathBuf>,
    /// When to look.
    pub due: Option<Instant>,
}

/// A job, as it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its init.
    pub init: i32,
    /// When it was started.
    pub started: Instant,
    /// What it may use up.
    pub budget: Budget,
    /// What was free where it writes when it was first looked at, or when another job was last ended for it.
    pub free: Option<u64>,
    /// It has been killed already, and is not dead yet.
    pub ending: bool,
}

/// What a job uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Usage {
    pids: Vec<i32>,
    processes: u64,
    memory: u64,
    /// `None` where a process hides it.
    written: Option<u64>,
}

impl Watch {
    /// When to look next, if a job runs.
    pub fn arm(&mut self) {
        let memory = self.memory;
        self.due.get_or_insert_with(|| Instant::now() + interval(memory, 0));
    }

    /// Looks at all jobs; says which to end, by its place in `jobs`, and why.
    pub fn look(&mut self, jobs: &mut [Watched]) -> Vec<(usize, Exceeded)> {
        self.due = None;
        if jobs.is_empty() {
            return Vec::new();
        }
        let inits: Vec<i32> = jobs.iter().map(|job| job.init).collect();
        let mut usage = usage(&processes(), &inits);
        for ((job, usage), init) in jobs.iter().zip(&mut usage).zip(&inits) {
            if job.budget.disk_writes.is_some() || self.limits.free_space.is_some() {
                usage.written = usage.pids.iter().filter(|pid| *pid != init).map(|pid| written(*pid)).sum();
            }
        }
        let free = self.places.iter().filter_map(|place| statvfs(place).ok());
        let free = free.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)).min();
        for job in jobs.iter_mut() {
            job.free = job.free.or(free);
        }
        let mut over: Vec<(usize, Exceeded)> = Vec::new();
        for (index, (job, usage)) in jobs.iter().zip(&usage).enumerate() {
            over.extend(self.own(job, usage, free).map(|exceeded| (index, exceeded)));
        }
        let used = self.fill_in_memory(&mut usage);
        for (index, (job, usage)) in jobs.iter().zip(&usage).enumerate() {
            let own = job.budget.memory.filter(|limit| !job.ending && uses_more(usage, *limit));
            over.extend(own.map(|limit| (index, Exceeded::Memory { limit: Some(limit) })));
        }
        // What a killed job gives back is not there at once; nobody else shall end for that.
        if !jobs.iter().any(|job| job.ending) {
            if let Some(end) = self.space(jobs, &usage, free) {
                over.push(end);
                // Its files stay.
                jobs.iter_mut().for_each(|job| job.free = free);
            }
            over.extend(self.largest(&usage, used));
        }
        self.due = Some(Instant::now() + interval(self.memory, used));
        over
    }

    /// What a job exceeds for itself.
    fn own(&self, job: &Watched, usage: &Usage, free: Option<u64>) -> Option<Exceeded> {
        let processes = job.budget.processes.unwrap_or(u64::MAX).min(self.limits.processes);
        if usage.processes > processes {
            return Some(Exceeded::Processes { found: usage.processes, limit: processes });
        }
        let elapsed = job.started.elapsed().as_secs();
        if let Some(seconds) = job.budget.seconds.filter(|seconds| elapsed >= *seconds) {
            return Some(Exceeded::Time { seconds });
        }
        let limit = job.budget.disk_writes?;
        let written = usage.written.unwrap_or_else(|| fallen(job, free));
        (written > limit).then_some(Exceeded::DiskWrites { limit })
    }

    /// The job to end where too little space is left: the one that wrote most, of several the youngest. One that is
    /// not known to have written much only where half of what must stay free is gone, too.
    fn space(&self, jobs: &[Watched], usage: &[Usage], free: Option<u64>) -> Option<(usize, Exceeded)> {
        let (free, limit) = (free?, self.limits.free_space?);
        if free >= limit {
            return None;
        }
        let candidates = jobs.iter().zip(usage).enumerate();
        let candidates = candidates.filter(|(_, (job, usage))| {
            let written = usage.written.unwrap_or(u64::MAX);
            fallen(job, Some(free)) >= WORTHWHILE && (written >= WORTHWHILE || free < limit / 2)
        });
        let worst =
            candidates.max_by_key(|(_, (job, usage))| (usage.written.unwrap_or(u64::MAX), job.started))?;
        Some((worst.0, Exceeded::FreeSpace { free, limit }))
    }

    /// Adds up memory, first in a cheap way that counts too much, then exactly if that is too much. Returns the
    /// sum.
    fn fill_in_memory(&self, usage: &mut [Usage]) -> u64 {
        let Some(limit) = self.memory else { return 0 };
        let files: Vec<u64> = usage.iter().map(|usage| temporary_files(&usage.pids)).collect();
        let sum = |usage: &[Usage]| -> u64 { usage.iter().map(|usage| usage.memory).sum() };
        for (usage, files) in usage.iter_mut().zip(&files) {
            usage.memory += files;
        }
        if sum(usage) > limit {
            for (usage, files) in usage.iter_mut().zip(files) {
                usage.memory = files + usage.pids.iter().map(|pid| own_memory(*pid)).sum::<u64>();
            }
        }
        sum(usage)
    }

    fn largest(&self, usage: &[Usage], used: u64) -> Option<(usize, Exceeded)> {
        let limit = self.memory.filter(|limit| used > *limit)?;
        let (index, _) = usage.iter().enumerate().max_by_key(|(_, usage)| usage.memory)?;
        Some((index, Exceeded::Memory { limit: Some(limit) }))
    }
}

/// Whether a job uses more memory than it may for itself: by a sum that counts too much first, then exactly.
fn uses_more(usage: &Usage, limit: u64) -> bool {
    let files = temporary_files(&usage.pids);
    usage.memory.saturating_add(files) > limit
        && usage.pids.iter().map(|pid| own_memory(*pid)).sum::<u64>().saturating_add(files) > limit
}

/// How much less is free than when the job was first seen.
fn fallen(job: &Watched, free: Option<u64>) -> u64 {
    job.free.unwrap_or(0).saturating_sub(free.unwrap_or(0))
}

/// Sooner where the rest of the memory could be gone before the next look.
fn interval(memory: Option<u64>, used: u64) -> Duration {
    let Some(limit) = memory else { return INTERVAL };
    let milliseconds = limit.saturating_sub(used) / (FASTEST / 1000);
    Duration::from_millis(milliseconds).clamp(SHORTEST_INTERVAL, INTERVAL)
}

/// One line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    threads: u64,
    resident: u64,
}

/// Every process of the container.
fn processes() -> Vec<Process> {
    let page = rustix::param::page_size() as u64;
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, page)).collect()
}

fn parse(pid: i32, stat: &str, page: u64) -> Option<Process> {
    let mut fields = behind_name(stat)?;
    let parent = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(15)?.parse().ok()?;
    let resident = fields.nth(3)?.parse::<u64>().ok()?.saturating_mul(page);
    Some(Process { pid, parent, threads, resident })
}

/// Puts processes to the job whose init they descend from; the init itself is none of the job's.
fn usage(processes: &[Process], inits: &[i32]) -> Vec<Usage> {
    let parents: HashMap<i32, i32> = processes.iter().map(|process| (process.pid, process.parent)).collect();
    let mut owners: HashMap<i32, Option<usize>> =
        inits.iter().enumerate().map(|(index, init)| (*init, Some(index))).collect();
    let mut all = vec![Usage { written: Some(0), ..Usage::default() }; inits.len()];
    for process in processes {
        let mut way = Vec::new();
        let mut at = process.pid;
        let owner = loop {
            match (owners.get(&at), parents.get(&at)) {
                (Some(owner), _) => break *owner,
                (None, Some(parent)) if way.len() <= processes.len() => {
                    way.push(at);
                    at = *parent;
                }
                _ => break None,
            }
        };
        owners.extend(way.into_iter().map(|pid| (pid, owner)));
        if let Some(usage) = owner.and_then(|index| all.get_mut(index)) {
            usage.pids.push(process.pid);
            if !inits.contains(&process.pid) {
                usage.processes += process.threads;
                usage.memory += process.resident;
            }
        }
    }
    all
}

/// What a process, and those that it has waited for, wrote to disk. Nothing for one that is gone; `None` for one
/// that does not let itself be looked at.
fn written(pid: i32) -> Option<u64> {
    let text = match fs::read_to_string(format!("/proc/{pid}/io")) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        Err(_) => return Some(0),
    };
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    Some(field("write_bytes").saturating_sub(field("cancelled_write_bytes")))
}

/// What a process has of memory that is not a file's, shared memory by its share; all that it shows where the
/// kernel does not say.
fn own_memory(pid: i32) -> u64 {
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().map(|text| {
        let fields = ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"];
        let lines = text.lines().filter_map(|line| fields.iter().find_map(|field| line.strip_prefix(field)));
        lines.filter_map(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok()).sum::<u64>() << 10
    });
    exact.unwrap_or_else(|| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        stat.and_then(|stat| parse(pid, &stat, rustix::param::page_size() as u64))
            .map_or(0, |process| process.resident)
    })
}

/// What is in a job's private `/tmp` and `/dev/shm`: memory that no process shows. The init does not let itself be
/// looked at, so by way of a process of the job's.
fn temporary_files(pids: &[i32]) -> u64 {
    let used = |path: String| {
        let stat = statvfs(path).ok()?;
        Some(stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize))
    };
    pids.iter()
        .find_map(|pid| {
            Some(used(format!("/proc/{pid}/root/tmp"))? + used(format!("/proc/{pid}/root/dev/shm"))?)
        })
        .unwrap_or(0)
}

/// Whether the kernel has killed a process of the container for want of memory. It says so in a file of the
/// container's cgroup.
#[derive(Debug, Default)]
pub struct OutOfMemory {
    file: Option<OwnedFd>,
    count: u64,
    /// When a kill was seen last.
    at: Option<Instant>,
}

impl OutOfMemory {
    /// Counts in this file from now on.
    pub fn new(file: Option<OwnedFd>) -> Self {
        let mut own = Self { file, count: 0, at: None };
        own.count = own.read().unwrap_or(0);
        own
    }

    /// Whether that happened since then.
    pub fn since(&mut self, then: Instant) -> bool {
        self.refresh();
        self.at.is_some_and(|at| at >= then)
    }

    /// Looks, so that an old kill is not taken for a new one.
    pub fn refresh(&mut self) {
        if let Some(count) = self.read().filter(|count| *count > self.count) {
            self.count = count;
            self.at = Some(Instant::now());
        }
    }

    fn read(&self) -> Option<u64> {
        let mut text = [0; 1024];
        let length = rustix::io::pread(self.file.as_ref()?, &mut text, 0).ok()?;
        kills(std::str::from_utf8(&text[..length]).ok()?)
    }
}

/// The count in `memory.events`, or in version 1's `memory.oom_control`.
pub fn kills(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, threads: 1, resident: 10 }
    }

    fn watch(limits: JobLimits, memory: Option<u64>) -> Watch {
        Watch { limits, memory, places: Vec::new(), due: None }
    }

    fn job(free: u64) -> Watched {
        Watched {
            init: 1,
            started: Instant::now(),
            budget: Budget::default(),
            free: Some(free),
            ending: false,
        }
    }

    #[test]
    fn a_process_belongs_to_the_init_that_it_descends_from() {
        // 1 is the agent, 2 and 3 are inits; 9 comes before its parent, as after numbers have wrapped.
        let all = [(9, 8), (1, 0), (2, 1), (3, 1), (4, 2), (5, 4), (8, 3), (7, 1)];
        let all: Vec<Process> = all.into_iter().map(|(pid, parent)| process(pid, parent)).collect();
        let usage = usage(&all, &[2, 3]);
        assert_eq!(usage.iter().map(|usage| usage.processes).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(usage[0].pids, [2, 4, 5]);
        assert_eq!(usage[1].memory, 20);
    }

    #[test]
    fn a_name_forges_no_number() {
        let stat =
            "7 (a) R 1 (b)) S 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 99 4096 25 18446744073709551615 1";
        assert_eq!(
            parse(7, stat, 4096),
            Some(Process { pid: 7, parent: 42, threads: 3, resident: 25 * 4096 })
        );
        assert_eq!(parse(7, "7 (a", 4096), None);
    }

    #[test]
    fn a_real_process_is_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        let all = processes();
        let found = all.iter().find(|process| process.pid == own).unwrap();
        assert!(found.threads >= 1 && found.resident > 4096 && found.parent > 0);
        assert!(own_memory(own) > 0 && written(own).is_some());
    }

    #[test]
    fn the_last_free_space_is_taken_from_the_job_that_wrote_most() {
        let limits = JobLimits { free_space: Some(1000), ..JobLimits::default() };
        let watch = watch(limits, None);
        let jobs = [job(WORTHWHILE + 500), job(WORTHWHILE + 500), job(600)];
        let wrote = |written: [Option<u64>; 3]| written.map(|written| Usage { written, ..Usage::default() });
        let ended = |usage: [Usage; 3], free| watch.space(&jobs, &usage, Some(free)).map(|(index, _)| index);
        let much = wrote([5, 7, 9].map(|more| Some(WORTHWHILE + more)));
        assert_eq!(ended(much.clone(), 1000), None, "as much as must be");
        assert_eq!(ended(much, 500), Some(1), "the third has not made a difference that is worth anything");
        let hiding = wrote([None, Some(WORTHWHILE), Some(WORTHWHILE)]);
        assert_eq!(ended(hiding, 500), Some(0), "what hides counts most");
        let little = wrote([Some(5), Some(7), Some(9)]);
        assert_eq!(ended(little.clone(), 500), None, "somebody else, as it seems");
        assert_eq!(ended(little, 499), Some(1), "nobody must take all of it");
    }

    #[test]
    fn what_cannot_be_read_is_measured_by_what_is_gone() {
        let watch = watch(JobLimits { processes: 9, ..JobLimits::default() }, None);
        let budget = Budget { disk_writes: Some(100), ..Budget::default() };
        let job = Watched { budget, ..job(500) };
        let hidden = Usage { written: None, ..Usage::default() };
        assert_eq!(watch.own(&job, &hidden, Some(450)), None);
        assert_eq!(watch.own(&job, &hidden, Some(399)), Some(Exceeded::DiskWrites { limit: 100 }));
    }

    #[test]
    fn looks_come_sooner_when_memory_is_short() {
        assert_eq!(interval(None, 0), INTERVAL);
        assert_eq!(interval(Some(64 << 30), 1 << 30), INTERVAL);
        assert!(interval(Some(1 << 30), 512 << 20) < Duration::from_millis(80));
        assert_eq!(interval(Some(1 << 30), 2 << 30), SHORTEST_INTERVAL);
    }

    #[test]
    fn kills_are_counted_in_either_version() {
        assert_eq!(kills("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), Some(1));
        assert_eq!(kills("max 1\n"), None);
    }
}
