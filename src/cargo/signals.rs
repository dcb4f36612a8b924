//! Signals while cargo runs.
//!
//! The terminal sends Ctrl-C to the whole foreground group: cargo ends by it, and the front end must outlive
//! cargo to tidy up and to end the same way. What is sent to the front end alone is passed on. Before Ctrl-Z
//! stops it, it stops the jobs, which no terminal of the user's can reach.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// The process that gets what the front end gets; 0 while there is none.
static CARGO: AtomicI32 = AtomicI32::new(0);

/// Sent by the terminal to the whole group: cargo has it already.
const FROM_TERMINAL: [i32; 2] = [libc::SIGINT, libc::SIGQUIT];

/// Sent to one process.
const FORWARDED: [i32; 2] = [libc::SIGTERM, libc::SIGHUP];

/// Written to by [`suspend`]; -1 before [`hold`].
static SUSPENDED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn ignore(_: i32) {}

extern "C" fn suspend(_: i32) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write(2) is safe in a signal handler (signal-safety(7)) and reads the eight bytes; an event
    // counter takes them at once.
    unsafe { libc::write(SUSPENDED.load(Ordering::Relaxed), one.as_ptr().cast(), one.len()) };
}

extern "C" fn forward(signal: i32) {
    let cargo = CARGO.load(Ordering::Relaxed);
    if cargo > 0 {
        // SAFETY: kill(2) is safe in a signal handler (signal-safety(7)) and takes no pointer; `cargo` is a
        // child that was not waited for yet, so that the number is still its own.
        unsafe { libc::kill(cargo, signal) };
    }
}

/// From now on the front end outlives signals that are meant for cargo. Handlers, and not `SIG_IGN`, which cargo
/// would inherit.
pub fn hold() {
    for (signals, handler) in [(FROM_TERMINAL, ignore as extern "C" fn(i32)), (FORWARDED, forward)] {
        for signal in signals {
            handle(signal, handler);
        }
    }
}

/// From now on, `before` runs before a terminal stops this process, and `after` when it goes on.
///
/// # Errors
/// When no thread can be had for it.
pub fn around_stops(before: fn(), after: fn()) -> io::Result<()> {
    let events = eventfd(0, EventfdFlags::CLOEXEC)?;
    SUSPENDED.store(events.as_raw_fd(), Ordering::Relaxed);
    let watch = move || {
        while rustix::io::retry_on_intr(|| rustix::io::read(&events, &mut [0; 8])).is_ok() {
            before();
            // By the signal's own action: where no shell could have this process go on, it does nothing.
            die_by(libc::SIGTSTP);
            handle(libc::SIGTSTP, suspend);
            after();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    handle(libc::SIGTSTP, suspend);
    Ok(())
}

fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: the handlers of this module only do what a handler may (signal-safety(7)).
    unsafe { libc::signal(signal, handler as libc::sighandler_t) };
}

/// Names the process that forwarded signals go to; `None` before it is waited for.
pub fn forward_to(process: Option<u32>) {
    CARGO.store(process.and_then(|id| i32::try_from(id).ok()).unwrap_or(0), Ordering::Relaxed);
}

/// Ends this process by a signal, as cargo was ended; returns where the signal does not end it.
pub fn die_by(signal: i32) {
    // SAFETY: the default action is a valid disposition for every signal; an invalid number is an error.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: takes no pointer.
    unsafe { libc::raise(signal) };
}
