//! Signals on their way to a job.
//!
//! The agent cannot name the job's processes, which have numbers of a namespace of their own. It signals the
//! job's init, which passes on what it gets: to the job's process group what a terminal sends to one, to its
//! first process the rest.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::process::{Pid, Signal};

/// What a job can be sent, and who gets it.
const PASSED: [(i32, To); 8] = [
    (libc::SIGHUP, To::Process),
    (libc::SIGINT, To::Group),
    (libc::SIGQUIT, To::Group),
    (libc::SIGUSR1, To::Process),
    (libc::SIGUSR2, To::Process),
    (libc::SIGTERM, To::Process),
    (libc::SIGCONT, To::All),
    // To the init it stands for SIGSTOP, which would stop the init itself.
    (STOP, To::All),
];

const STOP: i32 = libc::SIGTSTP;

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Process,
    Group,
    /// Every process of the job, as far as this one can [reach](Reach).
    All,
}

/// Whom "all" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The process namespace of which this is the first process.
    Namespace,
    /// The job's process group.
    Group,
}

/// The job's first process; 0 while there is none.
static JOB: AtomicI32 = AtomicI32::new(0);

/// What stands for "all" in kill(2).
static ALL: AtomicI32 = AtomicI32::new(0);

/// Whether the job was told to stop, and not to go on.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// What the agent sends an init for a job to get `signal`; `None` for what jobs are not sent.
pub fn for_init(signal: i32) -> Option<Signal> {
    let signal = if signal == libc::SIGSTOP { STOP } else { signal };
    PASSED.iter().any(|(passed, _)| *passed == signal).then(|| Signal::from_named_raw(signal)).flatten()
}

/// Keeps signals back until it is known whom they are for.
pub fn hold() {
    mask(libc::SIG_BLOCK);
}

/// Undoes [`hold`] in the job, which such a signal then ends unless it has arranged for it.
pub fn release() {
    mask(libc::SIG_UNBLOCK);
}

/// From now on, this process passes its signals on to its child `job`.
pub fn pass_on_to(job: Pid, reach: Reach) {
    JOB.store(job.as_raw_pid(), Ordering::Relaxed);
    let all = if reach == Reach::Namespace { -1 } else { -job.as_raw_pid() };
    ALL.store(all, Ordering::Relaxed);
    for (signal, _) in PASSED {
        // SAFETY: the handler only does what a handler may (signal-safety(7)).
        unsafe { libc::signal(signal, pass_on as extern "C" fn(i32) as libc::sighandler_t) };
    }
    release();
}

/// Whether the job stands still because the agent asked for it.
pub fn has_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

extern "C" fn pass_on(signal: i32) {
    let job = JOB.load(Ordering::Relaxed);
    let whom = match PASSED.iter().find(|(passed, _)| *passed == signal) {
        Some((_, To::Group)) => -job,
        Some((_, To::All)) => {
            STOPPED.store(signal == STOP, Ordering::Relaxed);
            ALL.load(Ordering::Relaxed)
        }
        _ => job,
    };
    let signal = if signal == STOP { libc::SIGSTOP } else { signal };
    // SAFETY: kill(2) takes two numbers. The job is a child of this process that was not waited for: it ends
    // when it has been, and before that the number is the job's.
    if unsafe { libc::kill(whom, signal) } != 0 {
        // It has no group of its own yet, and is alone.
        // SAFETY: as above.
        unsafe { libc::kill(job, signal) };
    }
}

fn mask(how: i32) {
    // SAFETY: all zeroes is a valid value to be overwritten by sigemptyset.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writing.
    unsafe { libc::sigemptyset(&raw mut set) };
    for (signal, _) in PASSED {
        // SAFETY: `set` is initialized and the signal exists.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: `set` is initialized; the old mask is not asked for. The only error is a wrong `how`.
    unsafe { libc::sigprocmask(how, &raw const set, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_does_not_stop_the_init() {
        assert_eq!(for_init(libc::SIGSTOP), Some(Signal::TSTP));
        assert_eq!(for_init(libc::SIGINT), Some(Signal::INT));
        for signal in [0, libc::SIGKILL, libc::SIGCHLD, libc::SIGSEGV, 255] {
            assert_eq!(for_init(signal), None, "{signal}");
        }
    }
}
