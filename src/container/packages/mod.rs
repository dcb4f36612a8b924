//! Packages of the distribution that jobs see as if they were installed, though they are not.
//!
//! What this machine does not have is fetched by its own apt, as the caller and confined (`apt`), and unpacked into a
//! *package root* below this tool's own directory, by content (`store`). No maintainer script runs and nothing outside
//! of that directory changes. In containers the agent lays the root over `/usr`, read-only ([`crate::agent::Overlay`]).

mod apt;
mod store;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

use super::host::{MERGED, SystemWorld};
use super::spec::Mount;
use crate::agent::Overlay;
use crate::missing::Distribution;
use crate::mountinfo;
use crate::policy::bar::Bar;
use crate::policy::native::PackageName;

use apt::{Apt, Planned};
pub use store::{Store, remove_unused};

/// Packages that are unpacked, and where jobs see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRoot {
    /// The directory with their files, as they would lie below `/`.
    pub path: PathBuf,
    /// What of it is laid over what.
    pub over: Vec<Overlay>,
    /// What is installed here, as a request is named by it. The kernel does not promise what is seen of a layer that
    /// changes, so that another container is made then.
    pub installed: String,
}

/// What it takes to have packages.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which.
    pub names: BTreeSet<PackageName>,
    /// Who asks for them, for errors.
    pub by: String,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Whether nothing is said of what is being done.
    pub quiet: bool,
    /// How apt gets out: variables of the user's that name proxies.
    pub proxies: Vec<(OsString, OsString)>,
    /// What may be missing of confinement.
    pub bar: &'a Bar,
    /// What containers show of the system.
    pub system: &'a SystemWorld,
}

/// In a project's directory: which root it uses.
const USED: &str = "package-root";

/// How often what apt knows is renewed before a failure is one.
const RENEWALS: usize = 1;

/// The packages of a request and all that they depend on, but for what this machine has; nothing where it has all. The
/// first time they are fetched.
///
/// # Errors
/// When this machine has no apt, apt does not know one of them, or they cannot be fetched or unpacked.
pub fn provide(store: &Store, request: &Request<'_>) -> anyhow::Result<Option<PackageRoot>> {
    if request.names.is_empty() {
        return Ok(None);
    }
    refuse_elsewhere(request)?;
    let key = store::request_key(&request.names).context("failed to look at what is installed here")?;
    if let Some(found) = store.resolved(&key) {
        return Ok(found.map(|root| root_of(root, &key, request.system)));
    }
    let _lock = store.lock(request.quiet)?;
    // Another command may have been faster.
    if let Some(found) = store.resolved(&key) {
        return Ok(found.map(|root| root_of(root, &key, request.system)));
    }
    let found = match resolve(store, request)? {
        Found::Exactly(found) => {
            let remembered = store.remember(&key, &request.names, found.as_deref());
            remembered.context("failed to write down what packages are here")?;
            found
        }
        Found::Earlier(root) => Some(root),
    };
    Ok(found.map(|root| root_of(root, &key, request.system)))
}

/// What came of a request.
enum Found {
    /// What apt plans for it now; nothing where all is installed.
    Exactly(Option<PathBuf>),
    /// What was made for it before, when something else was installed here or apt knew of other versions.
    Earlier(PathBuf),
}

/// What [`provide`] would give if it had nothing to do.
pub fn known(store: &Store, request: &Request<'_>) -> Option<PackageRoot> {
    let key = store::request_key(&request.names).ok()?;
    Some(root_of(store.resolved(&key)??, &key, request.system))
}

