//! What is fixed while one command runs: who, where, which toolchain, which container.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cargo::Toolchain;
use crate::cargo::installed::coverage::Coverage;
use crate::cargo::process::CargoProcess;
use crate::cargo::stderr::CargoStderr;
use crate::container::lifecycle::Containers;
use crate::missing::Advisor;
use crate::policy::kind::Kind;
use crate::policy::layers::Policy;
use crate::policy::limits::Budgets;
use crate::project::{Project, ProjectDirectories};
use crate::provider::Provided;
use crate::publish::tokens::Tokens;
use crate::report::Recorder;

use super::identify::role;
use super::trace::Trace;

/// One command of one user in one project.
#[derive(Debug)]
pub struct Session {
    /// The project.
    pub project: Project,
    /// Its directories.
    pub directories: ProjectDirectories,
    /// Where answers of the compiler about itself are kept.
    pub probes: PathBuf,
    /// The toolchain whose programs run.
    pub toolchain: Toolchain,
    /// cargo's own directory, canonical where it exists.
    pub cargo_home: PathBuf,
    /// Where final artifacts land.
    pub target_dir: PathBuf,
    /// What the user lets jobs read beyond the project (`--sandbox-read`), canonical.
    pub extra_reads: Vec<PathBuf>,
    /// Directories with a vendored package in each directory (`cargo vendor`), without `.` and `..`.
    pub vendored: Vec<PathBuf>,
    /// The project's containers.
    pub containers: Containers,
    /// cargo's `umask(2)`, and so its jobs'.
    pub umask: u32,
    /// What jobs may use up.
    pub budgets: Budgets,
    /// Says what to install where a job fails without it.
    pub advisor: Advisor,
    /// What jobs may do beyond what all jobs of their kind do, and what they may not.
    pub policy: Policy,
    /// What programs are run for.
    pub programs: Kind,
    /// Whether tests may be run.
    pub tests: bool,
    /// The `PATH` that this tool gives to cargo, and the user's own, which jobs have.
    pub path: Option<(OsString, OsString)>,
    /// Variables of the user's that the policy passes to some job.
    pub granted_variables: Vec<(OsString, OsString)>,
    /// What riff or Nix gives to jobs.
    pub provided: Provided,
    /// Say each job on standard error.
    pub verbose: bool,
    /// Where what jobs did, or were refused, is collected.
    pub recorder: Option<Arc<Recorder>>,
    /// Where is written down where the time of jobs goes.
    pub trace: Option<Trace>,
    /// What the session is for, where it is not to build.
    pub purpose: Purpose,
    /// What cargo has in the place of the user's standard error, if anything.
    pub stderr: Option<Arc<CargoStderr>>,
    /// Whether cargo says nothing of a compiler that does not answer (`run --quiet`), so that this tool has to.
    pub says_of_questions: bool,
    /// The user's tokens, for the host's cargo to read private registries with; `None`: cargo has them by itself.
    pub tokens: Option<Tokens>,
    /// What programs that measure themselves are read with (`cargo llvm-cov`).
    pub coverage: Option<Coverage>,
    /// Whether what macros make of the sources is to be shown (`cargo expand`).
    pub expands: bool,
    /// What differs where plain cargo runs, which this tool did not start.
    pub plain: Option<PlainCargo>,
}

/// What a session is for.
#[derive(Debug, Default)]
pub enum Purpose {
    /// To run what cargo asks for.
    #[default]
    Build,
    /// To see how far cargo comes without running anything of others: the compiler answers about itself only. What is
    /// set is said when cargo asks for more.
    Rehearsal(Arc<AtomicBool>),
    /// To run cargo itself as a job, and with it all that it starts.
    Inside(Inside),
}

/// cargo, or what starts it, as a job.
#[derive(Debug, Clone)]
pub struct Inside {
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Files and directories that it reads beside the sources.
    pub reads: Vec<PathBuf>,
    /// Where it builds.
    pub build: PathBuf,
}

/// A cargo that this tool did not start, and whose wrappers it serves.
#[derive(Debug)]
pub struct PlainCargo {
    /// Its process.
    pub process: i32,
    /// The wrapper as it was installed, in the role of `RUSTC_WRAPPER`.
    pub wrapper: PathBuf,
    /// What cargo may call the toolchain's rustc beside its own path.
    pub compilers: Vec<PathBuf>,
    /// The directory of all projects: a configuration that was written for one counts for those below it, too.
    pub projects: PathBuf,
    /// What it has in its environment and no job gets, each `NAME=value`.
    pub withheld: HashSet<OsString>,
    /// Where the user is told something.
    pub cargo: Option<Arc<CargoProcess>>,
}

