//! Writing beside the project's own files, where a repository may have left links.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, renameat, unlinkat};

/// The directory of records in the target directory.
pub const DIRECTORY: &str = "cargo-sandbox";

/// The record as JSON, in [`DIRECTORY`].
pub const AUDIT_JSON: &str = "audit.json";

/// The record as a page, beside it.
pub const AUDIT_PAGE: &str = "audit.html";

/// What is proposed, beside it.
pub const PROPOSED: &str = "cargo-sandbox.toml";

/// Writes files into [`DIRECTORY`] of a target directory; what was there under their names is replaced, and no link is
/// followed. Returns the directory.
///
/// # Errors
/// When the directory is a link, or cannot be written.
pub fn write(target: &Path, files: &[(&str, &[u8])]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(target)?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::open(target, OFlags::PATH | flags, Mode::empty())?;
    match mkdirat(&above, DIRECTORY, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    let directory = openat2(&above, DIRECTORY, OFlags::RDONLY | flags, Mode::empty(), resolve)?;
    for (name, content) in files {
        let new = format!(".{name}.{}", std::process::id());
        let _stale = unlinkat(&directory, &new, AtFlags::empty());
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file =
            std::fs::File::from(openat(&directory, &new, create, Mode::from_bits_truncate(0o644))?);
        file.write_all(content)?;
        renameat(&directory, &new, &directory, *name)?;
    }
    Ok(target.join(DIRECTORY))
}

/// Replaces a file of the project's root, be it a link.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let mut file = tempfile::Builder::new().prefix(".cargo-sandbox-").tempfile_in(directory)?;
    file.write_all(content)?;
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed() {
        let target = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let victim = elsewhere.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        let written = write(target.path(), &[(AUDIT_JSON, b"1")]).unwrap();
        std::fs::remove_file(written.join(AUDIT_JSON)).unwrap();
        symlink(&victim, written.join(AUDIT_JSON)).unwrap();
        write(target.path(), &[(AUDIT_JSON, b"2")]).unwrap();
        assert_eq!(std::fs::read_to_string(written.join(AUDIT_JSON)).unwrap(), "2");
        std::fs::remove_dir_all(&written).unwrap();
        symlink(elsewhere.path(), &written).unwrap();
        assert!(write(target.path(), &[(AUDIT_JSON, b"3")]).is_err());
        let lock = target.path().join("lock");
        symlink(&victim, &lock).unwrap();
        replace(&lock, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}
