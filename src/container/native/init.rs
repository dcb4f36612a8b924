//! The keeper, and the way of the container's first process from there to the agent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use rustix::thread::CapabilitySet;

use super::cgroup::Cgroup;
use super::plan::Plan;
use super::record::{POST_MORTEM, Record, start_time};
use super::trees::DEVICES;
use super::trouble::Trouble;
use super::{LOG, root, trees};
use crate::agent::process::{self, Child, Cloned};
use crate::agent::protocol::{AGENT_SOCKET, MAX_DESCRIPTORS, encode, read_message};
use crate::agent::{self, Coming, Origin, Peers, ProcessTree, Surroundings};
use crate::container::spec::KILLED_FIRST;
use crate::passing::{WithDescriptors, send_owned};

const NAMESPACES: i32 =
    libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// What `main` calls when its first argument is [`super::INIT_ARGUMENT`]. Must come before anything starts a
/// thread. The plan comes on standard input, the answer goes to standard output.
pub fn init_main() -> ExitCode {
    let mut answer = Answer(io::stdout().as_fd().try_clone_to_owned().map(File::from).ok());
    match daemonize() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(plan)) => match keep(&plan, &mut answer) {
            Ok(()) => ExitCode::SUCCESS,
            Err(trouble) => {
                answer.give(&Err(trouble));
                ExitCode::FAILURE
            }
        },
        Err(trouble) => {
            answer.give(&Err(trouble));
            ExitCode::FAILURE
        }
    }
}

/// Whether a user namespace can be made here, tried in a process of its own.
///
/// # Errors
/// What forbids it.
pub fn try_user_namespace() -> Result<(), Trouble> {
    let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    // SAFETY: a fork. Other threads may exist, so the child does nothing but exit.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    if pid == 0 {
        process::exit_now(0);
    }
    // Negative for an error, which is no number for `Pid`.
    let error = io::Error::last_os_error();
    match i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw) {
        Some(pid) => {
            let _ = process::wait(pid);
            Ok(())
        }
        None => Err(Trouble::namespaces("cannot make a user namespace", error)),
    }
}

/// The one answer to `start`.
struct Answer(Option<File>);

impl Answer {
    fn give(&mut self, answer: &Result<(), Trouble>) {
        if let (Some(mut pipe), Ok(bytes)) = (self.0.take(), encode(answer)) {
            let _ = pipe.write_all(&bytes);
        }
    }
}

/// Reads the plan and forks into the background, away from the user's terminal and process group. `None` in
/// the process that may go.
fn daemonize() -> Result<Option<Plan>, Trouble> {
    let plan: Plan = read_message(&mut io::stdin().lock())
        .map_err(|error| Trouble::step("cannot read the container's description", error))?;
    process::sanitize().map_err(|error| Trouble::failed(format!("{error:#}")))?;
    let directory = plan.directory();
    // The socket is bound and the root is built on the working directory, whatever the length of its name.
    std::env::set_current_dir(&directory)
        .map_err(|error| Trouble::step(format!("cannot enter {}", directory.display()), error))?;
    let mut options = OpenOptions::new();
    let log = options.write(true).create(true).truncate(true).mode(0o600).open(LOG);
    let log = log.map_err(|error| Trouble::step(format!("cannot write {LOG}"), error))?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Trouble::step("cannot open /dev/null", error))?;
    let failed = |error| Trouble::step("cannot go into the background", error);
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&log).map_err(failed)?;
    // SAFETY: nothing has started a thread.
    match unsafe { process::clone(0) }.map_err(|error| Trouble::step("cannot fork", error))? {
        Cloned::Parent(_) => Ok(None),
        Cloned::Child => {
            rustix::process::setsid().map_err(failed)?;
            Ok(Some(plan))
        }
    }
}

/// Whom the container's user is on the host.
#[derive(Debug, Clone, Copy)]
enum Owner {
    /// The caller himself.
    Caller,
    /// A user that nobody is: the caller is root.
    Nobody(u32),
}

