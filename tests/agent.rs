//! The agent on its own, as an engine starts it, on the real kernel: every confinement step has a job here
//! that shows it, and that succeeds where the step is taken out.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargo_sandbox::agent::client::AgentConnection;
use cargo_sandbox::agent::protocol::{AGENT_SOCKET, Access, Enforced, JobSpec, Reply, Request, Rights};
use cargo_sandbox::agent::{AGENT_ARGUMENT, AgentConfig};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-sandbox");
const FINGERPRINT: &str = "0123456789abcdef";

/// An agent of its own, in a directory that every user may use.
struct Agent {
    process: Child,
    directory: tempfile::TempDir,
}

impl Agent {
    fn start() -> Self {
        Self::start_with(600, Command::new(PROGRAM))
    }

    /// As the user `nobody`, without any capability: as in a Docker container.
    fn start_as_nobody() -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.args(["--inh-caps=-all", "--no-new-privs", PROGRAM]);
        Self::start_with(600, command)
    }

    fn start_with(idle_seconds: u64, mut command: Command) -> Self {
        // Not below /tmp: a job has a /tmp of its own there.
        let directory = tempfile::Builder::new().prefix("agent-").tempdir_in("/var/tmp").unwrap();
        let sockets = directory.path().join("run");
        fs::create_dir(&sockets).unwrap();
        for path in [directory.path(), &sockets] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let config = AgentConfig {
            socket: sockets.join(AGENT_SOCKET),
            fingerprint: FINGERPRINT.into(),
            idle_seconds,
            tmp_bytes: 64 << 20,
        };
        command.arg(AGENT_ARGUMENT).arg(serde_json::to_string(&config).unwrap());
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let agent = Self { process, directory };
        let start = Instant::now();
        while agent.try_connect().is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "the agent does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn try_connect(&self) -> io::Result<AgentConnection> {
        AgentConnection::open(&self.path().join("run"), FINGERPRINT)
    }

    fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Reply {
        let connection = self.try_connect().unwrap();
        connection.send(request, descriptors).unwrap();
        connection.read_reply().unwrap()
    }

    /// Runs a job to its end: the reply, and what it wrote to its standard output and error.
    fn run(&self, spec: JobSpec) -> (Reply, String) {
        let (mut output, writer) = io::pipe().unwrap();
        let input = File::open("/dev/null").unwrap();
        let connection = self.try_connect().unwrap();
        let fds = [input.as_fd(), writer.as_fd(), writer.as_fd()];
        connection.send(&Request::Run(Box::new(spec)), &fds).unwrap();
        drop(writer);
        let mut text = Vec::new();
        output.read_to_end(&mut text).unwrap();
        (connection.read_reply().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    fn shell(&self, script: &str) -> (Reply, String) {
        self.run(shell(script))
    }

    fn report(&self) -> Enforced {
        match self.ask(&Request::Report, &[]) {
            Reply::Enforced(enforced) => *enforced,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn access(path: impl Into<PathBuf>, rights: Rights) -> Access {
    Access { path: path.into().into_os_string().into_encoded_bytes(), rights }
}

fn job(argv: &[&str]) -> JobSpec {
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc"];
    JobSpec {
        program: argv[0].into(),
        argv: argv.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
        env: vec![b"PATH=/usr/bin:/bin".to_vec(), b"HOME=/tmp/.home".to_vec()],
        cwd: b"/".to_vec(),
        descriptors: vec![0, 1, 2],
        files: Vec::new(),
        access: system.map(|path| access(path, Rights::ReadExecute)).into(),
        new_session: true,
    }
}

fn shell(script: &str) -> JobSpec {
    job(&["/bin/sh", "-c", script])
}

const fn exited(code: i32) -> Reply {
    Reply::Exited { wait_status: code << 8 }
}

#[test]
fn a_job_runs_and_its_exit_status_comes_back() {
    let agent = Agent::start();
    assert_eq!(agent.run(job(&["/bin/true"])).0, exited(0));
    assert_eq!(agent.shell("exit 42").0, exited(42));
    assert_eq!(agent.shell("kill -9 $$").0, Reply::Exited { wait_status: libc::SIGKILL });
    assert_eq!(agent.shell("kill -TERM $$").0, Reply::Exited { wait_status: libc::SIGTERM });
    assert_eq!(agent.shell("echo hello; echo there >&2").1, "hello\nthere\n");
}

#[test]
fn cost_of_a_job() {
    let agent = Agent::start();
    let mut bare = Vec::new();
    let mut wrapped = Vec::new();
    let input = File::open("/dev/null").unwrap();
    for _ in 0..200 {
        let start = Instant::now();
        Command::new("/bin/true").status().unwrap();
        bare.push(start.elapsed());
        let start = Instant::now();
        let fds = [input.as_fd(), input.as_fd(), input.as_fd()];
        agent.ask(&Request::Run(Box::new(job(&["/bin/true"]))), &fds);
        wrapped.push(start.elapsed());
    }
    bare.sort();
    wrapped.sort();
    println!("bare {:?}, in the agent {:?}", bare[100], wrapped[100]);
}

#[test]
fn what_is_enforced_is_read_back() {
    for agent in [Agent::start(), Agent::start_as_nobody()] {
        let report = agent.report();
        println!("{report:#?}");
        for line in ["CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"] {
            assert!(report.job_status.contains(line), "{}", report.job_status);
        }
        for line in
            ["CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
        {
            assert!(report.job_status.contains(line), "{}", report.job_status);
        }
        assert!(report.landlock_enforced);
        assert_eq!(report.process_tree, "pid namespace");
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(report.boot_id, boot_id.trim());
    }
}
