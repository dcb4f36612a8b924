//! A [`ContainerSpec`] on its way to the keeper. Paths are bytes, since Unix does not ask for UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::AgentConfig;
use crate::agent::protocol::AGENT_SOCKET;
use crate::container::spec::{ContainerSpec, StableHasher};

/// Everything that the keeper needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    directory: Vec<u8>,
    /// The binds, parents before children.
    pub binds: Vec<Bind>,
    links: Vec<(Vec<u8>, Vec<u8>)>,
    /// The user that jobs are inside.
    pub uid: u32,
    /// The group that jobs are inside.
    pub gid: u32,
    /// Limit in bytes.
    pub memory: u64,
    /// Limit on processes.
    pub pids: u64,
    /// Whether it has the host's network.
    pub host_network: bool,
    /// What the record says.
    pub project: String,
    /// What the record says.
    pub project_root: String,
    /// What the record says.
    pub name: String,
    /// For the agent.
    pub agent: AgentConfig,
}

/// One bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    source: Vec<u8>,
    target: Vec<u8>,
    /// Whether jobs may be allowed to write there.
    pub writable: bool,
}

/// The first of the host's user ids that jobs of root get: above what systemd, shadow and container engines
/// hand out, below the sign bit.
const FIRST_JOB_ID: u32 = 0x7000_0000;

impl Plan {
    /// What a spec asks for.
    pub fn of(spec: &ContainerSpec) -> Self {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        Self {
            directory: bytes(&spec.directory()),
            binds: spec
                .mounts
                .iter()
                .map(|mount| Bind {
                    source: bytes(&mount.source),
                    target: bytes(&mount.target),
                    writable: mount.writable,
                })
                .collect(),
            links: spec.links.iter().map(|(path, target)| (bytes(path), bytes(target))).collect(),
            uid: spec.uid,
            gid: spec.gid,
            memory: spec.limits.memory,
            pids: spec.limits.pids,
            host_network: spec.host_network,
            project: spec.project.clone(),
            project_root: spec.project_root.to_string_lossy().into_owned(),
            name: spec.container_name(),
            agent: spec.agent_config(AGENT_SOCKET.into()),
        }
    }

    /// The container's directory on the host.
    pub fn directory(&self) -> PathBuf {
        path(&self.directory)
    }

    /// Symbolic links: path and target.
    pub fn links(&self) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        self.links.iter().map(|(from, to)| (path(from), path(to)))
    }

    /// The host's user and group id of this project's jobs where root runs them: two projects' jobs are
    /// different users.
    pub fn job_id(&self) -> u32 {
        use std::hash::Hasher as _;
        let mut hasher = StableHasher::default();
        hasher.write(self.project.as_bytes());
        FIRST_JOB_ID + u32::from((hasher.finish() >> 48) as u16)
    }
}

impl Bind {
    /// On the host.
    pub fn source(&self) -> PathBuf {
        path(&self.source)
    }

    /// In the container.
    pub fn target(&self) -> PathBuf {
        path(&self.target)
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}
