//! The native engine, as root and as an ordinary user.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cargo_sandbox::agent::client::AgentConnection;
use cargo_sandbox::agent::protocol::{Access, Enforced, JobSpec, Reply, Request, Rights};
use cargo_sandbox::container::native::NativeEngine;
use cargo_sandbox::container::{ContainerSpec, Engine, Image, Limits, Mount};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-sandbox");

/// A project and its container.
struct Container {
    engine: NativeEngine,
    spec: ContainerSpec,
    _base: tempfile::TempDir,
}

impl Container {
    fn new() -> Self {
        let base = tempfile::Builder::new().prefix("native-").tempdir_in("/var/tmp").unwrap();
        let project = base.path().join("project");
        let containers = base.path().join("projects/p1/containers");
        fs::create_dir_all(project.join("build")).unwrap();
        let links = ["bin", "sbin", "lib", "lib64"]
            .iter()
            .filter_map(|name| Some((Path::new("/").join(name), fs::read_link(format!("/{name}")).ok()?)))
            .collect();
        let spec = ContainerSpec {
            project: "p1".into(),
            project_root: project.clone(),
            containers_directory: containers,
            image: Image::Host,
            mounts: vec![
                Mount::read_only("/usr"),
                Mount::read_only(project.clone()),
                Mount::writable(project.join("build")),
            ],
            links,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            limits: Limits { memory: 512 << 20, pids: 256, tmp: 64 << 20 },
            idle: Duration::from_secs(600),
            agent: PROGRAM.into(),
            agent_stamp: String::new(),
        };
        fs::create_dir_all(spec.directory()).unwrap();
        Self { engine: NativeEngine::new(base.path().join("projects")), spec, _base: base }
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
        let access = |path: &Path, rights| Access { path: path.to_str().unwrap().into(), rights };
        let spec = JobSpec {
            program: b"/bin/sh".to_vec(),
            argv: vec![b"sh".to_vec(), b"-c".to_vec(), script.into()],
            env: vec![b"PATH=/usr/bin:/bin".to_vec()],
            cwd: self.spec.project_root.to_str().unwrap().into(),
            descriptors: vec![0, 1, 2],
            files: Vec::new(),
            access: vec![
                access(Path::new("/"), Rights::ReadExecute),
                access(&self.build(), Rights::WriteAll),
            ],
            new_session: true,
        };
        let (mut output, writer) = io::pipe().unwrap();
        let input = File::open("/dev/null").unwrap();
        let connection = self.connect().unwrap();
        let request = Request::Run(Box::new(spec));
        connection.send(&request, &[input.as_fd(), writer.as_fd(), writer.as_fd()]).unwrap();
        drop(writer);
        let mut text = Vec::new();
        output.read_to_end(&mut text).unwrap();
        (connection.read_reply().unwrap(), String::from_utf8_lossy(&text).into_owned())
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
    println!("{report:#?}");
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
    println!("{left:?}");
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
