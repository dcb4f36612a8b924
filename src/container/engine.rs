//! The one thing that engines differ in: how the agent comes to run in a container made to a spec.

use std::fmt;
use std::path::PathBuf;

use super::spec::{ContainerSpec, Image};

/// The engines by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// A Docker or Podman daemon, by its socket.
    Docker,
    /// Namespaces made by this program itself; nothing to install.
    Native,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Native => "native",
        })
    }
}

/// Makes containers. All calls block.
pub trait Engine: Send + Sync {
    /// Which engine this is.
    fn kind(&self) -> EngineKind;

    /// One line about the engine itself for people: product and version, kernel features, socket.
    ///
    /// # Errors
    /// When the engine cannot be used, with the cause and what to do.
    fn describe(&self) -> Result<String, EngineError>;

    /// Makes sure that an image is there: what takes long is better done, and shown, before cargo starts.
    ///
    /// # Errors
    /// When it cannot be had, with what to do.
    fn provide(&self, image: &Image) -> Result<(), EngineError>;

    /// Starts a container made to `spec` with the agent in it. On return the agent's socket,
    /// `spec.directory()/agent.sock`, accepts connections. The directory exists (mode 0700), holds no
    /// socket, and the caller holds the lock that makes this the only start.
    ///
    /// # Errors
    /// When the container cannot be made as described; nothing of it is left.
    fn start(&self, spec: &ContainerSpec) -> Result<(), EngineError>;

    /// The containers of this tool and of this user that are there now.
    ///
    /// # Errors
    /// When the engine does not answer.
    fn list(&self) -> Result<Vec<ContainerInfo>, EngineError>;

    /// Ends a container at once and removes it. One that is gone already is no error.
    ///
    /// # Errors
    /// When the engine refuses.
    fn remove(&self, container: &ContainerInfo) -> Result<(), EngineError>;

    /// Why a container that ran until just now is gone, if the engine knows (`out of memory`, `killed`).
    fn post_mortem(&self, spec: &ContainerSpec) -> Option<String>;

    /// Removes what the engine keeps beside containers (images that this tool made) and that no container
    /// uses. Returns the number of bytes freed.
    ///
    /// # Errors
    /// When the engine refuses.
    fn prune(&self) -> Result<u64, EngineError>;
}

/// One container as an engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    /// The engine's identifier: a container id, or a process id.
    pub id: String,
    /// [`ContainerSpec::container_name`].
    pub name: String,
    /// [`ContainerSpec::project`].
    pub project: String,
    /// [`ContainerSpec::project_root`].
    pub project_root: PathBuf,
    /// Whether it runs.
    pub running: bool,
}

/// Why an engine cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What happened, a fragment that follows "cannot …:".
    pub message: String,
    /// What the user can do, each a whole sentence; shown behind `hint:`.
    pub hints: Vec<String>,
    /// Set where another engine may do: the engine is not there, as opposed to having failed.
    pub unavailable: bool,
}

impl EngineError {
    /// The engine is there but failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), unavailable: false }
    }

    /// The engine cannot be used on this machine.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), unavailable: true }
    }

    /// The same, but another engine may do.
    #[must_use]
    pub fn into_unavailable(self) -> Self {
        Self { unavailable: true, ..self }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}
