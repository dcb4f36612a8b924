//! Starting cargo on the host, and what is around it: the session's directory, the wrapper, the broker.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::Context;

use crate::broker::identify::role;
use crate::broker::scripts::write_executable;
use crate::broker::{running, terminal};
use crate::policy::bar::Bar;
use crate::project::ProjectDirectories;
use crate::switch_off::{Defence, is_off};
use crate::wire::SESSION_DESCRIPTOR;

use super::domain::kernel::Enforceable;
use super::domain::{Domain, Rights};
use super::installed::path_of_cargo;
use super::stderr::CargoStderr;
use super::{Toolchain, signals};

/// The wrapper's executable, which is installed beside this one.
pub const WRAPPER: &str = "cargo-sandbox-rustc";

/// What cargo is started with.
#[derive(Debug)]
pub struct CargoRun<'a> {
    /// Whose cargo.
    pub toolchain: &'a Toolchain,
    /// cargo's arguments.
    pub arguments: &'a [OsString],
    /// What passes of the user's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// cargo's own directory.
    pub cargo_home: &'a Path,
    /// What cargo and all that it starts on the host may touch.
    pub domain: Domain,
    /// Whether its temporary files are where a compiler may write them.
    pub compilers_write_temporary: bool,
    /// What may be missing of that.
    pub bar: Arc<Bar>,
    /// What it has in the place of the user's standard error, if anything.
    pub stderr: Option<Arc<CargoStderr>>,
    /// Variables by which cargo is told that the broker is its credential provider.
    pub credential_providers: Vec<String>,
}

impl CargoRun<'_> {
    /// Runs cargo to its end, with everything that it starts of others' going through the broker whose socket is
    /// in `session`. `triples` are the targets that programs may be run for.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub fn with_broker(
        self,
        directories: &ProjectDirectories,
        session: &SessionDirectory,
        triples: &[String],
    ) -> anyhow::Result<ExitStatus> {
        self.through_broker(directories, session, triples, None)
    }

    /// The same, with what cargo says kept in two files: standard output and standard error.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub fn unheard(
        self,
        directories: &ProjectDirectories,
        session: &SessionDirectory,
        triples: &[String],
        said: [&File; 2],
    ) -> anyhow::Result<ExitStatus> {
        self.through_broker(directories, session, triples, Some(said))
    }

    /// Runs the wrapper in the role of cargo to its end: the broker runs cargo inside.
    ///
    /// # Errors
    /// When the wrapper cannot be started.
    pub fn inside(
        mut self,
        directories: &ProjectDirectories,
        session: &SessionDirectory,
    ) -> anyhow::Result<ExitStatus> {
        let _descriptor = session.inherit().context("failed to hand the session to the wrapper")?;
        self.domain.add(directories.bin(), Rights::Execute);
        self.domain.add(session.path(), Rights::Connect);
        self.arguments = &[];
        let program = directories.bin().join(role::CARGO);
        self.start(&program, Vec::new(), &directories.temporary(), None)
    }

    fn through_broker(
        mut self,
        directories: &ProjectDirectories,
        session: &SessionDirectory,
        triples: &[String],
        said: Option<[&File; 2]>,
    ) -> anyhow::Result<ExitStatus> {
        let bin = directories.bin();
        let mut variables: Vec<(String, OsString)> = vec![
            ("CARGO_BUILD_BUILD_DIR".into(), directories.build().into()),
            // The answers are kept elsewhere, where nothing can forge them.
            ("CARGO_CACHE_RUSTC_INFO".into(), "0".into()),
            ("RUSTC".into(), bin.join(role::RUSTC).into()),
            ("RUSTC_WRAPPER".into(), bin.join(role::RUSTC_WRAPPER).into()),
            ("RUSTDOC".into(), bin.join(role::RUSTDOC).into()),
        ];
        variables
            .extend(triples.iter().map(|triple| (runner_variable(triple), bin.join(role::RUNNER).into())));
        let provider = bin.join(role::CREDENTIAL);
        variables
            .extend(self.credential_providers.iter().map(|name| (name.clone(), provider.clone().into())));
        let _descriptor = session.inherit().context("failed to hand the session to cargo")?;
        self.domain.add(directories.work(), Rights::Write);
        for path in [bin, directories.shims()] {
            self.domain.add(path, Rights::Execute);
        }
        self.domain.add(session.path(), Rights::Connect);
        let temporary =
            if self.compilers_write_temporary { directories.outputs() } else { directories.temporary() };
        let program = self.toolchain.program("cargo");
        self.start(&program, variables, &temporary, said)
    }

    /// Runs cargo to its end where there is no project: whatever it would start of a compiler fails.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub fn without_project(self) -> anyhow::Result<ExitStatus> {
        let nothing = OsString::from("/nonexistent/cargo-sandbox-without-project");
        let names = ["RUSTC", "RUSTC_WRAPPER", "RUSTDOC"];
        let temporary = tempfile::Builder::new().prefix("cargo-sandbox-").tempdir();
        let temporary = temporary.context("failed to make a temporary directory for cargo")?;
        let variables = names.map(|name| (name.to_owned(), nothing.clone())).into();
        let program = self.toolchain.program("cargo");
        self.start(&program, variables, temporary.path(), None)
    }

    /// `temporary` is for cargo alone: in the common one it could be made to write, and to run, what others put
    /// there.
    fn start(
        mut self,
        program: &Path,
        variables: Vec<(String, OsString)>,
        temporary: &Path,
        said: Option<[&File; 2]>,
    ) -> anyhow::Result<ExitStatus> {
        let mut command = Command::new(program);
        if let Some([stdout, stderr]) = said {
            let copy = |file: &File| file.try_clone().context("failed to keep what cargo says");
            command.stdin(Stdio::null()).stdout(copy(stdout)?).stderr(copy(stderr)?);
        }
        if let (Some(stderr), None) = (&self.stderr, said) {
            command.stderr(stderr.end().context("failed to give cargo a standard error")?);
        }
        command.args(self.arguments).env_clear().envs(self.environment.iter().cloned()).envs(variables);
        let path = command_path(&command);
        command.env("PATH", path_of_cargo(&self.toolchain.sysroot, self.cargo_home, path.as_deref()));
        command.env("RUSTUP_TOOLCHAIN", &self.toolchain.sysroot);
        command.env("RUSTUP_AUTO_INSTALL", "0");
        command.env("TMPDIR", temporary);
        self.domain.add(temporary, Rights::Write);
        let domain = Enforceable::new(&self.domain, &self.bar)?;
        signals::hold();
        signals::around_stops(before_stop, after_stop).context("failed to prepare for Ctrl-Z")?;
        let parent = rustix::process::getpid();
        let become_cargo = move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
            // The front end may have died between the fork and the call.
            match rustix::process::getppid() {
                Some(now) if now == parent => match &domain {
                    Some(_) if is_off(Defence::CargoDomain) => Ok(()),
                    Some(domain) => domain.enter(),
                    None => Ok(rustix::thread::set_no_new_privs(true)?),
                },
                _ => Err(io::ErrorKind::BrokenPipe.into()),
            }
        };
        // SAFETY: between fork and exec this makes four system calls and allocates nothing.
        unsafe { command.pre_exec(become_cargo) };
        let mut child =
            command.spawn().with_context(|| format!("failed to start `{}`", program.display()))?;
        signals::forward_to(Some(child.id()));
        let status = loop {
            match child.wait() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.context("failed to wait for cargo")?,
            }
        };
        signals::forward_to(None);
        if let Some(stderr) = &self.stderr {
            stderr.settle();
        }
        // A job may still have it raw, whose threads end with this process.
        terminal::restore();
        Ok(status)
    }
}

