//! A daemon, if one answers, and descriptions of containers to ask it for.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cargo_sandbox::agent::JobLimits;
use cargo_sandbox::agent::client::AgentConnection;
use cargo_sandbox::agent::protocol::{Access, Enforced, JobSpec, Reply, Request, Rights};
use cargo_sandbox::container::docker::{CONNECT_PATIENCE, DockerEndpoints, DockerEngine};
use cargo_sandbox::container::host::{UserIdentity, system_world};
use cargo_sandbox::container::{ContainerInfo, ContainerSpec, Engine, Image, Limits, Mount};

/// The daemon of this machine, by the variables of whoever runs the tests.
pub fn endpoints() -> DockerEndpoints {
    let variable = |name: &str| std::env::var_os(name);
    DockerEndpoints::from_env_of_front_end(
        variable("DOCKER_HOST"),
        variable("CONTAINER_HOST"),
        variable("XDG_RUNTIME_DIR"),
    )
}

/// The daemon, or nothing and one line that says so.
pub fn daemon() -> Option<DockerEngine> {
    match DockerEngine::connect(&endpoints(), CONNECT_PATIENCE) {
        Ok(engine) => Some(engine),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs a daemon: {error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Places for one project's containers; what was started is removed at the end.
pub struct Fixture {
    pub engine: DockerEngine,
    pub directory: tempfile::TempDir,
    pub spec: ContainerSpec,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Fixture {
    /// A daemon and a spec for a project of its own, for this very user.
    pub fn new() -> Option<Self> {
        let engine = daemon()?;
        let directory = tempfile::tempdir().unwrap();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let spec = spec(directory.path(), &format!("test{}x{number}", std::process::id()));
        Some(Self { engine, directory, spec })
    }

    /// A path below the fixture's directory, made as a directory.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn start(&self) {
        prepare(&self.spec);
        self.engine.start(&self.spec).unwrap();
    }

    pub fn listed(&self) -> Option<ContainerInfo> {
        let list = self.engine.list().unwrap();
        list.into_iter().find(|container| container.name == self.spec.container_name())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for container in self.engine.list().unwrap_or_default() {
            if container.project == self.spec.project {
                let _ = self.engine.remove(&container);
            }
        }
    }
}

/// The container's directory, as a front end prepares it.
pub fn prepare(spec: &ContainerSpec) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(spec.directory()).unwrap();
    std::fs::set_permissions(spec.directory(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// A container that shows the host's own system to this user.
pub fn spec(directory: &Path, project: &str) -> ContainerSpec {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let user = UserIdentity {
        uid,
        gid,
        name: "tester".into(),
        group: "testers".into(),
        home: "/home/tester".into(),
        shell: "/bin/sh".into(),
    };
    let world = system_world(&directory.join("etc"), &user).unwrap();
    let per_job = JobLimits { processes: 256, ..JobLimits::default() };
    ContainerSpec {
        host_network: false,
        system_calls: Default::default(),
        project: project.into(),
        project_root: directory.into(),
        containers_directory: directory.join("containers"),
        image: Image::Host,
        common: vec!["/usr".into()],
        over: Vec::new(),
        mounts: world.mounts,
        links: world.links,
        uid,
        gid,
        limits: Limits { memory: 512 << 20, pids: 256, tmp: 64 << 20, per_job },
        allowed: BTreeSet::new(),
        idle: Duration::from_secs(60),
        // The caller may be unable to reach the one that was built here.
        agent: std::env::var_os("CSB_TEST_PROGRAM")
            .map_or_else(|| env!("CARGO_BIN_EXE_cargo-sandbox").into(), PathBuf::from),
        agent_stamp: "test".into(),
    }
}

/// What the agent says is in force.
pub fn report(spec: &ContainerSpec) -> Enforced {
    match ask(spec, &Request::Report, &[]) {
        Reply::Enforced(enforced) => *enforced,
        other => panic!("{other:?}"),
    }
}

/// What a shell prints that runs `script` as a job.
pub fn run(spec: &ContainerSpec, script: &str) -> String {
    let (mut read, write) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let argv = ["sh", "-c", script].map(|word| word.as_bytes().to_vec());
    let readable = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"];
    let job = JobSpec {
        program: b"/bin/sh".to_vec(),
        argv: argv.to_vec(),
        env: vec![b"PATH=/usr/bin:/bin".to_vec()],
        cwd: b"/".to_vec(),
        descriptors: vec![0, 1, 2],
        access: readable.map(|path| Access { path: path.into(), rights: Rights::ReadExecute }).to_vec(),
        umask: 0o022,
        local_sockets: true,
        ..JobSpec::default()
    };
    let errors = std::io::stderr();
    let reply = ask(spec, &Request::Run(Box::new(job)), &[null.as_fd(), write.as_fd(), errors.as_fd()]);
    assert!(matches!(reply, Reply::Exited { .. }), "{reply:?}");
    drop(write);
    let mut output = String::new();
    read.read_to_string(&mut output).unwrap();
    output
}

fn ask(spec: &ContainerSpec, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Reply {
    let agent = AgentConnection::open(&spec.directory(), &spec.fingerprint()).unwrap();
    agent.send(request, descriptors).unwrap();
    agent.read_reply().unwrap()
}

/// The options of the last mount at `target` in a mountinfo.
pub fn mount_options<'a>(mountinfo: &'a str, target: &Path) -> Option<&'a str> {
    let line = mountinfo.lines().rev().find(|line| line.split(' ').nth(4) == target.to_str());
    line.and_then(|line| line.split(' ').nth(5))
}

/// The engine's own command line, for what the engine trait does not tell: `docker`, which speaks to Podman's
/// socket as well, or what `CARGO_SANDBOX_TEST_ENGINE` names.
pub fn engine_command(arguments: &[&str]) -> String {
    let program = std::env::var("CARGO_SANDBOX_TEST_ENGINE").unwrap_or("docker".into());
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The version of cgroups that the daemon has, as a number.
pub fn cgroup_version() -> String {
    let field = if is_podman() { "{{.Host.CgroupsVersion}}" } else { "{{.CgroupVersion}}" };
    engine_command(&["info", "--format", field]).trim_start_matches('v').to_owned()
}

/// Whether the daemon is an ordinary user's own.
pub fn rootless() -> bool {
    let field = if is_podman() { "{{.Host.Security.Rootless}}" } else { "{{.SecurityOptions}}" };
    let answer = engine_command(&["info", "--format", field]);
    answer == "true" || answer.contains("name=rootless")
}

fn is_podman() -> bool {
    engine_command(&["--version"]).starts_with("podman")
}

/// Endpoints as if the user had set `DOCKER_HOST`.
pub fn docker_host(value: &str) -> DockerEndpoints {
    DockerEndpoints::from_env_of_front_end(Some(OsString::from(value)), None, None)
}

/// A mount point that goes away at the end; only root can make one.
pub struct Tmpfs(pub PathBuf);

impl Tmpfs {
    pub fn mount(path: PathBuf) -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            eprintln!("skipped: only root can mount");
            return None;
        }
        std::fs::create_dir_all(&path).unwrap();
        rustix::mount::mount("tmpfs", &path, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        Some(Self(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// A mount as a test asks for it.
pub fn bind(path: &Path, writable: bool) -> Mount {
    Mount { source: path.into(), target: path.into(), writable }
}
