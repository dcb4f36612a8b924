//! Pseudo-terminals.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A new one: the end of whoever types, and the terminal.
pub fn pair() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
    grantpt(&master).expect("grantpt");
    unlockpt(&master).expect("unlockpt");
    let name = ptsname(&master, Vec::new()).expect("ptsname");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(&name, flags, Mode::empty()).expect("the terminal");
    (master, terminal)
}

/// Has a command lead a session that this terminal controls.
pub fn control(command: &mut Command, terminal: OwnedFd) {
    let lead = move || {
        rustix::process::setsid()?;
        Ok(rustix::process::ioctl_tiocsctty(&terminal)?)
    };
    // SAFETY: two system calls between fork and exec, and no allocation.
    unsafe { command.pre_exec(lead) };
}
