//! Where records are written: where no job and no repository comes near.
//!
//! Not in the target directory. A record says which of the files that a job looked for are there and hidden from it:
//! jobs that read the workspace would learn it. And what is pinned is believed, so that nobody else may have written it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The record as JSON.
pub const AUDIT_JSON: &str = "audit.json";

/// The record as a page, beside it.
pub const AUDIT_PAGE: &str = "audit.html";

/// What is proposed, beside it.
pub const PROPOSED: &str = "cargo-sandbox.toml";

/// The directory of records in this tool's own directory of a project.
pub fn directory(project: &Path) -> PathBuf {
    project.join("report")
}

/// Replaces a file, be it a link.
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
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        let lock = directory.path().join("lock");
        symlink(&victim, &lock).unwrap();
        replace(&lock, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
