//! The `docker` engine: Docker or Podman by their socket.
//!
//! A request goes through these in order: [`discovery`] finds a socket, `connection` learns what answers there, or
//! `remembered` knows it, `image` makes the empty image that shows the host's own system, `mounts`, `libraries` and
//! [`seccomp`] make the parts of a request, `container` puts them together, `start` has it created and waits for the
//! agent, and `verify` holds what came of it against what was asked for.
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
mod remembered;
pub mod seccomp;
mod start;
mod verify;

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use self::connection::{Connection, Facts};
use self::errors::explain;
use self::remembered::Record;

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
    /// Where what is known of the daemon is from, if it was not asked.
    record: Option<Record>,
}

impl DockerEngine {
    /// Connects to the first daemon of `endpoints` that answers within `patience`: [`PROBE_PATIENCE`] or
    /// [`CONNECT_PATIENCE`].
    ///
    /// # Errors
    /// When none does, or it cannot be used; [`EngineError::unavailable`] is set where another engine may do.
    pub fn connect(endpoints: &DockerEndpoints, patience: Duration) -> Result<Self, EngineError> {
        let runtime = runtime()?;
        let connection = runtime.block_on(async {
            let socket = connection::reach(endpoints, patience).await?;
            let facts = Facts::ask(&socket).await?;
            Connection::with(socket, facts)
        })?;
        Ok(Self { runtime, connection, record: None })
    }

    /// The same for starting a container: the daemon is not asked again for what it told an earlier command, which is
    /// in the directory `daemons`, unless the start fails by that.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_to_start(
        endpoints: &DockerEndpoints,
        patience: Duration,
        daemons: &Path,
    ) -> Result<Self, EngineError> {
        let runtime = runtime()?;
        let (connection, record) = runtime.block_on(async {
            let socket = connection::reach(endpoints, patience).await?;
            let record = Record::of(daemons, &socket).ok();
            if let Some(facts) = record.as_ref().and_then(Record::read) {
                return Ok((Connection::with(socket, facts)?, record));
            }
            let facts = Facts::ask(&socket).await?;
            if let Some(record) = record {
                record.keep(&facts);
            }
            Ok((Connection::with(socket, facts)?, None))
        })?;
        Ok(Self { runtime, connection, record })
    }
}

fn runtime() -> Result<Runtime, EngineError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| EngineError::failed(format!("cannot make a runtime: {error}")))
}

/// Starts a container, and removes it again where it is not as asked for.
async fn start_verified(connection: &Connection, spec: &ContainerSpec) -> Result<(), EngineError> {
    let started = start::start(connection, spec).await?;
    if let Err(error) = start::verify(connection, spec, &started).await {
        start::remove(connection, &started.id).await?;
        return Err(error);
    }
    Ok(())
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
            let error = match start_verified(&self.connection, spec).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let Some(record) = &self.record else { return Err(error) };
            let socket = &self.connection.socket;
            let Ok(facts) = Facts::ask(socket).await else { return Err(error) };
            record.keep(&facts);
            if facts == self.connection.facts {
                return Err(error);
            }
            start_verified(&Connection::with(socket.clone(), facts)?, spec).await
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
