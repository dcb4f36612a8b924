//! The life of a project's containers: started with the first job or shortly before it, shared by all commands, replaced when
//! what they are made to changes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, anyhow};

use crate::agent::client::{AgentConnection, Outlook};
use crate::agent::protocol::{AGENT_SOCKET, Reply, Request};
use crate::broker::Session;
use crate::policy::bar::Weakness;
use crate::project::private_directory;

use super::engines::{Engines, Selection, explain};
use super::world::{Reachable, World};
use super::{ContainerSpec, Engine, EngineKind, Image, enforced};

/// What of the promised confinement is missing in a container, in its directory.
const WEAKNESSES: &str = "weaker.json";

/// The containers of one project, as one command uses them.
#[derive(Debug)]
pub struct Containers {
    engines: Engines,
    world: World,
    /// What this command's first job chose; later jobs use the same.
    current: Mutex<Option<Current>>,
    /// The same for jobs that have the host's network: theirs is another container.
    on_host_network: Mutex<Option<Current>>,
    /// Why none could be started before a job asked for one: the first job's failure.
    failed_ahead: Mutex<Option<anyhow::Error>>,
}

/// A container that is used.
#[derive(Debug)]
struct Current {
    kind: EngineKind,
    spec: ContainerSpec,
    /// Of the description, which is long: made once, and not for each job.
    fingerprint: String,
    directory: PathBuf,
    /// Connections without a job yet: to connect and to be greeted takes two turns of the agent, which no job has to wait for.
    ready: Vec<AgentConnection>,
}

impl Current {
    fn of(kind: EngineKind, spec: ContainerSpec) -> Self {
        Self { kind, fingerprint: spec.fingerprint(), directory: spec.directory(), spec, ready: Vec::new() }
    }

    fn open(&self) -> io::Result<AgentConnection> {
        AgentConnection::open(&self.directory, &self.fingerprint)
    }

    /// One for the next job: where a process waits for that already, if there is such.
    fn take(&mut self) -> io::Result<AgentConnection> {
        let mut others = Vec::new();
        let mut found = None;
        while found.is_none()
            && let Some(agent) = self.ready.pop()
        {
            match agent.outlook() {
                Outlook::Ready => found = Some(agent),
                Outlook::Turn => others.push(agent),
                Outlook::Gone => {}
            }
        }
        let found = found.or_else(|| others.pop());
        self.ready.extend(others);
        found.map_or_else(|| self.open(), Ok)
    }
}

/// Connections that wait for a job: each keeps a descriptor of the agent's.
const READY: usize = 2;

impl Containers {
    /// Containers made to `world` by the engines that the user selects.
    pub fn new(engines: Engines, world: World) -> Self {
        Self {
            engines,
            world,
            current: Mutex::new(None),
            on_host_network: Mutex::new(None),
            failed_ahead: Mutex::new(None),
        }
    }

    /// Containers that cannot be started, for tests of what comes before.
    #[cfg(test)]
    pub fn none(directories: &crate::project::ProjectDirectories) -> Self {
        let endpoints = super::docker::DockerEndpoints::from_env_of_front_end(None, None, None);
        let state =
            crate::project::StateDirectory::open(Some(directories.path().into())).expect("a directory");
        let engines = Engines::new(Selection::Native, endpoints, &state);
        Self::new(engines, World::for_tests())
    }

    /// The system directories that jobs may read and execute.
    pub fn system_directories(&self) -> Vec<PathBuf> {
        self.world.system_directories()
    }

    /// What every job may read and execute.
    pub fn common_directories(&self, session: &Session) -> Vec<PathBuf> {
        self.world.common_directories(session)
    }

    /// Has the container show something beside the rest, or in the place of what it would show there.
    #[must_use]
    pub fn showing(mut self, shown: Vec<super::spec::Mount>) -> Self {
        self.world.shown = shown;
        self
    }

