//! A copy of a project's sources that others may write, and what of their changes counts.
//!
//! Whoever writes in the copy may put anything there. Nothing of it reaches the project by itself: one file at a time
//! is compared and, where it is a Rust source that was there before and whose owner was asked for, written back.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// Larger sources than this are not written back.
const MAX_SOURCE: u64 = 64 << 20;

/// Directories that no copy has: they are git's, and no compiler reads them.
const LEFT_OUT: &str = ".git";

/// What marks a directory as one of build products (the Cache Directory Tagging Specification).
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// How a file was when it was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    length: u64,
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// A copy.
#[derive(Debug)]
pub struct Staged {
    root: PathBuf,
    copy: PathBuf,
    /// Every file, by its path below the root: in the project, and in the copy.
    files: BTreeMap<PathBuf, (Stamp, Stamp)>,
    /// Links and directories.
    others: Vec<PathBuf>,
}

/// What became of the changes in a copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Written to the project.
    pub applied: Vec<PathBuf>,
    /// Left in the copy, each with the reason.
    pub left: Vec<(PathBuf, &'static str)>,
}

impl Staged {
    /// Copies everything below `root` to `copy`, but for version control, build products and `leave_out`.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn copy(root: &Path, copy: &Path, leave_out: &[&Path]) -> io::Result<Self> {
        let mut staged =
            Self { root: root.to_owned(), copy: copy.to_owned(), files: BTreeMap::new(), others: Vec::new() };
        std::fs::create_dir(copy)?;
        staged.directory(Path::new(""), leave_out)?;
        Ok(staged)
    }

    fn directory(&mut self, relative: &Path, leave_out: &[&Path]) -> io::Result<()> {
        for entry in std::fs::read_dir(self.root.join(relative))? {
            let entry = entry?;
            let (from, below) = (entry.path(), relative.join(entry.file_name()));
            if entry.file_name() == LEFT_OUT || leave_out.contains(&from.as_path()) {
                continue;
            }
            let to = self.copy.join(&below);
            let kind = entry.file_type()?;
            if kind.is_dir() && from.join(CACHE_TAG).is_file() {
                continue;
            }
            if kind.is_dir() {
                std::fs::create_dir(&to)?;
                self.others.push(below.clone());
                self.directory(&below, leave_out)?;
            } else if kind.is_symlink() {
                symlink(std::fs::read_link(&from)?, &to)?;
                self.others.push(below);
            } else if kind.is_file() {
                std::fs::copy(&from, &to)?;
                let stamps = (Stamp::of(&from.symlink_metadata()?), Stamp::of(&to.symlink_metadata()?));
                self.files.insert(below, stamps);
            }
        }
        Ok(())
    }

    /// Every manifest in it.
    pub fn manifests(&self) -> impl Iterator<Item = &Path> {
        let manifest = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "Cargo.toml");
        self.files.keys().filter(manifest).map(PathBuf::as_path)
    }

    /// Writes changed sources to the project that `asked` says yes to, and tells what else was changed. Nobody may
    /// write in the copy any more.
    ///
    /// # Errors
    /// When the project cannot be written.
    pub fn apply(&self, asked: &dyn Fn(&Path) -> bool) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        for (path, (before, copied)) in &self.files {
            let file = match open(&self.copy, path, OFlags::RDONLY) {
                Ok(file) => File::from(file),
                Err(_) => {
                    outcome.left.push((path.clone(), "it is no plain file any more"));
                    continue;
                }
            };
            let metadata = file.metadata()?;
            if Stamp::of(&metadata) == *copied {
                continue;
            }
            if !metadata.is_file() || metadata.len() > MAX_SOURCE {
                outcome.left.push((path.clone(), "it is no plain file any more"));
                continue;
            }
            let mut content = Vec::new();
            file.take(MAX_SOURCE).read_to_end(&mut content)?;
            let own = open(&self.root, path, OFlags::RDONLY).map(File::from);
            let same = |own: &File| own.metadata().is_ok_and(|now| Stamp::of(&now) == *before);
            let Some(own) = own.ok().filter(same) else {
                outcome.left.push((path.clone(), "it was changed in the project meanwhile"));
                continue;
            };
            let mut old = Vec::new();
            own.take(MAX_SOURCE).read_to_end(&mut old)?;
            if old == content {
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                outcome.left.push((path.clone(), "it is no Rust source"));
            } else if !asked(path) {
                outcome.left.push((path.clone(), "it belongs to no package that was to be fixed"));
            } else {
                let own = open(&self.root, path, OFlags::WRONLY | OFlags::TRUNC)?;
                File::from(own).write_all(&content)?;
                outcome.applied.push(path.clone());
            }
        }
        self.find_new(Path::new(""), &mut outcome)?;
        Ok(outcome)
    }

    fn find_new(&self, relative: &Path, outcome: &mut Outcome) -> io::Result<()> {
        for entry in std::fs::read_dir(self.copy.join(relative))? {
            let entry = entry?;
            let below = relative.join(entry.file_name());
            let known = self.files.contains_key(&below) || self.others.contains(&below);
            if !known {
                outcome.left.push((below, "it is new"));
            } else if entry.file_type()?.is_dir() {
                self.find_new(&below, outcome)?;
            }
        }
        Ok(())
    }
}

