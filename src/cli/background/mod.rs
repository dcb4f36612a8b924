//! The broker of a plain cargo (`internal-broker`): a wrapper starts it where no front end is above.
//!
//! One for each cargo process: who binds the name first is it. It lives as long as that cargo, and takes every
//! fact from it (`cargo/process.rs`); of the wrapper that started it, it has nothing but the name.

mod build_directory;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::broker::session::PlainCargo;
use crate::broker::{Broker, Session, environment};
use crate::caller::REPORT_DESCRIPTOR;
use crate::cargo::process::CargoProcess;
use crate::cargo::run::{WRAPPER, install_wrapper, own_executable};
use crate::cargo::toolchain::is_rustup_proxy;
use crate::cargo::{CargoCommand, Toolchain};
use crate::policy::bar::Bar;
use crate::project::{Project, ProjectDirectories, create_cache_directory, leftovers, planted};

use super::cargo_command::{Known, Prepared, Understood, prepare, understood};
use super::{FrontEnd, default_options};

/// cargo's own cache of what the compiler says about itself: believed by cargo, and while it is there a build may
/// start its build scripts before any compiler, and so before a broker can look at them.
const RUSTC_INFO: &str = ".rustc_info.json";

/// Says that a project's user was told what a plain cargo leaves open.
const TOLD: &str = "told-of-plain-cargo";

