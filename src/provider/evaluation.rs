//! An evaluation: riff or nix as a job, in a container that is made for it and goes with it.
//!
//! It sees the system, the copy of the project's expressions under the project's name, and the store; it writes the store, where
//! that is the project's own, and a home directory of its own. Its environment is made here, and its network leads to the hosts
//! below. Nix's own sandbox is off where the store is the project's own: the container is in its place. Where a daemon builds, the
//! daemon's own rules hold for that.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::agent::client::AgentConnection;
use crate::agent::protocol::{Access, Budget, JobSpec, Reply, Request, Rights};
use crate::broker::escapes::visible;
use crate::broker::exceeded::what;
use crate::container::engines::Engines;
use crate::container::host::{SystemWorld, UserIdentity};
use crate::container::single::Single;
use crate::container::spec::{ContainerSpec, Image, Limits, Mount};
use crate::forward::{Allowed, Forwarder, Plan, unreached};
use crate::policy::bar::Bar;
use crate::policy::provider::Provider;
use crate::project::private_directory;
use crate::project::single_use::SingleUse;

use super::Wish;
use super::store::{SOCKETS, STORE, Store};

/// What can be reached, by HTTPS: where Nix has its binary caches and channels, and where flakes are.
const HOSTS: &[&str] = &[
    "cache.nixos.org",
    "channels.nixos.org",
    "nixos.org",
    "releases.nixos.org",
    "tarballs.nixos.org",
    "github.com",
    "api.github.com",
    "codeload.github.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
];

/// And by riff: its list of what crates need.
const HOST_OF_RIFF: &str = "registry.riff.determinate.systems";

/// The port of HTTPS.
const HTTPS: u16 = 443;

/// Where the system has its programs.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How long the container stays where the command was killed that it was made for.
const IDLE: Duration = Duration::from_secs(20);

/// The longest description of an environment, and the most that is kept of what is said beside it, in bytes.
const LONGEST: u64 = 32 << 20;
const MOST_WORDS: u64 = 1 << 20;

/// How much of it an error shows, in lines from the end.
const SHOWN: usize = 40;

/// Everything that is known of the machine and the user.
#[derive(Debug)]
pub struct Surroundings {
    /// The engines, by the user's choice.
    pub engines: Engines,
    /// The system: always the host's, whatever jobs run in.
    pub system: SystemWorld,
    /// Who the user is.
    pub user: UserIdentity,
    /// Limits of containers.
    pub limits: Limits,
    /// What may be missing of the promised confinement.
    pub bar: Arc<Bar>,
    /// This program, which is the agent.
    pub agent: PathBuf,
    /// Directories that no other command finds.
    pub made_up: SingleUse,
}

/// How a program ended in the container.
struct Outcome {
    /// As `waitpid(2)` gives it.
    status: i32,
    /// What it wrote to standard output.
    output: Vec<u8>,
    /// And to standard error, and what it could not reach.
    said: String,
}

/// One evaluation.
#[derive(Debug)]
pub struct Evaluation<'a> {
    /// What it is for.
    pub wish: &'a Wish<'a>,
    /// What is evaluated.
    pub expression: &'a Path,
    /// Riff or nix, and nix, without links.
    pub program: &'a Path,
    /// nix.
    pub nix: &'a Path,
    /// What it builds into.
    pub store: &'a Store,
    /// The copy of the project's files.
    pub staged: &'a Path,
    /// What it may keep: what it has fetched.
    pub home: PathBuf,
    /// What it may use up.
    pub budget: Budget,
}

