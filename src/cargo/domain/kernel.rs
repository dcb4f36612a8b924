//! Having the kernel enforce a [`Domain`].
//!
//! The ruleset is made in the front end, which then forks; between fork and exec the child only makes two
//! system calls. The front end itself, with the broker in it, stays outside.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::agent::landlock::{OLDEST_ABI, kernel_abi};
use crate::policy::bar::{self, Bar, Weakness};

use super::{Domain, Rights};

/// Since this ABI connecting to a Unix socket by its path is a right (`RESOLVE_UNIX`).
const FIRST_ABI_WITH_SCOPES: i32 = 6;

/// Why cargo cannot be confined, and is therefore not started.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// No Landlock, or one that lets files be emptied that may not be written.
    #[error(
        "cargo cannot be confined on this machine: its kernel has {}, and version {OLDEST_ABI} is needed\n\nhint: use \
         Linux 6.2 or newer, with `landlock` in `/sys/kernel/security/lsm`{}",
        if *.0 == 0 { "no Landlock".to_owned() } else { format!("Landlock version {}", .0) },
        Weakness::of_landlock(*.0).map_or_else(String::new, |weakness| format!("\n{}", bar::hint(weakness)))
    )]
    TooOld(i32),
    /// The kernel refuses a ruleset of its own version.
    #[error("failed to make the Landlock domain of cargo: {0}")]
    Ruleset(#[from] landlock::RulesetError),
    /// A path that cannot be looked at.
    #[error("failed to open `{}` for the Landlock domain of cargo: {source}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The descriptor of the ruleset is missing: the library thinks that nothing needs to be enforced.
    #[error("no Landlock ruleset was made for cargo")]
    NoRuleset,
}

/// A ruleset that a process can put on itself.
#[derive(Debug)]
pub struct Enforceable {
    ruleset: OwnedFd,
}

impl Enforceable {
    /// Makes the ruleset with all rights that this kernel knows. Where the user allows less than is promised, that
    /// is said; where there is no Landlock then, there is nothing to enter.
    ///
    /// # Errors
    /// When the kernel does not enforce enough.
    pub fn new(domain: &Domain, bar: &Bar) -> Result<Option<Self>, DomainError> {
        let abi = check(bar)?;
        if abi == 0 { Ok(None) } else { Self::with_abi(domain, abi).map(Some) }
    }

    fn with_abi(domain: &Domain, abi: i32) -> Result<Self, DomainError> {
        let all = AccessFs::from_all(ABI::from(abi));
        // What is asked for is what this kernel has, so nothing may be dropped silently.
        let mut ruleset =
            Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(all)?;
        if abi >= FIRST_ABI_WITH_SCOPES {
            // No abstract socket and no process of the user's outside of the domain.
            ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
        }
        let mut ruleset = ruleset.create()?;
        for grant in domain.grants() {
            let failed = |source: io::Error| DomainError::Path { path: grant.path.clone(), source };
            let file = match openat(CWD, &grant.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                Ok(file) => file,
                // Nothing that cargo could reach either.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::ACCESS) => {
                    continue;
                }
                Err(error) => return Err(failed(error.into())),
            };
            let mode = fstat(&file).map_err(|error| failed(error.into()))?.st_mode;
            let mut rights = rights(grant.rights) & all;
            if rustix::fs::FileType::from_raw_mode(mode) != rustix::fs::FileType::Directory {
                // The kernel refuses a rule that has rights of directories for a file.
                rights &= AccessFs::from_file(ABI::V9);
            }
            if !rights.is_empty() {
                ruleset = ruleset.add_rule(PathBeneath::new(file, rights))?;
            }
        }
        let ruleset: Option<OwnedFd> = ruleset.into();
        Ok(Self { ruleset: ruleset.ok_or(DomainError::NoRuleset)? })
    }

    /// Puts this process, and all that it starts, into the domain for good. Makes two system calls and
    /// allocates nothing, so that it can be called between fork and exec.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        // SAFETY: takes two integers; the descriptor is open as long as `self` is.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0_u32) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Looks whether this kernel's Landlock is enough, and says so where it is less than promised. Returns its version.
