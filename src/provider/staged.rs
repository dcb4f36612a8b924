//! What of a project an evaluation reads: a copy of the files that expressions are made of, and nothing else.
//!
//! An evaluation can reach a few hosts, and what a flake is made of is copied into the store, which all jobs read. So
//! neither sees the workspace's sources, its `.git` or its secrets. The copy is also all that can make a difference: its
//! digest says whether anything has changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::container::image::digest::Hashing;
use crate::policy::provider::Provider;

/// Files that are read wherever they are, beside those that end in `.nix`.
const NAMES: &[&str] = &["flake.lock", "Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml"];

/// Directories at the root all of whose files are read: where projects keep what belongs to Nix.
const WHOLE: &[&str] = &["nix", "npins"];

/// The most that is read, in bytes, and in files and directories that are looked at.
const MOST: u64 = 64 << 20;
const MOST_ENTRIES: usize = 200_000;

/// Files by their path below the project's root.
#[derive(Debug, Default)]
pub struct Staged {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Staged {
    /// Reads the files of the project at `root`, but for what is below `target_dir`. No link is followed: one could lead to
    /// any file of the user's.
    ///
    /// # Errors
    /// When one of them cannot be read, or they are too large.
    pub fn read(root: &Path, target_dir: &Path, provider: Provider) -> io::Result<Self> {
        let mut staged = Self::default();
        let mut left = (MOST, MOST_ENTRIES);
        staged.directory(root, Path::new(""), target_dir, provider, &mut left)?;
        Ok(staged)
    }

    fn directory(
        &mut self,
        root: &Path,
        below: &Path,
        target_dir: &Path,
        provider: Provider,
        left: &mut (u64, usize),
    ) -> io::Result<()> {
        let whole = WHOLE.iter().any(|name| below.starts_with(name));
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            left.1 = left.1.checked_sub(1).ok_or_else(|| io::Error::other("there are too many files"))?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let (path, text) = (below.join(&name), name.to_string_lossy());
            if text.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                let full = root.join(&path);
                if full != target_dir && !full.join("CACHEDIR.TAG").exists() {
                    self.directory(root, &path, target_dir, provider, left)?;
                }
            } else if kind.is_file() {
                if whole || text.ends_with(".nix") || NAMES.contains(&&*text) {
                    let content = read(&root.join(&path), left)?;
                    self.files.insert(path, content);
                } else if provider == Provider::Riff && text.ends_with(".rs") {
                    // cargo finds a package's targets by the names of these; what is in them is nobody's business.
                    self.files.insert(path, Vec::new());
                }
            }
        }
        Ok(())
    }

    /// Writes all of it into `directory`, and nothing else is there then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(directory)?,
        }
        for (path, content) in &self.files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap_or(directory))?;
            fs::write(&path, content)?;
        }
        Ok(())
    }

    /// Tells one content from every other.
    ///
    /// # Errors
    /// When the hasher does not take it.
    pub fn hash(&self, to: &mut Hashing) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt as _;
        for (path, content) in &self.files {
            let name = path.as_os_str().as_bytes();
            for bytes in [name, content] {
                to.write_all(&(bytes.len() as u64).to_le_bytes())?;
                to.write_all(bytes)?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path, left: &mut (u64, usize)) -> io::Result<Vec<u8>> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let mut content = Vec::new();
    file.take(left.0 + 1).read_to_end(&mut content).map_err(failed)?;
    let length = content.len() as u64;
    left.0 =
        left.0.checked_sub(length).ok_or_else(|| failed(io::Error::other("there is too much to read")))?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("app");
        for (path, content) in [
            ("flake.nix", "f"),
            ("flake.lock", "l"),
            ("Cargo.lock", "c"),
            ("Cargo.toml", "t"),
            (".env", "secret"),
            (".hidden/x.nix", "secret"),
            (".git/config", "secret"),
            ("src/main.rs", "source"),
            ("member/shell.nix", "s"),
            ("nix/patch.diff", "d"),
            ("nix/.env", "secret"),
            ("target/x.nix", "t"),
            ("build/CACHEDIR.TAG", ""),
            ("build/x.nix", "t"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::write(parent.path().join("secret"), "secret").unwrap();
        symlink("../secret", root.join("link.nix")).unwrap();
        symlink("..", root.join("nix/above")).unwrap();
        (parent, root)
    }

    fn names(staged: &Staged) -> Vec<&str> {
        staged.files.keys().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn what_expressions_are_made_of_is_read_and_no_secret_and_no_link() {
        let (_parent, root) = scene();
        let staged = Staged::read(&root, &root.join("target"), Provider::Nix).unwrap();
        let own =
            ["Cargo.lock", "Cargo.toml", "flake.lock", "flake.nix", "member/shell.nix", "nix/patch.diff"];
        assert_eq!(names(&staged), own);
        let riff = Staged::read(&root, &root.join("target"), Provider::Riff).unwrap();
        assert!(riff.files[Path::new("src/main.rs")].is_empty(), "a name, and no content");
    }

    #[test]
    fn a_copy_has_what_was_read_and_its_digest_tells_a_change() {
        let (parent, root) = scene();
        let of = || Staged::read(&root, &root.join("target"), Provider::Nix).unwrap();
        let digest = |staged: &Staged| {
            let mut hashing = Hashing::default();
            staged.hash(&mut hashing).unwrap();
            hashing.finish()
        };
        let copy = parent.path().join("copy");
        fs::create_dir(&copy).unwrap();
        fs::write(copy.join("old.nix"), "").unwrap();
        of().write(&copy).unwrap();
        assert_eq!(names(&Staged::read(&copy, Path::new("/none"), Provider::Nix).unwrap()), names(&of()));
        let before = digest(&of());
        fs::write(root.join("src/main.rs"), "other").unwrap();
        assert_eq!(digest(&of()), before);
        fs::write(root.join("member/shell.nix"), "other").unwrap();
        assert_ne!(digest(&of()), before);
    }
}
