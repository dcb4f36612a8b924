//! What a job may touch: its list of [`Access`]es as Landlock rules.
//!
//! Every right that the kernel knows is handled, so that what is not listed is refused. TCP ports are not:
//! the network is the business of the container's network namespace. Rules are bound to the files that are
//! there when the job starts.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::failure::{AtStep, Failure, Step};
use super::protocol::{Access, Rights};

/// The oldest Landlock that keeps the promise: without `TRUNCATE` (Linux 6.2) a file that may not be written
/// could still be emptied.
pub const OLDEST_ABI: i32 = 3;

/// The first Landlock that keeps signals and abstract sockets within a job (Linux 6.12).
pub const SCOPING_ABI: i32 = 6;

/// The first Landlock that says which Unix sockets may be connected to (Linux 7.1).
pub const UNIX_SOCKETS_ABI: i32 = 9;

/// The Landlock ABI that the kernel offers; 0 where there is none.
pub fn kernel_abi() -> i32 {
    const VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with the version flag the call reads nothing.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// What the kernel says of the processors (sysfs(5)): how many there are, their caches. Compilers, build scripts and
/// tests ask it where `/proc/cpuinfo` does not tell.
pub const PROCESSORS: &str = "/sys/devices/system/cpu";

/// What every job may touch. Device nodes and terminals also take `ioctl(2)`, or a program could not tell a
/// terminal from a file.
const BASE: &[(&str, Base)] = &[
    ("/proc", Base::Read),
    (PROCESSORS, Base::Read),
    ("/dev/null", Base::Device),
    ("/dev/zero", Base::Device),
    ("/dev/full", Base::Device),
    ("/dev/random", Base::Device),
    ("/dev/urandom", Base::Device),
    ("/dev/tty", Base::Device),
    ("/dev/pts", Base::Device),
];

#[derive(Clone, Copy)]
enum Base {
    Read,
    Device,
}

/// Rules for what every job may touch, to which a job's own are added.
pub struct Prepared {
    ruleset: RulesetCreated,
    rules: Rules,
    /// What has been added of a job's own.
    common: Vec<PathBuf>,
}

/// Makes the rules for the devices that every program expects, for the private directories `private`, and for what
/// the job that comes is known to read and execute, `common`. Where the kernel has no Landlock and none is needed, there
/// are no rules.
///
/// # Errors
/// When the kernel has less than the ABI that is `needed`.
pub fn prepare(
    abi: i32,
    needed: i32,
    private: &[&str],
    common: &[PathBuf],
) -> Result<Option<Prepared>, Failure> {
    if abi < needed {
        return Err(Failure::new(Step::Landlock, io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
    }
    if abi == 0 {
        return Ok(None);
    }
    let rules = Rules { all: AccessFs::from_all(ABI::from(abi)) };

    // What is asked for is what this kernel has, so nothing may be dropped silently.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(rules.all)
        .map_err(refused)?;
    if abi >= SCOPING_ABI {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal).map_err(refused)?;
    }
    let mut ruleset = ruleset.create().map_err(refused)?;
    for &(path, base) in BASE {
        let rights = match base {
            Base::Read => rules.of(Rights::Read),
            Base::Device => {
                AccessFs::ReadFile
                    | AccessFs::WriteFile
                    | AccessFs::ReadDir
                    | AccessFs::IoctlDev
                    | AccessFs::Truncate
            }
        };
        ruleset = rules.add(ruleset, path.as_bytes(), rights, false)?;
    }
    for path in private {
        ruleset = rules.add(ruleset, path.as_bytes(), rules.of(Rights::WriteAll), true)?;
    }
    for path in common {
        ruleset = rules.add(ruleset, path.as_os_str().as_bytes(), rules.of(Rights::ReadExecute), false)?;
    }
    Ok(Some(Prepared { ruleset, rules, common: common.to_vec() }))
}

impl Prepared {
    /// Restricts this process to `access` and what was prepared. Returns whether the kernel enforces all of it.
    ///
    /// # Errors
    /// When a writable path leads through a symbolic link: a job could have put it there to have another job's
    /// directory opened to itself.
    pub fn restrict(self, access: &[Access]) -> Result<bool, Failure> {
        let Self { mut ruleset, rules, common } = self;
        let is_new = |access: &&Access| !common.iter().any(|common| access.is_common(common));
        for Access { path, rights } in access.iter().filter(is_new) {
            let write = matches!(rights, Rights::WritePlain | Rights::WriteAll);
            ruleset = rules.add(ruleset, path, rules.of(*rights), write)?;
        }
        // no_new_privs holds since the agent's start.
        let status = ruleset.no_new_privs(false).restrict_self().map_err(refused)?;
        Ok(status.ruleset == RulesetStatus::FullyEnforced)
    }
}

fn refused(error: landlock::RulesetError) -> Failure {
    Failure::new(Step::Landlock, io::Error::other(error))
}

/// Opens a path to name it in a rule; with `strict`, through no symbolic link. Step by step, since the system
/// call filter, which may be in force already, leaves no `openat2(2)`.
fn open(path: &[u8], strict: bool) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if !strict {
        return openat(CWD, path, flags, Mode::empty());
    }
    let mut opened = openat(CWD, "/", flags | OFlags::DIRECTORY, Mode::empty())?;
    let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        // So that only the last part, and what is no directory, has to be looked at.
        let way = if parts.peek().is_some() { OFlags::DIRECTORY } else { OFlags::empty() };
        opened = match openat(&opened, part, flags | OFlags::NOFOLLOW | way, Mode::empty()) {
            Err(rustix::io::Errno::NOTDIR) if is_link(statat(&opened, part, AtFlags::SYMLINK_NOFOLLOW)?) => {
                return Err(rustix::io::Errno::LOOP);
            }
            next => next?,
        };
    }
    if is_link(fstat(&opened)?) { Err(rustix::io::Errno::LOOP) } else { Ok(opened) }
}

fn is_link(stat: Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

struct Rules {
    all: BitFlags<AccessFs>,
}

impl Rules {
    fn of(&self, rights: Rights) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        // REFER lets rustc hard-link inside its incremental directory; the kernel refuses a link or rename
        // that would give a file more rights than it has.
        let plain = read
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        match rights {
            Rights::Connect => AccessFs::ResolveUnix.into(),
            Rights::Read => read,
            Rights::ReadExecute => read | AccessFs::Execute,
            Rights::WritePlain => plain,
            Rights::WriteAll => {
                plain
                    | AccessFs::Execute
                    | AccessFs::MakeSym
                    | AccessFs::MakeFifo
                    | AccessFs::MakeSock
                    | AccessFs::ResolveUnix
            }
        }
    }

    fn add(
        &self,
        ruleset: RulesetCreated,
        path: &[u8],
        rights: BitFlags<AccessFs>,
        write: bool,
    ) -> Result<RulesetCreated, Failure> {
        let file = match open(path, write) {
            Ok(file) => file,
            // Nothing is there, or nothing that the job could reach.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::ACCESS) => {
                return Ok(ruleset);
            }
            Err(error) => return Err(Failure::about(Step::Landlock, path, error)),
        };
        let stat = fstat(&file).at(Step::Landlock)?;
        let mut rights = rights & self.all;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            // The kernel refuses a rule that has rights of directories for a file.
            rights &= AccessFs::from_file(ABI::V9);
        }
        if rights.is_empty() {
            return Ok(ruleset);
        }
        ruleset
            .add_rule(PathBeneath::new(file, rights))
            .map_err(|error| Failure::about(Step::Landlock, path, io::Error::other(error)))
    }
}
