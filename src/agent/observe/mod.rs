//! Looking at what a job asks the kernel for, without having a say in it.
//!
//! A job that is to be observed has another system call filter than others (`super::seccomp`), which asks a listener
//! (seccomp_unotify(2)) about the calls of [`calls`] and about each one that it would refuse. The listener is the job's
//! init: it notes what the call names, and then has the kernel go on as if nobody had asked. What a job may do is
//! decided where it always is: the kernel looks at Landlock's rules and at the mounts after that, and reads the call's
//! arguments again, so that one who changes them in between deceives the record and nothing else. The one thing that
//! the listener answers by itself is a call that the ordinary filter refuses: from its number and its registers alone,
//! which nobody can change any more, by the ordinary filter's own program. Without a listener all of these calls fail.
//!
//! A job that is not observed has none of this.

pub mod calls;
pub mod event;
mod filter;
mod listener;
mod memory;
mod network;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub use event::{Act, Closeness, Event, Reach};

use super::seccomp::Filter;
use crate::passing::{WithDescriptors, send_owned};
use listener::Listener;

/// The init's part: where it gets the listener, and where it writes.
#[derive(Debug)]
pub struct Seat {
    from_job: UnixStream,
    record: File,
}

/// The job's part: where it hands over the listener.
#[derive(Debug)]
pub struct Handover(UnixStream);

/// A listener at work, in a thread of the job's init.
#[derive(Debug)]
pub struct Observer {
    thread: JoinHandle<()>,
    over: Arc<AtomicBool>,
    record: File,
}

/// Both parts for one job, whose record goes to `record`.
///
/// # Errors
/// When no socket can be made.
pub fn prepare(record: OwnedFd) -> io::Result<(Seat, Handover)> {
    let (from_job, to_init) = UnixStream::pair()?;
    Ok((Seat { from_job, record: record.into() }, Handover(to_init)))
}

impl Handover {
    /// Puts the observing filter on this process and gives its listener to the init. The last step before the program
    /// is executed: from here on, calls wait for the init.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install(&self, filter: &Filter) -> io::Result<()> {
        let listener = filter.install_with_listener()?;
        send_owned(&self.0, &[0], &[listener])
    }
}

impl Seat {
    /// The descriptors that must stay open for it.
    pub fn descriptors(&self) -> [u32; 2] {
        [self.from_job.as_raw_fd(), self.record.as_raw_fd()].map(i32::cast_unsigned)
    }

    /// Starts to listen, by the ordinary filter's verdicts. The process has one thread so far, and starts no process
    /// after this.
    ///
    /// # Errors
    /// When no thread can be had: the job's calls then fail.
    pub fn listen(self, ordinary: Filter) -> io::Result<Observer> {
        let over = Arc::new(AtomicBool::new(false));
        let (seen, record) = (Arc::clone(&over), self.record.try_clone()?);
        let Self { from_job, record: writes } = self;
        let listen = move || {
            // A job that failed before it was handed over has nothing to be told of.
            if let Some(listener) = receive(&from_job) {
                drop(from_job);
                Listener::new(listener, ordinary, writes).serve(&seen);
            }
        };
        // Signals are for the thread that waits for the job.
        let thread =
            without_signals(|| std::thread::Builder::new().name("observer".to_owned()).spawn(listen))?;
        Ok(Observer { thread, over, record })
    }
}

impl Observer {
    /// Ends the record. No process of the job is left.
    pub fn finish(self) {
        self.over.store(true, Ordering::Relaxed);
        let _panicked = self.thread.join();
        if let Some(end) = used() {
            let _full = listener::write(&self.record, &end);
        }
    }
}

/// What all processes that this one has waited for have used.
fn used() -> Option<Event> {
    // SAFETY: all zeroes is a valid value to be overwritten.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for writing.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) } != 0 {
        return None;
    }
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    Some(Event::End { user: micros(usage.ru_utime), system: micros(usage.ru_stime), peak })
}

fn receive(from: &UnixStream) -> Option<OwnedFd> {
    let mut reader = WithDescriptors::of(from);
    reader.read_exact(&mut [0]).ok()?;
    reader.descriptors.pop()
}

/// Does something with all signals held back, which what it starts inherits.
fn without_signals<T>(what: impl FnOnce() -> T) -> T {
    // SAFETY: all zeroes is a valid value to be overwritten by sigfillset and sigprocmask.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: `all` is valid for writing.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: `all` is initialized, `before` valid for writing.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let result = what();
    // SAFETY: `before` is what the kernel gave just now.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    result
}
