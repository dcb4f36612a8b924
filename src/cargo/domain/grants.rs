//! What a command needs of the host.
//!
//! cargo takes a file that it may not read for an error, and one that is not there for nothing special. So
//! every file that it looks for above the project is granted where it exists, and its neighbours are not.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::agent::PROCESSORS;
use crate::broker::session::normalized;
use crate::cargo::configuration::Configuration;
use crate::cargo::install_root::{self, install_root};
use crate::cargo::installed::Tool;
use crate::cargo::{CargoCommand, Toolchain};
use crate::container::host::{MERGED, SYSTEM};

use super::repository;
use super::{Domain, Rights};

/// Files and directories of the system that are read, beside the ones that are executed.
const SYSTEM_READS: &[(&str, &str)] = &[
    ("/etc", "name service, certificates, git's configuration; secrets in it are not the user's to read"),
    ("/proc", "a process's own; Landlock refuses the memory and environment of processes outside the domain"),
    ("/sys/fs/cgroup", "the number of CPUs that may be used"),
    (PROCESSORS, "as /sys/fs/cgroup"),
    ("/var/lib/ca-certificates", "certificates on openSUSE"),
    ("/run/systemd/resolve", "name service"),
    ("/run/NetworkManager", "name service"),
    ("/run/resolvconf", "name service"),
];

/// Devices that every program expects.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// Directories with sockets that the C library's name service uses.
const NAME_SERVICE_SOCKETS: &[&str] =
    &["/run/nscd", "/var/run/nscd", "/run/systemd/resolve", "/run/systemd/userdb"];

/// What cargo, rustfmt and git look for in every directory above.
const LOOKED_FOR_ABOVE: &[&str] =
    &["Cargo.toml", "rustfmt.toml", ".rustfmt.toml", ".gitignore", ".gitattributes"];

/// Files in the user's home directory that belong to git and can hold no key: libgit2, which cargo uses, and git
/// itself fail where one exists and cannot be read.
const GIT_FILES: &[&str] = &[".gitconfig", ".config/git"];

/// What fetching over SSH takes without a key of its own: the agent has the keys.
const SSH_FILES: &[&str] = &[".ssh/config", ".ssh/known_hosts", ".ssh/known_hosts2", ".git-credentials"];

/// And what `ssh` and `git` take, where the user has cargo use them (`net.git-fetch-with-cli`).
const GIT_PROGRAM_FILES: &[&str] = &[".ssh", ".netrc"];

/// Files that cargo writes in `CARGO_HOME`, where nobody installs anything: its locks.
pub const CARGO_HOME_FILES: &[&str] = &[".package-cache", ".package-cache-mutate"];

/// Subcommands that fetch nothing.
const FETCHES_NOTHING: &[&str] = &[
    "",
    "clean",
    "config",
    "fmt",
    "help",
    "init",
    "locate-project",
    "new",
    "read-manifest",
    "report",
    "uninstall",
    "verify-project",
    "version",
];

/// A command, as far as its domain depends on it.
#[derive(Debug)]
pub struct Needs<'a> {
    /// The command.
    pub command: &'a CargoCommand,
    /// The directory that it works from.
    pub directory: &'a Path,
    /// Whose cargo.
    pub toolchain: &'a Toolchain,
    /// cargo's own directory, which exists.
    pub cargo_home: &'a Path,
    /// The user's home directory.
    pub home: &'a Path,
    /// The configuration that cargo will read.
    pub configuration: &'a Configuration,
    /// cargo's environment.
    pub environment: &'a [(std::ffi::OsString, std::ffi::OsString)],
    /// What is known of the command where it is an installed subcommand, and the executables of all that may run.
    pub installed: Option<(&'a Tool, &'a [PathBuf])>,
    /// What the user lets be read (`--sandbox-read`).
    pub reads: &'a [PathBuf],
    /// The project's root and target directory, if there is a project.
    pub project: Option<(&'a Path, &'a Path)>,
}

