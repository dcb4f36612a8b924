//! The repository's `.git` as jobs see it: what says which commit this is, without credentials, hooks and records.
//!
//! A directory of this tool's own is shown in the place of `.git`. Objects and references are the repository's own, shown
//! in it; single files are copies, which are made again with each command. Nothing is copied or shown that is not named
//! here: `hooks`, `logs`, `FETCH_HEAD`, `modules`, `worktrees` and whatever else lies there are not in it. It cannot be only the
//! configuration that is covered: git replaces that file, and what is mounted over a file goes with it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::container::Mount;

use super::git_config::without_credentials;
use super::{ProjectDirectories, private_directory};

/// Shown as they are.
const DIRECTORIES: &[&str] = &["objects", "refs", "reftable"];

/// Copied as they are.
const FILES: &[&str] =
    &["HEAD", "packed-refs", "index", "shallow", "info/exclude", "info/attributes", "info/sparse-checkout"];

/// A larger file is not copied; an index has some hundred bytes for each file of the repository.
const MOST_BYTES: u64 = 256 << 20;

/// The view of one project's repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitView {
    /// The repository's own.
    of: PathBuf,
    /// What is shown in its place.
    view: PathBuf,
}

impl GitView {
    /// The view for a project whose root has a repository of its own. A `.git` that is a file or a link names another
    /// directory, which no job sees.
    pub fn of(root: &Path, directories: &ProjectDirectories) -> Option<Self> {
        let of = root.join(".git");
        is_directory(&of).then(|| Self { of, view: directories.git() })
    }

    /// Makes the copies anew.
    ///
    /// # Errors
    /// When one cannot be written, or what is there cannot be read.
    pub fn refresh(&self) -> io::Result<()> {
        private_directory(&self.view)?;
        for name in DIRECTORIES.iter().chain(&["info"]).filter(|name| is_directory(&self.of.join(name))) {
            match DirBuilder::new().mode(0o700).create(self.view.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => result?,
            }
        }
        for name in FILES {
            // Through no link: what it leads to is not the repository's.
            let below = Path::new(name).parent().is_none_or(|parent| is_directory(&self.of.join(parent)));
            let content = if below { read(&self.of.join(name))? } else { None };
            self.put(name, content)?;
        }
        let config = read(&self.of.join("config"))?.map(|(config, _)| config).unwrap_or_default();
        // A name that is no text is nothing that is kept.
        let config = without_credentials(&String::from_utf8_lossy(&config));
        self.put("config", Some((config.into_bytes(), SystemTime::now())))
    }

    /// What a container shows for it. After [`Self::refresh`].
    pub fn mounts(&self) -> Vec<Mount> {
        let shown = DIRECTORIES.iter().map(|name| self.of.join(name)).filter(|path| is_directory(path));
        let view = Mount { source: self.view.clone(), target: self.of.clone(), writable: false };
        std::iter::once(view).chain(shown.map(Mount::read_only)).collect()
    }

    /// Replaces a file of the view; one without content is removed.
    fn put(&self, name: &str, content: Option<(Vec<u8>, SystemTime)>) -> io::Result<()> {
        let place = self.view.join(name);
        let Some((content, modified)) = content else {
            return match fs::remove_file(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        // Jobs of another command may be reading it.
        let mut file = tempfile::NamedTempFile::new_in(place.parent().unwrap_or(&self.view))?;
        file.write_all(&content)?;
        // git compares the index's with those of the files in it.
        file.as_file().set_modified(modified)?;
        file.persist(place)?;
        Ok(())
    }
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The content of a plain file and when it was written; nothing where there is none, or something else.
fn read(path: &Path) -> io::Result<Option<(Vec<u8>, SystemTime)>> {
    let plain = |metadata: &Metadata| metadata.is_file() && metadata.len() <= MOST_BYTES;
    if !fs::symlink_metadata(path).is_ok_and(|metadata| plain(&metadata)) {
        return Ok(None);
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // git has replaced it, or removed it, just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let metadata = file.metadata()?;
    if !plain(&metadata) {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut content)?;
    Ok(Some((content, metadata.modified()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Project, StateDirectory};
    use std::os::unix::fs::symlink;

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("app");
        for path in ["objects", "refs", "hooks", "info", "logs"] {
            fs::create_dir_all(root.join(".git").join(path)).unwrap();
        }
        for (path, text) in [
            ("HEAD", "ref: refs/heads/main\n"),
            ("config", "[remote \"origin\"]\n\turl = https://u:s3cret@h.example/a\n"),
            ("hooks/post-checkout", "s3cret"),
            ("logs/HEAD", "s3cret"),
            ("FETCH_HEAD", "s3cret"),
            ("packed-refs", ""),
        ] {
            fs::write(root.join(".git").join(path), text).unwrap();
        }
        (base, root)
    }

    fn view(base: &Path, root: &Path) -> GitView {
        let view = base.join("view");
        GitView { of: root.join(".git"), view }
    }

    #[test]
    fn there_is_what_is_named_and_nothing_else() {
        let (base, root) = scene();
        let view = view(base.path(), &root);
        view.refresh().unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&view.view).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["HEAD", "config", "info", "objects", "packed-refs", "refs"]);
        assert!(!fs::read_to_string(view.view.join("config")).unwrap().contains("s3cret"));
        let targets: Vec<_> = view.mounts().into_iter().map(|mount| mount.target).collect();
        let expected = ["", "objects", "refs"].map(|name| root.join(".git").join(name));
        assert_eq!(targets, expected);
        // What is gone there goes here.
        fs::remove_file(root.join(".git/packed-refs")).unwrap();
        fs::write(root.join(".git/HEAD"), "0\n").unwrap();
        view.refresh().unwrap();
        assert!(!view.view.join("packed-refs").exists());
        assert_eq!(fs::read_to_string(view.view.join("HEAD")).unwrap(), "0\n");
    }

    /// An unpacked archive can hold a `.git` with any links.
    #[test]
    fn links_are_not_followed() {
        let (base, root) = scene();
        let secret = base.path().join("private");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("exclude"), "s3cret").unwrap();
        let git = root.join(".git");
        for (name, to) in [("HEAD", secret.join("exclude")), ("objects", secret.clone()), ("info", secret)] {
            let _there = fs::remove_file(git.join(name)).or_else(|_| fs::remove_dir(git.join(name)));
            symlink(to, git.join(name)).unwrap();
        }
        let view = view(base.path(), &root);
        view.refresh().unwrap();
        assert!(!view.view.join("HEAD").exists() && !view.view.join("info/exclude").exists());
        assert!(view.mounts().iter().all(|mount| mount.target != git.join("objects")));
    }

    #[test]
    fn a_git_that_is_elsewhere_has_none() {
        let (base, root) = scene();
        let state = StateDirectory::open(Some(base.path().join("state").into())).unwrap();
        let directories = state.project(&Project::new(&root).id);
        assert!(GitView::of(&root, &directories).is_some());
        fs::rename(root.join(".git"), base.path().join("git")).unwrap();
        symlink(base.path().join("git"), root.join(".git")).unwrap();
        assert_eq!(GitView::of(&root, &directories), None);
    }
}
