//! Connections that are handed to a process that waits for its job (`src/agent/spare.rs`).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use cargo_sandbox::agent::client::{AgentConnection, Outlook};
use cargo_sandbox::agent::protocol::{Budget, Exceeded, JobSpec, Reply, Request, Rights};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Agent, access, exited, job, shell};

/// A connection that a process waits at which becomes the job that comes on it.
fn handed(agent: &Agent) -> AgentConnection {
    // This makes the agent have a spare that has no connection.
    assert_eq!(agent.run(job(&["/bin/true"])).0, exited(0));
    let connection = agent.try_connect().unwrap();
    // One is made for it when the agent has nothing to do behind a job.
    assert_eq!(agent.run(job(&["/bin/true"])).0, exited(0));
    let start = Instant::now();
    while connection.outlook() != Outlook::Ready {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waits at the connection");
        std::thread::sleep(Duration::from_millis(1));
    }
    connection
}

/// Sends a shell's job and reads its output to the end.
fn run_on(connection: &AgentConnection, spec: JobSpec) -> (Reply, String) {
    let (mut output, writer) = io::pipe().unwrap();
    let input = File::open("/dev/null").unwrap();
    let fds = [input.as_fd(), writer.as_fd(), writer.as_fd()];
    connection.send(&Request::Run(Box::new(spec)), &fds).unwrap();
    drop(writer);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    (connection.read_reply().unwrap(), text)
}

#[test]
fn a_process_that_waits_takes_its_job_without_the_agent() {
    let agent = Agent::start();
    let script = "echo hello; ls -l /proc/self/fd | wc -l; grep -c . /proc/mounts; exit 3";
    let (reply, own) = run_on(&handed(&agent), shell(script));
    assert_eq!(reply, exited(3));
    // What it is given, and what it sees, is what a job has that the agent starts.
    let plain = agent.shell(script);
    assert_eq!((reply, own), plain);
    // It is watched as every job is.
    let connection = handed(&agent);
    let budget = Budget { seconds: Some(1), ..Budget::default() };
    let (reply, _) = run_on(&connection, JobSpec { budget, ..shell("sleep 100") });
    assert_eq!(reply, Reply::Exceeded(Exceeded::Time { seconds: 1 }));
    // So are signals, and its end with the connection.
    let connection = handed(&agent);
    let (mut output, writer) = io::pipe().unwrap();
    let fds = [writer.as_fd(), writer.as_fd(), writer.as_fd()];
    let script = "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.01; done";
    connection.send(&Request::Run(Box::new(shell(script))), &fds).unwrap();
    drop(writer);
    let mut said = [0; 6];
    output.read_exact(&mut said).unwrap();
    connection.signal(libc::SIGINT).unwrap();
    assert_eq!(connection.read_reply().unwrap(), exited(7));
    let connection = handed(&agent);
    let (mut output, writer) = io::pipe().unwrap();
    let fds = [writer.as_fd(), writer.as_fd(), writer.as_fd()];
    connection.send(&Request::Run(Box::new(shell("echo ready; sleep 100"))), &fds).unwrap();
    drop(writer);
    output.read_exact(&mut said).unwrap();
    drop(connection);
    // The pipe ends when nobody has it.
    output.read_to_end(&mut Vec::new()).unwrap();
}

