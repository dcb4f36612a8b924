//! What a repository, or an earlier build without protection, may have put where cargo will write.
//!
//! cargo writes through links (`target/<profile>/<name>.d`, `.rustc_info.json`, `Cargo.lock` …), empties what a
//! linked `target/doc` leads to, and hangs at a fifo. So these places are looked at before cargo starts: a few
//! listings, no file is opened.

use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::broker::session::normalized;

/// Directories that cargo does not write in where the build directory is another one; they may be large.
const NOT_WRITTEN: &[&str] = &["deps", "build", "incremental", ".fingerprint", "tmp", "doc"];

/// How deep `target/<triple>/<profile>` is.
const DEPTH: usize = 2;

/// Something where cargo would write that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Planted {
    /// A link.
    #[error(
        "`{}` is a symbolic link to `{}`, {}, and cargo would write there\n\nhint: remove the link: it came with the \
         repository, or an earlier build left it",
        path.display(), leads_to.display(), if *dangling { "where nothing is" } else { "which is elsewhere" }
    )]
    Link {
        /// Which.
        path: PathBuf,
        /// What it says.
        leads_to: PathBuf,
        /// Whether nothing is there.
        dangling: bool,
    },
    /// The target directory leads out of the project, and the user did not say so.
    #[error(
        "the target directory `{}` leads to `{}`, outside of the project `{}`, and only the repository says so\n\nhint: \
         if you want it there, say it yourself: `--target-dir {}` or CARGO_TARGET_DIR",
        path.display(), leads_to.display(), root.display(), leads_to.display()
    )]
    Outside {
        /// As it is named.
        path: PathBuf,
        /// Where it leads.
        leads_to: PathBuf,
        /// The project's root.
        root: PathBuf,
    },
    /// A fifo, a socket or a device.
    #[error("`{}` is {what}, and cargo would open it\n\nhint: remove it", path.display())]
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It cannot be looked at.
    #[error("failed to look at `{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where final artifacts go, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetDir {
    /// As it is named; no link is resolved yet.
    pub path: PathBuf,
    /// Whether the user named it (option, variable, own configuration): then it may be anywhere.
    pub users: bool,
}

impl TargetDir {
    /// Where it leads, which is in the project unless the user said otherwise.
    ///
    /// # Errors
    /// When only the repository says otherwise, or nothing is where it leads.
    pub fn resolve(&self, root: &Path) -> Result<PathBuf, Planted> {
        let resolved = match resolve(&self.path) {
            Some(resolved) => resolved,
            // The user's own dangling link is for cargo to refuse.
            None if self.users => return Ok(self.path.clone()),
            None => return Err(link(&self.path)),
        };
        if !self.users && !resolved.starts_with(root) {
            let (path, root) = (self.path.clone(), root.to_owned());
            return Err(Planted::Outside { path, leads_to: resolved, root });
        }
        Ok(resolved)
    }
}

/// Looks at the places that cargo writes: in the resolved target directory, and `Cargo.lock`.
///
/// # Errors
/// Names the first that is not what it should be.
pub fn check(root: &Path, target_dir: &Path) -> Result<(), Planted> {
    let lock = root.join("Cargo.lock");
    match std::fs::symlink_metadata(&lock) {
        Ok(metadata) => check_one(&lock, metadata.file_type(), root)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Planted::Io { path: lock, source }),
    }
    check_directory(target_dir, target_dir, DEPTH)
}

fn check_directory(directory: &Path, target_dir: &Path, depth: usize) -> Result<(), Planted> {
    let failed = |source| Planted::Io { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        check_one(&path, kind, target_dir)?;
        let written = !NOT_WRITTEN.iter().any(|name| entry.file_name() == *name);
        if depth > 0 && kind.is_dir() && written {
            check_directory(&path, target_dir, depth - 1)?;
        }
    }
    Ok(())
}

/// A link may lead to something below `within`.
fn check_one(path: &Path, kind: FileType, within: &Path) -> Result<(), Planted> {
    special(path, kind)?;
    if kind.is_symlink() && !path.canonicalize().is_ok_and(|path| path.starts_with(within)) {
        return Err(link(path));
    }
    Ok(())
}

