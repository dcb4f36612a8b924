//! The native engine, as root and as an ordinary user.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[path = "../support/forward.rs"]
mod forward;

use cargo_sandbox::agent::client::AgentConnection;
use cargo_sandbox::agent::protocol::{Access, Enforced, JobSpec, Reply, Request, Rights};
use cargo_sandbox::agent::{JobLimits, Overlay};
use cargo_sandbox::container::native::NativeEngine;
use cargo_sandbox::container::{ContainerSpec, Engine, Image, Limits, Mount};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-sandbox");

/// Where everything of a test is.
enum Base {
    Own(tempfile::TempDir),
    Other(PathBuf),
}

impl Base {
    fn path(&self) -> &Path {
        match self {
            Self::Own(directory) => directory.path(),
            Self::Other(path) => path,
        }
    }
}

/// A project and its container.
struct Container {
    engine: NativeEngine,
    spec: ContainerSpec,
    base: Base,
}

impl Container {
    fn new() -> Self {
        Self::make(Base::Own(tempfile::Builder::new().prefix("native-").tempdir_in("/var/tmp").unwrap()))
    }

    fn at(base: PathBuf) -> Self {
        Self::make(Base::Other(base))
    }

    fn make(base: Base) -> Self {
        let project = base.path().join("project");
        let containers = base.path().join("projects/p1/containers");
        fs::create_dir_all(project.join("build")).unwrap();
        let links = ["bin", "sbin", "lib", "lib64"]
            .iter()
            .filter_map(|name| Some((Path::new("/").join(name), fs::read_link(format!("/{name}")).ok()?)))
            .collect();
        let per_job = JobLimits { processes: 256, ..JobLimits::default() };
        let spec = ContainerSpec {
            host_network: false,
            system_calls: Default::default(),
            project: "p1".into(),
            project_root: project.clone(),
            containers_directory: containers,
            image: Image::Host,
            mounts: vec![
                Mount::read_only("/usr"),
                Mount::read_only(project.clone()),
                Mount::writable(project.join("build")),
            ],
            common: vec!["/usr".into()],
            over: Vec::new(),
            links,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            limits: Limits { memory: 512 << 20, pids: 256, tmp: 64 << 20, per_job },
            allowed: BTreeSet::new(),
            idle: Duration::from_secs(600),
            agent: PROGRAM.into(),
            agent_stamp: String::new(),
        };
        fs::create_dir_all(spec.directory()).unwrap();
        Self { engine: NativeEngine::new(base.path().join("projects")), spec, base }
    }

    fn start() -> Self {
        let container = Self::new();
        container.engine.start(&container.spec).unwrap();
        container
    }

    fn build(&self) -> PathBuf {
        self.spec.project_root.join("build")
    }

    fn connect(&self) -> io::Result<AgentConnection> {
        AgentConnection::open(&self.spec.directory(), &self.spec.fingerprint())
    }

