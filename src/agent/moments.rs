//! When a job came how far, for who asks where the time of its start goes.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// In nanoseconds as [`now`] gives them, which host and container share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// The agent had handed it to a process.
    pub taken: u64,
    /// That process was confined, and about to execute the program.
    pub executed: u64,
    /// The job's first process had ended.
    pub ended: u64,
}

/// Nanoseconds of the monotonic clock (clock_gettime(2)).
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // It starts at zero with the machine, and fits for centuries.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