fn owner(plan: &Plan) -> Result<Owner, Trouble> {
    let id = plan.job_id();
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !rustix::process::geteuid().is_root() || !maps(&map, id) {
        // Root of a user namespace that has not got that user is an ordinary user of the host.
        return Ok(Owner::Caller);
    }
    let able = rustix::thread::capabilities(None).is_ok_and(|sets| {
        sets.effective.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID | CapabilitySet::SETGID)
    });
    if able {
        return Ok(Owner::Nobody(id));
    }
    Err(Trouble::failed("this is root without the privilege to run jobs as another user")
        .hint("Run cargo-sandbox as an ordinary user, or with CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID."))
}

/// Whether `/proc/self/uid_map` has `id` on its inner side.
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (Some(inside), _, Some(length)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (inside..inside + length).contains(&u64::from(id))
    })
}

/// Makes the container, answers through its first process, and stays until it ends.
fn keep(plan: &Plan, answer: &mut Answer) -> Result<(), Trouble> {
    let owner = owner(plan)?;
    let listener = bind().map_err(|error| Trouble::step("cannot make the agent's socket", error))?;
    let socket = fs::symlink_metadata(AGENT_SOCKET).map(|socket| (socket.dev(), socket.ino())).ok();
    let (ours, theirs) = UnixStream::pair().map_err(|error| Trouble::step("cannot make a socket", error))?;
    let network = if plan.host_network { 0 } else { libc::CLONE_NEWNET };
    // SAFETY: this process has one thread.
    let cloned = unsafe { process::clone(NAMESPACES | network) };
    let child = match cloned.map_err(|error| Trouble::namespaces("cannot make namespaces", error))? {
        Cloned::Child => {
            drop(ours);
            match inside(plan, owner, &theirs) {
                Ok(mountinfo) => {
                    answer.give(&Ok(()));
                    serve(plan, theirs, listener, mountinfo)
                }
                // Before the keeper finds `theirs` closed, which says less.
                Err(trouble) => answer.give(&Err(trouble)),
            }
            process::exit_now(1)
        }
        Cloned::Parent(child) => child,
    };
    drop((listener, theirs));
    let cgroup = Cgroup::create(&plan.name, plan.memory, plan.pids);
    let mut record = Record {
        pid: std::process::id().cast_signed(),
        start_time: start_time(std::process::id().cast_signed()).unwrap_or_default(),
        project: plan.project.clone(),
        project_root: plan.project_root.clone(),
        name: plan.name.clone(),
        cgroup,
    };
    let prepared = record
        .write(Path::new("."))
        .map_err(|error| Trouble::step("cannot record the container", error))
        .and_then(|()| make_ready(plan, owner, &mut record, &child, &ours));
    // From here on the container answers, by itself or by ending.
    let mut told = false;
    let result = match prepared {
        Ok(()) => {
            answer.0 = None;
            told = wait(&child);
            Ok(())
        }
        Err(trouble) => Err(trouble),
    };
    let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
    let status = process::wait(child.pid);
    let own = || status.ok().filter(|_| !told).and_then(reason);
    if let Some(reason) = record.cgroup.out_of_memory(plan.memory).or_else(own) {
        let _ = fs::write(POST_MORTEM, reason);
    }
    record.cgroup.remove();
    let now = fs::symlink_metadata(AGENT_SOCKET).map(|socket| (socket.dev(), socket.ino())).ok();
    // A new container may have been started in the meantime.
    if now.is_some() && now == socket {
        let _ = fs::remove_file(AGENT_SOCKET);
    }
    record.clear(Path::new("."));
    result
}

/// Why a container ended, when it was not its own wish.
fn reason(status: i32) -> Option<String> {
    if libc::WIFSIGNALED(status) {
        return Some(format!("killed by signal {}", libc::WTERMSIG(status)));
    }
    match libc::WEXITSTATUS(status) {
        0 => None,
        code => Some(format!("its agent failed with exit code {code} (see {LOG})")),
    }
}

