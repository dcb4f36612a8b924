//! Ending a job's process tree where process namespaces are refused.
//!
//! The job's init is a subreaper: whatever a descendant's parents do, it ends up as the init's child. So the
//! init can find every descendant by the chain of parents in `/proc`, and it kills until none is left. A
//! process that forks while it is being killed leaves a child that the next round finds; the container's
//! limit on processes ends a race with a fork bomb.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait, waitpid};

use super::signals;
use crate::procstat::behind_name;

/// What a wait for a job comes to.
pub trait Ended {
    /// It ended with this wait status.
    fn exited(status: i32) -> Self;
    /// The wait itself failed.
    fn failed(error: io::Error) -> Self;
}

/// What the agent sends to have the tree killed; a signal that jobs are not sent.
pub const END: Signal = Signal::POWER;

/// Makes this process the parent of its orphaned descendants, and has it end by [`reap_until`] alone.
///
/// # Errors
/// When the kernel refuses.
pub fn become_reaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    mask(libc::SIG_BLOCK)
}

/// Undoes in a child what it must not inherit.
///
/// # Errors
/// When the kernel refuses.
pub fn leave_reaper() -> io::Result<()> {
    mask(libc::SIG_UNBLOCK)
}

/// Waits for the job or for [`END`], then kills every descendant and waits for all of them. `stopped` is called
/// when the job has stopped and was not told to.
pub fn reap_until<E: Ended>(job: Pid, stopped: impl Fn()) -> Option<E> {
    let mut end = None;
    loop {
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) if status.stopped() => {
                    if pid == job && !signals::has_stopped() {
                        stopped();
                    }
                }
                Ok(Some((pid, status))) if pid == job => end = Some(E::exited(status.as_raw())),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    return end.or_else(|| Some(E::failed(error.into())));
                }
            }
        }
        if end.is_some() {
            break;
        }
        let set = signals();
        // SAFETY: the set is valid; no information about the signal is asked for.
        if unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) } == END.as_raw() {
            break;
        }
    }
    kill_all_but(&[]);
    end
}

/// Kills every descendant of this process that is not one of `kept` or below it, and waits for them.
pub fn kill_all_but(kept: &[Pid]) {
    let kept: Vec<i32> = kept.iter().map(|pid| pid.as_raw_pid()).collect();
    loop {
        let found = descendants(rustix::process::getpid().as_raw_pid(), &kept);
        if found.is_empty() {
            return;
        }
        for pid in found.iter().copied().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
            // Ours by now, or its parent's, which is being killed as well.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        std::thread::yield_now();
    }
}

/// Every process below `root`, except `kept` and what is below those.
fn descendants(root: i32, kept: &[i32]) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let parents: Vec<(i32, i32)> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect();
    let mut found = Vec::new();
    let mut generation = vec![root];
    while !generation.is_empty() {
        generation = parents
            .iter()
            .filter(|(pid, parent)| {
                generation.contains(parent) && !kept.contains(pid) && !found.contains(pid)
            })
            .map(|(pid, _)| *pid)
            .collect();
        found.extend_from_slice(&generation);
    }
    found
}

/// The parent's number in `/proc/<pid>/stat`.
fn parent(stat: &str) -> Option<i32> {
    behind_name(stat)?.nth(1)?.parse().ok()
}

fn signals() -> libc::sigset_t {
    // SAFETY: all zeroes is a valid value to be overwritten by sigemptyset.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writing.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in [libc::SIGCHLD, END.as_raw()] {
        // SAFETY: `set` is initialized and the signal exists.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

fn mask(how: i32) -> io::Result<()> {
    let set = signals();
    // SAFETY: `set` is initialized; the old mask is not asked for.
    let result = unsafe { libc::sigprocmask(how, &raw const set, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_forge_a_parent() {
        assert_eq!(parent("7 (a) S 1 (b)) S 42 7 7 0"), Some(42));
        assert_eq!(parent("7 (a"), None);
    }
}
