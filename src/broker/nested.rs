//! cargo below a test. `trybuild` has cargo compile in `target/tests/trybuild` what must not, or must, compile.
//!
//! What lies there is a directory of this tool's own, which is shown in that place to the project's programs: the target
//! directory on this machine gets nothing of it, and no cargo of this machine ever works in it. Everything that the
//! nested cargo starts is part of the test's own job.

use std::path::PathBuf;

use crate::container::spec::Mount;

use super::session::Session;

/// The library whose tests start cargo.
const LIBRARY: &str = "trybuild";

/// Where it has cargo work, relative to the target directory.
const PLACE: &str = "tests/trybuild";

/// What cargo resolves with, relative to its home: the index, archives, and repositories.
const RESOLVES_WITH: &[&str] = &["registry/index", "registry/cache", "git/db"];

/// cargo's commands that run no tests. In all others, those of installed subcommands among them, some may run.
const WITHOUT_TESTS: &[&str] = &[
    "b", "build", "c", "check", "clippy", "d", "doc", "fix", "package", "publish", "r", "run", "rustc",
    "rustdoc",
];

/// Whether a command may run tests: for another one nothing is made in the target directory.
pub fn may_run_tests(subcommand: &str) -> bool {
    !WITHOUT_TESTS.contains(&subcommand)
}

/// A project with tests that start cargo.
#[derive(Debug)]
pub struct Nested {
    /// Where tests find it.
    pub place: PathBuf,
    /// What is shown there.
    kept: PathBuf,
    /// What the nested cargo reads beside what every test reads.
    pub reads: Vec<PathBuf>,
}

impl Nested {
    /// `None` where no tests run, or the lock file, or a manifest that has none yet, names no library that starts cargo. What a
    /// repository's tests get by such a name is a directory of their own, and the names of published crates.
    pub fn of(session: &Session) -> Option<Self> {
        if !session.tests {
            return None;
        }
        let read = |name: &str| std::fs::read_to_string(session.project.root.join(name));
        let named = match read("Cargo.lock") {
            Ok(lock) => {
                let entry = format!("name = \"{LIBRARY}\"");
                lock.lines().any(|line| line == entry)
            }
            Err(_) => read("Cargo.toml").ok()?.contains(LIBRARY),
        };
        named.then(|| {
            let reads = RESOLVES_WITH.iter().map(|path| session.cargo_home.join(path));
            Self {
                place: session.target_dir.join(PLACE),
                kept: session.directories.nested(),
                reads: reads.filter(|path| path.is_dir()).collect(),
            }
        })
    }

    /// Makes both directories, the one in the target directory as a place to show the other.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn create(&self) -> std::io::Result<()> {
        for directory in [self.place.parent(), Some(&self.place)].into_iter().flatten() {
            // Through no link of a repository's.
            if let Err(error) = std::fs::create_dir(directory)
                && !std::fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir())
            {
                return Err(std::io::Error::new(error.kind(), format!("`{}`: {error}", directory.display())));
            }
        }
        std::fs::create_dir_all(&self.kept)
    }

    /// What the container shows for it.
    pub fn mounts(&self) -> Vec<Mount> {
        let place = Mount { source: self.kept.clone(), target: self.place.clone(), writable: true };
        std::iter::once(place).chain(self.reads.iter().map(Mount::read_only)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;
    use std::path::Path;

    #[test]
    fn no_directory_is_made_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (target, elsewhere) = (directory.path().join("target"), directory.path().join("elsewhere"));
        std::fs::create_dir(&target).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        let nested =
            Nested { place: target.join(PLACE), kept: directory.path().join("kept"), reads: Vec::new() };
        std::os::unix::fs::symlink(&elsewhere, target.join("tests")).unwrap();
        assert!(nested.create().is_err() && std::fs::read_dir(&elsewhere).unwrap().next().is_none());
        std::fs::remove_file(target.join("tests")).unwrap();
        nested.create().unwrap();
        nested.create().unwrap();
        assert!(nested.place.is_dir() && nested.kept.is_dir());
    }

    #[test]
    fn only_where_the_lock_file_names_the_library() {
        let root = tempfile::tempdir().unwrap();
        let mut session = session();
        session.project.root = root.path().to_owned();
        let lock = |text: &str| std::fs::write(root.path().join("Cargo.lock"), text).unwrap();
        assert!(Nested::of(&session).is_none());
        std::fs::write(root.path().join("Cargo.toml"), "[dev-dependencies]\ntrybuild = \"1\"\n").unwrap();
        assert!(Nested::of(&session).is_some());
        lock("[[package]]\nname = \"trybuild-like\"\n");
        assert!(Nested::of(&session).is_none());
        lock("[[package]]\nname = \"trybuild\"\n");
        let nested = Nested::of(&session).unwrap();
        assert_eq!(nested.place, Path::new("/w/app/target/tests/trybuild"));
        let mounts = nested.mounts();
        session.tests = may_run_tests("build");
        assert!(Nested::of(&session).is_none(), "nothing for a build");
        assert!(["test", "t", "bench", "nextest"].into_iter().all(may_run_tests));
        assert!(mounts[0].writable && mounts[0].source.starts_with(session.directories.path()));
    }
}
