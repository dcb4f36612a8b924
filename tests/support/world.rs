//! A user, the home directory made for a test, the toolchain, the projects in it.
//!
//! ```text
//! <base>/seed/<project>/            a published project and a CARGO_HOME with all it needs, fetched once
//! <base>/bin/                       the two executables under test, where every user can run them
//! <base>/<user>/<world>/            the HOME of one test; .cargo, .cache and work/ in it
//! <base>/in-turn/<world>/           the same, where users take turns
//! ```
//! `<base>` is `CSB_TEST_DIR` or a directory below `/var/tmp`: other users must be able to reach it, and it must not
//! lie in `/tmp`, which jobs have a private one of.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use super::run::run;
use super::{need, program};

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who runs the commands of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    switch: bool,
}

impl User {
    /// Whoever runs the tests.
    pub fn me() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let gid = rustix::process::getgid().as_raw();
        let name = if uid == 0 { "root".into() } else { format!("uid{uid}") };
        Self { name, uid, gid, switch: false }
    }

    /// An ordinary user: whoever runs the tests, or for root the account in `CSB_TEST_USER` (`csbuser`).
    pub fn ordinary() -> Result<Self, String> {
        let me = Self::me();
        if me.uid != 0 {
            return Ok(me);
        }
        program("setpriv")?;
        let name = std::env::var("CSB_TEST_USER").unwrap_or_else(|_| "csbuser".into());
        let passwd = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
        let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        for fields in entry.filter(|fields| fields.len() > 3 && fields[0] == name) {
            if let (Ok(uid), Ok(gid)) = (fields[2].parse(), fields[3].parse()) {
                return Ok(Self { name, uid, gid, switch: true });
            }
        }
        Err(format!(
            "as root the tests need an ordinary user: `useradd --create-home {name}`, or CSB_TEST_USER"
        ))
    }

    /// Root, if the tests run as root.
    pub fn root() -> Result<Self, String> {
        let me = Self::me();
        if me.uid == 0 { Ok(me) } else { Err("not root: what needs root is left out".into()) }
    }

    /// A command that runs as this user, with nothing in its environment. `groups` are supplementary ones.
    fn command(&self, program: &OsStr, groups: &[u32]) -> Command {
        let mut command = if self.switch {
            let mut command = Command::new("/usr/bin/setpriv");
            command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
            if groups.is_empty() {
                command.arg("--clear-groups");
            } else {
                let list: Vec<_> = groups.iter().map(u32::to_string).collect();
                command.arg(format!("--groups={}", list.join(",")));
            }
            command.arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env_clear();
        command
    }
}

/// Where the tests keep everything. Each checkout has its own: they may be tested at the same time, and with
/// different executables.
pub fn base() -> PathBuf {
    let base = std::env::var_os("CSB_TEST_DIR").map_or_else(
        || {
            let mut checkout = DefaultHasher::new();
            env!("CARGO_MANIFEST_DIR").hash(&mut checkout);
            PathBuf::from(format!(
                "/var/tmp/cargo-sandbox-tests-{}-{:08x}",
                User::me().uid,
                checkout.finish() as u32
            ))
        },
        PathBuf::from,
    );
    make_dir(&base);
    base
}