    fn shell(&self, script: &str) -> (Reply, String) {
        let (mut output, writer) = io::pipe().unwrap();
        let connection = self.send(script, writer.as_fd());
        drop(writer);
        let mut text = Vec::new();
        output.read_to_end(&mut text).unwrap();
        (connection.read_reply().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    fn send(&self, script: &str, output: BorrowedFd<'_>) -> AgentConnection {
        let access = |path: &Path, rights| Access { path: path.to_str().unwrap().into(), rights };
        let spec = JobSpec {
            program: b"/bin/sh".to_vec(),
            argv: vec![b"sh".to_vec(), b"-c".to_vec(), script.into()],
            env: vec![b"PATH=/usr/bin:/bin".to_vec()],
            cwd: self.spec.project_root.to_str().unwrap().into(),
            descriptors: vec![0, 1, 2],
            access: vec![
                access(Path::new("/"), Rights::ReadExecute),
                access(&self.build(), Rights::WriteAll),
            ],
            umask: 0o022,
            local_sockets: true,
            ..JobSpec::default()
        };
        let input = File::open("/dev/null").unwrap();
        let connection = self.connect().unwrap();
        connection.send(&Request::Run(Box::new(spec)), &[input.as_fd(), output, output]).unwrap();
        connection
    }

    /// What a script prints that must succeed.
    fn output(&self, script: &str) -> String {
        let (reply, output) = self.shell(script);
        assert_eq!(reply, Reply::Exited { wait_status: 0 }, "{output}");
        output
    }

    fn report(&self) -> Enforced {
        let connection = self.connect().unwrap();
        connection.send(&Request::Report, &[]).unwrap();
        match connection.read_reply().unwrap() {
            Reply::Enforced(enforced) => *enforced,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for container in self.engine.list().unwrap() {
            self.engine.remove(&container).unwrap();
        }
    }
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_job_sees_the_container_and_not_the_host() {
    let container = Container::start();
    assert_eq!(container.output("ls -A / | tr '\\n' ' '"), "bin dev lib lib64 proc sbin tmp usr var ");
    let devices = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ";
    assert_eq!(container.output("ls /dev | tr '\\n' ' '"), devices);
}

#[test]
fn files_that_jobs_write_belong_to_the_caller_and_jobs_are_nobody_on_the_host() {
    let container = Container::start();
    container.output("echo hello > build/file && mkdir build/sub && chmod 600 build/file && cat build/file");
    let written = fs::metadata(container.build().join("file")).unwrap();
    assert_eq!(written.uid(), container.spec.uid);
    assert_eq!(written.gid(), container.spec.gid);
    let (reply, output) = container.shell("echo x > file");
    assert_ne!(reply, Reply::Exited { wait_status: 0 }, "{output}");
}

#[test]
fn what_is_enforced_is_read_back() {
    let container = Container::start();
    let report = container.report();
    if container.spec.uid == 0 {
        assert_eq!((report.memory_limit, report.pids_limit), (Some(512 << 20), Some(256)));
    }
    assert_eq!(report.interfaces, ["lo"]);
    assert!(report.landlock_enforced);
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(report.job_status.contains(line), "{}", report.job_status);
    }
}

#[test]
fn a_removed_container_leaves_nothing() {
    let container = Container::start();
    let listed = container.engine.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].running);
    assert_eq!(listed[0].name, container.spec.container_name());
    container.engine.remove(&listed[0]).unwrap();
    assert_eq!(container.engine.list().unwrap(), []);
    assert!(container.connect().is_err());
    let left: Vec<_> =
        fs::read_dir(container.spec.directory()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["agent.log"]);
    container.engine.start(&container.spec).unwrap();
    container.output("true");
}

#[test]
fn a_container_ends_by_itself_when_idle() {
    let mut container = Container::new();
    container.spec.idle = Duration::from_secs(1);
    fs::create_dir_all(container.spec.directory()).unwrap();
    container.engine.start(&container.spec).unwrap();
    container.output("true");
    eventually("it runs on", || container.engine.list().unwrap().is_empty());
    assert_eq!(container.engine.post_mortem(&container.spec), None);
}

/// A field of `/proc/<pid>/status` of the job that runs `program`, as the host sees it.
fn host_status_of_a_job(container: &Container, program: &str, field: &str) -> String {
    let keeper = container.engine.list().unwrap().remove(0).id;
    let mut status = None;
    eventually("there is no job", || {
        status = statuses_below(&keeper)
            .into_iter()
            .find(|status| status.starts_with(&format!("Name:\t{program}\n")));
        status.is_some()
    });
    let status = status.unwrap();
    status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

/// `/proc/<pid>/status` of every process below one.
fn statuses_below(pid: &str) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut statuses = Vec::new();
    for child in children.split_whitespace() {
        statuses.extend(fs::read_to_string(format!("/proc/{child}/status")));
        statuses.extend(statuses_below(child));
    }
    statuses
}

#[test]
fn a_job_of_root_is_not_root_on_the_host() {
    let container = Container::start();
    let connection = container.send("sleep 600", File::open("/dev/null").unwrap().as_fd());
    let uid = host_status_of_a_job(&container, "sleep", "Uid:");
    let uid: u32 = uid.split_whitespace().next().unwrap().parse().unwrap();
    if container.spec.uid == 0 {
        assert!((0x7000_0000..0x7001_0000).contains(&uid), "{uid}");
    } else {
        assert_eq!(uid, container.spec.uid);
    }
    drop(connection);
}

#[test]
fn not_even_the_first_job_starts_before_its_limits() {
    // Several times: the kernel takes some milliseconds to move the container, which does not wait for it in all that it does.
    for _ in 0..5 {
        let container = Container::start();
        let connection = container.send("sleep 600", File::open("/dev/null").unwrap().as_fd());
        let process = host_status_of_a_job(&container, "sleep", "Pid:");
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
        let own = groups.lines().filter(|line| line.ends_with(&container.spec.container_name())).count();
        drop(connection);
        // With version 1 of cgroups one for memory and one for processes; an ordinary user may not have any.
        let report = container.report();
        let limited = report.memory_limit.is_some() || report.pids_limit.is_some();
        assert_eq!(own > 0, limited, "{groups}");
        assert!(limited || container.spec.uid != 0);
    }
}

#[test]
fn what_only_root_may_read_stays_so() {
    let container = Container::start();
    // /usr belongs to root and is shown as it is; the project is shown as the job's own.
    if container.spec.uid == 0 {
        assert_eq!(container.output("stat -c %u /usr build"), "65534\n0\n");
    }
}

#[test]
fn the_container_survives_its_starter() {
    let container = Container::new();
    // `start` in a process that is then killed with everything in its process group.
    let mut starter = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "start_and_wait", "--nocapture"])
        .env("NATIVE_TEST_BASE", container.base.path())
        .stdout(std::process::Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    eventually("it does not start", || container.connect().is_ok());
    rustix::process::kill_process_group(
        rustix::process::Pid::from_child(&starter),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    starter.wait().unwrap();
    container.output("true");
}

/// Not a test of its own: the process that `the_container_survives_its_starter` kills.
#[test]
#[ignore = "is started by another test"]
fn start_and_wait() {
    let container = Container::at(std::env::var_os("NATIVE_TEST_BASE").unwrap().into());
    container.engine.start(&container.spec).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn a_container_whose_keeper_was_killed_is_gone_and_can_be_made_again() {
    let container = Container::start();
    let keeper: i32 = container.engine.list().unwrap()[0].id.parse().unwrap();
    let keeper = rustix::process::Pid::from_raw(keeper).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
    eventually("it runs on", || container.connect().is_err());
    assert!(container.engine.list().unwrap().iter().all(|container| !container.running));
    container.engine.start(&container.spec).unwrap();
    container.output("true");
}

#[test]
fn the_hosts_sockets_processes_and_networks_are_out_of_reach() {
    let container = Container::start();
    assert_ne!(container.shell("ls /run || ls /var/run").0, Reply::Exited { wait_status: 0 });
    assert_eq!(container.output("echo /proc/[0-9]*"), "/proc/1 /proc/2\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'");
    assert_ne!(container.shell(&script).0, Reply::Exited { wait_status: 0 });
}

#[test]
fn mounts_below_a_read_only_bind_are_read_only() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let container = Container::new();
    let sub = container.spec.project_root.join("sub");
    fs::create_dir(&sub).unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).arg(&sub).status().unwrap().success());
    };
    mount("mount", &["-t", "tmpfs", "-o", "mode=1777", "tmpfs"]);
    let started = container.engine.start(&container.spec);
    let result = started.map(|()| container.output("echo x 2>/dev/null > sub/file || echo refused"));
    mount("umount", &[]);
    assert_eq!(result.unwrap(), "refused\n");
    let report = container.report();
    let line = report.agent_mountinfo.lines().find(|line| line.contains("/sub ")).unwrap();
    assert!(line.split_whitespace().nth(5).unwrap().starts_with("ro,"), "{line}");
}

