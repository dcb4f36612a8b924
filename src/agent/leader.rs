//! The leader of a session with a terminal.
//!
//! The kernel does not let a terminal stop a process group of whose members none has a parent in another group
//! of the same session ("orphaned", setpgid(2)): nobody would be there to have it go on. A shell is that parent
//! where there is one. Here it is this process, which does nothing else.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::process::{Pid, Signal, WaitOptions};

use super::failure::{AtStep as _, Failure, Step};
use super::process::{self, Child, Cloned};
use super::signals;

/// Makes `terminal` the one that controls this session, and goes on in a child that it listens to. The process
/// that called has one thread, and is the leader of its session.
///
/// # Errors
/// When the kernel refuses.
pub fn lead(terminal: RawFd) -> Result<(), Failure> {
    // SAFETY: one of the descriptors that the job was given, put in place just now.
    let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
    rustix::process::ioctl_tiocsctty(terminal).at(Step::Terminal)?;
    signals::hold();
    // SAFETY: one thread.
    match unsafe { process::clone(0) }.at(Step::Tree)? {
        Cloned::Child => {
            rustix::process::setpgid(None, None).at(Step::Group)?;
            give(terminal).at(Step::Terminal)?;
            signals::release();
            Ok(())
        }
        Cloned::Parent(Child { pid, pidfd }) => {
            std::mem::forget(pidfd);
            // What the job closes must be closed; and nobody but the job holds its terminal open.
            let _ = process::close_from(0);
            signals::pass_on_to(pid, signals::Reach::Group);
            follow(pid)
        }
    }
}

/// Has the terminal listen to this process's group, which it does not yet: it would stop who asks.
fn give(terminal: BorrowedFd<'_>) -> std::io::Result<()> {
    // SAFETY: a valid disposition, and no other thread.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    let given = rustix::termios::tcsetpgrp(terminal, rustix::process::getpgrp());
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_DFL) };
    Ok(given?)
}

/// Does what the job does: stops, and ends.
fn follow(job: Pid) -> ! {
    loop {
        let status = match rustix::process::waitpid(Some(job), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) => status,
            Err(rustix::io::Errno::INTR) => continue,
            Ok(None) | Err(_) => process::exit_now(127),
        };
        if status.stopped() {
            // Its init tells the agent.
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        } else if let Some(signal) = status.terminating_signal() {
            // SAFETY: a valid disposition for every signal that can end a process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // SAFETY: takes a number.
            unsafe { libc::raise(signal) };
            process::exit_now(128 + signal);
        } else {
            process::exit_now(status.exit_status().unwrap_or(127));
        }
    }
}
