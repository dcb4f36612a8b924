//! A cargo that runs already, which this tool did not start: what the kernel says about it.
//!
//! Everything comes from `/proc/<pid>`: the environment there is the one that the user's shell gave it. What a build
//! script or a repository sets reaches what cargo starts, and not cargo itself.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::caller::{Name, Stat};

use super::Toolchain;

/// A running cargo.
#[derive(Debug)]
pub struct CargoProcess {
    /// Its number.
    pub id: i32,
    handle: OwnedFd,
    /// Its own executable.
    pub exe: PathBuf,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its command line, the program's name included.
    pub arguments: Vec<OsString>,
    /// The environment that it was started with.
    pub environment: Vec<(OsString, OsString)>,
}

impl CargoProcess {
    /// Looks at the process that a broker's name is made of.
    ///
    /// # Errors
    /// When it is gone, or is no cargo whose compilers can be served.
    pub fn named(name: &OsStr) -> anyhow::Result<Self> {
        let own = name.to_str().and_then(|name| name.split('/').nth(2)?.parse().ok());
        let own = own.filter(|number| *number > 0).and_then(Pid::from_raw);
        let pid = own.with_context(|| format!("`{}` names no process", name.to_string_lossy()))?;
        // The handle first: what is read then is of this process, if its name is still the same afterwards.
        let handle = pidfd_open(pid, PidfdFlags::empty()).context("the cargo that asked is gone")?;
        let id = pid.as_raw_nonzero().get();
        let directory = PathBuf::from(format!("/proc/{id}"));
        let read = |file: &str| {
            let path = directory.join(file);
            std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))
        };
        let link = |file: &str| {
            let path = directory.join(file);
            std::fs::read_link(&path).with_context(|| format!("failed to read `{}`", path.display()))
        };
        let strings = |bytes: Vec<u8>| -> Vec<OsString> {
            let strings = bytes.split(|byte| *byte == 0).filter(|one| !one.is_empty());
            strings.map(|one| OsString::from_vec(one.to_owned())).collect()
        };
        let process = Self {
            id,
            exe: link("exe")?,
            cwd: link("cwd")?,
            arguments: arguments(&read("cmdline")?),
            environment: strings(read("environ")?).iter().filter_map(|one| variable(one)).collect(),
            handle,
        };
        if name_of(id)? != name {
            bail!("the cargo that asked is gone");
        }
        process.is_served()?;
        Ok(process)
    }

    /// Only cargo itself is: what stands between cargo and the wrapper could have any environment.
    fn is_served(&self) -> anyhow::Result<()> {
        let is_cargo = |exe: &Path| {
            exe.file_name() == Some(OsStr::new("cargo")) && exe.with_file_name("rustc").is_file()
        };
        if !is_cargo(&self.exe) {
            bail!(
                "the wrapper of cargo-sandbox was started by `{}` (process {}), which is no toolchain's cargo\n\nhint: \
                 cargo itself has to start it, with no other wrapper or program between them; or start the build \
                 with `cargo-sandbox`",
                self.exe.display(),
                self.id
            );
        }
        let above = std::fs::read(format!("/proc/{}/stat", self.id)).unwrap_or_default();
        let above = Stat::parse(&above).map(|stat| String::from_utf8_lossy(stat.parent).into_owned());
        let above = above.and_then(|parent| std::fs::read_link(format!("/proc/{parent}/exe")).ok());
        let fixes = self.environment.iter().any(|(name, _)| name == "__CARGO_FIX_PLZ");
        if fixes || above.as_deref().is_some_and(is_cargo) {
            bail!(
                "cargo was started by cargo, as `cargo fix` does: such a one has variables that a dependency sets, and \
                 applies what macros suggest to files on this machine\n\nhint: it is not confined yet; leave it out"
            );
        }
        Ok(())
    }

    /// The toolchain that this cargo is of.
    ///
    /// # Errors
    /// When it lies in `project`: then a repository brought it along.
    pub fn toolchain(&self, project: &Path) -> anyhow::Result<Toolchain> {
        let sysroot = self.exe.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        if sysroot.starts_with(project) {
            bail!(
                "the toolchain `{}` lies in the project `{}`, which could bring any program along\n\nhint: name a \
                 toolchain that you trust: `cargo-sandbox +stable …`",
                sysroot.display(),
                project.display()
            );
        }
        let name = sysroot.file_name().unwrap_or(sysroot.as_os_str()).to_string_lossy().into_owned();
        let asked = self.environment.iter().find(|(name, _)| name == "RUSTUP_TOOLCHAIN");
        let by_rustup = asked.is_some_and(|(_, value)| Toolchain::is_rustups(value));
        Ok(Toolchain { name, sysroot: sysroot.to_owned(), by_rustup })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the kernel does not let it be waited for.
    pub fn wait_for_end(&self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Says something on cargo's own standard error: that of a wrapper belongs to the compiler's output.
    ///
    /// # Errors
    /// When it cannot be had, or nobody reads it.
    pub fn say(&self, line: &str) -> io::Result<()> {
        let mut stderr = self.stderr()?;
        let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
        // Without waiting for somebody who does not read.
        if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        stderr.write_all(format!("{line}\n").as_bytes())
    }

    /// cargo's own descriptor, where the kernel lets a process that is no ancestor have it (Yama may not), else the
    /// same terminal or pipe opened once more.
    fn stderr(&self) -> io::Result<File> {
        if let Ok(own) = pidfd_getfd(&self.handle, 2, PidfdGetfdFlags::empty()) {
            return Ok(own.into());
        }
        let path = format!("/proc/{}/fd/2", self.id);
        if std::fs::metadata(&path)?.is_file() {
            // Opened again it has a position of its own: cargo would write over what was said.
            return Err(io::ErrorKind::Unsupported.into());
        }
        std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path)
    }
}

