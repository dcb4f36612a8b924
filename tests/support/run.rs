//! A command with a time limit and its whole output.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a command did.
#[derive(Debug, Clone)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
}

impl Output {
    /// The exit code, or 128 + the signal as a shell counts it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Fails the test with everything the command said unless it succeeded.
    #[track_caller]
    pub fn success(self, what: &str) -> Self {
        assert!(
            self.status.success(),
            "{what}: {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

/// A command that was started in a process group of its own, so that it can be signalled as a terminal does.
pub struct Running {
    child: Child,
    started: Instant,
    what: String,
    output: mpsc::Receiver<(bool, Vec<u8>)>,
}

/// Starts a command without input.
pub fn spawn(command: &mut Command) -> Running {
    start(command, None)
}

/// Starts a command, with a pipe to read this from if there is any.
fn start(command: &mut Command, input: Option<&str>) -> Running {
    let what = format!("{command:?}");
    let started = Instant::now();
    let mut child = command
        .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        let input = input.to_owned();
        // Who reads none of it closes the pipe.
        std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    }
    let (sender, output) = mpsc::channel();
    let read = |mut pipe: Box<dyn Read + Send>, is_stdout: bool| {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            let _ = sender.send((is_stdout, bytes));
        });
    };
    read(Box::new(child.stdout.take().expect("piped")), true);
    read(Box::new(child.stderr.take().expect("piped")), false);
    Running { child, started, what, output }
}

impl Running {
    /// The process id, and the id of its process group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Signals the process alone.
    pub fn signal(&self, signal: i32) {
        kill(self.child.id().cast_signed(), signal);
    }

    /// Signals the process group, as Ctrl-C in a terminal does.
    pub fn signal_group(&self, signal: i32) {
        kill(-self.child.id().cast_signed(), signal);
    }

    /// Waits for the end and for all output. Whoever still holds the output open a moment after the end
    /// would hang every pipeline that the command is part of: that is a failure.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Output {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if self.started.elapsed() > limit {
                self.signal_group(libc::SIGKILL);
                let _ = self.child.wait();
                let said = self.collect(Duration::from_secs(2)).map_or_else(String::new, |(_, err)| err);
                panic!("{} did not end in {limit:?}; it said:\n{said}", self.what);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let elapsed = self.started.elapsed();
        let (stdout, stderr) = self
            .collect(Duration::from_secs(5))
            .unwrap_or_else(|| panic!("{} has ended but something holds its output open", self.what));
        Output { status, stdout, stderr, elapsed }
    }

    fn collect(&self, limit: Duration) -> Option<(String, String)> {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        for _ in 0..2 {
            let (is_stdout, bytes) = self.output.recv_timeout(limit).ok()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            *if is_stdout { &mut stdout } else { &mut stderr } = text;
        }
        Some((stdout, stderr))
    }
}

/// Runs a command to its end; far more time than it needs, so that only a hang is caught.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    spawn(command).wait(limit())
}

/// `CSB_TEST_LIMIT` seconds: some crates of the corpus compile for longer than the ten minutes that are enough elsewhere.
fn limit() -> Duration {
    let seconds = std::env::var("CSB_TEST_LIMIT").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(600))
}

/// The same with a pipe to read this from, if there is any.
#[track_caller]
pub fn run_with(command: &mut Command, input: Option<&str>) -> Output {
    start(command, input).wait(limit())
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// Runs the front end and expects cargo's exit code for a failure, and words on standard error.
#[track_caller]
pub fn fails(command: &mut Command, words: &[&str]) -> Output {
    let output = run(command);
    assert_eq!(output.code(), 101, "{}\n{}", output.stdout, output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
    }
    output
}
