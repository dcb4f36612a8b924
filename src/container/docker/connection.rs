//! A connection to one daemon, and what it told about itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use futures_util::future::join;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::discovery::DockerEndpoints;
use super::errors::explain;
use crate::container::EngineError;

/// Longest wait for one answer. Creating a container on a busy machine takes seconds.
const ANSWER_SECONDS: u64 = 60;

/// The oldest API that has what a container is made of (Docker 20.10).
const OLDEST_API: (usize, usize) = (1, 41);

/// The products that speak this API. They differ in details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Flavour {
    Docker,
    Podman,
}

impl Flavour {
    /// What the user types to talk to it.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// How a daemon sees users: this decides which user of the container is the caller outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Users {
    /// The same numbers inside and outside.
    Same,
    /// Root inside is the caller outside (rootless Docker and Podman).
    RootIsCaller,
}

/// What a daemon can do on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Abilities {
    pub users: Users,
    /// Whether it can limit memory and processes. A rootless one can with version 2 of cgroups only.
    pub limits: bool,
}

impl Abilities {
    /// As the daemon tells.
    fn of(info: &SystemInfo, flavour: Flavour, socket: &Path) -> Self {
        let options = info.security_options.as_deref().unwrap_or_default();
        let rootless = options.iter().any(|option| option.split(',').any(|part| part == "name=rootless"));
        // Podman's answer to this question does not say (4.3); its socket then belongs to the user it runs as.
        let owner = std::fs::metadata(socket).map(|socket| std::os::unix::fs::MetadataExt::uid(&socket));
        let rootless = rootless || flavour == Flavour::Podman && owner.is_ok_and(|owner| owner != 0);
        Self {
            users: if rootless { Users::RootIsCaller } else { Users::Same },
            limits: can_limit(info, rootless),
        }
    }
}

/// What a daemon told about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub flavour: Flavour,
    /// Product and version, for people.
    pub product: String,
    /// The newest version of the API that it and this tool both speak.
    pub api: (usize, usize),
    pub abilities: Abilities,
}

impl Facts {
    /// Asks the daemon at `socket`, which takes it some 10 ms: it runs programs to find some of the answers.
    ///
    /// # Errors
    /// When it does not tell, or cannot be used; [`EngineError::unavailable`] is set where another engine may do.
    pub async fn ask(socket: &Path) -> Result<Self, EngineError> {
        let place = socket.display();
        let docker = connect(socket, API_DEFAULT_VERSION)?;
        // Each takes the daemon some milliseconds, in which a build could go on.
        let (version, info) = join(docker.version(), docker.info()).await;
        let version = version.map_err(|error| explain("cannot ask for the daemon's version", &error))?;
        let info = info.map_err(|error| explain("cannot ask for the daemon's state", &error))?;
        let api = common_version(version.api_version.as_deref()).ok_or_else(|| {
            EngineError::unavailable(format!("the daemon at {place} has no version of the API"))
        })?;
        let api = (api.major_version, api.minor_version);
        if api < OLDEST_API {
            let message = format!("the daemon at {place} is too old: it speaks API {}.{}", api.0, api.1);
            return Err(EngineError::unavailable(message).hint("Docker 20.10 or Podman 4 is needed"));
        }
        let flavour = flavour(&version);
        let abilities = Abilities::of(&info, flavour, socket);
        let facts = Self { flavour, product: product(&version), api, abilities };
        facts.refuse_another_kernel(socket, version.kernel_version.as_deref(), &info)?;
        Ok(facts)
    }