/// Where a source file comes from, and with it what its package may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A member of the workspace: it may read all of it.
    Workspace,
    /// A package from a registry, a git checkout or a vendored directory, or the standard library: it may read
    /// this directory.
    Package(PathBuf),
    /// A package of the workspace as `cargo package` packed and unpacked it: it may read what is packed, which is all
    /// that others will have.
    Packed(PathBuf),
    /// A directory that the user named.
    Extra(PathBuf),
}

impl Session {
    /// The role that a wrapper plays, by where its executable lies.
    pub fn role<'a>(&self, executable: &'a Path) -> Option<&'a str> {
        if let Ok(name) = executable.strip_prefix(self.directories.bin()) {
            return name.to_str();
        }
        let plain = self.plain.as_ref()?;
        if executable == plain.wrapper {
            return Some(role::RUSTC_WRAPPER);
        }
        // <project>/bin/<role>
        let mut parts = executable.strip_prefix(&plain.projects).ok()?.iter().skip(1);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(bin), Some(name), None) if bin == "bin" => name.to_str(),
            _ => None,
        }
    }

    /// Whether a word is what cargo may call the toolchain's rustc.
    pub fn is_rustc(&self, word: &Path) -> bool {
        self.role(word) == Some(role::RUSTC)
            || word == self.toolchain.program("rustc")
            || self.plain.as_ref().is_some_and(|plain| plain.compilers.iter().any(|name| name == word))
    }

    /// Where a source file or a package's directory comes from; `None` for a place that no job may read.
    pub fn origin(&self, path: &Path) -> Option<Origin> {
        let path = normalized(path)?;
        // CARGO_HOME first: it may be inside the workspace (as CI caches have it).
        let registry = self.registry_sources();
        if let Ok(below) = path.strip_prefix(&registry) {
            // <index>/<package>-<version>
            return Some(Origin::Package(registry.join(first_parts(below, 2)?)));
        }
        let checkouts = self.git_checkouts();
        if let Ok(below) = path.strip_prefix(&checkouts) {
            // <repository>/<revision>
            return Some(Origin::Package(checkouts.join(first_parts(below, 2)?)));
        }
        let library = self.toolchain.sysroot.join("lib/rustlib/src");
        if path.starts_with(&library) {
            return Some(Origin::Package(library));
        }
        for place in [self.directories.build(), self.target_dir.clone()] {
            let packed = place.join("package");
            if let Ok(below) = path.strip_prefix(&packed) {
                return Some(Origin::Packed(packed.join(first_parts(below, 1)?)));
            }
        }
        let extra = self.extra_reads.iter().find(|extra| path.starts_with(extra));
        let inside = path.starts_with(&self.project.root);
        // What is vendored is in the repository and none of its own. Only there, or a repository's file could
        // name a directory of the user's and with it what may be read.
        if (inside || extra.is_some())
            && let Some(package) = self.vendored_packages().find_map(|vendored| {
                let below = path.strip_prefix(vendored).ok()?;
                Some(vendored.join(first_parts(below, 1)?))
            })
        {
            return Some(Origin::Package(package));
        }
        if inside {
            return Some(Origin::Workspace);
        }
        extra.cloned().map(Origin::Extra)
    }

    /// The vendored directories that jobs may read of at all: in the project, or where the user says.
    pub fn vendored_packages(&self) -> impl Iterator<Item = &PathBuf> {
        let readable = |path: &Path| {
            path.starts_with(&self.project.root)
                || self.extra_reads.iter().any(|extra| path.starts_with(extra))
        };
        self.vendored.iter().filter(move |path| readable(path))
    }

    /// Where cargo unpacks crates.
    pub fn registry_sources(&self) -> PathBuf {
        self.cargo_home.join("registry/src")
    }

    /// Where cargo checks out git dependencies.
    pub fn git_checkouts(&self) -> PathBuf {
        self.cargo_home.join("git/checkouts")
    }
}

/// A path without `.` and `..`; `None` for one that is not absolute or leads above the root.
pub fn normalized(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::RootDir => clean.push("/"),
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::Normal(name) => clean.push(name),
            Component::Prefix(_) => return None,
        }
    }
    clean.is_absolute().then_some(clean)
}

