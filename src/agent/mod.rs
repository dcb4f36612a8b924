//! The agent: what runs inside the container, accepts jobs from the broker alone, confines each, runs it on
//! the descriptors it was handed, and reports its exit when every process of it is dead.

pub mod client;
pub mod protocol;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
}

/// The first argument that makes this program the agent; the second is an [`AgentConfig`] as JSON.
pub const AGENT_ARGUMENT: &str = "internal-agent";