/// What a program of the system's needs that writes in one directory, and uses the network.
pub fn of_system_program(written: &Path) -> Domain {
    let mut domain = Domain::default();
    domain.add(written, Rights::Write);
    domain.add_executables(SYSTEM.iter().chain(MERGED).map(Path::new));
    system_reads(&mut domain);
    domain
}

/// What every program reads and uses of the system.
fn system_reads(domain: &mut Domain) {
    for (path, _why) in SYSTEM_READS {
        domain.add(path, Rights::Read);
    }
    for path in DEVICES {
        domain.add(path, Rights::Device);
    }
    for path in NAME_SERVICE_SOCKETS {
        domain.add(path, Rights::Connect);
    }
    // Often a link out of /etc, replaced by its owner while a program runs.
    if let Ok(file) = Path::new("/etc/resolv.conf").canonicalize() {
        domain.add(&file, Rights::Read);
    }
}

impl Needs<'_> {
    /// The grants of the command, without those of its session.
    pub fn domain(&self) -> Domain {
        let mut domain = Domain::default();
        self.writes(&mut domain);
        self.executes(&mut domain);
        self.system(&mut domain);
        self.sources(&mut domain);
        self.users_files(&mut domain);
        domain
    }

    fn writes(&self, domain: &mut Domain) {
        match self.installed {
            // Its database of what is used has a journal beside it.
            None => domain.add(self.cargo_home, Rights::Write),
            // Programs of the user's are executed in it.
            Some((tool, _)) => {
                domain.add(self.cargo_home, Rights::Read);
                for name in CARGO_HOME_FILES.iter().chain(tool.keeps).chain(tool.updates) {
                    domain.add(self.cargo_home.join(name), Rights::Write);
                }
            }
        }
        // Users move these to another disk.
        for name in ["registry", "git"] {
            domain.add(self.cargo_home.join(name), Rights::Write);
        }
        if let Some((root, target_dir)) = self.project {
            domain.add(root, Rights::Write);
            domain.add(target_dir, Rights::Write);
            if self.command.subcommand == "clean" && !target_dir.starts_with(root) {
                // The directory itself goes too.
                domain.add(target_dir.parent().unwrap_or(target_dir), Rights::RemoveDirectories);
            }
        }
        let variable = self.variable("CARGO_INSTALL_ROOT");
        let root = install_root(self.command, self.directory, variable, self.configuration, self.cargo_home);
        for path in root.iter().flat_map(|root| install_root::written(root)) {
            domain.add(path, Rights::Write);
        }
        for path in self.command.writes_beside_project() {
            let path = self.directory.join(path);
            let path = normalized(&path).unwrap_or(path);
            // cargo insists on making this directory itself.
            let makes = matches!(self.command.subcommand.as_str(), "new" | "init");
            let existing = path.ancestors().find(|path| path.is_dir()).filter(|_| makes);
            domain.add(existing.unwrap_or(&path), Rights::Write);
        }
    }

    /// After [`Self::writes`].
    fn executes(&self, domain: &mut Domain) {
        let sysroot = self.toolchain.sysroot.as_path();
        // One directory for rustup and cargo, as in some images: the user's own arrangement.
        let arranged = sysroot.starts_with(self.cargo_home);
        let directories = SYSTEM.iter().chain(MERGED).map(Path::new);
        domain.add_executables(directories.chain((!arranged).then_some(sysroot)));
        if arranged {
            domain.add(sysroot, Rights::Execute);
        }
        let Some((_, programs)) = self.installed else { return };
        let writable = domain.writable();
        for program in programs {
            if !writable.iter().any(|writable| program.starts_with(writable)) {
                domain.add(program, Rights::Execute);
            }
        }
    }

    fn system(&self, domain: &mut Domain) {
        system_reads(domain);
        for name in ["MAKEFLAGS", "CARGO_MAKEFLAGS", "MFLAGS"] {
            let flags = self.variable(name).unwrap_or_default().to_string_lossy();
            // The jobserver of a make above us.
            for path in flags.split_whitespace().filter_map(|word| word.split_once("=fifo:")) {
                if path_is_fifo(path.1) {
                    domain.add(path.1, Rights::Device);
                }
            }
        }
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "CARGO_HTTP_CAINFO"] {
            if let Some(path) = self.variable(name) {
                domain.add(self.directory.join(path), Rights::Read);
            }
        }
        for key in ["http.cainfo", "http.proxy-cainfo"] {
            if let Some(path) = self.configuration.path(key) {
                domain.add(path, Rights::Read);
            }
        }
    }

    fn sources(&self, domain: &mut Domain) {
        let mut roots = vec![self.directory];
        if let Some((root, _)) = self.project {
            roots.push(root);
        }
        for read in self.reads {
            domain.add(read, Rights::Read);
            roots.push(read);
        }
        for file in self.configuration.files() {
            domain.add(file, Rights::Read);
        }
        let named = self.command.manifest_path.as_ref().map(|path| self.directory.join(path));
        let manifest = named.as_deref().and_then(Path::parent).and_then(|path| path.canonicalize().ok());
        // A member of a workspace elsewhere (`package.workspace`).
        let member = manifest
            .as_deref()
            .or_else(|| self.directory.ancestors().find(|directory| directory.join("Cargo.toml").is_file()));
        if let (Some(member), Some(_)) = (member, self.project) {
            domain.add(member, Rights::Read);
            roots.push(member);
        }
        // Mostly one and the same.
        roots.sort_unstable();
        roots.dedup();
        for root in roots {
            for directory in root.ancestors() {
                for name in LOOKED_FOR_ABOVE {
                    let file = directory.join(name);
                    // A file, so that no repository opens a directory by this name.
                    if file.is_file() {
                        domain.add(file, Rights::Read);
                    }
                }
            }
            let Some(top) = repository::work_tree(root) else { continue };
            for path in repository::files(top) {
                domain.add(path, Rights::Read);
            }
            // Which files belong to a package cargo asks git, which walks down from the work tree's top.
            domain.add(top, Rights::List);
        }
    }

    fn users_files(&self, domain: &mut Domain) {
        for name in GIT_FILES {
            domain.add(self.home.join(name), Rights::Read);
        }
        for path in repository::named_in_configuration(self.home) {
            domain.add(path, Rights::Read);
        }
        if self.command.subcommand == "fmt" {
            for name in ["rustfmt.toml", ".rustfmt.toml", ".config/rustfmt"] {
                domain.add(self.home.join(name), Rights::Read);
            }
        }
        for name in self.installed.iter().flat_map(|(tool, _)| tool.reads) {
            domain.add(self.home.join(name), Rights::Read);
        }
        if !self.fetches() {
            return;
        }
        for name in SSH_FILES {
            domain.add(self.home.join(name), Rights::Read);
        }
        if let Some(socket) = self.variable("SSH_AUTH_SOCK") {
            domain.add(socket, Rights::Connect);
        }
        if self.uses_git_program() {
            for name in GIT_PROGRAM_FILES {
                domain.add(self.home.join(name), Rights::Read);
            }
        }
    }

    fn fetches(&self) -> bool {
        !self.command.offline && !FETCHES_NOTHING.contains(&self.command.subcommand.as_str())
    }

    /// By the user's own setting, or a repository's that the user trusts.
    fn uses_git_program(&self) -> bool {
        let variable = self.variable("CARGO_NET_GIT_FETCH_WITH_CLI").is_some_and(|value| value == "true");
        let configured = self.configuration.get("net.git-fetch-with-cli");
        variable || configured.and_then(|value| value.as_bool()).unwrap_or(false)
    }

    fn variable(&self, name: &str) -> Option<&std::ffi::OsStr> {
        let found = self.environment.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }
}