///
/// # Errors
/// When it is less than the user allows.
pub fn check(bar: &Bar) -> Result<i32, DomainError> {
    let abi = kernel_abi();
    if abi < bar.landlock_abi() {
        return Err(DomainError::TooOld(abi));
    }
    bar.admit(&Weakness::of_landlock(abi).into_iter().collect());
    Ok(abi)
}

fn rights(rights: Rights) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match rights {
        Rights::List => AccessFs::ReadDir.into(),
        Rights::Read => read,
        Rights::Execute => read | AccessFs::Execute,
        // REFER: cargo links from the build directory into the target directory. MAKE_SYM: it links the links
        // to shims, and git checkouts have links. Fifos, sockets and devices it never makes.
        Rights::Write => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSym
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer
        }
        Rights::RemoveDirectories => AccessFs::RemoveDir.into(),
        Rights::Device => read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev,
        Rights::Connect => AccessFs::ResolveUnix.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;

    /// A directory with a copy of `true` in each of `tool` and `project`.
    fn scene() -> tempfile::TempDir {
        let scene = tempfile::tempdir().unwrap();
        for name in ["tool", "project"] {
            std::fs::create_dir(scene.path().join(name)).unwrap();
            let file = scene.path().join(name).join("true");
            std::fs::copy("/bin/true", &file).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        scene
    }

    fn domain(scene: &tempfile::TempDir) -> Domain {
        let mut domain = Domain::default();
        domain.add(scene.path().join("project"), Rights::Write);
        domain.add_executables(["/usr", "/bin", "/lib", "/lib64", "/nix/store"].map(Path::new));
        domain.add("/dev/null", Rights::Device);
        domain
    }

    fn run(domain: Option<&Domain>, program: &Path, arguments: &[&str]) -> io::Result<i32> {
        let enforceable = domain.map(|domain| Enforceable::new(domain, &Bar::default()).unwrap().unwrap());
        let mut command = Command::new(program);
        command.args(arguments).stderr(std::process::Stdio::null());
        if let Some(enforceable) = enforceable {
            // SAFETY: two system calls, no allocation.
            unsafe { command.pre_exec(move || enforceable.enter()) };
        }
        Ok(command.status()?.code().unwrap_or(-1))
    }

    #[test]
    fn what_is_not_granted_is_not_executed() {
        let scene = scene();
        let domain = domain(&scene);
        let program = scene.path().join("project/true");
        assert_eq!(run(None, &program, &[]).unwrap(), 0, "control");
        assert_eq!(run(Some(&domain), &program, &[]).unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert_eq!(run(Some(&domain), "/bin/true".as_ref(), &[]).unwrap(), 0);
    }

    #[test]
    fn what_is_not_granted_is_neither_written_nor_emptied() {
        let scene = scene();
        let domain = domain(&scene);
        let written = |name: &str, domain: Option<&Domain>| {
            let script = format!(": > '{}'", scene.path().join(name).display());
            run(domain, "/bin/sh".as_ref(), &["-c", &script]).unwrap() == 0
        };
        assert!(written("project/new", Some(&domain)));
        assert!(!written("new", Some(&domain)) && !written("tool/true", Some(&domain)));
        assert!(written("new", None) && written("tool/true", None), "control");
    }

    #[test]
    fn an_old_kernel_is_named() {
        for abi in [0, 1, 2] {
            let error = DomainError::TooOld(abi);
            assert!(error.to_string().contains("Linux 6.2"), "{error}");
            assert!(error.to_string().contains("allow-weaker-confinement"), "{error}");
        }
    }

    #[test]
    fn a_ruleset_of_every_version_can_be_made_that_this_kernel_has() {
        let scene = scene();
        let mut domain = domain(&scene);
        domain.add(scene.path(), Rights::Connect);
        domain.add(scene.path().join("tool/true"), Rights::Write);
        domain.add(scene.path().join("none"), Rights::Read);
        for abi in 1..=kernel_abi().max(OLDEST_ABI) {
            Enforceable::with_abi(&domain, abi).unwrap();
        }
    }
}
