//! apt, as the caller and confined: it reads what it is configured to and what is installed, writes one directory, and
//! installs nothing. It checks signatures and hashes of what it fetches, as it does for this machine.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::broker::escapes::visible;
use crate::cargo::domain::grants::of_system_program;
use crate::cargo::domain::kernel::Enforceable;
use crate::cargo::domain::{Domain, Rights};
use crate::policy::bar::Bar;
use crate::policy::native::PackageName;

const APT_GET: &str = "/usr/bin/apt-get";
const APT_CACHE: &str = "/usr/bin/apt-cache";
const DPKG_DEB: &str = "/usr/bin/dpkg-deb";

/// What is installed here.
pub const STATUS: &str = "/var/lib/dpkg/status";

/// What apt reads beside the system's programs and `/etc`.
const READS: &[&str] = &["/var/lib/apt", "/var/lib/dpkg", "/var/cache/apt"];

/// Programs that this machine's configuration has apt start. They are for what apt installs or updates here, which is
/// neither.
const WITHOUT_HOOKS: &str = "\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
";

/// Whether this machine's packages are apt's.
pub fn is_here() -> bool {
    [APT_GET, APT_CACHE, DPKG_DEB, STATUS].iter().all(|path| Path::new(path).is_file())
}

/// A package that would be installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub architecture: String,
}

impl Planned {
    /// Reads a line of `apt-get --simulate`: `Inst name [installed version] (version origin [architecture]) …`.
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (inside, _) = rest.split_once('(')?.1.split_once(')')?;
        let (version, _) = inside.split_once(' ')?;
        let architecture = inside.rsplit_once('[')?.1.strip_suffix(']')?;
        let name = name.split_once(':').map_or(name, |(name, _)| name);
        Some(Self { name: name.into(), version: version.into(), architecture: architecture.into() })
    }

    /// The name of its archive, where apt puts it.
    fn archive(&self) -> String {
        let quoted = self.version.replace('%', "%25").replace('_', "%5f").replace(':', "%3a");
        format!("{}_{quoted}_{}.deb", self.name, self.architecture)
    }
}

/// apt with a directory of its own.
pub struct Apt<'a> {
    scratch: &'a Path,
    bar: &'a Bar,
    proxies: &'a [(OsString, OsString)],
    /// What it knows of packages, where that is not this machine's own.
    lists: Option<PathBuf>,
    domain: Domain,
}

impl<'a> Apt<'a> {
    /// apt that writes below `scratch`, which is there and empty.
    pub fn new(scratch: &'a Path, bar: &'a Bar, proxies: &'a [(OsString, OsString)]) -> anyhow::Result<Self> {
        for directory in ["archives/partial", "tmp"] {
            let path = scratch.join(directory);
            fs::create_dir_all(&path).with_context(|| format!("failed to create `{}`", path.display()))?;
        }
        fs::write(scratch.join("apt.conf"), WITHOUT_HOOKS).context("failed to write apt's configuration")?;
        let mut domain = of_system_program(scratch);
        READS.iter().for_each(|path| domain.add(path, Rights::Read));
        let mut apt = Self { scratch, bar, proxies, lists: None, domain };
        for path in apt.local_sources() {
            apt.domain.add(path, Rights::Read);
        }
        Ok(apt)
    }

    /// Takes lists of its own from here on, after fetching them. `lists` is kept for the next time.
    ///
    /// # Errors
    /// When they cannot be fetched, with apt's words.
    pub fn renew(&mut self, lists: &Path) -> anyhow::Result<()> {
        let partial = lists.join("partial");
        fs::create_dir_all(&partial).with_context(|| format!("failed to create `{}`", partial.display()))?;
        self.domain.add(lists, Rights::Write);
        self.lists = Some(lists.to_owned());
        // What apt shows of packages in other languages, and for software centres.
        let less = ["Acquire::Languages=none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"];
        let options = less.iter().flat_map(|option| ["-o", option]);
        let mut command = self.command(APT_GET)?;
        self.run(command.args(options).arg("update"))?;
        // It goes on without a source that it cannot reach, and so without any.
        let fetched = fs::read_dir(lists).into_iter().flatten().flatten();
        if fetched.into_iter().any(|entry| entry.file_name().as_encoded_bytes().ends_with(b"Release")) {
            return Ok(());
        }
        bail!("apt has reached none of its sources")
    }

