//! A job with a network of its own, in a container that runs: what it reaches and what it does not.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use cargo_sandbox::agent::client::AgentConnection;
use cargo_sandbox::agent::protocol::{Access, JobSpec, Reply, Request, Rights};
use cargo_sandbox::container::ContainerSpec;
use cargo_sandbox::forward::{Allowed, Connection, Forwarder, Outcome, Plan};

/// Runs a script with a network that `allowed` describes; gives its output, and its connections. `None`: without one.
pub fn run(
    spec: &ContainerSpec,
    allowed: Option<&[Allowed]>,
    script: &str,
) -> (Reply, String, Vec<Connection>) {
    let plan = allowed.map(|allowed| Plan::new(allowed).unwrap());
    let (mut output, writer) = std::io::pipe().unwrap();
    let input = std::fs::File::open("/dev/null").unwrap();
    let access = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"];
    let job = JobSpec {
        program: b"/bin/bash".to_vec(),
        argv: ["bash", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec(),
        env: vec![b"PATH=/usr/bin:/bin".to_vec()],
        cwd: b"/".to_vec(),
        descriptors: vec![0, 1, 2],
        access: access.map(|path| Access { path: path.into(), rights: Rights::ReadExecute }).to_vec(),
        umask: 0o022,
        network: plan.as_ref().map(Plan::job_network),
        ..JobSpec::default()
    };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let forwarder = plan.map(|plan| Forwarder::start(&plan, ours).unwrap());
    let mut descriptors = vec![input.as_fd(), writer.as_fd(), writer.as_fd()];
    descriptors.extend(forwarder.is_some().then(|| theirs.as_fd()));
    let agent = AgentConnection::open(&spec.directory(), &spec.fingerprint()).unwrap();
    agent.send(&Request::Run(Box::new(job)), &descriptors).unwrap();
    drop(descriptors);
    drop((writer, theirs));
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    let reply = agent.read_reply().unwrap();
    (reply, text, forwarder.map(|forwarder| forwarder.finish().unwrap()).unwrap_or_default())
}

/// A server on this machine that answers, at the end of what it was sent, how much that was.
struct Server {
    port: u16,
    connections: std::sync::Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = std::sync::Arc::new(AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&connections);
        // Ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut sent = Vec::new();
                    let _ = stream.read_to_end(&mut sent);
                    let _ = stream.write_all(format!("{} bytes", sent.len()).as_bytes());
                });
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A client that sends so many bytes, says that this was all, and prints the answer. perl is in every Debian.
fn client(host: &str, port: u16, bytes: usize) -> String {
    format!(
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => \"{host}\", PeerPort => {port}, \
         Timeout => 20) or die \"refused\\n\"; print $s \"x\" x {bytes}; $s->shutdown(1); print <$s>, \"\\n\"' 2>&1\n"
    )
}

/// What a container's jobs reach with a list and without one.
pub fn exercise(spec: &ContainerSpec) {
    let (open, closed) = (Server::start(), Server::start());
    let this_host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let allowed: Vec<Allowed> = [
        format!("127.0.0.1:{}", open.port),
        format!("localhost:{}", open.port),
        "registry.example:443".into(),
        format!("{this_host}:{}", open.port),
        "198.51.100.7:8443".into(),
        "[2001:db8::7]:8443".into(),
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();

    // What is allowed is reached, both ends are passed on, and much is not too much.
    let script = [
        client("127.0.0.1", open.port, 5),
        client("localhost", open.port, 3_000_000),
        client("127.0.0.1", closed.port, 1),
        "getent hosts registry.example\n".into(),
        "getent hosts example.org || echo unknown\n".into(),
        "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => \"192.0.2.1:80\") or print \"$!\\n\"'\n".into(),
        "(echo 192.0.2.1 x > /etc/hosts) 2>/dev/null || echo read-only\n".into(),
        "for fd in /proc/$$/fd/*; do case ${fd##*/} in 0|1|2|255) ;; *) readlink $fd | grep -q socket && echo leaked; esac; done; true\n"
            .into(),
    ]
    .concat();
    let (reply, output, connections) = run(spec, Some(&allowed), &script);
    assert_eq!(reply, Reply::Exited { wait_status: 0 }, "{output}");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(
        lines,
        [
            "5 bytes",
            "3000000 bytes",
            "refused",
            "127.1.0.2       registry.example",
            "unknown",
            "Network is unreachable",
            "read-only",
        ]
        .map(|line| line.replace("127.1.0.2", own_address(&allowed, "registry.example")))
    );
    assert_eq!((open.connections(), closed.connections()), (2, 0));
    let seen: Vec<_> = connections.iter().map(|one| (one.to.port, one.sent, one.received)).collect();
    assert_eq!(seen, [(open.port, 5, 7), (open.port, 3_000_000, 13)]);
    assert!(
        connections.iter().all(|one| matches!(one.outcome, Outcome::Connected(to) if to.port() == open.port))
    );

    // Ports that only root may open elsewhere, addresses beyond loopback's, and a name that stands for this machine.
    let script = [
        client("registry.example", 443, 1),
        client(&this_host, open.port, 1),
        "cat /proc/net/tcp /proc/net/tcp6\n".into(),
    ]
    .concat();
    let (reply, output, connections) = run(spec, Some(&allowed), &script);
    assert_eq!(reply, Reply::Exited { wait_status: 0 }, "{output}");
    assert!(!output.contains(" bytes"), "{output}");
    for listening in ["076433C6:20FB", "B80D0120000000000000000007000000:20FB"] {
        assert!(output.contains(listening), "{listening}: {output}");
    }
    assert_eq!(open.connections(), 2, "a name led to this machine");
    let failures: Vec<&str> = connections
        .iter()
        .map(|one| match &one.outcome {
            Outcome::Failed(why) => why.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(failures.len(), 2, "{failures:?}");
    // Where this machine knows its own name, it is by an address that is not the network's.
    if (this_host.as_str(), 1).to_socket_addrs().is_ok() {
        assert!(failures[1].contains("no address of the network at large"), "{failures:?}");
    }

    // Nothing of it is there for another job, not even while the first one runs.
    let (_, output, _) = run(spec, None, &client("127.0.0.1", open.port, 1));
    assert_eq!(output, "refused\n");
    let waiting = std::thread::scope(|scope| {
        let first = scope.spawn(|| run(spec, Some(&allowed), "sleep 1; echo done"));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let (_, output, _) = run(spec, None, &client("127.0.0.1", open.port, 1));
        assert_eq!(output, "refused\n");
        first.join().unwrap()
    });
    assert_eq!((waiting.0, waiting.1.as_str()), (Reply::Exited { wait_status: 0 }, "done\n"));
    assert_eq!(open.connections(), 2);
}

/// The address that a name has in a job's network.
fn own_address<'a>(allowed: &[Allowed], name: &str) -> &'a str {
    let hosts = Plan::new(allowed).unwrap().job_network().hosts;
    let line = hosts.lines().find(|line| line.ends_with(name)).unwrap().to_owned();
    ["127.1.0.1", "127.1.0.2"].into_iter().find(|address| line.starts_with(address)).unwrap()
}