/// What `main` calls when the first argument is [`crate::caller::BROKER_ARGUMENT`]; the second is `name`. Must come
/// before anything opens a file.
pub fn main(name: &OsStr) -> ExitCode {
    let Some(mut report) = report() else { return ExitCode::FAILURE };
    match prepared(name) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(background)) => {
            // The wrapper goes on.
            drop(report);
            background.serve()
        }
        Err(error) => {
            let _gone = report.write_all(format!("error: {error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// The pipe to the wrapper that waits. Nothing that is started here shall hold it open.
fn report() -> Option<File> {
    // SAFETY: the wrapper that started this process left it this descriptor; nothing else here owns it, and where
    // there is none, the call after this one fails.
    let report = unsafe { OwnedFd::from_raw_fd(REPORT_DESCRIPTOR) };
    match rustix::io::fcntl_setfd(&report, rustix::io::FdFlags::CLOEXEC) {
        Ok(()) => Some(report.into()),
        Err(_) => {
            std::mem::forget(report);
            None
        }
    }
}

/// A broker that is ready to serve.
struct Background {
    process: Arc<CargoProcess>,
    session: Session,
    wrapper: Vec<u8>,
    listener: UnixListener,
    /// Held shared as long as this one serves.
    _lock: Option<File>,
}

/// Nothing where another one serves this cargo already.
fn prepared(name: &OsStr) -> anyhow::Result<Option<Background>> {
    let process = Arc::new(CargoProcess::named(name)?);
    let address = SocketAddr::from_abstract_name(name.as_bytes()).context("the name fits no socket")?;
    let listener = match UnixListener::bind_addr(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
        result => result.context("failed to listen for cargo's compilers")?,
    };
    let front_end = FrontEnd::from_cargo(&process);
    let options = default_options(&front_end)?;
    let cargo_home = front_end.cargo_home()?;
    let words = without_directory(&process.arguments);
    let Understood { command, configuration, root, .. } = understood(&front_end, &cargo_home, words)?;
    if let Some(reason) = refused(&command) {
        bail!(
            "`cargo {}` cannot be confined by its wrapper: {reason}\n\nhint: leave it out; where you trust all that it would \
             run, do it without the wrapper (`RUSTC_WRAPPER= RUSTC=rustc cargo …`)",
            command.subcommand
        );
    }
    let project = Project::new(&root?);
    let toolchain = process.toolchain(&project.root)?;
    let state = front_end.state()?;
    let bar = Arc::new(Bar::new(&options.allowed, command.quiet));
    let known = Known {
        command: &command,
        configuration: &configuration,
        toolchain: &toolchain,
        bar: &bar,
        installed: None,
        vetted: None,
    };
    let Prepared { mut session, asks, .. } = prepare(&front_end, &options, &known, &state, project)?;
    planted::check(&session.project.root, &session.target_dir)?;
    let build = build_directory::of(&front_end, &command, &configuration, &session)?;
    session.directories = session.directories.with_build(&build);
    session.directories.create().context("failed to make the directories of this project")?;
    let own = own_executable()?;
    let wrapper = install_wrapper(&own, &session.directories)?;
    let lock = if session.directories.is_shared() { Some(clear(&session.directories)?) } else { None };
    session.plain = Some(PlainCargo {
        process: process.id,
        wrapper: own.with_file_name(WRAPPER),
        compilers: compilers(&front_end, &toolchain),
        projects: state.projects(),
        withheld: environment::withheld(front_end.environment()),
        cargo: Some(Arc::clone(&process)),
    });
    if !command.quiet {
        tell(&process, &session.directories);
        if asks {
            let _gone = process.say(
                "note: cargo-sandbox.toml asks for what you do not trust, and of it only what takes away holds: \
                 `cargo-sandbox self trust`",
            );
        }
    }
    Ok(Some(Background { process, session, wrapper, listener, _lock: lock }))
}

impl Background {
    /// Serves until cargo is gone: then all connections close, and with them every job ends.
    fn serve(self) -> ExitCode {
        let directories = self.session.directories.clone();
        disable_rustc_info(&directories);
        let started = Broker::listen_on(self.listener, Arc::new(self.session), self.wrapper);
        let ended = started.and_then(|()| self.process.wait_for_end());
        if directories.is_shared() {
            let _absent = std::fs::remove_file(directories.build().join(RUSTC_INFO));
        }
        ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    }
}

/// Clears a build directory that others use as well, unless another broker serves a cargo in it: that one has done
/// it, and has scripts just compiled there that are to be moved away.
fn clear(directories: &ProjectDirectories) -> anyhow::Result<File> {
    let path = directories.shims().join("lock");
    let lock = File::create(&path).with_context(|| format!("failed to open `{}`", path.display()))?;
    if lock.try_lock().is_ok() {
        leftovers::clear(&directories.build(), &directories.shims())?;
        lock.unlock().context("failed to unlock the build directory")?;
    }
    lock.lock_shared().context("failed to lock the build directory")?;
    Ok(lock)
}

/// Has cargo ask the compiler each time. In a build directory of our own a directory of the file's name does it for
/// good; in one that others use as well, the file is removed when cargo is gone.
fn disable_rustc_info(directories: &ProjectDirectories) {
    let path = directories.build().join(RUSTC_INFO);
    if !directories.is_shared() && !path.is_dir() {
        let _absent = std::fs::remove_file(&path);
        // Without it `cargo run` finds no broker where nothing is to be built, and says so.
        let _cached = create_cache_directory(&directories.build()).and_then(|()| std::fs::create_dir(&path));
    }
}

/// What a wrapper alone cannot confine.
fn refused(command: &CargoCommand) -> Option<&'static str> {
    match command.subcommand.as_str() {
        "fix" => Some("it applies what macros suggest to files on this machine"),
        "install" => Some("it builds outside of any project"),
        _ => None,
    }
}

/// cargo's arguments without its own name, and without `-C`: its working directory is that one already.
fn without_directory(arguments: &[OsString]) -> Vec<OsString> {
    let mut words = arguments.get(1..).unwrap_or_default().to_vec();
    let subcommand = CargoCommand::parse(words.clone()).position.unwrap_or(words.len());
    if let Some(at) = words[..subcommand].iter().position(|word| word == "-C") {
        words.drain(at..(at + 2).min(words.len()));
    }
    words
}

/// What cargo calls the toolchain's rustc: `rustc`, where the one that it would find in `PATH` is that or rustup's
/// stand-in for it. It is not executed, whatever it is.
fn compilers(front_end: &FrontEnd, toolchain: &Toolchain) -> Vec<PathBuf> {
    let path = front_end.variable("PATH").unwrap_or_default();
    let found = which::which_in_global("rustc", Some(path)).ok().and_then(|mut found| found.next());
    let own = |found: &PathBuf| {
        is_rustup_proxy(found) || found.canonicalize().is_ok_and(|found| found == toolchain.program("rustc"))
    };
    found.filter(own).map(|found| vec![PathBuf::from("rustc"), found]).unwrap_or_default()
}

/// Says once per project and way what a plain cargo leaves open. cargo's standard error is the only place where the
/// user sees it: what a wrapper writes is kept, and shown again, as what the compiler said.
fn tell(process: &CargoProcess, directories: &ProjectDirectories) {
    let (mark, line) = if directories.is_shared() {
        (
            TOLD.to_owned(),
            "note: cargo-sandbox confines compilers, macros and build scripts of this cargo; not cargo itself, rustdoc, \
             doctests and the programs of `run`, `test` and `bench`: `cargo-sandbox build` does, or `cargo-sandbox \
             self setup`",
        )
    } else {
        (
            format!("{TOLD}-set-up"),
            "note: cargo-sandbox confines what this cargo starts (compilers, build scripts, programs), but not cargo \
             itself; `cargo-sandbox build` does",
        )
    };
    let mark = directories.path().join(mark);
    if !mark.exists() && process.say(line).is_ok() {
        let _again = File::create(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_cargo_changed_to_is_left_out() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(without_directory(&words("cargo -C sub -v build -C x")), words("-v build -C x"));
        assert_eq!(without_directory(&words("cargo build")), words("build"));
        assert!(without_directory(&[]).is_empty());
    }
}
