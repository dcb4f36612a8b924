//! Cache directories that cargo would create, created as cargo does.

use std::io;
use std::path::Path;

/// The content of cargo's own tag (`cargo_util::paths`), so that a directory looks the same whoever made it.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by cargo.
# For information about cache directory tags see https://bford.info/cachedir/
";

/// Creates a directory that is to be mounted before cargo has made it, with the `CACHEDIR.TAG` that cargo
/// writes only into directories that it creates itself. A directory that is there stays as it is.
///
/// # Errors
/// When a directory cannot be made.
pub fn create_cache_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(parent)?;
    let made = tempfile::Builder::new().prefix(".cargo-sandbox").tempdir_in(parent)?;
    std::fs::write(made.path().join("CACHEDIR.TAG"), TAG)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(made.path(), mode)?;
    match std::fs::rename(made.path(), path) {
        // Somebody else was faster.
        Err(_) if path.is_dir() => Ok(()),
        result => {
            let _gone = made.keep();
            result
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_directory_is_tagged() {
        let parent = tempfile::tempdir().unwrap();
        let new = parent.path().join("a/target");
        create_cache_directory(&new).unwrap();
        assert!(new.join("CACHEDIR.TAG").is_file());
        let old = parent.path().join("old");
        std::fs::create_dir(&old).unwrap();
        create_cache_directory(&old).unwrap();
        assert_eq!(std::fs::read_dir(&old).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(parent.path().join("a")).unwrap().count(), 1);
    }
}