fn first_parts(path: &Path, count: usize) -> Option<PathBuf> {
    let parts: PathBuf = path.components().take(count).collect();
    (parts.components().count() == count).then_some(parts)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::project::StateDirectory;

    /// A session of a project at `/w/app` that can start no container.
    pub fn session() -> Session {
        let state = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(Some(state.path().join("state").into())).unwrap();
        let project = Project::new(Path::new("/w/app"));
        let directories = state.project(&project.id);
        Session {
            probes: state.probes(),
            toolchain: Toolchain { name: "stable".into(), sysroot: "/t".into(), by_rustup: true },
            cargo_home: "/c".into(),
            target_dir: "/w/app/target".into(),
            extra_reads: vec!["/w/shared".into()],
            vendored: vec!["/w/app/vendor".into(), "/w/shared/vendor".into(), "/w".into(), "/home".into()],
            containers: Containers::none(&directories),
            umask: 0o022,
            budgets: Budgets::default(),
            advisor: Advisor::of_image("test"),
            policy: Policy::default(),
            programs: Kind::Test,
            tests: true,
            granted_variables: Vec::new(),
            provided: Provided::default(),
            verbose: false,
            recorder: None,
            trace: None,
            path: None,
            purpose: Purpose::Build,
            stderr: None,
            says_of_questions: false,
            tokens: None,
            coverage: None,
            expands: false,
            plain: None,
            project,
            directories,
        }
    }

    #[test]
    fn every_source_has_one_origin() {
        let session = session();
        let origin = |path: &str| session.origin(Path::new(path));
        let package = |path: &str| Some(Origin::Package(path.into()));
        assert_eq!(origin("/w/app/a/src/lib.rs"), Some(Origin::Workspace));
        assert_eq!(
            origin("/c/registry/src/index-1/serde-1.0/src/lib.rs"),
            package("/c/registry/src/index-1/serde-1.0")
        );
        assert_eq!(origin("/c/git/checkouts/x-1/abc/sub/lib.rs"), package("/c/git/checkouts/x-1/abc"));
        assert_eq!(origin("/t/lib/rustlib/src/rust/library/std/src/lib.rs"), package("/t/lib/rustlib/src"));
        assert_eq!(origin("/w/app/vendor/serde/src/lib.rs"), package("/w/app/vendor/serde"));
        assert_eq!(origin("/w/app/vendor/serde"), package("/w/app/vendor/serde"));
        assert_eq!(origin("/w/shared/vendor/x/lib.rs"), package("/w/shared/vendor/x"));
        let build = session.directories.build();
        for place in [build.as_path(), Path::new("/w/app/target")] {
            let packed = place.join("package/app-0.1.0");
            assert_eq!(session.origin(&packed.join("src/lib.rs")), Some(Origin::Packed(packed)));
            assert_eq!(session.origin(&place.join("package")), None);
        }
        assert_eq!(origin("/w/shared/lib.rs"), Some(Origin::Extra("/w/shared".into())));
    }

    #[test]
    fn what_leads_elsewhere_has_none() {
        let session = session();
        for path in [
            "/w/other/lib.rs",
            "/w/app/../other/lib.rs",
            "/w/application/lib.rs",
            "/home/me/lib.rs",
            "/c/registry/src/x",
            "rel.rs",
            "/c/registry/src/i/p/../../../../../etc/passwd",
        ] {
            assert_eq!(session.origin(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn a_wrapper_plays_the_role_that_its_place_gives_it() {
        let mut session = session();
        let projects = session.directories.path().parent().unwrap().to_owned();
        let (own, other) = (session.directories.bin().join("runner"), projects.join("other-1/bin/rustc"));
        let installed = Path::new("/i/cargo-sandbox-rustc");
        assert_eq!(session.role(&own), Some("runner"));
        assert_eq!((session.role(&other), session.role(installed)), (None, None));
        assert!(!session.is_rustc(Path::new("rustc")) && session.is_rustc(Path::new("/t/bin/rustc")));
        session.plain = Some(PlainCargo {
            process: 1,
            wrapper: installed.into(),
            compilers: vec!["rustc".into()],
            projects: projects.clone(),
            withheld: HashSet::new(),
            cargo: None,
        });
        assert_eq!((session.role(&other), session.role(installed)), (Some("rustc"), Some("rustc-wrapper")));
        assert_eq!(session.role(&projects.join("other-1/shims/bin/rustc")), None);
        assert!(session.is_rustc(Path::new("rustc")) && session.is_rustc(&other));
        assert!(!session.is_rustc(Path::new("/other/rustc")));
    }
}