/// Writes down in a project's directory which root it uses, so that `self prune` leaves that one.
///
/// # Errors
/// When it cannot be written.
pub fn used_by(project: &Path, root: Option<&PackageRoot>) -> io::Result<()> {
    let record = project.join(USED);
    match root.and_then(|root| root.path.parent()?.file_name()) {
        Some(digest) => fs::write(record, digest.as_encoded_bytes()),
        None => match fs::remove_file(record) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// The root that a project uses, by the name of its directory.
pub fn used(project: &Path) -> Option<String> {
    fs::read_to_string(project.join(USED)).ok()
}

fn resolve(store: &Store, request: &Request<'_>) -> anyhow::Result<Found> {
    let say = |verb: &str, words: &str| {
        if !request.quiet {
            eprintln!("{verb:>12} {words}");
        }
    };
    let scratch = store.scratch().context("failed to make a directory for apt")?;
    let mut apt = Apt::new(scratch.path(), request.bar, &request.proxies)?;
    let mut renewals = if request.offline { 0 } else { RENEWALS };
    loop {
        let fetched = match apt.plan(&request.names) {
            Ok(planned) if planned.is_empty() => return Ok(Found::Exactly(None)),
            Ok(planned) => {
                if let Some(root) = store.with_packages(&planned) {
                    return Ok(Found::Exactly(Some(root)));
                }
                if request.offline {
                    return offline(store, request, &planned).map(Found::Earlier);
                }
                say("Fetching", &format!("system packages {}", listed(&planned, &request.names)));
                apt.fetch(&request.names, &planned).map(|archives| (planned, archives))
            }
            Err(error) => Err(error),
        };
        match fetched {
            Ok((planned, archives)) => {
                say("Unpacking", &format!("system packages {}", listed(&planned, &request.names)));
                let links = &request.system.links;
                let root = store.unpack(&planned, &archives, links, |archive| apt.content(archive))?;
                return Ok(Found::Exactly(Some(root)));
            }
            Err(error) if renewals > 0 => {
                renewals -= 1;
                say("Updating", "the lists of system packages");
                // The first failure says more than one to do something about it.
                if apt.renew(&store.lists()).is_err() {
                    return earlier(store, request, &error);
                }
            }
            Err(error) => return earlier(store, request, &error),
        }
    }
}

/// What there is where apt fails, as it does without a network.
fn earlier(store: &Store, request: &Request<'_>, error: &anyhow::Error) -> anyhow::Result<Found> {
    let text = format!("failed to get the packages that {} names: {error:#}", request.by);
    if let Some(root) = store.latest(&request.names) {
        eprintln!("warning: {text}\nwarning: going on with those that were fetched before");
        return Ok(Found::Earlier(root));
    }
    if text.contains("hint: ") {
        bail!("{text}");
    }
    bail!("{text}\n\nhint: `apt-get --simulate install {}` shows what apt makes of it", words(&request.names))
}

/// What there is for the same request, made when something else was installed here or apt knew of other versions.
fn offline(store: &Store, request: &Request<'_>, planned: &[Planned]) -> anyhow::Result<PathBuf> {
    store.latest(&request.names).with_context(|| {
        format!(
            "the system packages {} are neither installed nor in the cache, and this command may not use the network (asked \
             for by {})\n\nhint: run it once without `--offline`, or install them: `apt install {}`",
            listed(planned, &request.names),
            request.by,
            words(&request.names)
        )
    })
}

/// Refuses machines whose packages are not apt's.
fn refuse_elsewhere(request: &Request<'_>) -> anyhow::Result<()> {
    if apt::is_here() {
        return Ok(());
    }
    Err(elsewhere(request, Distribution::read(Path::new("/etc/os-release"))))
}

fn elsewhere(request: &Request<'_>, distribution: Distribution) -> anyhow::Error {
    let names: Vec<&str> = request.names.iter().map(PackageName::as_str).collect();
    anyhow!(
        "{} asks for the system packages {}, and only those of Debian, Ubuntu and their kin can be shown without being \
         installed\n\nhint: install them: `{}`; or take an image that has them",
        request.by,
        names.join(", "),
        distribution.installing(&names)
    )
}

fn words(names: &BTreeSet<PackageName>) -> String {
    names.iter().map(PackageName::as_str).collect::<Vec<_>>().join(" ")
}

/// Most packages that a line names.
const MOST_NAMED: usize = 6;

/// Those that were asked for before those that come with them.
fn listed(planned: &[Planned], asked: &BTreeSet<PackageName>) -> String {
    let is_asked = |package: &&Planned| asked.iter().any(|name| name.as_str() == package.name);
    let (first, rest): (Vec<&Planned>, Vec<&Planned>) = planned.iter().partition(is_asked);
    let all = first.into_iter().chain(rest).map(|package| package.name.as_str());
    let named: Vec<&str> = all.take(MOST_NAMED).collect();
    match planned.len().saturating_sub(MOST_NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn root_of(path: PathBuf, installed: &str, system: &SystemWorld) -> PackageRoot {
    let over = overlays(&path, system);
    PackageRoot { path, over, installed: installed.to_owned() }
}

/// What of a package root is laid over what of the system.
fn overlays(root: &Path, system: &SystemWorld) -> Vec<Overlay> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted: Vec<PathBuf> = mountinfo::parse(&text).into_iter().map(|entry| entry.target).collect();
    let mut all = Vec::new();
    for Mount { source, target, .. } in &system.mounts {
        let merged = target == Path::new("/usr") || MERGED.iter().any(|path| target == Path::new(path));
        if let Ok(name) = target.strip_prefix("/")
            && merged
        {
            lay(&mut all, root.join(name), target, source, &mounted);
        }
    }
    all
}

/// Lays a directory over the system's `source`, which is shown at `target`. Where something is mounted below that, or may be by
/// a container (a toolchain in `/usr/local`, a project in `/usr/src`), its directories one by one: what is covered is not seen, and
/// the kernel refuses to cover mounts that it has locked.
fn lay(all: &mut Vec<Overlay>, over: PathBuf, target: &Path, source: &Path, mounted: &[PathBuf]) {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_directory(&over) {
        return;
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(&over).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    if entries.is_empty() {
        return;
    }
    let crowded = target == Path::new("/usr")
        || mounted.iter().any(|mount| mount.starts_with(source) && mount != source);
    let below = |path: &Path| Some((target.join(path.file_name()?), source.join(path.file_name()?)));
    // An empty one, or a link, brings nothing.
    let filled =
        |path: &PathBuf| is_directory(path) && fs::read_dir(path).is_ok_and(|mut all| all.next().is_some());
    let directories: Vec<PathBuf> = entries.into_iter().filter(filled).collect();
    // One that is not there cannot be mounted on.
    let known = |path: &PathBuf| below(path).is_some_and(|(_, source)| is_directory(&source));
    if !crowded || !directories.iter().all(known) {
        all.push(Overlay { over, target: target.to_owned() });
        return;
    }
    for over in directories {
        if let Some((target, source)) = below(&over) {
            lay(all, over, &target, &source, mounted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(usr: &Path) -> SystemWorld {
        let mount = |source: &Path, target: &str| Mount {
            source: source.to_owned(),
            target: target.into(),
            writable: false,
        };
        SystemWorld {
            mounts: vec![mount(usr, "/usr"), mount(usr, "/etc")],
            links: vec![("/lib".into(), "usr/lib".into())],
        }
    }

    #[test]
    fn only_what_packages_bring_is_laid_over_the_system() {
        let directory = tempfile::tempdir().unwrap();
        let (root, usr) = (directory.path().join("root"), directory.path().join("usr"));
        for path in ["usr/include", "usr/lib/x", "usr/bin", "etc/x", "opt/y"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("usr/include/x.h"), "").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("usr/share")).unwrap();
        for path in ["include", "lib", "bin", "local"] {
            fs::create_dir_all(usr.join(path)).unwrap();
        }
        let targets = |usr: &Path| -> Vec<PathBuf> {
            overlays(&root, &system(usr)).into_iter().map(|overlay| overlay.target).collect()
        };
        assert_eq!(targets(&usr), ["/usr/include", "/usr/lib"].map(PathBuf::from));
        // A directory that is not there cannot be mounted over.
        fs::remove_dir(usr.join("include")).unwrap();
        assert_eq!(targets(&usr), ["/usr"].map(PathBuf::from));
    }

    #[test]
    fn what_is_mounted_below_is_not_covered() {
        let directory = tempfile::tempdir().unwrap();
        let (root, usr) = (directory.path().join("root"), directory.path().join("usr"));
        for path in ["lib/gcc", "lib/wsl", "include/x"] {
            fs::create_dir_all(usr.join(path)).unwrap();
        }
        for path in ["lib/gcc/x", "include/x/x"] {
            fs::create_dir_all(root.join(path)).unwrap();
            fs::write(root.join(path).join("file"), "").unwrap();
        }
        let mut all = Vec::new();
        lay(&mut all, root, Path::new("/usr"), &usr, &[usr.join("lib/wsl")]);
        let targets: Vec<_> = all.iter().map(|overlay| overlay.target.to_str().unwrap()).collect();
        assert_eq!(targets, ["/usr/include", "/usr/lib/gcc"]);
    }

    #[test]
    fn another_distribution_s_command_is_said() {
        let (bar, nothing) = (Bar::default(), SystemWorld { mounts: Vec::new(), links: Vec::new() });
        let request = Request {
            names: ["b1", "a1"].map(|name| name.parse().unwrap()).into(),
            by: "mine.toml:2".into(),
            offline: false,
            quiet: true,
            proxies: Vec::new(),
            bar: &bar,
            system: &nothing,
        };
        let error = elsewhere(&request, Distribution::Fedora).to_string();
        assert!(
            error.starts_with("mine.toml:2 asks for") && error.contains("`dnf install a1 b1`"),
            "{error}"
        );
    }
}
