//! The Publish container: cargo, its libraries, the sources, and nothing else.
//!
//! It is made for one command and goes with it. No directory of it is shared with a Build container, but the sources,
//! which neither can write.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::channel::{self, CREDENTIAL, RUSTC};
use super::warrant::Warrant;
use crate::agent::client::AgentConnection;
use crate::agent::protocol::{Access, JobSpec, Reply, Request, Rights};
use crate::broker::scripts::write_executable;
use crate::cargo::Toolchain;
use crate::cargo::domain::repository;
use crate::container::docker::libraries::of_program;
use crate::container::engines::{Engines, explain};
use crate::container::host::UserIdentity;
use crate::container::single::Single;
use crate::container::spec::{ContainerSpec, Image, Limits, Mount};
use crate::forward::{Allowed, Connection, Forwarder, Plan};
use crate::policy::bar::Bar;
use crate::project::private_directory;
use crate::project::single_use::SingleUse;
use crate::wire::SESSION_DESCRIPTOR;

/// What is the container's own, as it sees it. `docs/publish.md` lists all of its world.
const OWN: &str = "/publish";

/// How long it stays where the command was killed that it was made for.
const IDLE: Duration = Duration::from_secs(20);

/// How much cargo may write, and how many processes it may have: it starts a handful of wrappers.
const PROCESSES: u64 = 64;

/// Everything that is known of the machine and the user.
#[derive(Debug)]
pub struct Surroundings {
    /// The engines, by the user's choice.
    pub engines: Engines,
    /// The synthetic `/etc`, and nothing else of the system.
    pub etc: PathBuf,
    /// Who the user is.
    pub user: UserIdentity,
    /// Limits of containers.
    pub limits: Limits,
    /// What may be missing of the promised confinement.
    pub bar: Arc<Bar>,
    /// This program, which is the agent.
    pub agent: PathBuf,
    /// The wrapper's content.
    pub wrapper: Vec<u8>,
}

/// One command of cargo's in the Publish container.
#[derive(Debug)]
pub struct PublishCommand<'a> {
    /// Whose cargo.
    pub toolchain: &'a Toolchain,
    /// What `rustc -vV` says.
    pub compiler_version: Vec<u8>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its configuration, whole.
    pub configuration: String,
    /// Certificates that the user has cargo trust (`http.cainfo`).
    pub certificates: Option<PathBuf>,
    /// Variables of the user's, judged.
    pub environment: Vec<(OsString, OsString)>,
    /// The project, and more directories whose manifests cargo reads.
    pub sources: Vec<PathBuf>,
    /// Directories in them that are shown empty: where artifacts are.
    pub hidden: Vec<PathBuf>,
    /// What it reaches.
    pub allowed: Vec<Allowed>,
    /// What it gets the token for.
    pub warrant: Arc<Warrant>,
    /// The user's `umask(2)`.
    pub umask: u32,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// cargo's exit code.
    pub code: u8,
    /// What it connected to.
    pub connections: Vec<Connection>,
}

/// Makes the container, runs the command in it, and removes it.
///
/// # Errors
/// When it cannot be made as described; then cargo has not run.
pub fn run(
    command: &PublishCommand<'_>,
    surroundings: &Surroundings,
    made_up: &SingleUse,
) -> anyhow::Result<Ended> {
    let place = Place::make(command, surroundings, made_up)?;
    let plan = Plan::new(&command.allowed).context("the Publish container cannot be given this network")?;
    let spec = place.spec(surroundings);
    let Surroundings { engines, bar, .. } = surroundings;
    let container = Single { engines, bar, name: "Publish container" };
    let kind = container.start(&spec)?;
    let result = place.run(command, &spec, &plan);
    container.remove(kind, &spec);
    result
}

/// The container's directories and what it shows.
struct Place {
    id: String,
    containers: PathBuf,
    root: PathBuf,
    mounts: Vec<Mount>,
    access: Vec<Access>,
    cargo: PathBuf,
    home: PathBuf,
}

