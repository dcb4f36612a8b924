//! Limits that the kernel keeps for every process of a job (`setrlimit(2)`). What it has no such limit for is
//! [watched](super::watch).

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::protocol::Budget;

/// Limits of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobLimits {
    /// Processes and threads.
    pub processes: u64,
    /// Open files of each process; `None`: as the agent was started with.
    pub open_files: Option<u64>,
    /// Size of each file, in bytes.
    pub file_size: Option<u64>,
    /// Bytes that must stay free where jobs write.
    pub free_space: Option<u64>,
}

/// More memory than this is not locked into place: nobody could take it back.
const LOCKED_MEMORY: u64 = 8 << 20;

/// The kernel's own default for POSIX message queues, which use memory that no process shows.
const MESSAGE_QUEUES: u64 = 819_200;

/// Puts this process, and all that it will start, under the limits that cannot be in the agent's own way.
///
/// # Errors
/// When the kernel refuses.
pub fn limit_all(limits: &JobLimits) -> io::Result<()> {
    if let Some(bytes) = limits.file_size {
        lower(Resource::Fsize, bytes)?;
    }
    lower(Resource::Memlock, LOCKED_MEMORY)?;
    lower(Resource::Msgqueue, MESSAGE_QUEUES)?;
    // No job before the user's own programs.
    lower(Resource::Rtprio, 0)?;
    lower(Resource::Nice, 0)
}

/// Puts a job's init, and with it the job, under the limits that the agent itself could not live with.
/// `processes` is for the whole container, in whose user namespace the kernel counts.
///
/// # Errors
/// When the kernel refuses.
pub fn limit_job(limits: &JobLimits, processes: Option<u64>) -> io::Result<()> {
    if let Some(number) = limits.open_files {
        lower(Resource::Nofile, number)?;
    }
    processes.map_or(Ok(()), |number| lower(Resource::Nproc, number))
}

/// Lowers, for this process and all that it will start, what a job may have less of than others.
///
/// # Errors
/// When the kernel refuses.
pub fn lower_for(budget: &Budget) -> io::Result<()> {
    if let Some(number) = budget.open_files {
        lower(Resource::Nofile, number)?;
    }
    budget.file_size.map_or(Ok(()), |bytes| lower(Resource::Fsize, bytes))
}

/// No core dumps. One byte and not none: a program of the host's to which the kernel pipes dumps would be
/// started all the same with none, and only with one the kernel gives up before (core(5), `kernel/coredump.c`).
///
/// # Errors
/// When the kernel refuses.
pub fn no_core_dumps() -> io::Result<()> {
    lower(Resource::Core, 1)
}

/// Sets both limits to `most`, or to what they are if that is less.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}
