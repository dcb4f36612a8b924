//! The registry of these tests (`tests/publish/registry`), as a process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::run::run;
use super::support::world::{base, shared};

/// A registry that runs.
pub struct Server {
    process: Child,
    pub port: u16,
    /// The token of `alice`, who publishes.
    pub token: String,
    /// That of `bob`, who owns nothing.
    pub other: String,
    directory: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    asked: AtomicUsize,
}

impl Server {
    /// Starts one with its files in `directory`.
    pub fn start(directory: &Path, auth_required: bool) -> Result<Self, String> {
        let mut command = Command::new(program()?);
        command.arg(directory).args(auth_required.then_some("auth-required"));
        let mut process = command
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("the registry: {error}"))?;
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut next = || lines.next().and_then(Result::ok).ok_or("the registry does not start");
        let (port, token, other) = (next()?, next()?, next()?);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        // Ends with the registry.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().expect("no panic").push(line);
            }
        });
        Ok(Self {
            process,
            port: port.parse().expect("a port"),
            token,
            other,
            directory: directory.to_owned(),
            requests,
            asked: AtomicUsize::new(0),
        })
    }

    /// Its index, as cargo's configuration has it.
    pub fn index(&self) -> String {
        format!("sparse+http://127.0.0.1:{}/index/", self.port)
    }

    /// The archive that it has of a version.
    pub fn archive(&self, name: &str, version: &str) -> Option<Vec<u8>> {
        std::fs::read(self.directory.join(format!("crates/{name}/{version}.crate"))).ok()
    }

    /// The names of everything that was published.
    pub fn published(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join("crates")).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// What it was asked so far, each `METHOD path`.
    pub fn requests(&self) -> Vec<String> {
        // It writes them down in their order: when this one is there, all before it are.
        let last = format!("/until-here-{}", self.asked.fetch_add(1, Ordering::SeqCst));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the registry");
        write!(stream, "GET {last} HTTP/1.0\r\n\r\n").expect("the registry");
        let _ = stream.read_to_end(&mut Vec::new());
        let start = Instant::now();
        loop {
            let seen = self.requests.lock().expect("no panic").clone();
            if seen.iter().any(|line| line.ends_with(&last)) {
                return seen.into_iter().filter(|line| !line.contains("/until-here-")).collect();
            }
            assert!(start.elapsed() < Duration::from_secs(10), "the registry does not say what it was asked");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes uploads and answers none, or answers all.
    pub fn hold(&self, hold: bool) {
        let file = self.directory.join("hold");
        match hold {
            true => std::fs::write(file, "").expect("the registry's directory"),
            false => std::fs::remove_file(file).expect("it holds answers back"),
        }
    }

    /// Uploads among them.
    pub fn uploads(&self) -> usize {
        self.requests().iter().filter(|line| line.starts_with("PUT /api/v1/crates/new")).count()
    }

    /// What the index says of a crate.
    pub fn index_entry(&self, name: &str) -> String {
        let directory = self.directory.join(format!("index/index/{}/{}", &name[..2], &name[2..4]));
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let file =
            entries.map(|entry| entry.path()).find(|path| path.file_stem().is_some_and(|stem| stem == name));
        let file = file.unwrap_or_else(|| panic!("{name} is not in {}", directory.display()));
        std::fs::read_to_string(file).expect("index")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The registry's program, built where it is not.
fn program() -> Result<PathBuf, String> {
    if let Some(program) = std::env::var_os("CSB_TEST_REGISTRY") {
        return Ok(program.into());
    }
    let _lock = shared();
    let target = base().join("registry-target");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/publish/registry/Cargo.toml");
    let mut command = Command::new(std::env::var_os("CARGO").ok_or("not run by cargo")?);
    command.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(&target).env_remove("RUSTFLAGS");
    let output = run(&mut command);
    if output.code() != 0 {
        return Err(format!("the registry cannot be built: {}", output.stderr));
    }
    Ok(target.join("debug/test-registry"))
}