fn make_dir(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The directory of a toolchain that `user` can run: `CSB_TEST_TOOLCHAIN`, or the one that runs the tests.
pub fn toolchain(user: &User) -> Result<PathBuf, String> {
    let path = std::env::var_os("CSB_TEST_TOOLCHAIN").map_or_else(own_toolchain, PathBuf::from);
    let path = fs::canonicalize(&path).map_err(|error| format!("toolchain {}: {error}", path.display()))?;
    let reachable = path.ancestors().all(|dir| {
        fs::metadata(dir).is_ok_and(|metadata| {
            let shift = if metadata.uid() == user.uid { 6 } else { 0 };
            user.uid == 0 || (metadata.mode() >> shift) & 1 == 1
        })
    });
    if reachable {
        return Ok(path);
    }
    Err(format!(
        "{} cannot reach the toolchain {}; copy it to a public place and name that in CSB_TEST_TOOLCHAIN",
        user.name,
        path.display()
    ))
}

fn own_toolchain() -> PathBuf {
    // cargo tells its tests where it is itself: <toolchain>/bin/cargo.
    let cargo = PathBuf::from(std::env::var_os("CARGO").expect("run by cargo"));
    cargo.ancestors().nth(2).expect("cargo lies in a bin directory").to_path_buf()
}

/// The group of Docker's socket: what lets an ordinary user speak to the daemon.
pub fn docker_group() -> Option<u32> {
    fs::metadata("/var/run/docker.sock").ok().map(|metadata| metadata.gid())
}

/// A home directory for one test, and the environment that belongs to it.
#[derive(Debug)]
pub struct World {
    pub user: User,
    pub home: PathBuf,
    pub toolchain: PathBuf,
    /// Whether cargo keeps what it compiles by parts. What is built once or twice takes a quarter longer for that, and parts of
    /// libraries have other names each time.
    incremental: bool,
}

impl World {
    /// An empty home directory for `user`; what an earlier run left there is removed.
    pub fn new(name: &str, user: &User) -> Result<Self, String> {
        Self::below(&base().join(&user.name), name, user)
    }

    /// One on a disk, where the kernel counts what is written: below `CSB_TEST_DISK` where [`base`] is in memory.
    pub fn on_disk(name: &str, user: &User) -> Result<Self, String> {
        let disk = std::env::var_os("CSB_TEST_DISK").map_or_else(base, PathBuf::from);
        Self::below(&disk.join(&user.name), name, user)
    }

    /// One that has the same path for every user, so that what they make can be compared; one at a time.
    pub fn in_turn(name: &str, user: &User) -> Result<Self, String> {
        Self::below(&base().join("in-turn"), name, user)
    }

    /// With nothing in the environment that makes cargo do anything else than ever.
    #[must_use]
    pub fn incremental(mut self) -> Self {
        self.incremental = true;
        self
    }

    fn below(above: &Path, name: &str, user: &User) -> Result<Self, String> {
        let toolchain = toolchain(user)?;
        make_dir(above);
        let home = above.join(name);
        remove(&home);
        make_dir(&home);
        let world = Self { user: user.clone(), home, toolchain, incremental: false };
        make_dir(&world.work());
        world.give(&world.home);
        Ok(world)
    }

    /// Where projects lie.
    pub fn work(&self) -> PathBuf {
        self.home.join("work")
    }

    /// cargo of the toolchain itself, no rustup proxy.
    pub fn cargo(&self) -> PathBuf {
        self.toolchain.join("bin/cargo")
    }

    /// A command of this world: its user, HOME and PATH, and nothing else of the caller's environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with_groups(program, &[])
    }

    /// The same with supplementary groups.
    pub fn command_with_groups(&self, program: impl AsRef<OsStr>, groups: &[u32]) -> Command {
        let mut command = self.user.command(program.as_ref(), groups);
        command
            .env("HOME", &self.home)
            .env("USER", &self.user.name)
            .env("PATH", format!("{}:{SYSTEM_PATH}", self.toolchain.join("bin").display()))
            .env("LANG", "C.UTF-8")
            .current_dir(self.work());
        if !self.incremental {
            // Nor is anything debugged, or compiled in parts beside each other: a tenth of the time of small programs.
            command.env("CARGO_INCREMENTAL", "0");
            command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_CODEGEN_UNITS", "1");
        }
        command
    }

    /// Puts a copy of a directory, modification times included, where `to` says and gives it to the user.
    pub fn copy(&self, from: &Path, to: &Path) {
        copy(from, to);
        self.give(to);
    }

    /// Writes a file below the home directory as the user's own.
    pub fn write(&self, path: &Path, text: &str) {
        let parent = path.parent().expect("has a parent");
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.give(parent);
    }

    /// Commits all of a directory, which is a git repository then.
    pub fn commit(&self, directory: &Path) {
        for arguments in [
            ["init", "--quiet"].as_slice(),
            &["add", "."],
            &["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-m", "x"],
        ] {
            run(self.command("/usr/bin/git").args(arguments).current_dir(directory)).success("git");
        }
    }

    fn give(&self, path: &Path) {
        if self.user.switch {
            let owner = format!("{}:{}", self.user.uid, self.user.gid);
            run(Command::new("chown").args(["--recursive", "--no-dereference", &owner]).arg(path))
                .success("chown");
        }
    }
}

/// A run of everything would leave gigabytes. What a failed test made stays, to be looked at.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A container that ends now may still write; what it leaves, the next run removes.
            if fs::remove_dir_all(&self.home).is_err() {
                run(Command::new("chmod").args(["--recursive", "u+w"]).arg(&self.home));
                let _ = fs::remove_dir_all(&self.home);
            }
        }
    }
}

/// A world of an ordinary user.
pub fn ordinary(name: &str) -> Option<World> {
    let user = need(User::ordinary())?;
    need(World::new(name, &user))
}

/// A copy with modification times and links as they are.
pub fn copy(from: &Path, to: &Path) {
    let parent = to.parent().expect("has a parent");
    fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    run(Command::new("cp").args(["--archive", "--no-target-directory"]).arg(from).arg(to)).success("cp");
}

/// Removes a directory tree, one that is not there included.
pub fn remove(path: &Path) {
    // Nobody can write a store of Nix's.
    if fs::remove_dir_all(path).is_err() && path.is_dir() {
        run(Command::new("chmod").args(["--recursive", "u+w"]).arg(path));
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            panic!("cannot remove {}: {error}", path.display())
        }
        _ => {}
    }
}

/// Held while something in [`base`] that tests share is made.
pub fn shared() -> Shared {
    static IN_PROCESS: Mutex<()> = Mutex::new(());
    let guard = IN_PROCESS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = base().join("lock");
    let file = fs::File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Shared { _file: file, _guard: guard }
}

/// The lock of [`shared`], between threads and between processes.
pub struct Shared {
    _file: fs::File,
    _guard: MutexGuard<'static, ()>,
}