/// Refuses a fifo, a socket or a device.
pub(super) fn special(path: &Path, kind: FileType) -> Result<(), Planted> {
    let special = [
        (kind.is_fifo(), "a fifo"),
        (kind.is_socket(), "a socket"),
        (kind.is_block_device() || kind.is_char_device(), "a device"),
    ];
    match special.into_iter().find(|(is, _)| *is) {
        Some((_, what)) => Err(Planted::Special { path: path.to_owned(), what }),
        None => Ok(()),
    }
}

/// What is wrong with a link.
pub(super) fn link(path: &Path) -> Planted {
    Planted::Link {
        path: path.to_owned(),
        leads_to: std::fs::read_link(path).unwrap_or_default(),
        dangling: !path.exists(),
    }
}

/// The canonical form of a path whose last parts need not exist; nothing where one of them is a dangling link.
pub fn resolve(path: &Path) -> Option<PathBuf> {
    let existing = path.ancestors().find(|path| std::fs::symlink_metadata(path).is_ok())?;
    let missing = path.strip_prefix(existing).ok()?;
    // What is missing may lead up again.
    normalized(&existing.canonicalize().ok()?.join(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    struct Scene {
        _directory: tempfile::TempDir,
        root: PathBuf,
        outside: PathBuf,
    }

    fn scene() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let (root, outside) = (base.join("project"), base.join("outside"));
        for path in [&root.join("target/debug"), &root.join("target/x86/release"), &outside] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        fs::write(root.join("Cargo.lock"), "").unwrap();
        Scene { _directory: directory, root, outside }
    }

    fn error(scene: &Scene) -> String {
        check(&scene.root, &scene.root.join("target"))
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_link_that_leads_out_is_refused_by_name_wherever_cargo_writes() {
        let places = [
            "target/.rustc_info.json",
            "target/CACHEDIR.TAG",
            "target/doc",
            "target/package",
            "target/new-triple",
            "target/debug/.cargo-lock",
            "target/debug/app.d",
            "target/x86/release/app.d",
            "Cargo.lock",
        ];
        for place in places {
            for to in ["file", "none"] {
                let scene = scene();
                let place = scene.root.join(place);
                let _absent = fs::remove_file(&place);
                symlink(scene.outside.join(to), &place).unwrap();
                let error = error(&scene);
                assert!(error.contains(&format!("`{}` is a symbolic link", place.display())), "{error}");
            }
        }
    }

    #[test]
    fn a_link_within_the_target_directory_and_old_intermediates_pass() {
        let scene = scene();
        fs::write(scene.root.join("target/debug/app"), "").unwrap();
        symlink("app", scene.root.join("target/debug/latest")).unwrap();
        fs::create_dir(scene.root.join("target/debug/deps")).unwrap();
        symlink(scene.outside.join("file"), scene.root.join("target/debug/deps/x")).unwrap();
        assert_eq!(error(&scene), "");
        // Into the project, but out of the target directory: a hook of git's, say.
        symlink("../../Cargo.lock", scene.root.join("target/debug/app.d")).unwrap();
        assert!(error(&scene).contains("app.d"));
    }

    #[test]
    fn a_fifo_and_a_socket_are_refused() {
        let scene = scene();
        let socket = scene.root.join("target/debug/app.d");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(error(&scene).contains("is a socket"));
        fs::remove_file(&socket).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &socket,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(error(&scene).contains("is a fifo"));
    }

    #[test]
    fn the_target_directory_leads_out_only_where_the_user_says_so() {
        let scene = scene();
        let own = TargetDir { path: scene.root.join("target"), users: false };
        assert_eq!(own.resolve(&scene.root).unwrap(), scene.root.join("target"));
        fs::remove_dir_all(scene.root.join("target")).unwrap();
        assert_eq!(own.resolve(&scene.root).unwrap(), scene.root.join("target"), "not made yet");
        symlink(&scene.outside, scene.root.join("target")).unwrap();
        let error = own.resolve(&scene.root).unwrap_err();
        assert!(error.to_string().contains("--target-dir"), "{error}");
        let named = TargetDir { users: true, ..own };
        assert_eq!(named.resolve(&scene.root).unwrap(), scene.outside);
    }

    #[test]
    fn a_dangling_target_is_refused() {
        let scene = scene();
        fs::remove_dir_all(scene.root.join("target")).unwrap();
        symlink(scene.outside.join("none"), scene.root.join("target")).unwrap();
        let own = TargetDir { path: scene.root.join("target"), users: false };
        assert!(matches!(own.resolve(&scene.root), Err(Planted::Link { dangling: true, .. })));
    }
}
