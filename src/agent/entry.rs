//! The agent as the first process of a container that an engine made (`internal-agent`).
//!
//! It starts as the caller's user without any capability. To give each job a process tree and file systems
//! of its own it needs some, so it makes a user namespace in which it has them, over nothing but the
//! namespaces that it makes itself. Where that is refused (AppArmor's `docker-default` refuses mounts), jobs
//! share the container's `/proc` and `/tmp` and are ended by a subreaper.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::process::Signal;

use super::process::{self, Child, Cloned};
use super::{AgentConfig, Peers, ProcessTree, Surroundings, exit, report, root, run, world};

/// What `main` calls when its first argument is [`super::AGENT_ARGUMENT`]; the second is `config`. Must come
/// before anything starts a thread.
pub fn main(config: &OsStr) -> ExitCode {
    match start(config) {
        Ok(code) => code,
        Err(error) => {
            // The container's log is where the engine looks when the agent does not answer.
            let _ = writeln!(io::stderr(), "cargo-sandbox agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: &OsStr) -> anyhow::Result<ExitCode> {
    process::close_from(3).context("cannot close inherited descriptors")?;
    process::sanitize()?;
    let config: AgentConfig = serde_json::from_slice(config.as_encoded_bytes())
        .context("the agent's configuration is not valid")?;
    let listener = bind(&config.socket).context("cannot make the agent's socket")?;
    let origin = report::Origin::read().context("cannot read /proc in the container")?;

    // In the new user namespace they have no number until the maps are written.
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (mut ready, say_ready) = io::pipe().context("cannot make a pipe")?;
    let (mut given_up, holds) = io::pipe().context("cannot make a pipe")?;
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
    // SAFETY: nothing has started a thread.
    match unsafe { process::clone(namespaces) } {
        Ok(Cloned::Child) => {
            drop((ready, holds));
            if enter_own_world(&config, ids).is_err() {
                process::exit_now(1);
            }
            let _ = (&say_ready).write_all(&[1]);
            drop(say_ready);
            // Whoever is answered looks at the first process as well.
            let _end = given_up.read(&mut [0]);
            drop(given_up);
            let surroundings = Surroundings {
                peers: Peers::OutsideNamespace,
                origin,
                coming: None,
                tree: ProcessTree::Namespace,
            };
            exit(run(&config, listener, surroundings))
        }
        Ok(Cloned::Parent(child)) => {
            drop((say_ready, given_up));
            // Root's container has one, by which the namespace could be made (see the engine).
            process::drop_capabilities().context("cannot give up capabilities")?;
            drop(holds);
            if ready.read(&mut [0]).unwrap_or(0) == 1 {
                drop(listener);
                return wait_with(&child);
            }
            let _ = process::wait(child.pid);
        }
        Err(_) => {}
    }
    if !config.over.is_empty() {
        anyhow::bail!(
            "the packages of `[native] packages` cannot be shown: this container may make no mounts of its own, as the host's \
             AppArmor profile or kernel has it (`--engine native` needs neither)"
        );
    }
    let surroundings =
        Surroundings { peers: Peers::OutsideNamespace, origin, coming: None, tree: ProcessTree::Subreaper };
    run(&config, listener, surroundings)?;
    Ok(ExitCode::SUCCESS)
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The first process of the agent's own namespaces.
fn enter_own_world(config: &AgentConfig, ids: (u32, u32)) -> io::Result<()> {
    let (uid, gid) = ids;
    let (shown_uid, shown_gid) = config.user.unwrap_or(ids);
    // A process without privileges may only map its own group, and only once groups cannot be dropped.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{shown_uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{shown_gid} {gid} 1"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    world::make_mounts_private()?;
    // For speed: where the kernel refuses it, jobs have the root that the container has.
    if !root::replace()? {
        world::mount_proc("/proc")?;
    }
    if let Err(error) = world::lay_over(&config.over) {
        let _ = writeln!(io::stderr(), "cargo-sandbox agent: cannot lay packages over the system: {error}");
        return Err(error);
    }
    // The socket stays reachable from the host alone.
    let directory = config.socket.parent().and_then(Path::to_str).ok_or(io::ErrorKind::InvalidInput)?;
    world::mount_scratch(directory, 4096)?;
    world::try_private_mounts(config.tmp_bytes)
}

/// Ends with the agent, and the agent with this process.
fn wait_with(child: &Child) -> anyhow::Result<ExitCode> {
    extern "C" fn end(_: libc::c_int) {
        process::exit_now(0);
    }
    // The first process of a container gets no signal that it has no handler for, not even from outside.
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let handler: extern "C" fn(libc::c_int) = end;
        // SAFETY: the handler only calls _exit.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    let status = process::wait(child.pid).context("cannot wait for the agent")?;
    Ok(if status == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