    /// What would be installed for these, dependencies first.
    ///
    /// # Errors
    /// When apt does not know one of them, or cannot have them all at once.
    pub fn plan(&self, names: &BTreeSet<PackageName>) -> anyhow::Result<Vec<Planned>> {
        // A name that is none, apt takes for a pattern.
        let mut command = self.command(APT_CACHE)?;
        let known = self.run(command.arg("pkgnames"))?;
        let known: HashSet<&str> = known.lines().collect();
        if let Some(name) = names.iter().find(|name| !known.contains(name.as_str())) {
            bail!(
                "apt knows no package `{name}`\n\nhint: `apt-cache search {name}` finds some; the name is this distribution's"
            );
        }
        let mut command = self.command(APT_GET)?;
        let said = self
            .run(command.args(["--simulate", "install", "--"]).args(names.iter().map(PackageName::as_str)))?;
        let lines = said.lines().filter(|line| line.starts_with("Inst "));
        lines
            .map(|line| {
                Planned::parse(line)
                    .with_context(|| format!("apt says what is not understood: `{}`", visible(line)))
            })
            .collect()
    }

    /// Fetches what was planned; returns the archives, in its order.
    ///
    /// # Errors
    /// When something cannot be fetched, or is not what apt's signed lists say.
    pub fn fetch(&self, names: &BTreeSet<PackageName>, planned: &[Planned]) -> anyhow::Result<Vec<PathBuf>> {
        let mut command = self.command(APT_GET)?;
        command.args(["--download-only", "install", "--"]).args(names.iter().map(PackageName::as_str));
        self.run(&mut command)?;
        let archives = planned.iter().map(|package| {
            let archive = self.scratch.join("archives").join(package.archive());
            match archive.is_file() {
                true => Ok(archive),
                false => bail!("apt has fetched no `{}`", package.archive()),
            }
        });
        archives.collect()
    }

