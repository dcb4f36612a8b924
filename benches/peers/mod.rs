//! Other ways to confine what is started, to compare with.

#![allow(dead_code, reason = "each benchmark compares with some of them")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::program;
use crate::support::run::run;
use crate::support::tool::Engine;

/// A program without input, output and environment.
pub fn silent(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
    command
}

/// Makes commands of bubblewrap's, with everything private and the whole file system to read.
pub fn bubblewrap() -> Result<impl Fn() -> Command + Send + Sync + 'static, String> {
    let bwrap = program("bwrap")?;
    let words =
        ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent"];
    Ok(move || {
        let mut command = silent(&bwrap);
        command.args(words);
        command
    })
}

/// The configuration of cargo's that has build-wrap (of crates.io) run build scripts, and nothing else, in bubblewrap. It
/// stands in for the linker.
pub fn build_wrap() -> Result<String, String> {
    // Where `cargo install` puts it.
    let linker = which::which("build-wrap").map_err(|error| error.to_string())?;
    program("bwrap")?;
    Ok(format!("[target.'cfg(all())']\nlinker = {linker:?}\n"))
}

/// The user's rustup.
pub struct Rustup {
    /// Finds out which toolchain is meant and starts that one's: what most people type.
    pub cargo: PathBuf,
    /// Its `RUSTUP_HOME`.
    pub home: PathBuf,
}

/// Finds the user's rustup.
pub fn rustup() -> Result<Rustup, String> {
    let program = which::which("rustup").map_err(|error| error.to_string())?;
    let home = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home =
        home.or_else(|| Some(etcetera::home_dir().ok()?.join(".rustup"))).ok_or("no home directory")?;
    Ok(Rustup { cargo: program.with_file_name("cargo"), home })
}

/// Docker's client, and an empty image of which each container shows the host's own system directories.
pub struct Docker {
    docker: PathBuf,
}

impl Docker {
    const IMAGE: &str = "cargo-sandbox-bench";

    pub fn here() -> Result<Self, String> {
        Engine::Docker.here()?;
        let docker = program("docker")?;
        let script =
            format!("tar --create --files-from=/dev/null | {} import - {}", docker.display(), Self::IMAGE);
        run(Command::new("sh").args(["-c", &script])).success("an empty image");
        Ok(Self { docker })
    }

    /// `docker run` with the system directories and without a network; the image and what to run are to be added.
    fn run(&self) -> Command {
        let mut command = Command::new(&self.docker);
        command.args(["run", "--rm", "--network=none"]);
        for dir in ["/usr", "/bin", "/lib", "/lib64", "/etc/alternatives"]
            .into_iter()
            .filter(|dir| Path::new(dir).exists())
        {
            command.arg(format!("--volume={dir}:{dir}:ro"));
        }
        command
    }

    /// A container to start programs in.
    pub fn container(&self) -> DockerContainer {
        let mut start = self.run();
        let output = run(start.args(["--detach", Self::IMAGE, "/bin/sleep", "600"])).success("docker run");
        DockerContainer { docker: self.docker.clone(), id: output.stdout.trim().to_owned() }
    }

    /// The same command in a new container that shows these directories.
    pub fn instead(&self, command: &Command, directories: &[&Path]) -> Command {
        let mut inside = self.run();
        for directory in directories {
            inside.arg(format!("--volume={0}:{0}", directory.display()));
        }
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        inside.arg(format!("--user={uid}:{gid}"));
        if let Some(directory) = command.get_current_dir() {
            inside.arg(format!("--workdir={}", directory.display()));
        }
        for (name, value) in command.get_envs() {
            let value = value.unwrap_or_default().to_string_lossy();
            inside.arg(format!("--env={}={value}", name.to_string_lossy()));
        }
        inside.arg(Self::IMAGE).arg(command.get_program()).args(command.get_args());
        inside
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        run(Command::new(&self.docker).args(["image", "rm", "--force", Self::IMAGE]));
    }
}

/// A container that is there.
pub struct DockerContainer {
    docker: PathBuf,
    id: String,
}

impl DockerContainer {
    /// Makes commands of `docker exec`.
    pub fn exec(&self) -> impl Fn() -> Command + Send + Sync + 'static {
        let (docker, id) = (self.docker.clone(), self.id.clone());
        move || {
            let mut exec = silent(&docker);
            exec.args(["exec", &id]);
            exec
        }
    }
}

impl Drop for DockerContainer {
    fn drop(&mut self) {
        run(Command::new(&self.docker).args(["kill", &self.id]));
    }
}
