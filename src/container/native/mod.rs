//! The `native` engine: a container made of namespaces by this program itself.
//!
//! `start` runs this program again ([`INIT_ARGUMENT`]), single-threaded. That process becomes the *keeper*,
//! a daemon on the host that makes the container, waits for it, and clears away what is left of it. The
//! container's first process is the agent itself, by fork: nothing is executed in it but jobs.
//!
//! 1. The keeper binds the agent's socket on the host; the container inherits it and has no path to it.
//! 2. It clones the first process into new user, mount, pid, net, ipc and uts namespaces, and writes the
//!    maps of the user namespace.
//! 3. That process builds a root of read-only and writable binds on a tmpfs, makes it its root, and becomes
//!    the agent.
//!
//! For an ordinary user, the user namespace maps the user to himself. Root must not lend his rights: jobs
//! then run as a host user id that nobody has, and the binds are *idmapped*, so that what that user writes
//! belongs to the caller on disk.

mod cgroup;
mod init;
mod plan;
mod record;
mod root;
mod trees;
mod trouble;

use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub use init::init_main;
pub use trouble::KernelSetting;

use self::plan::Plan;
use self::record::Record;
use self::trouble::Trouble;
use super::engine::{ContainerInfo, Engine, EngineError, EngineKind};
use super::spec::{ContainerSpec, Image};
use crate::agent;
use crate::agent::protocol::{AGENT_SOCKET, encode, read_message};

/// The first argument that makes this program the keeper of a container.
pub const INIT_ARGUMENT: &str = "internal-native-init";

/// Standard error of the keeper and of the agent, in the container's directory.
const LOG: &str = "agent.log";

/// How long a keeper may take to end a container that it was told to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The engine that needs nothing but the kernel.
#[derive(Debug)]
pub struct NativeEngine {
    base: PathBuf,
}

impl NativeEngine {
    /// The engine, with the directory that holds `<project>/containers/<fingerprint>` of every project.
    pub fn new(base: PathBuf) -> Self {
        Self { base }
    }

    /// The records of all containers, with the directory of each.
    fn records(&self) -> Vec<(PathBuf, Record)> {
        let list = |path: &Path| -> Vec<PathBuf> {
            fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
        };
        list(&self.base)
            .iter()
            .flat_map(|project| list(&project.join("containers")))
            .filter_map(|directory| Record::read(&directory).ok().map(|record| (directory, record)))
            .collect()
    }
}

impl Engine for NativeEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Native
    }

    fn describe(&self) -> Result<String, EngineError> {
        let abi = agent::landlock_abi();
        init::try_user_namespace().map_err(Trouble::into_error)?;
        let release = rustix::system::uname();
        let release = release.release().to_string_lossy().into_owned();
        let limits = if cgroup::is_usable() { "limits by cgroup" } else { "no cgroup, limits by watching" };
        Ok(format!("Linux {release}, user namespaces, Landlock ABI {abi}, {limits}"))
    }

    fn provide(&self, image: &Image) -> Result<(), EngineError> {
        let image = match image {
            Image::Extended(base, _) => base,
            image => image,
        };
        let (message, name) = match image {
            Image::Host | Image::File(_) | Image::Extended(..) => return Ok(()),
            Image::Named(name) => {
                (format!("the native engine pulls no images, and {name} is configured"), name.as_str())
            }
            Image::Built(recipe) => (
                format!("the native engine builds no images, and {} is configured", recipe.file.display()),
                "NAME",
            ),
        };
        Err(EngineError::failed(message)
            .hint("Choose the docker engine, or take `image` out of the configuration, yours or the repository's (`cargo-sandbox self \
                 explain` says whose it is).")
            .hint(format!(
                "Or name a directory in the OCI layout, which both engines take: `skopeo copy docker://{name} oci:image`, \
                 and `image = \"./image\"`."
            )))
    }

    fn start(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.provide(&spec.image)?;
        let directory = spec.directory();
        if let Ok(record) = Record::read(&directory) {
            // Its socket is gone, so it is ending.
            end(&directory, &record)?;
        }
        let failed = |what: &str, error: std::io::Error| EngineError::failed(format!("{what}: {error}"));
        let _ = fs::remove_file(directory.join(record::POST_MORTEM));
        let mut keeper = Command::new(&spec.agent)
            .arg(INIT_ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed("cannot start the container's keeper", error))?;
        let plan = encode(&Plan::of(spec)).map_err(|error| failed("cannot describe the container", error))?;
        let said = keeper.stdin.take().map(|mut input| input.write_all(&plan));
        let answer = keeper.stdout.take().map(|mut output| read_message::<Result<(), Trouble>>(&mut output));
        // It has forked into the background by then.
        let _ = keeper.wait();
        if let (Some(Ok(())), Some(Ok(Ok(())))) = (&said, &answer) {
            return Ok(());
        }
        if let Ok(record) = Record::read(&directory) {
            end(&directory, &record)?;
        }
        match (said, answer) {
            (_, Some(Ok(Err(trouble)))) => Err(trouble.into_error()),
            _ => {
                let log = fs::read_to_string(directory.join(LOG)).unwrap_or_default();
                let message = "the container ended while it was being made";
                Err(match log.trim() {
                    "" => EngineError::failed(message),
                    log => EngineError::failed(format!("{message}: {log}")),
                })
            }
        }
    }

    fn list(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        let info = |record: Record| ContainerInfo {
            running: record.is_alive(),
            id: record.pid.to_string(),
            name: record.name,
            project: record.project,
            project_root: record.project_root.into(),
        };
        Ok(self.records().into_iter().map(|(_, record)| info(record)).collect())
    }

    fn remove(&self, container: &ContainerInfo) -> Result<(), EngineError> {
        for (directory, record) in self.records() {
            if record.name == container.name && record.pid.to_string() == container.id {
                end(&directory, &record)?;
            }
        }
        Ok(())
    }

    fn post_mortem(&self, spec: &ContainerSpec) -> Option<String> {
        let directory = spec.directory();
        match Record::read(&directory) {
            Ok(record) if record.is_alive() => record.cgroup.out_of_memory(spec.limits.memory),
            _ => fs::read_to_string(directory.join(record::POST_MORTEM)).ok(),
        }
    }

    fn prune(&self) -> Result<u64, EngineError> {
        // What keepers clear away themselves, unless they were killed.
        for (directory, record) in self.records() {
            if !record.is_alive() {
                end(&directory, &record)?;
            }
        }
        Ok(0)
    }
}

/// Ends a container if it runs, and clears away what its keeper did not.
fn end(directory: &Path, record: &Record) -> Result<(), EngineError> {
    if let Some(keeper) = record.open() {
        // The keeper ends the container and clears up; without it the kernel ends the container.
        for signal in [Signal::TERM, Signal::KILL] {
            let _ = pidfd_send_signal(&keeper, signal);
            if wait_for_end(&keeper, END_TIMEOUT) {
                break;
            }
        }
    }
    if record.is_alive() {
        return Err(EngineError::failed(format!("process {} does not end", record.pid)));
    }
    record.cgroup.remove();
    record.clear(directory);
    let _ = fs::remove_file(directory.join(AGENT_SOCKET));
    Ok(())
}

fn wait_for_end(process: &OwnedFd, timeout: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        let Ok(left) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(&process.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(_) if start.elapsed() < timeout => {}
            Err(_) => return false,
        }
    }
}

/// A descriptor of a process, if it is there.
fn open_process(pid: i32) -> Option<OwnedFd> {
    pidfd_open(rustix::process::Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}