    /// The files of an archive, as a tar.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn content(&self, archive: &Path) -> anyhow::Result<Child> {
        let mut command = self.confined(DPKG_DEB)?;
        command.arg("--fsys-tarfile").arg(archive).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().with_context(|| format!("failed to start `{DPKG_DEB}`"))
    }

    /// Directories of sources that are files.
    fn local_sources(&self) -> Vec<PathBuf> {
        let sites = self
            .command(APT_GET)
            .and_then(|mut command| self.run(command.args(["indextargets", "--format", "$(SITE)"])));
        let sites = sites.unwrap_or_default();
        let path =
            |site: &str| Some(PathBuf::from(site.strip_prefix("file:").or(site.strip_prefix("copy:"))?));
        sites.lines().filter_map(path).filter(|path| path.is_absolute()).collect()
    }

    /// One of apt's programs, with its options.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = self.confined(program)?;
        let option = |name: &str, path: &Path| {
            let mut option = OsString::from(name);
            option.push("=");
            option.push(path);
            option
        };
        let mut config = OsString::from("-c=");
        config.push(self.scratch.join("apt.conf"));
        command.arg(config);
        let archives = self.scratch.join("archives");
        let mut paths = vec![("Dir::Cache", self.scratch), ("Dir::Cache::archives", &archives)];
        paths.extend(self.lists.as_deref().map(|lists| ("Dir::State::lists", lists)));
        for (name, path) in paths {
            command.arg("-o").arg(option(name, path));
        }
        for word in [
            // Nothing that others use is written.
            "Debug::NoLocking=true",
            "Dir::Cache::pkgcache=pkgcache.bin",
            "Dir::Cache::srcpkgcache=srcpkgcache.bin",
            "APT::Get::AllowUnauthenticated=false",
            "APT::Get::Show-User-Simulation-Note=false",
            "APT::Install-Recommends=false",
            "APT::Get::Upgrade=false",
            "APT::Get::Assume-Yes=true",
            "Acquire::Retries=2",
        ] {
            command.args(["-o", word]);
        }
        if rustix::process::geteuid().is_root() {
            // Its own user cannot enter a directory that is the caller's alone.
            command.args(["-o", "APT::Sandbox::User=root"]);
        }
        Ok(command)
    }

    /// A program of the system's, with nothing of the caller's environment, in the domain.
    fn confined(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.env_clear().envs(self.proxies.iter().cloned());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        command.env("TMPDIR", self.scratch.join("tmp")).current_dir(self.scratch).stdin(Stdio::null());
        let domain = Enforceable::new(&self.domain, self.bar)?;
        let parent = rustix::process::getpid();
        let confine = move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
            // The front end may have died between the fork and the call.
            match (rustix::process::getppid(), &domain) {
                (now, _) if now != Some(parent) => Err(io::ErrorKind::BrokenPipe.into()),
                (_, Some(domain)) => domain.enter(),
                (_, None) => Ok(rustix::thread::set_no_new_privs(true)?),
            }
        };
        // SAFETY: between fork and exec this makes four system calls and allocates nothing.
        unsafe { command.pre_exec(confine) };
        Ok(command)
    }

    /// Runs it to its end; what it said on standard output.
    fn run(&self, command: &mut Command) -> anyhow::Result<String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().with_context(|| format!("failed to start `{program}`"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let all = || said.lines().filter(|line| !line.trim().is_empty());
        let mut errors: Vec<String> =
            all().filter_map(|line| line.strip_prefix("E: ")).map(visible).collect();
        if errors.is_empty() {
            errors = all().map(visible).collect();
        }
        bail!("`{program}` failed ({}): {}", output.status, errors.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install_is_read() {
        let planned = |line: &str| {
            let planned = Planned::parse(line)?;
            Some((planned.name.clone(), planned.archive()))
        };
        let line = "Inst libev-dev (1:4.33-1 Debian:12.15/oldstable [amd64])";
        assert_eq!(planned(line), Some(("libev-dev".into(), "libev-dev_1%3a4.33-1_amd64.deb".into())));
        let line =
            "Inst libssl3 [3.0.15-1] (3.0.17-1~deb12u2 Debian-Security:12/oldstable-security [amd64]) []";
        assert_eq!(planned(line), Some(("libssl3".into(), "libssl3_3.0.17-1~deb12u2_amd64.deb".into())));
        let line = "Inst libc6:i386 (2.36 Debian:12/x, Debian:13/y [i386])";
        assert_eq!(planned(line), Some(("libc6".into(), "libc6_2.36_i386.deb".into())));
        assert_eq!(planned("Inst "), None);
        assert_eq!(planned("Remv libx [1]"), None);
    }

    #[test]
    fn what_is_started_writes_its_own_directory_alone() {
        let place = tempfile::tempdir().unwrap();
        let scratch = place.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let (inside, outside) = (scratch.join("new"), place.path().join("new"));
        let write = ["-c", ": > \"$1\"", "sh"];
        let control = Command::new("/bin/sh").args(write).arg(&outside).status().unwrap();
        assert!(control.success() && outside.exists());
        fs::remove_file(&outside).unwrap();
        let bar = Bar::default();
        let proxies = [("http_proxy".into(), "http://proxy.example".into())];
        let apt = Apt::new(&scratch, &bar, &proxies).unwrap();
        let sh = |path: &Path| apt.confined("/bin/sh").unwrap().args(write).arg(path).output().unwrap();
        assert!(sh(&inside).status.success() && inside.exists());
        assert!(!sh(&outside).status.success() && !outside.exists());
        // Nor does it execute what it has fetched.
        fs::copy("/bin/true", scratch.join("true")).unwrap();
        assert!(apt.confined("/bin/true").unwrap().status().unwrap().success());
        assert!(apt.confined(scratch.join("true").to_str().unwrap()).unwrap().status().is_err());
        let environment = apt.confined("/usr/bin/env").unwrap().output().unwrap();
        let environment = String::from_utf8(environment.stdout).unwrap();
        let mut names: Vec<&str> =
            environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["LC_ALL", "PATH", "TMPDIR", "http_proxy"]);
    }
}
