//! What the Build container of a project shows: the system, the toolchain, the sources, the build directory.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::agent::PROCESSORS;
use crate::broker::Session;
use crate::broker::nested::Nested;
use crate::policy::bar::Bar;
#[cfg(test)]
use crate::policy::limits::LimitSettings;
use crate::policy::paths::PathRight;
use crate::project::{GitView, create_cache_directory, private_directory};

use super::EngineKind;
use super::host::{SystemWorld, UserIdentity};
use super::packages::PackageRoot;
use super::spec::{ContainerSpec, Image, Limits, Mount};

/// Where an image has its programs and libraries.
const IMAGE_DIRECTORIES: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store"];

/// What a container's network leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// Nothing.
    Nothing,
    /// What the host's does.
    Host,
}

/// What of a container does not depend on the project.
#[derive(Debug)]
pub struct World {
    /// The host's system directories; none where an image brings its own.
    pub system: SystemWorld,
    /// What the container is made from.
    pub image: Image,
    /// Who the caller is.
    pub user: UserIdentity,
    /// Whether this command writes documentation, which lands in the target directory.
    pub documents: bool,
    /// Limits of the container and of its jobs.
    pub limits: Limits,
    /// What may be missing of the promised confinement.
    pub bar: Arc<Bar>,
    /// What is shown beside the rest, or in the place of what else would be.
    pub shown: Vec<Mount>,
    /// Packages that are shown as if they were installed.
    pub packages: Option<PackageRoot>,
    /// How long a container stays without a job.
    pub idle: Duration,
    /// The executable that is the agent: this program.
    pub agent: PathBuf,
}

impl World {
    /// Creates what is mounted and not there yet, as cargo would.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn prepare(&self, session: &Session) -> anyhow::Result<()> {
        // cargo marks these two as caches, and makes what is below them itself.
        for (cache, below) in [("registry", session.registry_sources()), ("git", session.git_checkouts())] {
            create_cache_directory(&session.cargo_home.join(cache))
                .and_then(|()| std::fs::create_dir_all(&below))
                .with_context(|| format!("failed to create `{}`", below.display()))?;
        }
        if self.shows_target(session) {
            create_cache_directory(&session.target_dir)
                .with_context(|| format!("failed to create `{}`", session.target_dir.display()))?;
        }
        if session.directories.is_shared() {
            let build = session.directories.build();
            create_cache_directory(&build)
                .with_context(|| format!("failed to create `{}`", build.display()))?;
        }
        if let Some(nested) = Nested::of(session) {
            create_cache_directory(&session.target_dir)
                .with_context(|| format!("failed to create `{}`", session.target_dir.display()))?;
            nested.create().context("failed to make a directory for cargo below tests")?;
        }
        if let Some(view) = self.git_view(session) {
            view.refresh().context("failed to make the view of `.git` that jobs see")?;
        }
        private_directory(&session.directories.containers())?;
        Ok(())
    }

    /// How jobs see the repository, unless another directory is shown in its place, or in the project's.
    fn git_view(&self, session: &Session) -> Option<GitView> {
        let root = &session.project.root;
        let replaced = |mount: &Mount| mount.target == *root || mount.target == root.join(".git");
        let view = GitView::of(root, &session.directories);
        view.filter(|_| !self.shown.iter().any(replaced))
    }

    /// The directories with programs and libraries that every job may read and execute.
    pub fn system_directories(&self) -> Vec<PathBuf> {
        match self.image {
            Image::Host | Image::File(_) => {
                self.system.mounts.iter().map(|mount| mount.target.clone()).collect()
            }
            // As the file system hierarchy standard names them; what an image has elsewhere no job sees.
            Image::Named(_) | Image::Built(_) | Image::Extended(..) => {
                IMAGE_DIRECTORIES.iter().map(PathBuf::from).collect()
            }
        }
    }

    /// What every job may read and execute: the system, as the container shows it, and the toolchain.
    pub fn common_directories(&self, session: &Session) -> Vec<PathBuf> {
        self.system_directories().into_iter().chain([session.toolchain.sysroot.clone()]).collect()
    }

    /// Whether the target directory needs a mount of its own.
    fn shows_target(&self, session: &Session) -> bool {
        self.documents || !session.target_dir.starts_with(&session.project.root)
    }

    /// The container that this session's jobs need from an engine.
    ///
    /// # Errors
    /// When something that is to be mounted is not there.
    pub fn spec(
        &self,
        session: &Session,
        kind: EngineKind,
        network: Reachable,
    ) -> anyhow::Result<ContainerSpec> {
        let mut mounts = self.system.mounts.clone();
        if Path::new(PROCESSORS).is_dir() {
            mounts.push(Mount::read_only(PROCESSORS));
        }
        mounts.extend(self.packages.iter().map(|packages| Mount::read_only(&packages.path)));
        mounts.push(Mount::read_only(&session.toolchain.sysroot));
        mounts.push(Mount::read_only(session.registry_sources()));
        mounts.push(Mount::read_only(session.git_checkouts()));
        mounts.push(Mount::read_only(&session.project.root));
        mounts.extend(session.extra_reads.iter().map(Mount::read_only));
        for (path, right) in session.policy.paths() {
            // What is below the project is shown with it.
            let writable = right == PathRight::Write;
            if writable || !path.starts_with(&session.project.root) {
                mounts.push(Mount { source: path.to_owned(), target: path.to_owned(), writable });
            }
        }
        if network == Reachable::Host {
            // How names are looked up there; the one that is written for containers knows of no server.
            let names = ["/etc/resolv.conf", "/etc/hosts"].map(PathBuf::from).into_iter();
            mounts.extend(names.filter_map(|target| {
                let source = target.canonicalize().ok()?;
                Some(Mount { source, target, writable: false })
            }));
        }
        if self.shows_target(session) {
            let target = session.target_dir.clone();
            mounts.push(Mount { source: target.clone(), target, writable: self.documents });
        }
        mounts.extend(self.git_view(session).iter().flat_map(GitView::mounts));
        mounts.extend(Nested::of(session).iter().flat_map(Nested::mounts));
        mounts.push(Mount::read_only(session.directories.scripts()));
        mounts.push(Mount::writable(session.directories.mounted()));
        if session.policy.keeps_source() {
            session.directories.create_generated()?;
            mounts.push(Mount::writable(session.directories.generated()));
        }
        let places = socket_places(session, &mounts);
        mounts.extend(places);
        mounts.retain(|mount| !self.shown.iter().any(|shown| shown.target == mount.target));
        mounts.extend(self.shown.iter().cloned());
        // Parents before children; of two for one place the later, which may write.
        mounts.sort_by(|one, other| one.target.cmp(&other.target).then(one.writable.cmp(&other.writable)));
        mounts.reverse();
        mounts.dedup_by(|later, first| later.target == first.target);
        mounts.reverse();
        let sources = mounts.iter().map(|mount| mount.source.as_path());
        let stamp = stamp(std::iter::once(self.agent.as_path()), sources)
            .context("failed to look at what the container is to show")?;
        let installed = self.packages.as_ref().map_or("", |packages| &packages.installed);
        Ok(ContainerSpec {
            project: session.project.id.clone(),
            project_root: session.project.root.clone(),
            containers_directory: session.directories.containers(),
            image: self.image.clone(),
            mounts,
            common: self.common_directories(session),
            over: self.packages.iter().flat_map(|packages| packages.over.clone()).collect(),
            links: self.links(session),
            uid: self.user.uid,
            gid: self.user.gid,
            limits: self.limits.clone(),
            allowed: self.bar.allowed().clone(),
            host_network: network == Reachable::Host,
            system_calls: session.policy.system_calls().collect(),
            idle: self.idle,
            agent: self.agent.clone(),
            agent_stamp: format!("{kind} {stamp}{installed}"),
        })
    }

    /// Links of the root directory: the system's own, and the one by which programs find the sockets of databases.
    fn links(&self, session: &Session) -> Vec<(PathBuf, PathBuf)> {
        let mut links = self.system.links.clone();
        let granted = session.policy.sockets().any(|path| path.starts_with("/run"));
        if granted && self.image == Image::Host {
            links.push(("/var/run".into(), "/run".into()));
        }
        links
    }

    /// A world that nothing can be started in.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        let user = UserIdentity {
            uid: 1000,
            gid: 1000,
            name: "me".into(),
            group: "me".into(),
            home: "/home/me".into(),
            shell: "/bin/sh".into(),
        };
        Self {
            system: SystemWorld { mounts: vec![Mount::read_only("/usr")], links: Vec::new() },
            image: Image::Host,
            user,
            documents: false,
            limits: LimitSettings::default().resolve(1 << 30).container,
            bar: Arc::default(),
            shown: Vec::new(),
            packages: None,
            idle: Duration::from_secs(1),
            agent: "/proc/self/exe".into(),
        }
    }
}

