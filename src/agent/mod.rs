//! The agent: what runs inside the container, accepts jobs from the broker alone, confines each, runs it on
//! the descriptors it was handed, and reports its exit when every process of it is dead.

pub mod client;
mod connection;
mod entry;
mod failure;
mod init;
pub(crate) mod landlock;
mod leader;
mod limits;
pub mod moments;
mod network;
pub mod observe;
mod peer;
pub mod process;
pub mod protocol;
mod report;
pub mod root;
mod seccomp;
mod serve;
mod signals;
mod sockets;
mod spare;
mod spawn;
mod tree;
mod watch;
mod world;

use std::io::{self, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use entry::main;
pub use landlock::{
    OLDEST_ABI as OLDEST_LANDLOCK_ABI, PROCESSORS, SCOPING_ABI as SCOPING_LANDLOCK_ABI,
    kernel_abi as landlock_abi,
};
pub use limits::JobLimits;
pub use network::raise_loopback;
pub use peer::Peers;
pub use report::{Coming, Origin, limit_of};
pub use spawn::ProcessTree;
pub use watch::kills as out_of_memory_kills;
pub use world::{lay_over, make_mounts_private, mount_proc};

/// What an agent is told at its start, by the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// Where the agent binds its socket, as it sees it.
    pub socket: PathBuf,
    /// Said in every [`protocol::Greeting`].
    pub fingerprint: String,
    /// Seconds without a job after which the agent ends.
    pub idle_seconds: u64,
    /// Size of each job's private `/tmp`, in bytes.
    pub tmp_bytes: u64,
    /// The user and group that jobs see themselves as, where that is for the agent to choose; else whoever the
    /// engine made it. A rootless engine's container has the caller as root.
    pub user: Option<(u32, u32)>,
    /// A defence that a test has switched off.
    #[cfg(feature = "switch-off")]
    pub off: Option<String>,
    /// Limits of each job.
    pub limits: JobLimits,
    /// Memory of all jobs, in bytes, for where the container is in no cgroup.
    pub memory: u64,
    /// Processes of the container, for where it is in no cgroup.
    pub pids: u64,
    /// Directories that jobs may be allowed to write to.
    pub written: Vec<PathBuf>,
    /// Directories that every job may read and execute: their rules are made before a job comes. One whose request does
    /// not have them gets them not.
    pub common: Vec<PathBuf>,
    /// Directories that are laid over those of the system, for jobs to see both as one.
    pub over: Vec<Overlay>,
    /// The Landlock ABI without which no job runs; 0: jobs run without Landlock, too.
    pub landlock_needed: i32,
}

/// A directory whose content is shown over that of another, read-only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Overlay {
    /// What comes first, inside the container.
    pub over: PathBuf,
    /// What it is laid over, and where both are seen.
    pub target: PathBuf,
}

/// The first argument that makes this program the agent; the second is an [`AgentConfig`] as JSON.
pub const AGENT_ARGUMENT: &str = "internal-agent";

/// What an agent finds around it once it is in its final namespaces.
#[derive(Debug)]
pub struct Surroundings {
    /// Who may connect.
    pub peers: Peers,
    /// What the container was before the agent changed anything.
    pub origin: Origin,
    /// The container's limits, where they are not in `origin` yet.
    pub coming: Option<Coming>,
    /// How process trees are ended: whether jobs can have namespaces of their own.
    pub tree: ProcessTree,
}

/// Serves jobs on `listener` until the agent was idle for long enough or is told to stop.
///
/// The process has one thread, has been [sanitized](process::sanitize) and is in its final namespaces, with
/// capabilities over them if `surroundings.tree` is [`ProcessTree::Namespace`].
///
/// # Errors
/// When something that every job depends on fails.
pub fn run(
    config: &AgentConfig,
    listener: UnixListener,
    mut surroundings: Surroundings,
) -> anyhow::Result<()> {
    #[cfg(feature = "switch-off")]
    config.off.iter().for_each(|name| crate::switch_off::switch_off(name));
    process::hide_from_others().context("cannot hide the agent's memory")?;
    process::lead_session().context("cannot have a session without a terminal")?;
    process::forbid_gaining_capabilities().context("cannot empty the capability bounding set")?;
    limits::limit_all(&config.limits).context("cannot set the limits of jobs")?;
    if surroundings.tree == ProcessTree::Subreaper {
        // What a job leaves that has killed its own init.
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own)).context("cannot become a subreaper")?;
    }
    let shown = match surroundings.tree {
        ProcessTree::Namespace => world::mounts_below_tmp().context("cannot read what is mounted")?,
        ProcessTree::Subreaper => Vec::new(),
    };
    let confinement = spawn::Confinement {
        tree: surroundings.tree,
        shown,
        tmp_bytes: config.tmp_bytes,
        landlock_abi: landlock::kernel_abi(),
        landlock_needed: config.landlock_needed,
        common: config.common.clone(),
        limits: config.limits.clone(),
        pids: config.pids,
        filter: seccomp::Filter::new(),
        proc: (surroundings.tree == ProcessTree::Namespace).then(world::detached_proc).and_then(Result::ok),
    };
    let out_of_memory = watch::OutOfMemory::new(surroundings.origin.out_of_memory.take());
    let watch = watch::Watch {
        limits: config.limits.clone(),
        memory: surroundings.origin.memory_limit.is_none().then_some(config.memory),
        places: config.written.clone(),
        due: None,
    };
    let mut server = serve::Server {
        fingerprint: config.fingerprint.clone(),
        idle: Duration::from_secs(config.idle_seconds),
        peers: surroundings.peers,
        origin: surroundings.origin,
        coming: surroundings.coming,
        memory: config.memory,
        confinement,
        spare: None,
        spares: true,
        missed: false,
        watch,
        out_of_memory,
    };
    server.serve(listener)
}

/// Ends the process that [`run`] was called in, and says on standard error what failed, which is where the engine looks.
pub fn exit(result: anyhow::Result<()>) -> ! {
    let Err(error) = result else { process::exit_now(0) };
    let _ = writeln!(io::stderr(), "cargo-sandbox agent: {error:#}");
    process::exit_now(1)
}