/// Child processes of one.
fn children(process: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    list.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// The agent that serves, which is a child of what was started.
fn serving(agent: &Agent) -> i32 {
    let all = children(agent.process.id().cast_signed());
    let [serving] = all[..] else { panic!("{all:?}") };
    serving
}

fn send(process: i32, signal: i32) {
    // SAFETY: takes two numbers; the process is one that this test has started, and has not been waited for.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

#[test]
fn a_success_needs_no_agent_and_everything_else_does() {
    let agent = Agent::start();
    for (script, answered) in [("echo done", true), ("echo done; exit 9", false)] {
        let connection = handed(&agent);
        let serving = serving(&agent);
        send(serving, libc::SIGSTOP);
        let (mut output, writer) = io::pipe().unwrap();
        connection.send(&Request::Run(Box::new(shell(script))), &[writer.as_fd(); 3]).unwrap();
        drop(writer);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "done\n");
        let mut polled = [PollFd::new(&connection, PollFlags::IN)];
        let wait = Timespec { tv_sec: if answered { 10 } else { 0 }, tv_nsec: 300_000_000 };
        assert_eq!(poll(&mut polled, Some(&wait)).unwrap(), usize::from(answered), "{script}");
        send(serving, libc::SIGCONT);
        assert_eq!(connection.read_reply().unwrap(), exited(if answered { 0 } else { 9 }));
    }
    // Whatever it has missed in between.
    assert_eq!(agent.shell("exit 5").0, exited(5));
}

#[test]
fn a_connection_whose_process_is_killed_is_closed_and_the_next_is_served() {
    let agent = Agent::start();
    let connection = handed(&agent);
    let inits = children(serving(&agent));
    inits.iter().for_each(|init| send(*init, libc::SIGKILL));
    let alive = |init: &i32| {
        std::fs::read_to_string(format!("/proc/{init}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    let start = Instant::now();
    // The kernel takes its time, and the agent looks at the one without a connection when it needs it.
    while connection.outlook() != Outlook::Gone || inits.iter().any(alive) {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody would answer on it");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(agent.shell("exit 5").0, exited(5));
}

#[test]
fn what_a_process_that_waits_cannot_do_the_agent_does() {
    let agent = Agent::start();
    // A file of its own needs a mount, which the filter forbids to it already.
    let files = vec![("word".to_owned(), b"content".to_vec())];
    let spec = JobSpec { files, ..shell("cat /tmp/.cargo-sandbox/word") };
    assert_eq!(run_on(&handed(&agent), spec), (exited(0), "content".to_owned()));
    // More than a socket's buffer holds, on its way back as well.
    let env = vec![vec![b'x'; 100_000]; 10];
    let files = vec![("word".to_owned(), vec![b'y'; 1 << 20])];
    let spec = JobSpec { files, env, ..shell("wc -c < /tmp/.cargo-sandbox/word") };
    assert_eq!(run_on(&handed(&agent), spec), (exited(0), "1048576\n".to_owned()));
    // Less than all of what is common to jobs.
    let own = |path| access(path, Rights::ReadExecute);
    let spec = JobSpec {
        access: vec![own("/bin"), own("/lib"), own("/lib64"), own("/usr/bin"), own("/usr/lib")],
        ..shell("ls /usr/share >/dev/null 2>&1 || echo refused")
    };
    assert_eq!(run_on(&handed(&agent), spec), (exited(0), "refused\n".to_owned()));
    // Other requests.
    let connection = handed(&agent);
    connection.send(&Request::Report, &[]).unwrap();
    assert!(matches!(connection.read_reply().unwrap(), Reply::Enforced(_)));
    let (request, spec) = (handed(&agent), JobSpec { cwd: b"relative".to_vec(), ..shell("true") });
    assert!(matches!(run_on(&request, spec).0, Reply::Failed { .. }));
    assert_eq!(agent.shell("exit 5").0, exited(5));
}

#[test]
fn nobody_waits_at_a_connection_that_is_closed_or_of_an_agent_that_stops() {
    let mut agent = Agent::start();
    drop(handed(&agent));
    assert_eq!(agent.shell("exit 4").0, exited(4));
    let connection = handed(&agent);
    assert_eq!(agent.ask(&Request::Stop, &[]), Reply::Stopping);
    let start = Instant::now();
    while agent.process.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(10), "the agent waits for a job that nobody has sent");
        std::thread::sleep(Duration::from_millis(1));
    }
    // As on any connection of an agent that is gone: the job was not taken, and can be sent to the next one.
    let error = connection.send(&Request::Run(Box::new(shell("true"))), &[]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_job_that_was_taken_runs_on_though_the_agent_was_told_to_stop() {
    for delay in [0, 100, 300, 1000, 3000].into_iter().map(Duration::from_micros) {
        let agent = Agent::start();
        let (connection, other) = (handed(&agent), agent.try_connect().unwrap());
        let null = File::open("/dev/null").unwrap();
        let sent = connection.send(&Request::Run(Box::new(shell("sleep 0.2; exit 0"))), &[null.as_fd(); 3]);
        std::thread::sleep(delay);
        other.send(&Request::Stop, &[]).unwrap();
        sent.unwrap();
        assert_eq!(connection.read_reply().unwrap(), exited(0), "{delay:?}");
    }
}

#[test]
fn a_timed_job_says_when_it_came_how_far() {
    let agent = Agent::start();
    for connection in [|agent: &Agent| agent.try_connect().unwrap(), handed] {
        let connection = connection(&agent);
        let null = File::open("/dev/null").unwrap();
        let spec = JobSpec { timed: true, ..shell("exit 6") };
        connection.send(&Request::Run(Box::new(spec)), &[null.as_fd(), null.as_fd(), null.as_fd()]).unwrap();
        let Reply::Moments(moments) = connection.read_reply().unwrap() else { panic!("no moments") };
        assert!(moments.taken <= moments.executed && moments.executed < moments.ended, "{moments:?}");
        assert_eq!(connection.read_reply().unwrap(), exited(6));
    }
}