    /// A first look, before anything is started; the agent's boot id decides later.
    fn refuse_another_kernel(
        &self,
        socket: &Path,
        theirs: Option<&str>,
        info: &SystemInfo,
    ) -> Result<(), EngineError> {
        if info.operating_system.as_deref().is_some_and(|name| name.contains("Docker Desktop")) {
            return Err(another_kernel("Docker Desktop runs containers in a virtual machine"));
        }
        let ours = rustix::system::uname();
        let ours = ours.release().to_string_lossy();
        match theirs {
            Some(theirs) if !theirs.is_empty() && theirs != ours => Err(another_kernel(&format!(
                "{} at {} runs on another kernel ({theirs}; this one is {ours})",
                self.product,
                socket.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// One daemon.
#[derive(Debug)]
pub(super) struct Connection {
    pub docker: Docker,
    pub socket: PathBuf,
    pub facts: Facts,
}

impl Connection {
    /// Connects to the daemon at `socket`, of which `facts` are known.
    ///
    /// # Errors
    /// When the socket is not there any more.
    pub fn with(socket: PathBuf, facts: Facts) -> Result<Self, EngineError> {
        let (major_version, minor_version) = facts.api;
        let docker = connect(&socket, &ClientVersion { major_version, minor_version })?;
        Ok(Self { docker, socket, facts })
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        let Facts { product, api: (major, minor), .. } = &self.facts;
        format!("{product}, API {major}.{minor}, {}", self.socket.display())
    }
}

/// The socket of the first daemon that answers a ping within `patience`.
///
/// # Errors
/// When none does; [`EngineError::unavailable`] is set.
pub(super) async fn reach(endpoints: &DockerEndpoints, patience: Duration) -> Result<PathBuf, EngineError> {
    let socket = endpoints.listening(patience).await?;
    let place = socket.display();
    match timeout(patience, connect(&socket, API_DEFAULT_VERSION)?.ping()).await {
        Ok(Ok(_)) => Ok(socket),
        Ok(Err(error)) => Err(explain(&format!("no daemon at {place}"), &error).into_unavailable()),
        Err(_) => {
            let message = format!("the daemon at {place} did not answer within {} ms", patience.as_millis());
            Err(EngineError::unavailable(message)
                .hint("see whether `docker info` answers; restart the daemon if it does not"))
        }
    }
}

fn connect(socket: &Path, version: &ClientVersion) -> Result<Docker, EngineError> {
    let place = socket.display().to_string();
    Docker::connect_with_unix(&place, ANSWER_SECONDS, version)
        .map_err(|error| explain(&format!("cannot connect to {place}"), &error).into_unavailable())
}

/// The refusal of a daemon that is not on this kernel.
pub(super) fn another_kernel(message: &str) -> EngineError {
    EngineError::unavailable(format!("{message}, and a job's descriptors cannot cross to it"))
        .hint("use a daemon on this machine itself, or `--engine native`")
}

/// Docker says it; Podman claims it of every host.
fn can_limit(info: &SystemInfo, rootless: bool) -> bool {
    let version_1 = info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_1);
    info.memory_limit != Some(false) && info.pids_limit != Some(false) && !(rootless && version_1)
}

/// The newest version of the API that the daemon, which tells its own, and this tool both speak.
fn common_version(theirs: Option<&str>) -> Option<ClientVersion> {
    let (major, minor) = theirs?.split_once('.')?;
    let theirs = ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? };
    let ours = API_DEFAULT_VERSION;
    let ours = ClientVersion { major_version: ours.major_version, minor_version: ours.minor_version };
    Some(if theirs < ours { theirs } else { ours })
}

fn flavour(version: &SystemVersion) -> Flavour {
    let components = version.components.iter().flatten();
    let podman = components.into_iter().any(|component| component.name == "Podman Engine");
    if podman { Flavour::Podman } else { Flavour::Docker }
}

fn product(version: &SystemVersion) -> String {
    let name = match flavour(version) {
        Flavour::Docker => "Docker",
        Flavour::Podman => "Podman",
    };
    format!("{name} {}", version.version.as_deref().unwrap_or("of unknown version"))
}

#[cfg(test)]
mod tests {
    use bollard::models::SystemVersionComponents;

    use super::*;

    #[test]
    fn a_rootless_daemon_limits_nothing_by_version_1() {
        let podman = |version| SystemInfo {
            memory_limit: Some(true),
            pids_limit: Some(true),
            cgroup_version: Some(version),
            ..Default::default()
        };
        assert!(can_limit(&podman(SystemInfoCgroupVersionEnum::_2), true));
        assert!(can_limit(&podman(SystemInfoCgroupVersionEnum::_1), false));
        assert!(!can_limit(&podman(SystemInfoCgroupVersionEnum::_1), true));
        assert!(!can_limit(&SystemInfo { memory_limit: Some(false), ..Default::default() }, true));
    }

    #[test]
    fn the_older_version_of_the_api_is_spoken() {
        let spoken = |theirs| common_version(theirs).map(|version| version.to_string());
        assert_eq!(spoken(Some("1.41")).as_deref(), Some("1.41"));
        assert_eq!(spoken(Some("9.9")), Some(API_DEFAULT_VERSION.to_string()));
        assert_eq!(spoken(Some("new")), None);
        assert_eq!(spoken(None), None);
    }

    #[test]
    fn podman_tells_by_its_component() {
        let version = |name: &str| SystemVersion {
            version: Some("4.3.1".into()),
            components: Some(vec![SystemVersionComponents { name: name.into(), ..Default::default() }]),
            ..Default::default()
        };
        assert_eq!(product(&version("Podman Engine")), "Podman 4.3.1");
        assert_eq!(product(&version("Engine")), "Docker 4.3.1");
    }
}
