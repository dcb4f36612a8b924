//! The agent on its own, as an engine starts it, on the real kernel: every confinement step has a job here
//! that shows it, and that succeeds where the step is taken out.

mod handed;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargo_sandbox::agent::client::AgentConnection;
use cargo_sandbox::agent::observe::{Act, Closeness, Event, Reach, calls, event};
use cargo_sandbox::agent::protocol::{
    AGENT_SOCKET, Access, Budget, Enforced, Exceeded, JobNetwork, JobSpec, Reply, Request, Rights,
};
use cargo_sandbox::agent::{AGENT_ARGUMENT, AgentConfig, JobLimits, OLDEST_LANDLOCK_ABI};
use support::terminal;

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
        Self::start_with(600, Self::as_nobody())
    }

    fn as_nobody() -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.args(["--inh-caps=-all", "--no-new-privs", PROGRAM]);
        command
    }

    /// Where no further user namespace may be made, so that jobs cannot have namespaces of their own.
    fn start_flat() -> Self {
        Self::start_with(600, Self::flat())
    }

    fn flat() -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]);
        command.args(["/bin/sh", "-c"]);
        command.arg(format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {PROGRAM} \"$@\""));
        command.arg("sh");
        command
    }

    fn start_with(idle_seconds: u64, command: Command) -> Self {
        Self::start_as(command, |config| config.idle_seconds = idle_seconds)
    }

    fn start_as(mut command: Command, change: impl Fn(&mut AgentConfig)) -> Self {
        // Not below /tmp: a job has a /tmp of its own there.
        let directory = tempfile::Builder::new().prefix("agent-").tempdir_in("/var/tmp").unwrap();
        let sockets = directory.path().join("run");
        fs::create_dir(&sockets).unwrap();
        for path in [directory.path(), &sockets] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut config = AgentConfig {
            socket: sockets.join(AGENT_SOCKET),
            fingerprint: FINGERPRINT.into(),
            idle_seconds: 600,
            tmp_bytes: 64 << 20,
            user: None,
            #[cfg(feature = "switch-off")]
            off: None,
            limits: JobLimits { processes: 4096, ..JobLimits::default() },
            memory: 1 << 40,
            pids: 16384,
            written: Vec::new(),
            common: vec!["/usr".into()],
            over: Vec::new(),
            landlock_needed: OLDEST_LANDLOCK_ABI,
        };
        change(&mut config);
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

    /// Runs an observed job to its end: the reply, what it wrote, and what was told of it.
    fn observe(&self, closeness: Closeness, spec: JobSpec) -> (Reply, String, Vec<Event>) {
        let (mut output, writer) = io::pipe().unwrap();
        let input = File::open("/dev/null").unwrap();
        let record = rustix::fs::memfd_create("record", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let connection = self.try_connect().unwrap();
        let fds = [input.as_fd(), writer.as_fd(), writer.as_fd(), record.as_fd()];
        let spec = JobSpec { observe: Some(closeness), ..spec };
        connection.send(&Request::Run(Box::new(spec)), &fds).unwrap();
        drop(writer);
        let mut text = Vec::new();
        output.read_to_end(&mut text).unwrap();
        let reply = connection.read_reply().unwrap();
        let mut record = File::from(record);
        io::Seek::rewind(&mut record).unwrap();
        let mut bytes = Vec::new();
        record.read_to_end(&mut bytes).unwrap();
        (reply, String::from_utf8_lossy(&text).into_owned(), event::read(&bytes))
    }

    fn shell(&self, script: &str) -> (Reply, String) {
        self.run(shell(script))
    }

    /// The output of a job that must succeed.
    fn output(&self, spec: JobSpec) -> String {
        let (reply, output) = self.run(spec);
        assert_eq!(reply, exited(0), "{output}");
        output
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
        access: system.map(|path| access(path, Rights::ReadExecute)).into(),
        umask: 0o022,
        local_sockets: true,
        ..JobSpec::default()
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

/// What a job that does nothing costs over a bare process; printed, since a busy machine decides nothing.
#[test]
fn cost_of_a_job() {
    const ROUNDS: usize = 300;
    let agent = Agent::start();
    let (mut bare, mut confined) = (Vec::new(), Vec::new());
    let input = File::open("/dev/null").unwrap();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        Command::new("/bin/true").status().unwrap();
        bare.push(start.elapsed());
        let start = Instant::now();
        let fds = [input.as_fd(), input.as_fd(), input.as_fd()];
        agent.ask(&Request::Run(Box::new(job(&["/bin/true"]))), &fds);
        confined.push(start.elapsed());
    }
    bare.sort();
    confined.sort();
    println!("bare {:?}, as a job {:?}", bare[ROUNDS / 2], confined[ROUNDS / 2]);
}

#[test]
fn a_program_that_is_not_there_fails_at_exec() {
    let agent = Agent::start();
    let failed = |program: &str| match agent.run(job(&[program])).0 {
        Reply::Failed { message, errno, at_exec: true } => {
            assert!(message.contains(program), "{message}");
            errno
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(failed("/usr/bin/not-there"), libc::ENOENT);
    assert_eq!(failed("/etc/passwd"), libc::EACCES);
}

#[test]
fn a_request_that_contradicts_itself_fails_alone() {
    let agent = Agent::start();
    let wrong: [fn(&mut JobSpec); 6] = [
        |spec| spec.descriptors = vec![0, 1],
        |spec| spec.descriptors = vec![0, 1, 1],
        |spec| spec.descriptors = vec![0, 1, -1],
        |spec| spec.cwd = b"relative".to_vec(),
        |spec| spec.env = vec![b"A=\0".to_vec()],
        |spec| spec.files = vec![("../escape".into(), Vec::new())],
    ];
    for change in wrong {
        let mut spec = job(&["/bin/true"]);
        change(&mut spec);
        match agent.run(spec).0 {
            Reply::Failed { at_exec: false, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(agent.run(job(&["/bin/true"])).0, exited(0));
}

#[test]
fn a_job_gets_what_was_asked_for_and_no_more() {
    let agent = Agent::start();
    let mut spec = shell("pwd; env | sort; ls /proc/self/fd | tr '\\n' ' '; ulimit -c; umask");
    spec.cwd = b"/usr/share".to_vec();
    let output = agent.output(spec);
    // 3 is the directory that ls reads.
    assert_eq!(output, "/usr/share\nHOME=/tmp/.home\nPATH=/usr/bin:/bin\nPWD=/usr/share\n0 1 2 3 0\n0022\n");
}

/// Where there is no cgroup the kernel counts the container's processes by its user namespace.
#[test]
fn the_kernel_refuses_more_processes_than_the_container_may_have() {
    let script = "for i in $(seq 60); do sleep 30 & done 2>&1; echo started";
    let agent = Agent::start_as_nobody();
    assert_eq!(agent.shell(script).1, "started\n", "control");
    let agent = Agent::start_as(Agent::as_nobody(), |config| config.pids = 40);
    let (_, output) = agent.shell(script);
    assert!(output.contains("annot fork"), "{output}");
    // One bomb is no other job's end.
    assert_eq!(agent.run(job(&["/bin/true"])).0, exited(0));
}

#[test]
fn the_kernels_limits_of_a_job_cannot_be_raised() {
    let agent = Agent::start_as(Command::new(PROGRAM), |config| {
        config.limits.open_files = Some(100);
        config.limits.file_size = Some(1 << 20);
    });
    let output = agent.output(shell("ulimit -n; ulimit -Hn; ulimit -n 101 || echo refused"));
    assert!(output.starts_with("100\n100\n") && output.ends_with("refused\n"), "{output}");
    // With less than one byte, a program to which the kernel pipes cores would still be started.
    let limits = agent.output(job(&["/bin/cat", "/proc/self/limits"]));
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
    let own = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    let expected = own.map_or(1, |own| own.min(1)).to_string();
    assert_eq!(core.split_whitespace().nth(4), Some(expected.as_str()), "{core}");
    let (reply, _) = agent.shell("head -c 2m /dev/zero > /tmp/large");
    assert_eq!(reply, exited(128 + libc::SIGXFSZ), "the shell's child was ended");
    let (reply, _) = agent.run(job(&["/bin/dd", "if=/dev/zero", "of=/tmp/large", "bs=1M", "count=2"]));
    assert_eq!(reply, Reply::Exceeded(Exceeded::FileSize { limit: Some(1 << 20) }));
}

#[test]
fn a_job_ends_when_its_time_is_up() {
    for agent in [Agent::start(), Agent::start_as_nobody(), Agent::start_flat()] {
        let budget = Budget { seconds: Some(1), ..Budget::default() };
        let spec = JobSpec { budget, ..shell("setsid sleep 60 & trap '' TERM INT; sleep 60") };
        assert_eq!(agent.run(spec).0, Reply::Exceeded(Exceeded::Time { seconds: 1 }));
    }
}

/// As with [`a_job_ends_when_its_time_is_up`], also where jobs have no namespaces of their own.
#[test]
fn a_job_with_too_many_processes_ends_alone() {
    let attempt = |command| {
        let agent = Agent::start_as(command, |config| config.limits.processes = 30);
        let (output, writer) = io::pipe().unwrap();
        let input = File::open("/dev/null").unwrap();
        let modest = agent.try_connect().unwrap();
        let spec = Box::new(shell("for i in $(seq 20); do sleep 5 & done; wait; echo done"));
        modest.send(&Request::Run(spec), &[input.as_fd(), writer.as_fd(), writer.as_fd()]).unwrap();
        drop(writer);
        let (reply, _) = agent.shell("for i in $(seq 60); do (setsid sleep 60 &) ; done; sleep 60");
        assert!(matches!(reply, Reply::Exceeded(Exceeded::Processes { limit: 30, .. })), "{reply:?}");
        assert_eq!(modest.read_reply().unwrap(), exited(0));
        assert_eq!(io::read_to_string(output).unwrap(), "done\n");
    };
    // Each has its five seconds at the same time.
    std::thread::scope(|scope| {
        for command in [Command::new(PROGRAM), Agent::as_nobody(), Agent::flat()] {
            scope.spawn(|| attempt(command));
        }
    });
}

#[test]
fn descriptors_get_their_numbers_also_when_these_are_odd() {
    let agent = Agent::start();
    let (mut output, writer) = io::pipe().unwrap();
    let files: Vec<File> = (0..6)
        .map(|index| {
            let mut file = tempfile::tempfile().unwrap();
            write!(file, "{index}").unwrap();
            io::Seek::rewind(&mut file).unwrap();
            file
        })
        .collect();
    // Reversed and overlapping with the numbers under which they arrive.
    let numbers = [9, 8, 7, 6, 5, 4];
    let mut spec = job(&["/bin/bash", "-c", "for fd in 4 5 6 7 8 9; do cat <&$fd; done"]);
    spec.descriptors = [&[0, 1, 200][..], &numbers].concat();
    let input = File::open("/dev/null").unwrap();
    let mut fds = vec![input.as_fd(), writer.as_fd(), input.as_fd()];
    fds.extend(files.iter().map(|file| file.as_fd()));
    let connection = agent.try_connect().unwrap();
    connection.send(&Request::Run(Box::new(spec)), &fds).unwrap();
    drop(writer);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!((connection.read_reply().unwrap(), text.as_str()), (exited(0), "543210"));
}

/// A script that leaves a process behind which has no parent, a session of its own, and ignores signals,
/// and which would show itself in a file.
const SURVIVOR: &str =
    "(setsid sh -c 'trap \"\" TERM HUP INT; sleep 0.3; echo alive > \"$0\"' \"$1\" &) & exit 7";

#[test]
fn nothing_survives_a_job() {
    for agent in [Agent::start(), Agent::start_flat()] {
        let directory = agent.path().join("out");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let file = directory.join("file");
        let mut spec = job(&["/bin/sh", "-c", SURVIVOR, "sh", file.to_str().unwrap()]);
        spec.access.push(access(&directory, Rights::WriteAll));
        let (mut output, writer) = io::pipe().unwrap();
        let connection = agent.try_connect().unwrap();
        let fds = [writer.as_fd(), writer.as_fd(), writer.as_fd()];
        connection.send(&Request::Run(Box::new(spec)), &fds).unwrap();
        drop(writer);
        assert_eq!(connection.read_reply().unwrap(), exited(7));
        // Whoever is alive holds the pipe; nobody may, as soon as the reply is there.
        rustix::fs::fcntl_setfl(&output, rustix::fs::OFlags::NONBLOCK).unwrap();
        assert_eq!(output.read(&mut [0]).unwrap(), 0);
        std::thread::sleep(Duration::from_millis(500));
        assert!(!file.exists());
    }
}

#[test]
fn a_job_ends_when_its_wrapper_disappears() {
    for agent in [Agent::start(), Agent::start_flat()] {
        let (mut output, writer) = io::pipe().unwrap();
        let connection = agent.try_connect().unwrap();
        let script = "trap '' TERM HUP INT; (setsid sleep 600 &); echo started; sleep 600";
        let fds = [writer.as_fd(), writer.as_fd(), writer.as_fd()];
        connection.send(&Request::Run(Box::new(shell(script))), &fds).unwrap();
        drop(writer);
        let mut started = [0; 8];
        output.read_exact(&mut started).unwrap();
        drop(connection);
        let start = Instant::now();
        output.read_to_end(&mut Vec::new()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[test]
fn jobs_run_beside_each_other_and_a_slow_peer_holds_up_nobody() {
    let agent = Agent::start();
    let slow = agent.try_connect().unwrap();
    let null = File::open("/dev/null").unwrap();
    let jobs: Vec<_> = (0..8)
        .map(|_| {
            let connection = agent.try_connect().unwrap();
            connection.send(&Request::Run(Box::new(shell("sleep 1"))), &[null.as_fd(); 3]).unwrap();
            connection
        })
        .collect();
    let start = Instant::now();
    assert_eq!(agent.shell("exit 3").0, exited(3));
    assert!(start.elapsed() < Duration::from_millis(900));
    assert!(jobs.iter().all(|job| job.read_reply().unwrap() == exited(0)));
    assert!(start.elapsed() < Duration::from_secs(4));
    drop(slow);
}

/// Process group, session and terminal of the shell that runs it, as seen in its own process namespace, and whether it has a
/// terminal to open.
const TERMINAL: &str = "read -r number _ _ _ group session terminal _ < /proc/self/stat; \
    test $number = $group && echo own group; echo session $session terminal $terminal; (: < /dev/tty) 2>&1";

#[test]
fn a_job_has_a_process_group_of_its_own_and_no_terminal() {
    // The attack: what is started in a session that has a terminal opens it.
    let (_master, controlling) = terminal::pair();
    let mut command = Command::new("/bin/sh");
    terminal::control(command.args(["-c", TERMINAL]), controlling);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    assert!(!output.contains("terminal 0") && !output.contains("/dev/tty"), "{output}");

    for mut command in [Command::new(PROGRAM), Agent::flat()] {
        let (_master, controlling) = terminal::pair();
        terminal::control(&mut command, controlling);
        let agent = Agent::start_as(command, |_| {});
        let (_, output) = agent.run(shell(TERMINAL));
        assert!(output.starts_with("own group\n"), "{output}");
        assert!(output.contains("terminal 0\n") && output.contains("/dev/tty"), "{output}");
        // A program may lead a session if it likes, as it may under cargo.
        assert_eq!(agent.output(shell("setsid -w echo led")), "led\n");
    }
}

#[test]
fn what_is_not_listed_is_neither_read_nor_written() {
    for agent in [Agent::start(), Agent::start_flat()] {
        let directory = agent.path().join("secret");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "secret").unwrap();
        for path in [&directory, &directory.join("file")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let path = directory.to_str().unwrap();
        let attempts = [
            format!("cat {path}/file"),
            format!("ls {path}"),
            format!("echo x > {path}/file"),
            format!("echo x > {path}/new"),
            format!("rm {path}/file"),
            format!("mv {path}/file {path}/other"),
            format!("mkdir {path}/new"),
            format!("ln {path}/file /tmp/link"),
            format!("truncate -s 0 {path}/file"),
        ];
        for attempt in attempts {
            assert_ne!(agent.shell(&attempt).0, exited(0), "{attempt}");
        }
        let mut spec = shell(&format!("cat {path}/file"));
        spec.access.push(access(&directory, Rights::Read));
        assert_eq!(agent.output(spec), "secret");
        let mut spec = shell(&format!("echo x > {path}/file"));
        spec.access.push(access(&directory, Rights::Read));
        assert_ne!(agent.run(spec).0, exited(0));
        assert_eq!(fs::read_to_string(directory.join("file")).unwrap(), "secret");
    }
}

/// The rules for what all jobs have are made before a job comes: one that has less must not find them made.
#[test]
fn a_job_that_has_less_than_others_gets_less() {
    let agent = Agent::start();
    let script = "ls /usr/share > /dev/null && echo read";
    for _ in 0..3 {
        assert_eq!(agent.shell(script).1, "read\n");
        let mut spec = shell(&format!("{script}; echo on"));
        spec.access.retain(|access| access.path != b"/usr");
        for path in ["/usr/bin", "/usr/lib", "/usr/lib64"] {
            spec.access.push(access(path, Rights::ReadExecute));
        }
        let said = agent.output(spec);
        assert!(said.contains("Permission denied") && said.ends_with("on\n"), "{said}");
    }
}

#[test]
fn a_plain_directory_takes_plain_files_alone() {
    let agent = Agent::start();
    let plain = agent.path().join("plain");
    let all = agent.path().join("all");
    for directory in [&plain, &all] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let run = |script: &str, directory: &Path| {
        let mut spec = shell(script);
        spec.cwd = directory.to_str().unwrap().into();
        spec.access.push(access(&plain, Rights::WritePlain));
        spec.access.push(access(&all, Rights::WriteAll));
        agent.run(spec)
    };
    let socket =
        "perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0); bind(S,sockaddr_un(\"sock\")) or exit 1'";
    for script in ["ln -s /etc/passwd link", "mkfifo fifo", socket, "cp /bin/true x && chmod 755 x && ./x"] {
        let (reply, output) = run(script, &all);
        assert_eq!(reply, exited(0), "{script}: {output}");
        assert_ne!(run(script, &plain).0, exited(0), "{script}");
    }
    assert_ne!(run("mv link ../plain/link", &all).0, exited(0), "a link by renaming");
    for script in ["echo 1 > file", "mkdir sub && mv file sub/file", "ln sub/file twin", "rm -r sub twin"] {
        let (reply, output) = run(script, &plain);
        assert_eq!(reply, exited(0), "{script}: {output}");
    }
}

/// A job cannot have another directory opened to it by putting a link in the place of its own.
#[test]
fn a_writable_path_through_a_link_is_refused() {
    let agent = Agent::start();
    std::os::unix::fs::symlink("/etc", agent.path().join("link")).unwrap();
    let mut spec = shell("true");
    spec.access.push(access(agent.path().join("link"), Rights::WriteAll));
    match agent.run(spec).0 {
        Reply::Failed { errno: libc::ELOOP, at_exec: false, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_come_with_the_job_and_cannot_be_changed() {
    let agent = Agent::start();
    let attempts =
        "cd /tmp/.cargo-sandbox; echo x > args; rm -f args; chmod 777 args; mv /tmp/.cargo-sandbox /tmp/x";
    let mut spec = shell(&format!("({attempts}) 2>/dev/null; cat /tmp/.cargo-sandbox/args"));
    spec.files = vec![("args".into(), b"--edition=2024".to_vec())];
    assert_eq!(agent.output(spec), "--edition=2024");
    // Without mounts they are elsewhere, and arguments follow.
    let agent = Agent::start_flat();
    let mut spec = job(&["/bin/cat", "/tmp/.cargo-sandbox/args"]);
    spec.files = vec![("args".into(), b"--edition=2024".to_vec())];
    assert_eq!(agent.output(spec), "--edition=2024");
}

#[test]
fn temporary_files_and_homes_are_private_and_gone_with_the_job() {
    let agent = Agent::start();
    let script = "ls -A /tmp /dev/shm; echo x > /tmp/x; echo y > /dev/shm/y; echo z > ~/z; stat -c %a ~";
    for _ in 0..2 {
        assert_eq!(agent.output(shell(script)), "/dev/shm:\n\n/tmp:\n.home\n700\n");
    }
    assert_ne!(agent.shell("head -c 100m /dev/zero > /tmp/big").0, exited(0), "larger than the limit");
}

#[test]
fn a_job_sees_its_own_processes_alone() {
    let agent = Agent::start();
    let other = agent.try_connect().unwrap();
    let null = File::open("/dev/null").unwrap();
    other.send(&Request::Run(Box::new(shell("sleep 600"))), &[null.as_fd(); 3]).unwrap();
    let output = agent.output(shell("cd /proc && echo [0-9]*"));
    assert_eq!(output, "1 2\n");
    let (_, output) =
        agent.shell("cat /proc/1/environ /proc/1/maps /proc/1/auxv; kill -9 1; cat /proc/1/comm");
    assert!(output.lines().filter(|line| line.contains("denied")).count() >= 3, "{output}");
    assert!(output.ends_with("cargo-sandbox\n"), "{output}");
    assert_ne!(agent.shell("echo 1 > /proc/sys/kernel/ns_last_pid").0, exited(0));
    assert_ne!(agent.shell("echo 0 > /proc/self/oom_score_adj").0, exited(0), "read-only");
}

#[test]
fn the_agents_socket_is_out_of_reach_for_a_job() {
    let script = |path: &Path| {
        let path = path.to_str().unwrap();
        let perl = "socket(S,AF_UNIX,SOCK_STREAM,0); connect(S,sockaddr_un($ARGV[0])) or exit 9; \
                    sysread(S,$b,1) or exit 8; exit 0";
        job(&["/usr/bin/perl", "-MSocket", "-e", perl, path])
    };
    let agent = Agent::start();
    let socket = agent.path().join("run").join(AGENT_SOCKET);
    assert_eq!(agent.run(script(&socket)).0, exited(9), "covered by a mount");
    let agent = Agent::start_flat();
    let socket = agent.path().join("run").join(AGENT_SOCKET);
    assert_eq!(agent.run(script(&socket)).0, exited(8), "recognised as a process of the container");
}

#[test]
fn without_namespaces_a_job_gets_no_network_and_no_sockets_of_its_own() {
    let agent = Agent::start_flat();
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let network = JobNetwork { hosts: String::new(), listeners: Vec::new() };
    let spec = JobSpec { network: Some(network), descriptors: Vec::new(), ..shell("true") };
    let reply = agent.ask(&Request::Run(Box::new(spec)), &[theirs.as_fd()]);
    let Reply::Failed { message, .. } = reply else { panic!("{reply:?}") };
    assert!(message.contains("cannot make a network of its own"), "{message}");
    let sockets = vec![b"/run/postgresql/socket".to_vec()];
    let spec = JobSpec { sockets, descriptors: Vec::new(), ..shell("true") };
    let reply = agent.ask(&Request::Run(Box::new(spec)), &[theirs.as_fd()]);
    let Reply::Failed { message, .. } = reply else { panic!("{reply:?}") };
    assert!(message.contains("cannot give the job its Unix sockets"), "{message}");
}

#[test]
fn abstract_sockets_of_others_are_out_of_reach() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("agent-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let perl = "socket(S,AF_UNIX,SOCK_STREAM,0); connect(S,pack('Sa*',AF_UNIX,\"\\0$ARGV[0]\")) or exit 9";
    assert!(Command::new("/usr/bin/perl").args(["-MSocket", "-e", perl, &name]).status().unwrap().success());
    let agent = Agent::start();
    assert_eq!(agent.run(job(&["/usr/bin/perl", "-MSocket", "-e", perl, &name])).0, exited(9));
}

/// Not a test of its own: what `refused_system_calls` has a job do. Prints each call's error.
#[test]
#[ignore = "runs as a job of another test"]
fn system_calls_of_a_job() {
    let zero = [0_u64; 64];
    let pointer = zero.as_ptr() as usize;
    let path = c"/tmp/node".as_ptr() as usize;
    let calls: &[(&str, libc::c_long, [usize; 5])] = &[
        ("ptrace", libc::SYS_ptrace, [0, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, pointer, 1, pointer, 1]),
        ("kcmp", libc::SYS_kcmp, [1, 1, 0, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, 0, 0, 0, 0]),
        ("add_key", libc::SYS_add_key, [pointer, pointer, pointer, 0, 0]),
        ("bpf", libc::SYS_bpf, [0, pointer, 64, 0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [pointer, 0, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, pointer, 0, 0, 0]),
        ("mount", libc::SYS_mount, [path, path, path, 0, 0]),
        ("umount2", libc::SYS_umount2, [path, 0, 0, 0, 0]),
        ("open_tree", libc::SYS_open_tree, [0, path, 1, 0, 0]),
        ("mount_setattr", libc::SYS_mount_setattr, [0, path, 0, pointer, 32]),
        ("unshare", libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0, 0, 0, 0, 0]),
        ("clone", libc::SYS_clone, [0x1000_0011, 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [pointer, 88, 0, 0, 0]),
        ("chroot", libc::SYS_chroot, [c"/".as_ptr() as usize, 0, 0, 0, 0]),
        ("personality", libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0]),
        ("AF_VSOCK", libc::SYS_socket, [40, 1, 0, 0, 0]),
        ("AF_ALG", libc::SYS_socket, [38, 5, 0, 0, 0]),
        ("AF_PACKET", libc::SYS_socket, [17, 3, 0, 0, 0]),
        ("NETLINK_NETFILTER", libc::SYS_socket, [16, 3, 12, 0, 0]),
        ("SOCK_RAW", libc::SYS_socket, [2, 3, 1, 0, 0]),
        ("TIOCSTI", libc::SYS_ioctl, [0, 0x5412, pointer, 0, 0]),
        ("TIOCLINUX", libc::SYS_ioctl, [0, 0x541c, pointer, 0, 0]),
        ("device", libc::SYS_mknodat, [libc::AT_FDCWD as usize, path, 0o20666, 0x103, 0]),
        ("setuid", libc::SYS_fchmodat, [libc::AT_FDCWD as usize, c"/tmp".as_ptr() as usize, 0o4755, 0, 0]),
        ("setuid file", libc::SYS_openat, [libc::AT_FDCWD as usize, path, 0o101, 0o4755, 0]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0, pointer, 0, 0, 0]),
        ("fanotify_init", libc::SYS_fanotify_init, [0, 0, 0, 0, 0]),
        ("syslog", libc::SYS_syslog, [10, 0, 0, 0, 0]),
        ("settimeofday", libc::SYS_settimeofday, [0, 0, 0, 0, 0]),
        ("finit_module", libc::SYS_finit_module, [0, path, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0]),
        ("swapon", libc::SYS_swapon, [path, 0, 0, 0, 0]),
        ("quotactl", libc::SYS_quotactl, [0, path, 0, pointer, 0]),
        ("acct", libc::SYS_acct, [path, 0, 0, 0, 0]),
        ("x32 getpid", 0x4000_0000 | libc::SYS_getpid, [0, 0, 0, 0, 0]),
        ("getpid", libc::SYS_getpid, [0, 0, 0, 0, 0]),
        ("AF_INET", libc::SYS_socket, [2, 1, 0, 0, 0]),
        ("NETLINK_ROUTE", libc::SYS_socket, [16, 3, 0, 0, 0]),
        ("plain file", libc::SYS_openat, [libc::AT_FDCWD as usize, path, 0o101, 0o644, 0]),
    ];
    for (name, number, [a, b, c, d, e]) in calls {
        // SAFETY: pointers are to memory that lives here and that no call writes to: those that would are
        // refused, or fail on these arguments.
        let result = unsafe { libc::syscall(*number, *a, *b, *c, *d, *e) };
        let error = if result < 0 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 };
        println!("\n=> {name}: {error}");
    }
}

#[test]
fn refused_system_calls() {
    let agent = Agent::start();
    // Not below /tmp, where the job has its own.
    let program = agent.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let program = program.to_str().unwrap();
    let arguments = ["--ignored", "--exact", "system_calls_of_a_job", "--nocapture", "--test-threads=1"];
    let mut spec = job(&[&[program][..], &arguments].concat());
    spec.access.push(access(program, Rights::ReadExecute));
    let output = agent.output(spec);
    let results: Vec<_> =
        output.lines().filter_map(|line| line.strip_prefix("=> ")?.split_once(": ")).collect();
    assert_eq!(results.len(), 43, "{output}");
    for (name, error) in results {
        let wanted: &[i32] = match name {
            "getpid" | "AF_INET" | "NETLINK_ROUTE" | "plain file" => &[0],
            "io_uring_setup" | "clone3" | "x32 getpid" => &[libc::ENOSYS],
            "AF_VSOCK" | "AF_ALG" | "AF_PACKET" | "NETLINK_NETFILTER" => &[libc::EAFNOSUPPORT],
            _ => &[libc::EPERM],
        };
        assert!(wanted.contains(&error.parse().unwrap()), "{name}: {error}");
    }
}

fn status_of(agent: &Agent, field: &str) -> String {
    let report = agent.report();
    report.agent_status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

#[test]
fn a_thousand_jobs_leave_nothing_behind() {
    for (agent, jobs) in [(Agent::start(), 1000), (Agent::start_flat(), 200)] {
        let null = File::open("/dev/null").unwrap();
        let run = || agent.ask(&Request::Run(Box::new(job(&["/bin/true"]))), &[null.as_fd(); 3]);
        for _ in 0..20 {
            assert_eq!(run(), exited(0));
        }
        let before = (status_of(&agent, "FDSize:"), status_of(&agent, "VmData:"));
        for _ in 0..jobs {
            assert_eq!(run(), exited(0));
        }
        assert_eq!((status_of(&agent, "FDSize:"), status_of(&agent, "VmData:")), before);
        // The last job's init may still be on its way out.
        let start = Instant::now();
        while zombies_below(agent.process.id()) > 0 {
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }
}

fn zombies_below(pid: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let is_zombie =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") Z ");
    children
        .split_whitespace()
        .map(|child| usize::from(is_zombie(child)) + zombies_below(child.parse().unwrap()))
        .sum()
}

#[test]
fn the_agent_ends_when_idle() {
    let mut agent = Agent::start_with(1, Command::new(PROGRAM));
    assert_eq!(agent.shell("sleep 1.5").0, exited(0), "a job is not idleness");
    let start = Instant::now();
    assert!(agent.process.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn told_to_stop_the_agent_ends_with_its_last_job() {
    let mut agent = Agent::start();
    let job = agent.try_connect().unwrap();
    let null = File::open("/dev/null").unwrap();
    job.send(&Request::Run(Box::new(shell("sleep 0.5; exit 5"))), &[null.as_fd(); 3]).unwrap();
    assert_eq!(agent.ask(&Request::Stop, &[]), Reply::Stopping);
    assert!(agent.try_connect().is_err());
    assert_eq!(job.read_reply().unwrap(), exited(5));
    assert!(agent.process.wait().unwrap().success());
}

#[test]
fn everything_ends_with_the_agent() {
    let mut agent = Agent::start();
    let (mut output, writer) = io::pipe().unwrap();
    let connection = agent.try_connect().unwrap();
    connection.send(&Request::Run(Box::new(shell("sleep 600"))), &[writer.as_fd(); 3]).unwrap();
    drop(writer);
    // Answered only by an agent that has taken the request before.
    agent.report();
    agent.process.kill().unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
    assert!(connection.read_reply().is_err());
}

#[test]
fn what_is_enforced_is_read_back() {
    for agent in [Agent::start(), Agent::start_as_nobody()] {
        let report = agent.report();
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

/// What leads to a mount is on a small file system of the agent's; everything else is what the container has there.
#[test]
fn the_root_of_a_job_is_a_small_one_with_all_that_the_containers_has() {
    for agent in [Agent::start(), Agent::start_as_nobody()] {
        let report = agent.report();
        let root = |mounts: &str| -> Vec<String> {
            mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/")).map(str::to_owned).collect()
        };
        let [root] = &root(&report.job_mountinfo)[..] else { panic!("{}", report.job_mountinfo) };
        assert!(root.contains(" / / ro,nosuid,nodev") && root.contains(" - tmpfs "), "{root}");

        let script = "readlink /bin; stat -c %A /usr /tmp /var/tmp; cat /etc/hostname; ls -A /";
        let mut spec = shell(script);
        spec.access.push(access("/", Rights::Read));
        let here = Command::new("/bin/sh").args(["-c", script]).output().unwrap();
        assert_eq!(agent.output(spec), String::from_utf8_lossy(&here.stdout));
        assert_ne!(agent.shell("mkdir /new").0, exited(0));
    }
}

/// What an observed job does is told, in each of the ways that jobs are kept in, and changes nothing for it.
#[test]
fn an_observed_job_is_told_of_and_does_what_it_does_otherwise() {
    let script = "cat /etc/hostname >/dev/null; echo x >/tmp/new; mv /tmp/new /tmp/moved; /bin/echo a b; \
                  cat /nowhere/secret 2>/dev/null; cat /etc/shadow >/dev/null 2>&1; exit 7";
    for agent in [Agent::start(), Agent::start_as_nobody(), Agent::start_flat()] {
        let mut spec = shell(script);
        if agent.report().process_tree == "subreaper" {
            spec = shell(&script.replace("/tmp/", "$TMPDIR/"));
        }
        let (reply, output, events) = agent.observe(Closeness::Record, spec);
        assert_eq!((reply, output.as_str()), (exited(7), "a b\n"));
        let file = |act: Act, end: &str, found: bool| {
            let is = |event: &&Event| {
                matches!(event, Event::File { act: own, path, found: was }
                if *own == act && path.ends_with(end.as_bytes()) && *was == found)
            };
            assert_eq!(events.iter().filter(is).count(), 1, "{act:?} {end} {events:#?}");
        };
        file(Act::Read, "/etc/hostname", true);
        file(Act::Write, "/new", false);
        file(Act::Remove, "/new", true);
        file(Act::Write, "/moved", false);
        file(Act::Read, "/nowhere/secret", false);
        file(Act::Read, "/etc/shadow", true);
        let echo = events.iter().find_map(|event| match event {
            Event::Program { path, argv, found: true } if path.ends_with(b"/echo") => Some(argv.clone()),
            _ => None,
        });
        assert_eq!(echo.unwrap(), [b"/bin/echo".to_vec(), b"a".to_vec(), b"b".to_vec()]);
        // The job's own program is known to who asked for it.
        assert!(
            !events.iter().any(|event| matches!(event, Event::Program { path, .. } if path.ends_with(b"sh")))
        );
        let Some(Event::End { peak, .. }) = events.last() else { panic!("{events:?}") };
        assert!(*peak > 100 << 10, "{peak}");
    }
}

#[test]
fn an_observed_job_is_told_of_where_it_wanted_to() {
    let agent = Agent::start();
    let script = "bash -c 'echo >/dev/tcp/192.0.2.1/443'; bash -c 'echo >/dev/tcp/127.0.0.1/9'; \
                  getent ahosts some.example.invalid; [ -e /home ]; true";
    let (reply, output, events) = agent.observe(Closeness::Refusals, shell(script));
    assert_eq!(reply, exited(0), "{output}");
    let connect = |address: &str| {
        assert!(
            events.contains(&Event::Address { reach: Reach::Connect, address: address.into() }),
            "{events:?}"
        );
    };
    connect("192.0.2.1:443");
    connect("127.0.0.1:9");
    assert!(
        events.contains(&Event::File { act: Act::Look, path: b"/home".to_vec(), found: true }),
        "{events:?}"
    );
    let looked_up = |event: &Event| matches!(event, Event::Lookup(name) if name == "some.example.invalid");
    assert!(events.iter().any(looked_up), "{events:?}");
}

/// The listener has a say in nothing but what the filter refuses, and refuses that as the filter does.
#[test]
fn an_observed_job_is_refused_what_every_job_is() {
    let script = "unshare --user true; echo $?; mount -t tmpfs x /tmp; echo $?; cat /var/tmp; echo $?; \
                  chmod 4755 $HOME 2>/dev/null; echo $?; (sleep 60 &); exit 3";
    for agent in [Agent::start(), Agent::start_as_nobody(), Agent::start_flat()] {
        let (plain, said) = agent.shell(script);
        let (reply, output, events) = agent.observe(Closeness::Record, shell(script));
        assert_eq!((&reply, &output), (&plain, &said), "the same as without");
        assert_eq!(reply, exited(3));
        assert!(output.contains("not permitted") && !output.contains("\n0\n"), "{output}");
        let refused = |name: &str| {
            let is = |event: &Event| matches!(event, Event::Refused { number, errno: libc::EPERM } if calls::name(*number) == name);
            assert!(events.iter().any(is), "{name}: {events:?}");
        };
        refused("unshare");
        refused("fchmodat");
    }
}

/// Signals, threads, forks and descriptors as ever: a compiler and its linker.
#[test]
fn an_observed_job_may_be_large() {
    let agent = Agent::start();
    let script = "cd /tmp; for i in $(seq 200); do (cat /etc/passwd /etc/group >/dev/null) & done; wait; \
                  printf 'int main(){return 0;}' >a.c; cc a.c -o a && ./a; echo $?; kill -TERM $$";
    let (reply, output, events) = agent.observe(Closeness::Refusals, shell(script));
    assert_eq!((reply, output.as_str()), (Reply::Exited { wait_status: libc::SIGTERM }, "0\n"));
    let programs = events.iter().filter(|event| matches!(event, Event::Program { found: true, .. })).count();
    assert!(programs > 4, "{programs}");
    assert!(matches!(events.last(), Some(Event::End { .. })));
}
