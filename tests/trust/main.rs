//! What a repository's configuration asks for on this machine: each thing first happens under plain cargo, and then
//! not here, until it is trusted.

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod attacks;
mod reference;
mod unasked;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use support::line::{self, plain};
use support::need;
use support::run::{Output, run};
use support::tool::Engine;
use support::world::{User, World};

const ENGINE: Engine = Engine::Native;

/// A world for an ordinary user and one for root, with the native engine, which is always there.
fn worlds(name: &str) -> impl Iterator<Item = World> {
    [User::ordinary(), User::root()].into_iter().filter_map(move |user| need(World::new(name, &need(user)?)))
}

/// A package with a build script and this configuration.
fn project(world: &World, name: &str, configuration: &str) -> PathBuf {
    let project = world.work().join(name);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n");
    world.write(&project.join("build.rs"), "fn main() {}\n");
    world.write(&project.join("src/main.rs"), "fn main() { println!(\"ran\"); }\n");
    world.write(&project.join("Cargo.toml"), &manifest);
    configure(world, &project, configuration);
    project
}

fn configure(world: &World, project: &Path, configuration: &str) {
    world.write(&project.join(".cargo/config.toml"), configuration);
}

/// A program that a repository brings along, and the file that is there when it has run.
struct Program {
    path: PathBuf,
    trace: PathBuf,
}

impl Program {
    /// It leaves its trace and then does what it was asked to.
    fn new(world: &World, project: &Path) -> Self {
        Self::in_front_of(world, project, "")
    }

    /// The same with a program of the system's that is asked to do it.
    fn in_front_of(world: &World, project: &Path, program: &str) -> Self {
        let (path, trace) = (project.join("program"), world.home.join("trace"));
        let script = format!("#!/bin/sh\n(: > '{}') 2> /dev/null\nexec {program} \"$@\"\n", trace.display());
        world.write(&path, &script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        Self { path, trace }
    }

    /// Whether it has run since the last time that this was asked.
    fn ran(&self) -> bool {
        fs::remove_file(&self.trace).is_ok()
    }
}

/// A server on this machine that wants everybody to log in.
struct Server {
    address: String,
    heard: Arc<Mutex<String>>,
}

impl Server {
    const ANSWER: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Cargo\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
        let address = listener.local_addr().expect("address").to_string();
        let heard = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for call in listener.incoming() {
                let mut call = call.expect("call");
                let mut request = [0; 4096];
                let length = call.read(&mut request).unwrap_or(0);
                kept.lock().expect("lock").push_str(&String::from_utf8_lossy(&request[..length]));
                let _gone = call.write_all(Self::ANSWER.as_bytes());
            }
        });
        Self { address, heard }
    }

    /// What was said to it since the last time that this was asked.
    fn heard(&self) -> String {
        std::mem::take(&mut *self.heard.lock().expect("lock"))
    }

    /// Whether anything was.
    fn called(&self) -> bool {
        !self.heard().is_empty()
    }
}

/// Needs a download, which fails at once where nobody answers.
fn with_dependency(world: &World, project: &Path) {
    let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
    let manifest = manifest.replace("[workspace]", "[dependencies]\nitoa = \"1\"\n\n[workspace]");
    world.write(&project.join("Cargo.toml"), &manifest);
}

fn sandbox(world: &World, project: &Path, line: &str) -> Command {
    line::sandbox(world, ENGINE, project, line)
}

/// Runs a command that must be stopped for want of trust, with these words.
#[track_caller]
fn stopped(command: &mut Command, words: &[&str]) -> Output {
    let output = run(command);
    assert_eq!(output.code(), 101, "{}\n{}", output.stdout, output.stderr);
    for word in ["needs your trust", "hint: ", "cargo-sandbox self trust"].iter().chain(words) {
        assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
    }
    output
}

#[track_caller]
fn trust(world: &World, project: &Path) -> Output {
    run(&mut sandbox(world, project, "self trust --yes")).success("self trust --yes")
}