/// An empty directory for each in which a job is to have sockets, where the container has none: nothing of the host's is
/// shown there. `/tmp` is a job's own anyway.
fn socket_places(session: &Session, mounts: &[Mount]) -> Vec<Mount> {
    let places: BTreeSet<&Path> = session.policy.sockets().filter_map(Path::parent).collect();
    let free = |place: &&Path| {
        !place.starts_with("/tmp")
            && !mounts.iter().any(|mount| place.starts_with(&mount.target) || mount.target.starts_with(place))
    };
    // Not below one another: there is nothing to mount on in an empty one.
    let above = |place: &&Path| !places.iter().any(|other| place != other && place.starts_with(other));
    let empty = session.directories.empty();
    let mount = |place: &Path| Mount { source: empty.clone(), target: place.to_owned(), writable: false };
    places.iter().copied().filter(free).filter(above).map(mount).collect()
}

/// What changes when a file is replaced (its time and size) and when a mounted directory is: a container keeps
/// showing the directory that it was given, also after that one was removed and made again.
///
/// # Errors
/// When one is not there.
fn stamp<'a>(
    files: impl Iterator<Item = &'a Path>,
    directories: impl Iterator<Item = &'a Path>,
) -> io::Result<String> {
    let mut stamp = String::new();
    let look = |path: &Path| {
        std::fs::metadata(path)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
    };
    for path in files {
        let file = look(path)?;
        let _infallible = write!(stamp, "{}.{}.{} ", file.mtime(), file.mtime_nsec(), file.len());
    }
    for path in directories {
        let directory = look(path)?;
        let _infallible = write!(stamp, "{}.{} ", directory.dev(), directory.ino());
    }
    Ok(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_made_again_has_another_stamp() {
        let parent = tempfile::tempdir().unwrap();
        let (one, two) = (parent.path().join("one"), parent.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        let of = |path: &Path| stamp(std::iter::empty(), std::iter::once(path)).unwrap();
        let before = of(&one);
        assert_eq!(before, of(&one));
        std::fs::rename(&one, &two).unwrap();
        std::fs::create_dir(&one).unwrap();
        assert_ne!(before, of(&one));
    }
}