fn bind() -> io::Result<UnixListener> {
    match fs::remove_file(AGENT_SOCKET) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(AGENT_SOCKET);
    rustix::process::umask(old);
    listener
}

/// Gives the container's first process what it needs, and puts it under its limits meanwhile: the kernel takes some ten milliseconds to
/// move a process into a cgroup. The agent starts no job before it has heard of them. Where the kernel refuses, it watches
/// instead.
fn make_ready(
    plan: &Plan,
    owner: Owner,
    record: &mut Record,
    child: &Child,
    ours: &UnixStream,
) -> Result<(), Trouble> {
    let enter = || record.cgroup.enter(child.pid.as_raw_pid());
    let (handed_over, entered) = std::thread::scope(|scope| {
        let entering = std::thread::Builder::new().spawn_scoped(scope, enter);
        let handed_over = hand_over(plan, owner, child, ours);
        (handed_over, entering.map_or_else(|_| enter().ok(), |thread| thread.join().ok()?.ok()))
    });
    handed_over?;
    if entered.is_none() {
        record.cgroup.remove();
        record.cgroup = Cgroup::default();
        record.write(Path::new(".")).map_err(|error| Trouble::step("cannot record the container", error))?;
    }
    let cgroup = &record.cgroup;
    let events = cgroup.memory_events().map(OwnedFd::from);
    Coming::say(ours, cgroup.memory_limit(), cgroup.pids_limit(), events)
        .map_err(|error| Trouble::step("cannot reach the container's first process", error))
}

/// Gives the container's first process what it cannot get itself: its users, and for root the host's files
/// under another owner.
fn hand_over(plan: &Plan, owner: Owner, child: &Child, ours: &UnixStream) -> Result<(), Trouble> {
    let process = format!("/proc/{}", child.pid.as_raw_pid());
    let write = |name: &str, content: String| {
        fs::write(format!("{process}/{name}"), content)
            .map_err(|error| Trouble::namespaces(format!("cannot write the namespace's {name}"), error))
    };
    let (uid, gid) = match owner {
        Owner::Caller => {
            // Without privilege, only once groups cannot be dropped any more.
            write("setgroups", "deny".into())?;
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        }
        Owner::Nobody(id) => (id, id),
    };
    // Inherited by every job. Where it cannot be said, the kernel chooses among all programs alike.
    let _ = fs::write(format!("{process}/oom_score_adj"), KILLED_FIRST.to_string());
    write("uid_map", format!("{} {uid} 1", plan.uid))?;
    write("gid_map", format!("{} {gid} 1", plan.gid))?;
    let trees = match owner {
        Owner::Caller => Vec::new(),
        Owner::Nobody(_) => {
            let namespace = File::open(format!("{process}/ns/user"))
                .map_err(|error| Trouble::step("cannot open the user namespace", error))?;
            trees::open(plan, Some(namespace.as_fd()))?
        }
    };
    let failed = |error| Trouble::step("cannot reach the container's first process", error);
    // It waits for its users, and for as many trees as it knows.
    send_owned(ours, &[0], &[]).map_err(failed)?;
    trees.chunks(MAX_DESCRIPTORS).try_for_each(|trees| send_owned(ours, &[0], trees)).map_err(failed)
}

/// What [`hand_over`] sends.
fn taken_over(stream: &UnixStream, number: usize) -> io::Result<Vec<OwnedFd>> {
    let mut received = Vec::with_capacity(number);
    (&mut &*stream).read_exact(&mut [0])?;
    while received.len() < number {
        let mut reader = WithDescriptors::of(stream);
        reader.read_exact(&mut [0])?;
        received.append(&mut reader.descriptors);
    }
    Ok(received)
}

