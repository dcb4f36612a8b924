//! What a container is made to: one description for every engine.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent::{AgentConfig, JobLimits, Overlay};
use crate::policy::bar::{Weakness, landlock_abi};
use crate::policy::calls::SystemCall;

/// A container's whole description. Two specs with the same [`fingerprint`](Self::fingerprint) may share a
/// container; anything that differs asks for a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerSpec {
    /// The project's identity ([`crate::project::Project::id`]): label and part of the name.
    pub project: String,
    /// The project's canonical root, for people to read in lists.
    pub project_root: PathBuf,
    /// Where containers of this project keep their sockets, on the host. [`Self::directory`] is below it.
    pub containers_directory: PathBuf,
    /// What the root file system is.
    pub image: Image,
    /// What is visible, in the order in which it is mounted: parents before children.
    pub mounts: Vec<Mount>,
    /// What of it every job may read and execute.
    pub common: Vec<PathBuf>,
    /// Directories of it that are laid over those of the system.
    pub over: Vec<Overlay>,
    /// Symbolic links of the root directory (`/bin` to `usr/bin` where the host has merged them): path and
    /// target.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Whose files a job's files shall be.
    pub uid: u32,
    /// The group of a job's files.
    pub gid: u32,
    /// Limits of the container and of its jobs.
    pub limits: Limits,
    /// What the user allows to be missing of the promised confinement.
    pub allowed: BTreeSet<Weakness>,
    /// Whether it has the host's network instead of a loopback that leads nowhere: for jobs of a policy that says so,
    /// and for no other.
    pub host_network: bool,
    /// System calls that some job may be granted beyond the default: an engine's own filter lets them pass.
    pub system_calls: BTreeSet<SystemCall>,
    /// The agent ends, and the container with it, after this long without a job.
    pub idle: Duration,
    /// The executable that is the agent (this program), on the host.
    pub agent: PathBuf,
    /// Modification time and size of [`Self::agent`]: a new build of it asks for a new container.
    pub agent_stamp: String,
}

/// What the root file system of a container is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Image {
    /// Nothing but what [`ContainerSpec::mounts`] brings: the host's own system directories, read-only.
    Host,
    /// An image that the engine knows by this name, or can pull.
    Named(String),
    /// An image in a directory or an archive in the OCI layout. What containers show of it is in
    /// [`ContainerSpec::mounts`], as of the host.
    File(ImageFile),
    /// What an engine builds of a Dockerfile.
    Built(Recipe),
    /// Another one, of those two, with packages of its distribution.
    Extended(Box<Self>, Additions),
}

/// Packages that an image gets, by the names that its package manager may have for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Additions {
    /// For each of [`crate::missing::MANAGERS`], in that order.
    pub names: Vec<BTreeSet<String>>,
}

/// A Dockerfile and what it may copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// The Dockerfile.
    pub file: PathBuf,
    /// Whether the directory that it is in belongs to it: it copies from there.
    pub context: bool,
    /// `sha256:` of all that it is made of.
    pub digest: String,
}

/// An image by a path, as a user writes it: `./image` (a directory or an archive in the OCI layout, or a Dockerfile), or
/// `./image@sha256:…` for no other than that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageFile {
    /// The directory, the archive or the Dockerfile.
    pub path: PathBuf,
    /// The digest that it must have: the manifest's, or that of [`Recipe::digest`].
    pub digest: Option<String>,
}

impl fmt::Display for ImageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("this machine's own system"),
            Self::Named(name) => f.write_str(name),
            Self::File(file) => file.fmt(f),
            Self::Built(recipe) => recipe.file.display().fmt(f),
            Self::Extended(base, _) => write!(f, "{base} with packages"),
        }
    }
}

impl Image {
    /// Whether a user means a path, and not a name.
    pub fn is_path(text: &str) -> bool {
        ["/", "./", "../"].iter().any(|start| text.starts_with(start))
    }

    /// What a user means by `text`: a path, which begins with `/`, `./` or `../` and is relative to `base`, or a name.
    pub fn of(text: &str, base: &Path) -> Self {
        if !Self::is_path(text) {
            return Self::Named(text.to_owned());
        }
        let (path, digest) = match text.rsplit_once("@sha256:") {
            Some((path, hex)) => (path, Some(format!("sha256:{hex}"))),
            None => (text, None),
        };
        Self::File(ImageFile { path: base.join(path), digest })
    }
}

/// One bind mount. `nosuid` and `nodev` always hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mount {
    /// What is shown, on the host: a directory or a file that exists.
    pub source: PathBuf,
    /// Where jobs see it.
    pub target: PathBuf,
    /// Whether jobs may be allowed to write there.
    pub writable: bool,
}

impl Mount {
    /// Shows a host path read-only under the same name.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        let source = path.into();
        Self { target: source.clone(), source, writable: false }
    }

    /// Shows a host path under the same name, writable.
    pub fn writable(path: impl Into<PathBuf>) -> Self {
        let source = path.into();
        Self { target: source.clone(), source, writable: true }
    }
}

/// How much sooner the kernel kills a job than another program of the user's when the machine has no memory left
/// (`oom_score_adj`, which goes up to 1000).
pub const KILLED_FIRST: u16 = 500;

/// Limits of a whole container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Memory in bytes, swap included.
    pub memory: u64,
    /// Number of processes and threads.
    pub pids: u64,
    /// Size of each private `/tmp` in bytes.
    pub tmp: u64,
    /// What each job may use of it, and more.
    pub per_job: JobLimits,
}

impl ContainerSpec {
    /// A name for everything that is in this description: 16 hexadecimal digits, the same in every process
    /// of this version.
    pub fn fingerprint(&self) -> String {
        let mut hasher = StableHasher::default();
        self.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// This container's directory on the host: the agent's socket and its log are there. Nothing of it is in
    /// any job's view.
    pub fn directory(&self) -> PathBuf {
        self.containers_directory.join(self.fingerprint())
    }

    /// What the agent is told, whose socket is at `socket` inside.
    pub fn agent_config(&self, socket: PathBuf) -> AgentConfig {
        AgentConfig {
            socket,
            fingerprint: self.fingerprint(),
            idle_seconds: self.idle.as_secs(),
            tmp_bytes: self.limits.tmp,
            limits: self.limits.per_job.clone(),
            memory: self.limits.memory,
            pids: self.limits.pids,
            written: self
                .mounts
                .iter()
                .filter(|mount| mount.writable)
                .map(|mount| mount.target.clone())
                .collect(),
            common: self.common.clone(),
            over: self.over.clone(),
            landlock_needed: landlock_abi(&self.allowed),
            user: None,
            #[cfg(feature = "switch-off")]
            off: crate::switch_off::name(),
        }
    }

    /// The name that an engine gives the container.
    pub fn container_name(&self) -> String {
        format!("cargo-sandbox-{}-{}", self.project, self.fingerprint())
    }
}

/// FNV-1a, 64 bits: the standard library's hasher is not promised to stay the same.
#[derive(Debug)]
pub struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