fn path_is_fifo(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::configuration::Place;
    use crate::cargo::installed::TOOLS;
    use std::ffi::OsString;
    use std::fs;

    struct Scene {
        directory: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let scene = Self { directory };
            for path in ["home/.cargo", "home/.ssh", "work/app/sub", "work/.cargo", "t/bin", "elsewhere"] {
                fs::create_dir_all(scene.path(path)).unwrap();
            }
            for path in ["work/Cargo.toml", "work/secret", "work/app/Cargo.toml", "home/.ssh/known_hosts"] {
                fs::write(scene.path(path), "").unwrap();
            }
            fs::write(scene.path("work/.cargo/config.toml"), "include = ['more.toml']").unwrap();
            fs::write(scene.path("work/.cargo/more.toml"), "").unwrap();
            scene
        }

        fn path(&self, path: &str) -> PathBuf {
            self.directory.path().canonicalize().unwrap().join(path)
        }

        fn domain(&self, line: &str, environment: &[(&str, &str)]) -> Domain {
            self.domain_with(line, environment, None)
        }

        fn domain_with(
            &self,
            line: &str,
            environment: &[(&str, &str)],
            installed: Option<(&Tool, &[PathBuf])>,
        ) -> Domain {
            let command = CargoCommand::parse(line.split_whitespace().map(OsString::from).collect());
            let directory = self.path("work/app/sub");
            let cargo_home = self.path("home/.cargo");
            let place = Place { directory: &directory, cargo_home: &cargo_home, root: None };
            let configuration = Configuration::read(place, &command.config).unwrap();
            let environment: Vec<_> =
                environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
            Needs {
                command: &command,
                directory: &directory,
                toolchain: &Toolchain { name: "t".into(), sysroot: self.path("t"), by_rustup: true },
                cargo_home: &cargo_home,
                home: &self.path("home"),
                configuration: &configuration,
                environment: &environment,
                installed,
                reads: &[],
                project: Some((&self.path("work/app"), &self.path("work/app/target"))),
            }
            .domain()
        }

        fn may(&self, domain: &Domain, rights: &[Rights], path: &str) -> bool {
            let path = self.path(path);
            domain
                .grants()
                .iter()
                .any(|grant| rights.contains(&grant.rights) && path.starts_with(&grant.path))
        }
    }

    const READS: &[Rights] = &[Rights::Read, Rights::Execute, Rights::Write];

    #[test]
    fn what_cargo_looks_for_above_is_read_and_its_neighbours_are_not() {
        let scene = Scene::new();
        let domain = scene.domain("build", &[]);
        for path in ["work/Cargo.toml", "work/.cargo/config.toml", "work/.cargo/more.toml", "work/app/x"] {
            assert!(scene.may(&domain, READS, path), "{path}");
        }
        for path in ["work/secret", "work/.cargo/credentials.toml", "home/.bashrc", "home/.ssh/id_ed25519"] {
            assert!(!scene.may(&domain, READS, path), "{path}");
        }
    }

    #[test]
    fn the_jobserver_of_a_make_above_is_reached() {
        let scene = Scene::new();
        let fifo = scene.path("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let reached = |name: &str| {
            let flags = format!("-j4 --jobserver-auth=fifo:{}", scene.path(name).display());
            scene.may(&scene.domain("build", &[("MAKEFLAGS", &flags)]), &[Rights::Device], name)
        };
        assert!(reached("fifo") && !reached("work/secret"));
    }

    #[test]
    fn nothing_is_both_written_and_executed() {
        let scene = Scene::new();
        for line in ["build", "new ../x", "vendor ../v", "clean", "fetch"] {
            let domain = scene.domain(line, &[]);
            let of = |rights| domain.grants().iter().filter(move |grant| grant.rights == rights);
            for written in of(Rights::Write) {
                for executed in of(Rights::Execute) {
                    let (written, executed) = (&written.path, &executed.path);
                    let apart = !written.starts_with(executed) && !executed.starts_with(written);
                    assert!(apart, "{line}: {} and {}", written.display(), executed.display());
                }
            }
        }
    }

    #[test]
    fn installed_programs_are_executed_one_by_one_and_nothing_beside_them_is_written() {
        let scene = Scene::new();
        let home = scene.path("home/.cargo");
        fs::create_dir_all(home.join("bin")).unwrap();
        for name in ["bin/cargo-deny", "bin/cargo-other", "env", ".package-cache"] {
            fs::write(home.join(name), "").unwrap();
        }
        let tool = TOOLS.iter().find(|tool| tool.name == "deny").unwrap();
        let programs = [home.join("bin/cargo-deny"), scene.path("work/app/cargo-deny")];
        let domain = scene.domain_with("deny check", &[], Some((tool, &programs)));
        let may = |rights, path: &str| scene.may(&domain, &[rights], path);
        assert!(may(Rights::Execute, "home/.cargo/bin/cargo-deny"));
        assert!(!may(Rights::Execute, "home/.cargo/bin/cargo-other"));
        assert!(!may(Rights::Execute, "work/app/cargo-deny"), "the project is written");
        for name in ["bin/cargo-deny", "bin/new", "env", "config.toml", "new"] {
            let path = format!("home/.cargo/{name}");
            assert!(!may(Rights::Write, &path) && may(Rights::Read, &path), "{path}");
        }
        for name in ["registry/src", "git/db", ".package-cache", "advisory-dbs/x"] {
            assert!(may(Rights::Write, &format!("home/.cargo/{name}")), "{name}");
        }
    }

    #[test]
    fn a_command_writes_where_it_is_told_to() {
        let scene = Scene::new();
        let writes = |line: &str, path: &str| scene.may(&scene.domain(line, &[]), &[Rights::Write], path);
        assert!(!writes("build", "work/new"));
        assert!(writes("new ../../new", "work/new"));
        assert!(writes("init ../../../elsewhere --lib", "elsewhere/Cargo.toml"));
        assert!(writes("vendor ../../v/w", "work/v/w"));
        assert!(!writes("vendor", "work/v") && writes("vendor", "work/app/sub/vendor"));
        assert!(
            !writes("build", "elsewhere/bin/x")
                && !writes("uninstall --root ../../../elsewhere x", "elsewhere/y")
        );
        assert!(writes("install --root=../../../elsewhere x", "elsewhere/bin/x"));
        assert!(writes("uninstall --root ../../../elsewhere x", "elsewhere/bin/x"));
    }

    #[test]
    fn keys_are_read_by_gits_program_only_and_only_when_the_user_wants_it() {
        let scene = Scene::new();
        let key = |line: &str, environment: &[(&str, &str)]| {
            scene.may(&scene.domain(line, environment), READS, "home/.ssh/id_ed25519")
        };
        let wanted = [("CARGO_NET_GIT_FETCH_WITH_CLI", "true")];
        assert!(!key("build", &[]) && key("build", &wanted));
        assert!(!key("build --offline", &wanted) && !key("fmt", &wanted));
        fs::create_dir_all(scene.path("work/app/.cargo")).unwrap();
        fs::write(scene.path("work/app/.cargo/config.toml"), "net.git-fetch-with-cli = true").unwrap();
        assert!(key("build", &[]), "a repository's wish is not here without the user's trust");
        fs::write(scene.path("home/.cargo/config.toml"), "net.git-fetch-with-cli = true").unwrap();
        fs::write(scene.path("work/app/.cargo/config.toml"), "").unwrap();
        assert!(key("build", &[]));
        let known_hosts = |line: &str| scene.may(&scene.domain(line, &[]), READS, "home/.ssh/known_hosts");
        assert!(known_hosts("build") && !known_hosts("build --frozen"));
    }
}