/// Waits until the container has ended or the keeper is told to end it; returns whether it was told.
fn wait(child: &Child) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    // SAFETY: all zeroes is a valid value to be overwritten by sigemptyset.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writing.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: `set` is initialized.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGTERM) };
    // SAFETY: `set` is initialized; the old mask is not asked for. The container has been cloned before, so
    // it does not inherit this mask.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    // SAFETY: `set` is initialized; a new descriptor is asked for.
    let descriptor = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) };
    // SAFETY: the kernel made it just now; where it did not, nothing is owned.
    let told = (descriptor >= 0).then(|| unsafe { std::os::fd::FromRawFd::from_raw_fd(descriptor) });
    let told: Option<OwnedFd> = told;
    loop {
        let mut fds = vec![PollFd::new(&child.pidfd, PollFlags::IN)];
        fds.extend(told.as_ref().map(|told| PollFd::new(told, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return fds.get(1).is_some_and(|told| !told.revents().is_empty()),
        }
    }
}

/// Makes the container from inside, as its first process; returns its `/proc/self/mountinfo`.
fn inside(plan: &Plan, owner: Owner, theirs: &UnixStream) -> Result<String, Trouble> {
    let failed = |error| Trouble::step("the container's keeper is gone", error);
    let step = |what: &'static str| move |error: rustix::io::Errno| Trouble::namespaces(what, error);

    agent::make_mounts_private().map_err(|error| Trouble::namespaces("cannot change mounts", error))?;
    let sent = match owner {
        Owner::Caller => 0,
        Owner::Nobody(_) => plan.binds.len() + DEVICES.len(),
    };
    let trees = taken_over(theirs, sent).map_err(failed)?;
    let trees = match owner {
        Owner::Caller => trees::open(plan, None)?,
        Owner::Nobody(_) => {
            rustix::thread::set_thread_groups(&[]).map_err(step("cannot drop groups"))?;
            trees
        }
    };
    let (uid, gid) = (rustix::fs::Uid::from_raw(plan.uid), rustix::fs::Gid::from_raw(plan.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(step("cannot change the group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(step("cannot change the user"))?;
    // A change of user clears it, so not before.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(step("cannot tie the container to its keeper"))?;
    // The keeper holds the other end of this as long as it lives.
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match rustix::net::recv(theirs, &mut [0; 1], peek) {
        // What it says next may be there already.
        Err(rustix::io::Errno::AGAIN) => {}
        Ok((count, _)) if count > 0 => {}
        _ => return Err(Trouble::failed("the container's keeper is gone")),
    }
    if !plan.host_network {
        agent::raise_loopback()
            .map_err(|error| Trouble::step("cannot switch on the container's loopback", error))?;
    }
    root::enter(plan, trees)?;
    agent::lay_over(&plan.agent.over).map_err(|error| {
        Trouble::step("cannot show the packages of `[native] packages`", error)
            .hint("Overlayfs in user namespaces is needed, and no mount below the directory.")
    })?;

    let mountinfo = fs::read("/proc/self/mountinfo")
        .map_err(|error| Trouble::step("cannot read the container's /proc", error))?;
    Ok(String::from_utf8_lossy(&mountinfo).into_owned())
}

/// Is the container's agent until it ends.
fn serve(plan: &Plan, theirs: UnixStream, listener: UnixListener, mountinfo: String) -> ! {
    let result = keep_only(&listener, &theirs).context("cannot close descriptors").and_then(|()| {
        let origin = Origin { mountinfo, ..Origin::default() };
        let coming = Some(Coming::on(theirs));
        let surroundings =
            Surroundings { peers: Peers::OutsideNamespace, origin, coming, tree: ProcessTree::Namespace };
        agent::run(&plan.agent, listener, surroundings)
    });
    agent::exit(result)
}

/// Closes everything else from 3 on; what Rust values here own of it is never used again.
fn keep_only(listener: &UnixListener, keeper: &UnixStream) -> io::Result<()> {
    process::close_all_but([0, 1, 2, listener.as_raw_fd(), keeper.as_raw_fd()].map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_by_its_inner_side() {
        let initial = "         0          0 4294967295\n";
        assert!(maps(initial, 0x7000_1234));
        assert!(!maps("0 1000 1\n1 100000 65536\n", 0x7000_1234));
        assert!(!maps("", 0));
    }
}
