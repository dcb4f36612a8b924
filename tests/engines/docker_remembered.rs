//! What a daemon told an earlier command is not asked again, and is believed as long as starts come out as asked for.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cargo_sandbox::container::Engine;
use cargo_sandbox::container::docker::{CONNECT_PATIENCE, DockerEngine};
use serde_json::Value;

use crate::docker_support::{Fixture, docker_host, prepare, rootless};

/// A socket before the daemon's own, on which all that is asked passes.
struct Relay {
    socket: PathBuf,
    /// The first lines of requests.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    fn start(socket: PathBuf, daemon: PathBuf) -> Self {
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let relay = Self { socket, asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, daemon) = (client.unwrap(), UnixStream::connect(&daemon).unwrap());
                let (to, from) = (daemon.try_clone().unwrap(), client.try_clone().unwrap());
                let noting = Noting(from, Arc::clone(&asked));
                std::thread::spawn(move || pass(noting, to));
                std::thread::spawn(move || pass(daemon, client));
            }
        });
        relay
    }

    /// How often the daemon was asked about itself.
    fn questions(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|line| line.contains("/info ") || line.contains("/version ")).count()
    }
}

/// What a client says, with the first line of each part noted.
struct Noting(UnixStream, Arc<Mutex<Vec<String>>>);

impl io::Read for Noting {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let length = io::Read::read(&mut self.0, part)?;
        let line = part[..length].split(|byte| *byte == b'\r').next().unwrap_or_default();
        self.1.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
        Ok(length)
    }
}

fn pass(mut from: impl io::Read, mut to: UnixStream) {
    let _ended = io::copy(&mut from, &mut to);
    let _gone = to.shutdown(Shutdown::Write);
}

/// A relay before the daemon of `fixture`, and where what it tells is kept.
fn relay(fixture: &Fixture) -> (Relay, PathBuf) {
    let line = fixture.engine.describe().unwrap();
    let daemon = line.rsplit(", ").next().unwrap();
    let relay = Relay::start(fixture.folder("relay").join("daemon.sock"), daemon.into());
    (relay, fixture.folder("state").join("daemons"))
}

fn connect(relay: &Relay, daemons: &Path) -> DockerEngine {
    let endpoints = docker_host(relay.socket.to_str().unwrap());
    DockerEngine::connect_to_start(&endpoints, CONNECT_PATIENCE, daemons).unwrap()
}

fn records(daemons: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(daemons).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_daemon_is_asked_once_what_it_is() {
    let Some(fixture) = Fixture::new() else { return };
    let (relay, daemons) = relay(&fixture);
    connect(&relay, &daemons);
    assert_eq!(relay.questions(), 2, "of its version and of its state");
    let engine = connect(&relay, &daemons);
    prepare(&fixture.spec);
    engine.start(&fixture.spec).unwrap();
    assert!(fixture.listed().unwrap().running);
    // A rootless one limits less, perhaps, and is asked each time.
    assert_eq!(relay.questions(), if rootless() { 4 } else { 2 });
    assert_eq!(records(&daemons).len(), usize::from(!rootless()));
}

#[test]
fn a_daemon_that_has_become_another_is_asked_again() {
    let Some(fixture) = Fixture::new() else { return };
    let (relay, daemons) = relay(&fixture);
    connect(&relay, &daemons);
    let Some(record) = records(&daemons).pop() else { return assert!(rootless()) };
    let told = std::fs::read_to_string(&record).unwrap();
    let mut wrong: Value = serde_json::from_str(&told).unwrap();
    let flavour = &mut wrong["facts"]["flavour"];
    // Each refuses what the other one is asked.
    *flavour = if flavour == "Docker" { "Podman" } else { "Docker" }.into();
    std::fs::write(&record, wrong.to_string()).unwrap();

    let engine = connect(&relay, &daemons);
    assert_eq!(relay.questions(), 2);
    prepare(&fixture.spec);
    engine.start(&fixture.spec).unwrap();
    assert!(fixture.listed().unwrap().running);
    assert_eq!(relay.questions(), 4);
    assert_eq!(std::fs::read_to_string(&record).unwrap(), told);
}

#[test]
fn a_start_that_fails_by_something_else_is_not_tried_twice() {
    let Some(mut fixture) = Fixture::new() else { return };
    let (relay, daemons) = relay(&fixture);
    // It ends at once.
    fixture.spec.agent = "/bin/true".into();
    prepare(&fixture.spec);
    connect(&relay, &daemons);
    let error = connect(&relay, &daemons).start(&fixture.spec).unwrap_err();
    assert!(error.message.contains("the agent ended at its start"), "{error}");
    let asked = relay.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|line| line.contains("/containers/create")).count(), 1, "{asked:?}");
}
