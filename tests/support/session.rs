//! A session of `cargo-sandbox` that stays open, to start what cargo would start through it.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cargo_sandbox::wire::SESSION_DESCRIPTOR;

use super::run::{Running, spawn};
use super::tool::Engine;
use super::world::{User, World};

/// A build whose build script waits until it is told to end. As long as it does the broker answers, the container is warm, and
/// the runner can be started as cargo would start it.
pub struct Session {
    pub world: World,
    pub project: PathBuf,
    pub engine: Engine,
    build: Option<Running>,
    runner: PathBuf,
    /// The session's directory, which cargo's children have open under a number that wrappers know.
    directory: Option<fs::File>,
}

/// The one entry of a directory.
fn only_entry(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).next()
}

impl Session {
    /// Opens one, in a world of that name.
    pub fn open(name: &str, user: &User, engine: Engine) -> Result<Self, String> {
        Self::with(name, user, engine, &[])
    }

    /// The same with options of the tool's own.
    pub fn with(name: &str, user: &User, engine: Engine, options: &[&str]) -> Result<Self, String> {
        engine.here()?;
        let world = World::new(name, user)?;
        let project = world.work().join("session");
        let manifest =
            "[package]\nname = \"session\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
        let script = "fn main() {\n    for _ in 0..6000 {\n        if std::path::Path::new(\"end\").exists() {\n            \
                      return;\n        }\n        std::thread::sleep(std::time::Duration::from_millis(100));\n    }\n}\n";
        world.write(&project.join("Cargo.toml"), manifest);
        world.write(&project.join("build.rs"), script);
        world.write(&project.join("src/main.rs"), "fn main() {}\n");
        let build = spawn(world.sandbox(engine, &project).args(options).arg("build"));
        let mut session =
            Self { world, project, engine, build: Some(build), runner: PathBuf::new(), directory: None };
        session.join()?;
        Ok(session)
    }

    /// Waits until the build script runs, so that the container is warm, and opens the session's directory.
    fn join(&mut self) -> Result<(), String> {
        let limit = Instant::now() + Duration::from_secs(60);
        let projects = self.world.state().join("projects");
        while Instant::now() < limit {
            if !self.build.as_mut().is_some_and(Running::running) {
                let said = self.build.take().map(|build| build.wait(Duration::from_secs(60)).stderr);
                return Err(format!("the session ended early: {}", said.unwrap_or_default()));
            }
            // The scripts directory is filled when the script was compiled, which takes a warm container.
            if let Some(project) = only_entry(&projects)
                && only_entry(&project.join("scripts")).is_some()
                && let Some(session) = only_entry(&project.join("sessions"))
            {
                self.directory = Some(fs::File::open(session).map_err(|error| error.to_string())?);
                self.runner = project.join("bin/runner");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the build script did not start".into())
    }

    /// The process of the front end.
    pub fn front_end(&self) -> u32 {
        self.build.as_ref().expect("open").id()
    }

    /// Has what this process starts from now on belong to this session.
    pub fn enter(&self) {
        let directory = self.directory.as_ref().expect("joined");
        // SAFETY: dup2 takes two numbers; what is open under the second one is this function's own.
        let made = unsafe { libc::dup2(directory.as_raw_fd(), SESSION_DESCRIPTOR) };
        assert_eq!(made, SESSION_DESCRIPTOR, "the session's descriptor");
    }

    /// Makes commands of the runner, as cargo starts it for a program of the project: a copy of `program`, since only artifacts of
    /// the project are run. They have no input, and nobody reads what they say.
    pub fn runner(&self, program: &str) -> impl Fn() -> Command + Send + Sync + 'static {
        let name = Path::new(program).file_name().expect("a name");
        let copy = self.project.join("target/debug").join(name);
        if !copy.exists() {
            fs::copy(program, &copy).expect("a copy of the program");
        }
        let (runner, project) = (self.runner.clone(), self.project.clone());
        move || {
            let mut command = Command::new(&runner);
            command.arg(&copy).current_dir(&project).env_clear();
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.world.write(&self.project.join("end"), "");
        if let Some(build) = self.build.take() {
            build.wait(Duration::from_secs(60));
        }
        self.world.stop(self.engine, &self.project);
    }
}