#[test]
fn a_job_reaches_what_it_is_allowed_and_nothing_else() {
    let mut container = Container::new();
    let etc = container.base.path().join("etc");
    fs::create_dir(&etc).unwrap();
    for (name, content) in [("hosts", ""), ("nsswitch.conf", "hosts: files dns\n"), ("resolv.conf", "")] {
        fs::write(etc.join(name), content).unwrap();
    }
    container.spec.mounts.push(Mount { source: etc, target: "/etc".into(), writable: false });
    fs::create_dir_all(container.spec.directory()).unwrap();
    container.engine.start(&container.spec).unwrap();
    forward::exercise(&container.spec);
}

/// A repository could have a link where something is to be shown, and have that put elsewhere.
#[test]
fn a_mount_point_that_is_a_link_is_refused() {
    let mut container = Container::new();
    std::os::unix::fs::symlink("/usr", container.spec.project_root.join("link")).unwrap();
    let target = container.spec.project_root.join("link/share");
    container.spec.mounts.push(Mount { source: "/usr/share".into(), target, writable: false });
    fs::create_dir_all(container.spec.directory()).unwrap();
    let error = container.engine.start(&container.spec).unwrap_err();
    assert!(error.message.contains("link/share"), "{error}");
    assert_eq!(container.engine.list().unwrap(), []);
}

#[test]
fn a_source_that_is_missing_is_named() {
    let mut container = Container::new();
    container.spec.mounts.push(Mount::read_only("/usr/not-there"));
    fs::create_dir_all(container.spec.directory()).unwrap();
    // The keeper hears that something failed at the same time, and knows less of it.
    for _ in 0..20 {
        let error = container.engine.start(&container.spec).unwrap_err();
        assert!(error.message.contains("/usr/not-there"), "{error}");
    }
}

/// Runs this whole file again as an ordinary user, which root can do.
#[test]
fn as_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--test-threads", "2"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn packages_that_cannot_be_shown_stop_the_start() {
    let mut container = Container::new();
    container.spec.over.push(Overlay { over: "/does/not/exist".into(), target: "/usr/include".into() });
    fs::create_dir_all(container.spec.directory()).unwrap();
    let error = container.engine.start(&container.spec).unwrap_err();
    assert!(
        error.message.contains("cannot show the packages of `[native] packages`: /usr/include"),
        "{error}"
    );
}
