//! Plain cargo and `cargo-sandbox`, in the same environment.

use std::fmt;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::need;
use super::run::run;
use super::world::{World, base, docker_group, ordinary, shared};

/// The engines by name, as `--engine` takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Docker,
    Native,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Docker, Self::Native];

    /// Whether the engine can be tested on this machine. The native engine needs nothing that could be
    /// missing; where a kernel forbids it, its tests shall say so by failing.
    pub fn here(self) -> Result<Self, String> {
        match self {
            Self::Native => Ok(self),
            Self::Docker => UnixStream::connect("/var/run/docker.sock")
                .map(|_| self)
                .map_err(|error| format!("no Docker daemon at /var/run/docker.sock: {error}")),
        }
    }

    fn groups(self) -> Vec<u32> {
        match self {
            Self::Docker => docker_group().into_iter().collect(),
            Self::Native => Vec::new(),
        }
    }
}

/// The engines at hand, each with a world of its own, as an ordinary user.
pub fn each_engine(name: &str, test: impl Fn(&World, Engine)) {
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let Some(world) = ordinary(&format!("{name}-{engine}")) else { return };
        test(&world, engine);
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Native => "native",
        })
    }
}

/// The two executables where any user can run them: the checkout may lie in a private home directory.
pub fn front_end() -> PathBuf {
    // Once a process: they are tens of megabytes, and asked for with every command.
    static COPIED: OnceLock<PathBuf> = OnceLock::new();
    COPIED.get_or_init(copy_of_front_end).clone()
}

fn copy_of_front_end() -> PathBuf {
    let _lock = shared();
    let bin = base().join("bin");
    fs::create_dir_all(&bin).expect("bin directory");
    for built in [env!("CARGO_BIN_EXE_cargo-sandbox"), env!("CARGO_BIN_EXE_cargo-sandbox-rustc")] {
        let to = bin.join(Path::new(built).file_name().expect("has a name"));
        let bytes = fs::read(built).expect("built by cargo");
        // An unchanged one keeps its modification time: cargo looks at that of its wrapper.
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        let fresh = to.with_extension(std::process::id().to_string());
        fs::copy(built, &fresh).expect("copy of the executable");
        fs::rename(&fresh, &to).expect("copy of the executable");
    }
    bin.join("cargo-sandbox")
}

/// What a build with the feature `switch-off` goes without; any other knows no such variable.
fn switched_off(command: &mut Command) {
    if let Some(off) = std::env::var_os("CSB_SWITCH_OFF") {
        command.env("CARGO_SANDBOX_SWITCH_OFF", off);
    }
}

impl World {
    /// `cargo-sandbox --engine <engine>`, in `dir`.
    pub fn sandbox(&self, engine: Engine, dir: &Path) -> Command {
        self.sandbox_under(engine, dir, &[])
    }

    /// The same under another program, such as strace.
    pub fn sandbox_under(&self, engine: Engine, dir: &Path, above: &[&str]) -> Command {
        let front_end = front_end();
        let mut command = match above.split_first() {
            None => self.command_with_groups(&front_end, &engine.groups()),
            Some((first, rest)) => {
                let mut command = self.command_with_groups(first, &engine.groups());
                command.args(rest).arg(&front_end);
                command
            }
        };
        command.arg("--engine").arg(engine.to_string()).current_dir(dir);
        switched_off(&mut command);
        command
    }

    /// `cargo-sandbox` with no word of an engine, for who may use this one.
    pub fn sandbox_without_engine(&self, engine: Engine, dir: &Path) -> Command {
        let mut command = self.command_with_groups(front_end(), &engine.groups());
        command.current_dir(dir);
        switched_off(&mut command);
        command
    }

    /// `cargo` itself, in `dir`.
    pub fn plain(&self, dir: &Path) -> Command {
        let mut command = self.command(self.cargo());
        command.current_dir(dir);
        command
    }

    /// `cargo` itself, in `dir`, for wrappers that take this engine.
    pub fn plain_with(&self, engine: Engine, dir: &Path) -> Command {
        self.plain_under(engine, dir, &[])
    }

    /// The same with the installed wrapper as its `RUSTC_WRAPPER`.
    pub fn wrapped(&self, engine: Engine, dir: &Path) -> Command {
        self.wrapped_under(engine, dir, &[])
    }

    /// The same under another program, such as strace.
    pub fn wrapped_under(&self, engine: Engine, dir: &Path, above: &[&str]) -> Command {
        let mut command = self.plain_under(engine, dir, above);
        command.env("RUSTC_WRAPPER", front_end().with_file_name("cargo-sandbox-rustc"));
        command
    }

    /// `cargo` itself under another program, for wrappers that take this engine.
    pub fn plain_under(&self, engine: Engine, dir: &Path, above: &[&str]) -> Command {
        let mut command = match above.split_first() {
            None => self.command_with_groups(self.cargo(), &engine.groups()),
            Some((first, rest)) => {
                let mut command = self.command_with_groups(first, &engine.groups());
                command.args(rest).arg(self.cargo());
                command
            }
        };
        command.env("CARGO_SANDBOX_ENGINE", engine.to_string()).current_dir(dir);
        command
    }

    /// What `cargo-sandbox self status` says about the project in `dir`.
    pub fn status(&self, engine: Engine, dir: &Path) -> Status {
        let output = run(self.sandbox(engine, dir).args(["self", "status", "--format", "json"]));
        let output = output.success("cargo-sandbox self status");
        let value: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("status is no JSON: {error}\n{}", output.stdout));
        let text =
            |key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key:?} in {value}")).to_owned();
        let containers = value["containers"].as_array().unwrap_or_else(|| panic!("no containers in {value}"));
        Status {
            build_dir: text("build_dir").into(),
            running: containers
                .iter()
                .filter(|container| container["running"] == true)
                .map(|container| container["id"].to_string())
                .collect(),
        }
    }

    /// Ends the project's container.
    pub fn stop(&self, engine: Engine, dir: &Path) {
        run(self.sandbox(engine, dir).args(["self", "stop"])).success("cargo-sandbox self stop");
    }

    /// The tool's state directory in this world: no variable says otherwise.
    pub fn state(&self) -> PathBuf {
        self.home.join(".cache/cargo-sandbox")
    }
}

/// What the tests need of `self status`.
#[derive(Debug, Clone)]
pub struct Status {
    pub build_dir: PathBuf,
    /// The ids of the project's running containers.
    pub running: Vec<String>,
}