    /// The engines.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Has an engine get, or build, the image that it is to take, which may take a while. Nothing where there is none.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn provide(&self) -> anyhow::Result<()> {
        let image = &self.world.image;
        if matches!(image, Image::Host | Image::File(_)) {
            return Ok(());
        }
        self.engines
            .choose()?
            .provide(image)
            .map_err(|error| explain(&format!("use the image {image}"), &error))
    }

    /// A connection to the agent of the container that this command uses; it is started if it is not there.
    ///
    /// # Errors
    /// When no engine can start it, with the cause and what to do.
    pub fn connect(&self, session: &Session, network: Reachable) -> anyhow::Result<AgentConnection> {
        let current = match network {
            Reachable::Nothing => &self.current,
            Reachable::Host => &self.on_host_network,
        };
        let mut current =
            current.lock().map_err(|_| anyhow!("another job failed while it started a container"))?;
        if let Some(current) = current.as_mut()
            && let Ok(agent) = current.take()
        {
            return Ok(agent);
        }
        if let Some(error) = self.failed_ahead.lock().ok().and_then(|mut failed| failed.take()) {
            return Err(error);
        }
        self.world.prepare(session)?;
        // A container that is there already needs no look for an engine.
        for kind in self.engines.preference() {
            let spec = self.world.spec(session, *kind, network)?;
            if let Ok(agent) = AgentConnection::open(&spec.directory(), &spec.fingerprint()) {
                self.admit(&spec);
                *current = Some(Current::of(*kind, spec));
                return Ok(agent);
            }
        }
        let mut engine = self.engines.choose_to_start()?;
        let mut spec = self.world.spec(session, engine.kind(), network)?;
        let agent = match self.start(session, engine.as_ref(), &spec) {
            Err(error)
                if self.engines.selection() == Selection::Auto && engine.kind() == EngineKind::Docker =>
            {
                // A daemon that answers and cannot make what is needed: the other engine confines no less.
                eprintln!("warning: {error:#}\nwarning: going on with the native engine");
                engine = self.engines.engine(EngineKind::Native)?;
                spec = self.world.spec(session, engine.kind(), network)?;
                self.start(session, engine.as_ref(), &spec)?
            }
            result => result?,
        };
        *current = Some(Current::of(engine.kind(), spec));
        Ok(agent)
    }

    /// Starts a container for a command that is about to need one, while cargo still finds out for what. The first job waits
    /// for it.
    pub fn start_ahead(&self, session: &Session) {
        match self.connect(session, Reachable::Nothing) {
            Ok(agent) => {
                if let Ok(mut current) = self.current.lock()
                    && let Some(current) = current.as_mut()
                {
                    current.ready.push(agent);
                }
            }
            Err(error) => {
                if let Ok(mut failed) = self.failed_ahead.lock() {
                    *failed = Some(error);
                }
            }
        }
    }

    /// Connects for the next job, when nobody waits.
    pub fn connect_ahead(&self) {
        // Whoever holds it starts a container.
        let Ok(mut current) = self.current.try_lock() else { return };
        while let Some(current) = current.as_mut()
            && current.ready.len() < READY
            && let Ok(agent) = current.open()
        {
            current.ready.push(agent);
        }
    }

    /// Starts a container, unless another command was faster.
    fn start(
        &self,
        session: &Session,
        engine: &dyn Engine,
        spec: &ContainerSpec,
    ) -> anyhow::Result<AgentConnection> {
        let containers = session.directories.containers();
        let lock =
            File::create(containers.join("lock")).context("failed to open the lock of the containers")?;
        lock.lock().context("failed to lock the containers")?;
        let directory = spec.directory();
        if let Ok(agent) = AgentConnection::open(&directory, &spec.fingerprint()) {
            self.admit(spec);
            return Ok(agent);
        }
        let build = made_for(&session.directories.mounted(), spec);
        retire_others(&containers, &directory, &build);
        if directory.exists() {
            std::fs::remove_dir_all(&directory)
                .with_context(|| format!("failed to clear `{}`", directory.display()))?;
        }
        private_directory(&directory)?;
        std::fs::write(directory.join(BUILD), &build)
            .context("failed to write down what a container is for")?;
        if let Err(error) = engine.start(spec) {
            let _left = std::fs::remove_dir_all(&directory);
            return Err(explain("start the Build container", &error));
        }
        let agent = AgentConnection::open(&directory, &spec.fingerprint())
            .context("the container started, but its agent does not answer")?;
        let weaknesses = match self.check(&agent, spec) {
            Ok(weaknesses) => weaknesses,
            Err(error) => {
                let _stopping = AgentConnection::open(&directory, &spec.fingerprint())
                    .and_then(|agent| agent.send(&Request::Stop, &[]));
                return Err(error);
            }
        };
        // For later commands, which find the container there.
        std::fs::write(directory.join(WEAKNESSES), serde_json::to_vec(&weaknesses)?)
            .context("failed to write down what is missing in the container")?;
        self.world.bar.admit(&weaknesses);
        AgentConnection::open(&directory, &spec.fingerprint())
            .context("the container went away right after its start")
    }

    /// Looks at what is really in force before the first job. Returns what is missing and may be.
    fn check(&self, agent: &AgentConnection, spec: &ContainerSpec) -> anyhow::Result<BTreeSet<Weakness>> {
        agent.send(&Request::Report, &[])?;
        match agent.read_reply()? {
            Reply::Enforced(enforced) => enforced::check(&enforced, &self.world.bar, spec.host_network),
            Reply::Failed { message, .. } => Err(anyhow!(
                "jobs cannot be confined as promised: {message}\n\nhint: `cargo-sandbox self doctor` shows what this \
                 machine offers"
            )),
            _ => Err(anyhow!("the agent does not say what is enforced")),
        }
    }

    /// Says what is missing in a container that another command has started. It was allowed then, and what is
    /// allowed is part of what names the container.
    fn admit(&self, spec: &ContainerSpec) {
        let text = std::fs::read(spec.directory().join(WEAKNESSES)).unwrap_or_default();
        self.world.bar.admit(&serde_json::from_slice(&text).unwrap_or_default());
    }

    /// Why a container went away in the middle of a job.
    pub fn lost(&self, session: &Session, error: &io::Error) -> anyhow::Error {
        let cause = self.current.lock().ok().and_then(|current| {
            let Current { kind, spec, .. } = current.as_ref()?;
            self.engines.engine(*kind).ok()?.post_mortem(spec)
        });
        let cause = cause.unwrap_or_else(|| format!("its agent does not answer any more ({error})"));
        anyhow!(
            "the Build container of `{}` went away: {cause}\n\nhint: run the command again; if memory ran out, build \
             with fewer jobs at once (`-j 1`), or allow more (`--sandbox-limit memory=…`)",
            session.project.root.display()
        )
    }
}

/// Which build directory a container is for, in the container's own directory.
const BUILD: &str = "build";

/// What a container is for: one with the host's network stays beside the other.
fn made_for(build: &Path, spec: &ContainerSpec) -> Vec<u8> {
    let network: &[u8] = if spec.host_network { b"\0host" } else { b"" };
    [build.as_os_str().as_bytes(), network].concat()
}

/// Asks containers that were made to something else to end with their last job. Those for another build directory
/// stay: two cargos that build in two of them at the same time would end each other's for each job.
fn retire_others(containers: &Path, keep: &Path, build: &[u8]) {
    for entry in std::fs::read_dir(containers).into_iter().flatten().flatten() {
        let directory = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if directory == keep || !directory.join(AGENT_SOCKET).exists() {
            continue;
        }
        if std::fs::read(directory.join(BUILD)).is_ok_and(|other| other != build) {
            continue;
        }
        if let Ok(agent) = AgentConnection::open(&directory, &name) {
            let _gone = agent.send(&Request::Stop, &[]).and_then(|()| agent.read_reply());
        }
    }
}