fn before_stop() {
    terminal::restore();
    running::signal_all(libc::SIGSTOP);
}

fn after_stop() {
    running::signal_all(libc::SIGCONT);
}

fn command_path(command: &Command) -> Option<OsString> {
    command
        .get_envs()
        .find(|(name, _)| *name == OsStr::new("PATH"))
        .and_then(|(_, value)| value.map(OsStr::to_owned))
}

/// The variable that names the runner of a target (the cargo book, "Environment variables").
fn runner_variable(triple: &str) -> String {
    let name = Path::new(triple).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_suffix(".json").unwrap_or(&name).to_ascii_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{name}_RUNNER")
}

/// Writes the wrapper under the names of its roles into the project's directory, where cargo is told to find it, and
/// beside them a link to this program, by which a wrapper finds it where no front end is above. Returns the wrapper's
/// content.
///
/// # Errors
/// When the wrapper is not beside this program, or cannot be written.
pub fn install_wrapper(own: &Path, directories: &ProjectDirectories) -> anyhow::Result<Vec<u8>> {
    let wrapper = own.with_file_name(WRAPPER);
    let content = std::fs::read(&wrapper).with_context(|| {
        format!("`{}` is missing; it is installed together with cargo-sandbox", wrapper.display())
    })?;
    for name in role::ALL {
        let path = directories.bin().join(name);
        // cargo keeps what it knows of a compiler by the file's time: rewritten only when it changes.
        if std::fs::read(&path).ok().as_ref() != Some(&content) {
            write_executable(&path, &content)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
    }
    let link = directories.bin().join("cargo-sandbox");
    if std::fs::read_link(&link).ok().as_deref() != Some(own) {
        replace_link(own, &link).with_context(|| format!("failed to write `{}`", link.display()))?;
    }
    Ok(content)
}

fn replace_link(to: &Path, link: &Path) -> io::Result<()> {
    let temporary = link.with_extension(format!("new{}", std::process::id()));
    let _stale = std::fs::remove_file(&temporary);
    std::os::unix::fs::symlink(to, &temporary)?;
    std::fs::rename(&temporary, link)
}

/// The directory of one running front end: its broker's socket, and a lock that says that it runs.
#[derive(Debug)]
pub struct SessionDirectory {
    directory: tempfile::TempDir,
    _lock: File,
}

impl SessionDirectory {
    const LOCK: &'static str = "lock";

    /// Makes one, and removes those of front ends that were killed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(sessions: &Path) -> io::Result<Self> {
        remove_stale(sessions);
        let directory = tempfile::Builder::new().prefix("session-").tempdir_in(sessions)?;
        let lock = File::create(directory.path().join(Self::LOCK))?;
        lock.lock()?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Opens the directory under the number that wrappers look for, inherited by everything that cargo starts.
    fn inherit(&self) -> io::Result<InheritedDescriptor> {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let opened = rustix::fs::open(self.path(), flags, rustix::fs::Mode::empty())?;
        InheritedDescriptor::place(&opened)
    }
}

/// A session whose front end was killed has no lock held on it. One that is being made has no lock file yet, and
/// is left.
fn remove_stale(sessions: &Path) {
    for entry in std::fs::read_dir(sessions).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(lock) = File::open(path.join(SessionDirectory::LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _left = std::fs::remove_dir_all(&path);
        }
    }
}

/// [`SESSION_DESCRIPTOR`] while it is open.
#[derive(Debug)]
struct InheritedDescriptor {
    _open: OwnedFd,
}

impl InheritedDescriptor {
    fn place(opened: &OwnedFd) -> io::Result<Self> {
        let mut limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let needed = u64::try_from(SESSION_DESCRIPTOR).unwrap_or(0) + 1;
        if limits.current.is_some_and(|current| current < needed) {
            limits.current = limits.maximum.map(|maximum| maximum.min(1024)).or(Some(1024));
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limits)?;
        }
        // Without close-on-exec, and in the place of whatever the caller left open under that number: a front
        // end that was started by something under another one inherits the other's.
        loop {
            // SAFETY: dup2 takes two numbers and no pointer. What was open under the second one belongs to
            // nobody in this process, which opens its own from the lowest free number on.
            if unsafe { libc::dup2(opened.as_raw_fd(), SESSION_DESCRIPTOR) } == SESSION_DESCRIPTOR {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // SAFETY: dup2 has just made this descriptor, and nothing else owns it.
        Ok(Self { _open: unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(SESSION_DESCRIPTOR) } })
    }
}

/// The exit code that stands for cargo's end. Where cargo was ended by a signal, this process ends by it too.
pub fn exit_code(status: ExitStatus) -> u8 {
    if let Some(signal) = status.signal() {
        signals::die_by(signal);
        return u8::try_from(128 + signal).unwrap_or(101);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(101)
}

/// This program's own file.
///
/// # Errors
/// When the kernel does not say.
pub fn own_executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("failed to find the executable of cargo-sandbox")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_of_every_target_has_its_variable() {
        assert_eq!(
            runner_variable("x86_64-unknown-linux-gnu"),
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
        );
        assert_eq!(runner_variable("specs/my-os.1.json"), "CARGO_TARGET_MY_OS_1_RUNNER");
    }

    #[test]
    fn the_session_of_a_killed_front_end_is_removed() {
        let sessions = tempfile::tempdir().unwrap();
        let running = SessionDirectory::create(sessions.path()).unwrap();
        let killed = sessions.path().join("session-killed");
        std::fs::create_dir(&killed).unwrap();
        std::fs::write(killed.join(SessionDirectory::LOCK), "").unwrap();
        let second = SessionDirectory::create(sessions.path()).unwrap();
        assert!(running.path().exists() && second.path().exists() && !killed.exists());
    }

    #[test]
    fn wrapper_names_are_written_once() {
        let state = tempfile::tempdir().unwrap();
        let directories =
            crate::project::StateDirectory::open(Some(state.path().join("s").into())).unwrap().project("p-1");
        directories.create().unwrap();
        let own = state.path().join("cargo-sandbox");
        assert!(install_wrapper(&own, &directories).unwrap_err().to_string().contains("is missing"));
        std::fs::write(state.path().join(WRAPPER), "content").unwrap();
        install_wrapper(&own, &directories).unwrap();
        let time = || directories.bin().join(role::RUSTC).metadata().unwrap().modified().unwrap();
        let before = time();
        install_wrapper(&own, &directories).unwrap();
        assert_eq!(before, time());
    }
}