impl Place {
    fn make(
        command: &PublishCommand<'_>,
        surroundings: &Surroundings,
        made_up: &SingleUse,
    ) -> anyhow::Result<Self> {
        let failed = "failed to make the directories of the Publish container";
        let own = made_up.source();
        for name in ["home", "target", "bin", "empty"] {
            std::fs::create_dir_all(own.join(name)).context(failed)?;
        }
        let containers = made_up.directories().containers();
        private_directory(&containers).context(failed)?;
        std::fs::write(own.join("home/config.toml"), &command.configuration).context(failed)?;
        for name in [CREDENTIAL, RUSTC] {
            write_executable(&own.join("bin").join(name), &surroundings.wrapper).context(failed)?;
        }
        let inside = |name: &str| Path::new(OWN).join(name);
        let cargo =
            command.toolchain.program("cargo").canonicalize().context("the toolchain has no cargo")?;
        let mut shown = Shown::default();
        shown.add(own.join("home"), inside("home"), Rights::WriteAll);
        shown.add(own.join("target"), inside("target"), Rights::WriteAll);
        shown.add(own.join("bin"), inside("bin"), Rights::ReadExecute);
        shown.add(cargo.clone(), cargo.clone(), Rights::ReadExecute);
        let (loader, libraries) =
            of_program(&cargo).map_err(|error| explain("find what cargo needs to run", &error))?;
        for (name, path) in libraries {
            shown.add(path, inside("lib").join(name), Rights::ReadExecute);
        }
        if let Some(loader) = loader {
            shown.add(
                loader.canonicalize().context("cargo's loader is missing")?,
                loader,
                Rights::ReadExecute,
            );
        }
        shown.add(surroundings.etc.clone(), "/etc".into(), Rights::Read);
        if let Some(certificates) = &command.certificates {
            shown.add(certificates.clone(), inside("certificates.pem"), Rights::Read);
        }
        let home = &surroundings.user.home;
        for source in &command.sources {
            // All of the repository that it is in: what looks for one stops where another file system begins, and then walks
            // down from the top. Not where that is the home directory.
            let top = repository::work_tree(source).filter(|top| !home.starts_with(top));
            if let Some(top) = top {
                shown.add(top.to_owned(), top.to_owned(), Rights::Read);
            }
            shown.add(source.clone(), source.clone(), Rights::Read);
            for path in repository::files(source).into_iter().filter(|path| path.exists()) {
                shown.add(path.clone(), path, Rights::Read);
            }
            // What cargo and git look for above.
            let above = source.ancestors().skip(1);
            for path in above.flat_map(|above| ["Cargo.toml", ".gitignore"].map(|name| above.join(name))) {
                if path.is_file() {
                    shown.add(path.clone(), path, Rights::Read);
                }
            }
        }
        let of_git = [home.join(".gitconfig"), home.join(".config/git")];
        for path in of_git.into_iter().chain(repository::named_in_configuration(home)) {
            if path.exists() {
                shown.add(path.clone(), path, Rights::Read);
            }
        }
        let tops = command.sources.iter().filter_map(|source| repository::work_tree(source));
        let hidden: BTreeSet<PathBuf> =
            command.hidden.iter().cloned().chain(tops.map(|top| top.join("target"))).collect();
        for path in hidden.iter().filter(|path| path.is_dir()) {
            shown.mounts.push(Mount { source: own.join("empty"), target: path.clone(), writable: false });
        }
        let (mounts, mut access) = shown.finish();
        access.push(Access { path: b"/proc".to_vec(), rights: Rights::Read });
        Ok(Self {
            id: made_up.id().to_owned(),
            containers,
            root: command.sources.first().cloned().unwrap_or_else(|| PathBuf::from("/")),
            mounts,
            access,
            cargo,
            home: home.clone(),
        })
    }

    fn spec(&self, surroundings: &Surroundings) -> ContainerSpec {
        let mut limits = surroundings.limits.clone();
        limits.pids = limits.pids.min(PROCESSES);
        limits.per_job.processes = limits.per_job.processes.min(PROCESSES);
        ContainerSpec {
            project: self.id.clone(),
            project_root: self.root.clone(),
            containers_directory: self.containers.clone(),
            image: Image::Host,
            mounts: self.mounts.clone(),
            common: Vec::new(),
            over: Vec::new(),
            links: Vec::new(),
            uid: surroundings.user.uid,
            gid: surroundings.user.gid,
            limits,
            allowed: surroundings.bar.allowed().clone(),
            host_network: false,
            system_calls: BTreeSet::new(),
            idle: IDLE,
            agent: surroundings.agent.clone(),
            agent_stamp: "publish".to_owned(),
        }
    }

