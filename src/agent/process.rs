//! The process calls that neither the standard library nor rustix has, and the state that an agent starts
//! from.

use std::ffi::c_void;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use rustix::process::{DumpableBehavior, Pid};

use crate::procstat;

/// Which side of a [`clone`] this is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The process that asked.
    Parent(Child),
}

/// A child process, by number and by descriptor.
#[derive(Debug)]
pub struct Child {
    /// Its number; valid until it is waited for.
    pub pid: Pid,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

/// Forks with `clone(2)`, so that the child starts in new namespaces without a process in between.
///
/// `clone3` would say the same; container seccomp profiles refuse it more often.
///
/// # Errors
/// `EPERM`, `ENOSPC` and the like when the kernel refuses the namespaces.
///
/// # Safety
/// The process must have one thread: the child gets a copy of that one alone, and locks that others hold
/// stay locked in it.
pub unsafe fn clone(namespaces: i32) -> io::Result<Cloned> {
    let flags = libc::c_long::from(namespaces | libc::CLONE_PIDFD | libc::SIGCHLD);
    let mut pidfd: libc::c_int = -1;
    // SAFETY: without CLONE_VM and with a null stack this is fork: the child goes on here on a copy of
    // everything. The third argument is where the kernel writes the descriptor; the other two are unused
    // with these flags, so their order (which differs per architecture) does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, &raw mut pidfd, 0_usize, 0_usize) };
    match i32::try_from(pid).map_err(io::Error::other)? {
        0 => Ok(Cloned::Child),
        pid if pid > 0 => {
            // SAFETY: the kernel made this descriptor for us just now.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("a child without a number"))?;
            Ok(Cloned::Parent(Child { pid, pidfd }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Size of the stack of a process that [lends memory](lend_memory), in bytes. Pages that it does not use are never there.
const LENT_STACK: usize = 1 << 20;

/// No page is larger, of the machines that this runs on.
const LARGEST_PAGE: usize = 64 << 10;

/// Does something in a new process that has the memory of this one, on a stack of its own, until it executes a program or ends; this
/// one stands still until then, and only a signal that kills it ends that (vfork(2)). So nothing is copied, neither now nor
/// page by page, and the new program has nothing to take down.
///
/// Descriptors, signals, credentials and everything else that the kernel keeps are the new process's own.
///
/// # Errors
/// When there is no memory for the stack, or no process can be made.
///
/// # Safety
/// The process must have one thread. What `work` borrows it may change for good.
pub unsafe fn lend_memory<F: FnOnce()>(work: F) -> io::Result<Pid> {
    extern "C" fn run<F: FnOnce()>(work: *mut c_void) -> libc::c_int {
        // SAFETY: this is `work` below, which nobody else touches while that process stands still.
        if let Some(work) = unsafe { (*work.cast::<Option<F>>()).take() } {
            work();
        }
        exit_now(127)
    }
    let mut work = Some(work);
    let top = new_stack()?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is as large as it says and nobody else's; `work` lives until this process goes on.
    let pid = unsafe { libc::clone(run::<F>, top, flags, (&raw mut work).cast()) };
    Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)
}

/// The upper end of a new stack, below which nothing is. It stays until the process ends.
fn new_stack() -> io::Result<*mut c_void> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
    let size = LARGEST_PAGE + LENT_STACK;
    // SAFETY: a new mapping, wherever the kernel likes.
    let start =
        unsafe { mmap_anonymous(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
    // SAFETY: its lowest part, which nobody has seen.
    unsafe { mprotect(start, LARGEST_PAGE, MprotectFlags::empty()) }?;
    // SAFETY: its end.
    Ok(unsafe { start.byte_add(size) })
}

/// Waits for a child and returns its status as `waitpid(2)` gives it.
///
/// # Errors
/// `ECHILD` when somebody else has waited for it.
pub fn wait(pid: Pid) -> io::Result<i32> {
    let options = rustix::process::WaitOptions::empty();
    match rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(pid), options))? {
        Some((_, status)) => Ok(status.as_raw()),
        None => Err(io::Error::other("waitpid returned without a child")),
    }
}

/// Ends this process at once; no destructor and no exit handler runs, since they belong to the parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
///
/// # Errors
/// Never on the kernels that this tool runs on (5.9 and later have the call).
pub fn close_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, 0)
}

/// Closes every descriptor but these.
///
/// # Errors
/// As [`close_from`].
pub fn close_all_but<const N: usize>(mut kept: [u32; N]) -> io::Result<()> {
    kept.sort_unstable();
    let mut first = 0;
    for kept in kept {
        if kept > first {
            close_range(first, kept - 1, 0)?;
        }
        first = first.max(kept + 1);
    }
    close_from(first)
}

/// Has every descriptor closed at the next `execve(2)`.
///
/// # Errors
/// As [`close_from`].
pub fn close_all_at_exec() -> io::Result<()> {
    close_range(0, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the call takes three numbers. Closing is the caller's wish: descriptors that Rust values own
    // are not used again by them.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts the process into the one state that an agent and its jobs start from, whatever started it: no
/// environment, default signals, files for the owner to write, no core dumps. Jobs inherit all of it, so no job has to do it again.
///
/// # Errors
/// Names the step that failed.
pub fn sanitize() -> anyhow::Result<()> {
    use anyhow::Context as _;

    // SAFETY: one thread, and nobody holds a pointer into the environment.
    unsafe { libc::clearenv() };
    default_signals();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    super::limits::no_core_dumps().context("cannot switch core dumps off")?;
    // What follows needs no privilege that an executable could give, in this process and all below it.
    rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")
}

/// Makes this process the leader of a session that has no terminal, which is its jobs' as well. The first process of a container
/// that an engine made leads one already.
///
/// # Errors
/// Where it leads one that has a terminal, or a process group of somebody else's session.
pub fn lead_session() -> io::Result<()> {
    match rustix::process::setsid() {
        Err(rustix::io::Errno::PERM) if rustix::process::getsid(None)? == rustix::process::getpid() => {
            let stat = std::fs::read_to_string("/proc/self/stat")?;
            // Behind state, parent, process group and session.
            match procstat::behind_name(&stat).and_then(|mut fields| fields.nth(4)) {
                Some("0") => Ok(()),
                _ => Err(io::Error::other("it has a terminal")),
            }
        }
        led => Ok(led.map(drop)?),
    }
}

/// Refuses other processes of the same user to trace this one or read its memory. Its files in `/proc` belong
/// to root from then on, so an id map must be written before.
///
/// # Errors
/// Never, for this value.
pub fn hide_from_others() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Every signal back to its default, none blocked.
fn default_signals() {
    // The kernel's `struct sigaction`: zeroes are SIG_DFL, no flags, no restorer and an empty mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads one `struct sigaction` with a mask of 8 bytes and writes nothing. libc's
        // own call would leave out the two signals that libc keeps, and a parent may have ignored those.
        // SIGKILL and SIGSTOP are refused: they are at their default anyway.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0_usize, 8_usize) };
    }
    // SAFETY: all zeroes is a valid value to be overwritten by sigemptyset.
    let mut empty: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `empty` is valid for writing.
    unsafe { libc::sigemptyset(&raw mut empty) };
    // SAFETY: `empty` is initialized; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) };
}

/// Leaves nothing in the bounding set and locks the rule that user id 0 brings capabilities, so that no
/// job can gain one. Capabilities that this process holds stay until [`drop_capabilities`].
///
/// # Errors
/// When the kernel refuses for another reason than a missing privilege.
pub fn forbid_gaining_capabilities() -> io::Result<()> {
    use rustix::thread::CapabilitiesSecureBits as Bits;
    for capability in 0..64 {
        // SAFETY: PR_CAPBSET_READ takes a number and reports an unknown one with EINVAL.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } {
            0 => {}
            1 => {
                // SAFETY: PR_CAPBSET_DROP takes a number.
                if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
                    let error = io::Error::last_os_error();
                    // Without CAP_SETPCAP the set stays; no_new_privs alone keeps it from being used, and
                    // the report shows it.
                    return if error.raw_os_error() == Some(libc::EPERM) { Ok(()) } else { Err(error) };
                }
            }
            _ => break,
        }
    }
    let bits = Bits::NO_ROOT
        | Bits::NO_ROOT_LOCKED
        | Bits::NO_SETUID_FIXUP
        | Bits::NO_SETUID_FIXUP_LOCKED
        | Bits::KEEP_CAPS_LOCKED
        | Bits::NO_CAP_AMBIENT_RAISE
        | Bits::NO_CAP_AMBIENT_RAISE_LOCKED;
    match rustix::thread::set_capabilities_secure_bits(bits) {
        // Without CAP_SETPCAP there is nothing to lock: no capability is held.
        Ok(()) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives up every capability: effective, permitted, inheritable, and with them ambient.
///
/// # Errors
/// Never: giving up is always allowed.
pub fn drop_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    let none = CapabilitySet::empty();
    Ok(rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?)
}