/// Opens a file below a directory, through no link.
fn open(directory: &Path, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let base =
        rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    // A fifo in the place of a file must not be waited for.
    Ok(openat2(base, path, flags | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty(), resolve)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Scene {
        directory: tempfile::TempDir,
        staged: Staged,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().join("root");
            for (path, text) in [
                ("Cargo.toml", "m"),
                ("src/main.rs", "old"),
                ("src/other.rs", "old"),
                ("other/lib.rs", "old"),
                ("build.rs", "old"),
                (".git/config", "g"),
                ("target/x", "t"),
                ("fuzz/target/CACHEDIR.TAG", "c"),
            ] {
                fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
                fs::write(root.join(path), text).unwrap();
            }
            symlink("src", root.join("link")).unwrap();
            let target = root.join("target");
            let staged = Staged::copy(&root, &directory.path().join("copy"), &[&target]).unwrap();
            Self { directory, staged }
        }

        fn copy(&self, path: &str) -> PathBuf {
            self.directory.path().join("copy").join(path)
        }

        fn own(&self, path: &str) -> String {
            fs::read_to_string(self.directory.path().join("root").join(path)).unwrap()
        }

        fn apply(&self) -> Outcome {
            self.staged.apply(&|path| !path.starts_with("other")).unwrap()
        }
    }

    #[test]
    fn sources_that_were_asked_for_are_written_and_nothing_else() {
        let scene = Scene::new();
        assert!(!scene.copy(".git").exists() && !scene.copy("target").exists());
        assert!(scene.copy("fuzz").exists() && !scene.copy("fuzz/target").exists());
        for path in ["Cargo.toml", "src/main.rs", "other/lib.rs", "src/new.rs"] {
            fs::write(scene.copy(path), "new").unwrap();
        }
        fs::create_dir(scene.copy(".git")).unwrap();
        let mut outcome = scene.apply();
        outcome.left.sort();
        assert_eq!(outcome.applied, [Path::new("src/main.rs")]);
        let left: Vec<_> = outcome.left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(left, [".git", "Cargo.toml", "other/lib.rs", "src/new.rs"]);
        assert_eq!((scene.own("src/main.rs"), scene.own("other/lib.rs")), ("new".into(), "old".into()));
        assert_eq!(scene.own("Cargo.toml"), "m");
    }

    #[test]
    fn nothing_changed_is_nothing_said() {
        let scene = Scene::new();
        // Written again with the same content, as compilers do.
        fs::write(scene.copy("src/main.rs"), "old").unwrap();
        assert_eq!(scene.apply(), Outcome::default());
    }

    #[test]
    fn links_and_fifos_in_the_place_of_sources_are_not_followed() {
        let scene = Scene::new();
        let secret = scene.directory.path().join("secret.rs");
        fs::write(&secret, "secret").unwrap();
        fs::remove_file(scene.copy("build.rs")).unwrap();
        symlink(&secret, scene.copy("build.rs")).unwrap();
        fs::remove_file(scene.copy("src/main.rs")).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, scene.copy("src/main.rs"), fifo, mode, 0).unwrap();
        fs::rename(scene.copy("other"), scene.copy("moved")).unwrap();
        symlink(scene.directory.path(), scene.copy("other")).unwrap();
        let outcome = scene.apply();
        assert!(outcome.applied.is_empty() && outcome.left.len() == 4, "{outcome:?}");
        assert_eq!((scene.own("build.rs"), scene.own("src/main.rs")), ("old".into(), "old".into()));
    }

    #[test]
    fn what_the_user_changes_meanwhile_stays() {
        let scene = Scene::new();
        fs::write(scene.copy("src/main.rs"), "new").unwrap();
        fs::write(scene.directory.path().join("root/src/main.rs"), "mine").unwrap();
        assert_eq!(scene.apply().left, [("src/main.rs".into(), "it was changed in the project meanwhile")]);
        assert_eq!(scene.own("src/main.rs"), "mine");
        fs::remove_file(scene.directory.path().join("root/src/main.rs")).unwrap();
        assert_eq!(scene.apply().left.len(), 1);
    }
}
