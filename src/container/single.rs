//! A container that is made for one program and goes with it.

use anyhow::{Context as _, bail};

use crate::agent::client::AgentConnection;
use crate::agent::protocol::{Reply, Request};
use crate::policy::bar::Bar;
use crate::project::private_directory;

use super::engines::{Engines, Selection, explain};
use super::spec::ContainerSpec;
use super::{Engine, EngineKind, enforced};

/// Makes it, and takes it away.
#[derive(Debug, Clone, Copy)]
pub struct Single<'a> {
    /// The engines, by the user's choice.
    pub engines: &'a Engines,
    /// What may be missing of the promised confinement.
    pub bar: &'a Bar,
    /// What it is called in errors.
    pub name: &'a str,
}

impl Single<'_> {
    /// Starts the container, and looks at what is really in force; by the other engine where the user left the choice and
    /// a daemon cannot make it. Returns the engine that made it.
    ///
    /// # Errors
    /// When it cannot be made as described; nothing of it is left.
    pub fn start(&self, spec: &ContainerSpec) -> anyhow::Result<EngineKind> {
        let engine = self.engines.choose_to_start()?;
        match self.start_by(engine.as_ref(), spec) {
            Err(error)
                if self.engines.selection() == Selection::Auto && engine.kind() == EngineKind::Docker =>
            {
                eprintln!("warning: {error:#}\nwarning: going on with the native engine");
                self.start_by(self.engines.engine(EngineKind::Native)?.as_ref(), spec)?;
                Ok(EngineKind::Native)
            }
            result => result.map(|()| engine.kind()),
        }
    }

    fn start_by(&self, engine: &dyn Engine, spec: &ContainerSpec) -> anyhow::Result<()> {
        let directory = spec.directory();
        if directory.exists() {
            std::fs::remove_dir_all(&directory).context("failed to clear the container's directory")?;
        }
        private_directory(&directory).context("failed to make the container's directory")?;
        engine.start(spec).map_err(|error| explain(&format!("start the {}", self.name), &error))?;
        let checked = || -> anyhow::Result<()> {
            let agent = AgentConnection::open(&directory, &spec.fingerprint())
                .context("the container started, but its agent does not answer")?;
            agent.send(&Request::Report, &[])?;
            match agent.read_reply()? {
                Reply::Enforced(report) => {
                    self.bar.admit(&enforced::check(&report, self.bar, spec.host_network)?);
                    Ok(())
                }
                other => bail!("the agent does not say what is enforced: {other:?}"),
            }
        };
        checked().inspect_err(|_| self.remove(engine.kind(), spec))
    }

    /// Ends the container and takes it away.
    pub fn remove(&self, kind: EngineKind, spec: &ContainerSpec) {
        let Ok(engine) = self.engines.engine(kind) else { return };
        let own = |one: &&super::ContainerInfo| one.name == spec.container_name();
        for container in engine.list().unwrap_or_default().iter().filter(own) {
            if let Err(error) = engine.remove(container) {
                eprintln!("warning: {}", explain(&format!("remove the {}", self.name), &error));
            }
        }
    }
}