    fn run(&self, command: &PublishCommand<'_>, spec: &ContainerSpec, plan: &Plan) -> anyhow::Result<Ended> {
        let failed = "failed to prepare the Publish container";
        let (network, of_agent) = UnixStream::pair().context(failed)?;
        let (questions, of_cargo) = UnixStream::pair().context(failed)?;
        let forwarder = Forwarder::start(plan, network).context(failed)?;
        channel::serve(questions, Arc::clone(&command.warrant), command.compiler_version.clone())
            .context(failed)?;
        let input = std::fs::File::open("/dev/null").context(failed)?;
        let (stdout, out) = io::pipe().context(failed)?;
        let (stderr, err) = io::pipe().context(failed)?;
        let job = JobSpec {
            program: self.cargo.as_os_str().as_bytes().to_vec(),
            argv: std::iter::once(b"cargo".to_vec())
                .chain(command.arguments.iter().map(|word| word.as_bytes().to_vec()))
                .collect(),
            env: environment(&command.environment, &self.home),
            cwd: b"/".to_vec(),
            descriptors: vec![0, 1, 2, SESSION_DESCRIPTOR],
            access: self.access.clone(),
            umask: command.umask,
            network: Some(plan.job_network()),
            ..JobSpec::default()
        };
        let agent = AgentConnection::open(&spec.directory(), &spec.fingerprint())
            .context("the agent of the Publish container does not answer")?;
        let descriptors: [BorrowedFd<'_>; 5] =
            [input.as_fd(), out.as_fd(), err.as_fd(), of_cargo.as_fd(), of_agent.as_fd()];
        agent.send(&Request::Run(Box::new(job)), &descriptors).context(failed)?;
        drop((input, out, err, of_cargo, of_agent));
        let copies = [
            std::thread::spawn(move || copy(stdout, &mut io::stdout())),
            std::thread::spawn(move || copy(stderr, &mut io::stderr())),
        ];
        let reply = agent.read_reply();
        for copy in copies {
            let _panicked = copy.join();
        }
        let code = match reply.context("the Publish container went away")? {
            Reply::Exited { wait_status } => exit_code(wait_status),
            Reply::Exceeded(exceeded) => {
                bail!("cargo used up what it may in the Publish container: {exceeded:?}")
            }
            Reply::Failed { message, .. } => bail!(
                "cargo cannot be confined as promised in the Publish container: {message}\n\nhint: `--engine native` \
                 needs no daemon"
            ),
            other => bail!("the agent of the Publish container answered {other:?}"),
        };
        let connections = forwarder.finish().context("the network of the Publish container failed")?;
        Ok(Ended { code, connections })
    }
}

/// Mounts, and the rules of the job for each.
#[derive(Default)]
struct Shown {
    mounts: Vec<Mount>,
    access: Vec<Access>,
}

impl Shown {
    fn add(&mut self, source: PathBuf, target: PathBuf, rights: Rights) {
        self.access.push(Access { path: target.as_os_str().as_bytes().to_vec(), rights });
        // What lies in what is shown under its own name is there already.
        let covered = |mount: &Mount| {
            !mount.writable
                && mount.source == mount.target
                && source == target
                && target.starts_with(&mount.target)
        };
        if !self.mounts.iter().any(covered) {
            self.mounts.push(Mount { source, target, writable: matches!(rights, Rights::WriteAll) });
        }
    }

    /// Parents before children.
    fn finish(mut self) -> (Vec<Mount>, Vec<Access>) {
        self.mounts.sort_by(|one, other| one.target.cmp(&other.target));
        self.mounts.dedup_by(|later, first| later.target == first.target);
        (self.mounts, self.access)
    }
}

/// The user's home directory is a name, by which git's configuration is found.
fn environment(users: &[(OsString, OsString)], home: &Path) -> Vec<Vec<u8>> {
    let own = |name: &str| Path::new(OWN).join(name).into_os_string();
    let decided: [(&str, OsString); 9] = [
        ("CARGO_HOME", own("home")),
        ("CARGO_TARGET_DIR", own("target")),
        ("CARGO_BUILD_BUILD_DIR", own("target")),
        ("CARGO_CACHE_RUSTC_INFO", "0".into()),
        ("HOME", home.into()),
        ("LD_LIBRARY_PATH", own("lib")),
        ("PATH", own("bin")),
        ("RUSTC", Path::new(OWN).join("bin").join(RUSTC).into()),
        ("USER", "user".into()),
    ];
    let users = users.iter().filter(|(name, _)| !decided.iter().any(|(own, _)| name == own));
    let line = |name: &OsStr, value: &OsStr| [name.as_bytes(), b"=", value.as_bytes()].concat();
    users
        .map(|(name, value)| line(name, value))
        .chain(decided.iter().map(|(name, value)| line(OsStr::new(name), value)))
        .collect()
}

/// What cargo says, as it says it.
fn copy(mut from: io::PipeReader, to: &mut impl Write) {
    let mut chunk = [0; 4096];
    while let Ok(length) = from.read(&mut chunk) {
        if length == 0 || to.write_all(&chunk[..length]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

fn exit_code(wait_status: i32) -> u8 {
    let signal = libc::WIFSIGNALED(wait_status).then(|| 128 + libc::WTERMSIG(wait_status));
    u8::try_from(signal.unwrap_or_else(|| libc::WEXITSTATUS(wait_status))).unwrap_or(101)
}