/// The name under which the broker of a running process listens.
///
/// # Errors
/// When the process is gone.
pub fn name_of(id: i32) -> anyhow::Result<OsString> {
    let text = std::fs::read(format!("/proc/{id}/stat")).context("the cargo that asked is gone")?;
    let user = rustix::process::geteuid().as_raw();
    let name = Stat::parse(&text).and_then(|stat| Name::new(user, &stat));
    let name = name.context("the kernel does not say when cargo started")?;
    Ok(OsStr::from_bytes(name.as_bytes()).to_owned())
}

/// An argument may be empty; the last one ends in NUL as well.
fn arguments(bytes: &[u8]) -> Vec<OsString> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|byte| *byte == 0).map(|one| OsString::from_vec(one.to_owned())).collect()
}

fn variable(text: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|byte| *byte == b'=')?;
    Some((OsStr::from_bytes(&bytes[..end]).to_owned(), OsStr::from_bytes(&bytes[end + 1..]).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_cargo_is_named() {
        let own = name_of(std::process::id().cast_signed()).unwrap();
        let error = CargoProcess::named(&own).unwrap_err().to_string();
        assert!(error.contains("no toolchain's cargo") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn a_name_of_another_process_with_the_number_is_refused() {
        let own = name_of(std::process::id().cast_signed()).unwrap().into_string().unwrap();
        let error = CargoProcess::named(OsStr::new(&format!("{own}1"))).unwrap_err().to_string();
        assert!(error.contains("is gone"), "{error}");
        assert!(CargoProcess::named(OsStr::new("cargo-sandbox/0/x/1")).is_err());
    }

    #[test]
    fn empty_arguments_stay() {
        assert_eq!(arguments(b"cargo\0\0x\0"), ["cargo", "", "x"]);
        assert_eq!(variable(OsStr::new("A=b=c")), Some(("A".into(), "b=c".into())));
        assert_eq!(variable(OsStr::new("broken")), None);
    }
}
