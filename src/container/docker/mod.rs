//! The `docker` engine: Docker or Podman by their socket.
//!
//! A request goes through these in order: [`discovery`] finds a socket, `connection` learns what answers there,
//! `image` makes the empty image that shows the host's own system, `mounts`, `libraries` and [`seccomp`] make the
//! parts of a request, `container` puts them together, `start` has it created and waits for the agent, and
//! `verify` holds what came of it against what was asked for.
//!
//! SELinux and AppArmor stay as the engine has them. Files of the user's are never relabelled: where SELinux
//! keeps a container from reading them, the start fails and says so, and the `native` engine is the way out.

mod build;
mod connection;
mod container;
pub mod discovery;
mod errors;
mod image;
pub mod labels;
pub(crate) mod libraries;
mod list;
mod mounts;
mod post_mortem;
mod pull;
pub mod seccomp;
mod start;
mod verify;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use self::connection::Connection;
use self::errors::explain;
use super::{ContainerInfo, ContainerSpec, Engine, EngineError, EngineKind, Image};
pub use discovery::DockerEndpoints;

/// How long `auto` waits for a daemon.
pub const PROBE_PATIENCE: Duration = Duration::from_millis(100);

/// How long a daemon that the user asked for may take.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Docker or Podman. Its calls block and must not be made from asynchronous code.
#[derive(Debug)]
pub struct DockerEngine {
    /// One thread is enough: a front end makes one call after the other.
    runtime: Runtime,
    connection: Connection,
}

impl DockerEngine {
    /// Connects to the first daemon of `endpoints` that answers within `patience`: [`PROBE_PATIENCE`] or
    /// [`CONNECT_PATIENCE`].
    ///
    /// # Errors
    /// When none does, or it cannot be used; [`EngineError::unavailable`] is set where another engine may do.
    pub fn connect(endpoints: &DockerEndpoints, patience: Duration) -> Result<Self, EngineError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| EngineError::failed(format!("cannot make a runtime: {error}")))?;
        let connection = runtime.block_on(Connection::open(endpoints, patience))?;
        Ok(Self { runtime, connection })
    }
}

impl Engine for DockerEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Docker
    }

    fn describe(&self) -> Result<String, EngineError> {
        Ok(self.connection.describe())
    }

    fn start(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.runtime.block_on(async {
            let started = start::start(&self.connection, spec).await?;
            if let Err(error) = start::verify(&self.connection, spec, &started).await {
                start::remove(&self.connection, &started.id).await?;
                return Err(error);
            }
            Ok(())
        })
    }

    fn provide(&self, image: &Image) -> Result<(), EngineError> {
        self.runtime.block_on(image::provided(&self.connection, image)).map(|_| ())
    }

    fn list(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        let list = self.runtime.block_on(list::own(&self.connection));
        let list = list.map_err(|error| explain("cannot list containers", &error))?;
        Ok(list.into_iter().filter_map(labels::info).collect())
    }

    fn remove(&self, container: &ContainerInfo) -> Result<(), EngineError> {
        self.runtime.block_on(start::remove(&self.connection, &container.id))
    }

    fn post_mortem(&self, spec: &ContainerSpec) -> Option<String> {
        self.runtime.block_on(post_mortem::of(&self.connection, spec))
    }

    fn prune(&self) -> Result<u64, EngineError> {
        self.runtime.block_on(image::prune(&self.connection))
    }
}