impl Evaluation<'_> {
    /// Runs it, and returns what it writes to standard output.
    ///
    /// # Errors
    /// When it cannot be confined as promised, or fails; then with its own words.
    pub fn run(&self, surroundings: &Surroundings) -> anyhow::Result<Vec<u8>> {
        let failed = "failed to make the directories of the container for riff and Nix";
        private_directory(&self.home).context(failed)?;
        let containers = surroundings.made_up.directories().containers();
        private_directory(&containers).context(failed)?;
        let (mounts, access) = self.shown(&surroundings.system);
        let spec = self.spec(surroundings, containers, mounts);
        let Surroundings { engines, bar, .. } = surroundings;
        let container = Single { engines, bar, name: "container for riff and Nix" };
        let kind = container.start(&spec)?;
        let result = self.confined(&spec, &access).and_then(|()| self.evaluate(&spec, access));
        container.remove(kind, &spec);
        result
    }

    /// What it sees, and may do with it.
    fn shown(&self, system: &SystemWorld) -> (Vec<Mount>, Vec<Access>) {
        let wish = self.wish;
        let mut all: Vec<(Mount, Rights)> = Vec::new();
        for mount in system.mounts.iter().filter(|mount| mount.target != Path::new(STORE)) {
            all.push((mount.clone(), Rights::ReadExecute));
        }
        for mount in self.store.mounts() {
            // From Linux 7.1 on a socket is connected to by this right; the mount can be written by nobody.
            let all_rights = mount.writable || mount.target == Path::new(SOCKETS);
            let rights = if all_rights { Rights::WriteAll } else { Rights::ReadExecute };
            all.push((mount, rights));
        }
        all.push((Mount::writable(&self.home), Rights::WriteAll));
        // cargo, which riff asks, may want to write a lock file first; it is a copy.
        let writable = wish.provider.value == Provider::Riff;
        let rights = if writable { Rights::WritePlain } else { Rights::Read };
        let (source, target) = (self.staged.to_owned(), wish.root.to_owned());
        all.push((Mount { source, target, writable }, rights));
        for program in [self.program, self.nix] {
            let covered = all.iter().any(|(mount, _)| program.starts_with(&mount.target));
            if !covered {
                all.push((Mount::read_only(program), Rights::ReadExecute));
            }
        }
        if wish.provider.value == Provider::Riff {
            all.push((Mount::read_only(wish.sysroot), Rights::ReadExecute));
            for name in ["registry", "git"] {
                let cache = wish.cargo_home.join(name);
                if cache.is_dir() {
                    all.push((Mount::read_only(cache), Rights::Read));
                }
            }
        }
        let rule = |path: &Path, rights| Access { path: path.as_os_str().as_bytes().to_vec(), rights };
        let mut access: Vec<Access> =
            all.iter().map(|(mount, rights)| rule(&mount.target, *rights)).collect();
        access.push(rule(Path::new("/proc"), Rights::Read));
        let mut mounts: Vec<Mount> = all.into_iter().map(|(mount, _)| mount).collect();
        // Parents before children.
        mounts.sort_by(|one, other| one.target.cmp(&other.target));
        mounts.dedup_by(|later, first| later.target == first.target);
        (mounts, access)
    }

    fn spec(&self, surroundings: &Surroundings, containers: PathBuf, mounts: Vec<Mount>) -> ContainerSpec {
        ContainerSpec {
            project: surroundings.made_up.id().to_owned(),
            project_root: self.wish.root.to_owned(),
            containers_directory: containers,
            image: Image::Host,
            mounts,
            common: Vec::new(),
            over: Vec::new(),
            links: surroundings.system.links.clone(),
            uid: surroundings.user.uid,
            gid: surroundings.user.gid,
            limits: surroundings.limits.clone(),
            allowed: surroundings.bar.allowed().clone(),
            host_network: false,
            system_calls: BTreeSet::new(),
            idle: IDLE,
            agent: surroundings.agent.clone(),
            agent_stamp: "provider".to_owned(),
        }
    }

    /// Sees to it that a daemon builds in its sandbox, whatever it says of itself: a builder there is the first process of a
    /// namespace of its own. A sandbox that has no shell cannot even start this one.
    fn confined(&self, spec: &ContainerSpec, access: &[Access]) -> anyhow::Result<()> {
        if *self.store != Store::Daemon {
            return Ok(());
        }
        // Another name each time, or the daemon remembers it.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let expression = format!(
            "builtins.readFile (derivation {{ name = \"cargo-sandbox-{}\"; system = builtins.currentSystem; builder = \
             \"/bin/sh\"; args = [ \"-c\" \"echo $$ > $out\" ]; }})",
            now.as_nanos()
        );
        let words = ["nix", "--offline", "eval", "--impure", "--raw", "--expr", &expression];
        let asked = self.job(spec, access.to_vec(), self.nix, &words.map(OsString::from))?;
        let first = String::from_utf8_lossy(&asked.output).trim() == "1";
        if asked.status == 0 && !first {
            bail!(
                "Nix's daemon does not build in its sandbox, so that what an expression builds would run on this machine as it \
                 is\n\nhint: `sandbox = true` in `/etc/nix/nix.conf`, and no other on the daemon's command line"
            );
        }
        Ok(())
    }

    fn evaluate(&self, spec: &ContainerSpec, access: Vec<Access>) -> anyhow::Result<Vec<u8>> {
        let Outcome { status, output, said } = self.job(spec, access, self.program, &self.words())?;
        if status == 0 {
            return Ok(output);
        }
        let more = match self.wish.provider.value {
            Provider::Riff => "; what it asks cargo has to be fetched before (`cargo-sandbox fetch`)",
            _ => "",
        };
        bail!(
            "{} could not evaluate `{}`; it said:\n{}\n\nhint: it runs confined, without your files and variables, and reads of \
             the project what `docs/nix.md` lists{more}",
            self.wish.provider.value,
            self.expression.display(),
            last_lines(&said)
        )
    }

    fn job(
        &self,
        spec: &ContainerSpec,
        access: Vec<Access>,
        program: &Path,
        words: &[OsString],
    ) -> anyhow::Result<Outcome> {
        let failed = "failed to prepare the container for riff and Nix";
        let provider = self.wish.provider.value;
        let plan = Plan::new(&self.hosts()?).context(failed)?;
        let (network, of_agent) = UnixStream::pair().context(failed)?;
        let forwarder = Forwarder::start(&plan, network).context(failed)?;
        let input = std::fs::File::open("/dev/null").context(failed)?;
        let (stdout, out) = io::pipe().context(failed)?;
        let (stderr, err) = io::pipe().context(failed)?;
        let job = JobSpec {
            program: program.as_os_str().as_bytes().to_vec(),
            argv: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            env: self.environment(),
            cwd: self.wish.root.as_os_str().as_bytes().to_vec(),
            descriptors: vec![0, 1, 2],
            access,
            umask: 0o022,
            network: Some(plan.job_network()),
            // nix alone speaks to its daemon: nothing that is built runs in here then.
            local_sockets: *self.store == Store::Daemon,
            budget: self.budget,
            ..JobSpec::default()
        };
        let agent = AgentConnection::open(&spec.directory(), &spec.fingerprint())
            .context("the agent of the container for riff and Nix does not answer")?;
        let descriptors: [BorrowedFd<'_>; 4] = [input.as_fd(), out.as_fd(), err.as_fd(), of_agent.as_fd()];
        agent.send(&Request::Run(Box::new(job)), &descriptors).context(failed)?;
        drop((input, out, err, of_agent));
        let output = std::thread::spawn(move || bounded(stdout, LONGEST));
        let said = std::thread::spawn(move || bounded(stderr, MOST_WORDS));
        let reply = agent.read_reply();
        let output = output.join().unwrap_or_default();
        let said = String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned();
        let connections = forwarder.finish().unwrap_or_default();
        let said = [said, unreached(&connections).join("\n")].join("\n");
        match reply.context("the container for riff and Nix went away")? {
            Reply::Exited { wait_status } => Ok(Outcome { status: wait_status, output, said }),
            Reply::Exceeded(exceeded) => bail!(
                "{provider} was stopped: {}\n\nhint: `--sandbox-limit` allows more (`docs/limits.md`)",
                what(exceeded)
            ),
            Reply::Failed { message, .. } => {
                bail!("{provider} cannot be confined as promised: {message}")
            }
            other => bail!("the agent of the container for riff and Nix answered {other:?}"),
        }
    }

    fn hosts(&self) -> anyhow::Result<Vec<Allowed>> {
        if self.wish.offline {
            return Ok(Vec::new());
        }
        let riff = (self.wish.provider.value == Provider::Riff).then_some(&HOST_OF_RIFF);
        let all = HOSTS.iter().chain(riff).map(|host| Allowed::new(host, HTTPS));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// The command line.
    fn words(&self) -> Vec<OsString> {
        if self.wish.provider.value == Provider::Riff {
            let mut words: Vec<OsString> =
                ["riff", "print-dev-env", "--json", "--project-dir"].map(Into::into).into();
            words.push(self.wish.root.into());
            return words;
        }
        let mut words: Vec<OsString> = ["nix", "print-dev-env", "--json"].map(Into::into).into();
        if self.wish.offline {
            words.push("--offline".into());
        }
        if self.expression.ends_with("flake.nix") {
            // Of the copy, without version control: all of it belongs to the flake.
            let mut flake = OsString::from("path:");
            flake.push(self.wish.root);
            words.extend(["--no-write-lock-file".into(), flake]);
        } else {
            words.extend(["--file".into(), self.expression.into()]);
        }
        words
    }

    /// The whole environment. Nothing of it is the user's.
    fn environment(&self) -> Vec<Vec<u8>> {
        let wish = self.wish;
        let riff = wish.provider.value == Provider::Riff;
        let mut path = OsString::new();
        let toolchain = riff.then(|| wish.sysroot.join("bin"));
        let directories = [self.program.parent(), self.nix.parent(), toolchain.as_deref()];
        for directory in directories.into_iter().flatten() {
            path.push(directory);
            path.push(":");
        }
        path.push(SYSTEM_PATH);
        let mut settings =
            String::from("experimental-features = nix-command flakes\naccept-flake-config = false\n");
        if !wish.offline {
            // A network of nothing but a loopback is none for nix, which would then not try.
            settings.push_str(
                "substitute = true\ntarball-ttl = 3600\ndownload-attempts = 3\nconnect-timeout = 20\n",
            );
        }
        let mut all: Vec<(&str, OsString)> = vec![
            ("HOME", self.home.clone().into()),
            ("LANG", "C.UTF-8".into()),
            ("NO_COLOR", "1".into()),
            ("PATH", path),
            ("TERM", "dumb".into()),
            ("TMPDIR", "/tmp".into()),
            ("USER", "user".into()),
        ];
        match self.store {
            // A daemon obeys what a trusted user asks for, and so is asked for its sandbox.
            Store::Daemon => {
                settings.push_str("sandbox = true\n");
                all.push(("NIX_REMOTE", "daemon".into()));
            }
            Store::Own(_) => {
                // Builders are confined as nix itself, and cannot be more. Nor is there another user to build as.
                settings.push_str("sandbox = false\nbuild-users-group =\nfilter-syscalls = false\n");
                all.push(("NIX_REMOTE", "local".into()));
            }
        }
        all.push(("NIX_CONFIG", settings.into()));
        if riff {
            all.push(("CARGO_HOME", wish.cargo_home.into()));
            all.push(("CARGO_NET_OFFLINE", "true".into()));
            all.push(("RIFF_DISABLE_TELEMETRY", "true".into()));
            if wish.offline {
                all.push(("RIFF_OFFLINE", "true".into()));
            }
        }
        let line = |name: &str, value: &OsStr| [name.as_bytes(), b"=", value.as_bytes()].concat();
        all.iter().map(|(name, value)| line(name, value)).collect()
    }
}

/// What nix says where it sees no interface but a loopback. It is not so: the hosts are reached by that.
const NO_NETWORK: &str = "you don't have Internet access";

/// What is written, up to so many bytes; the rest is read, and lost.
fn bounded(mut from: impl Read, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    let _until_then = from.by_ref().take(most).read_to_end(&mut kept);
    let _lost = io::copy(&mut from, &mut io::sink());
    kept
}

/// The end of what a program said, with all that a terminal would obey made visible.
fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.trim_end().lines().filter(|line| !line.contains(NO_NETWORK)).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN)..];
    let shown: Vec<String> = shown.iter().map(|line| format!("  {}", visible(line))).collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_is_said_is_shown_and_moves_no_cursor() {
        let said: String = (0..SHOWN).map(|number| format!("line {number}\n")).collect();
        let said =
            format!("first\n{said}warning: you don't have Internet access; …\nerror: \u{1b}]0;title\u{7}\n");
        let shown = last_lines(&said);
        assert!(shown.starts_with("  line 1\n") && shown.ends_with("error: \\x1b]0;title\\x07"), "{shown}");
        assert!(!shown.contains("Internet"));
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        assert_eq!(bounded([7; 100].as_slice(), 10), [7; 10]);
    }
}
