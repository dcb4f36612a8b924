//! Images in files: a directory or an archive in the OCI image layout (image-layout.md of the OCI image specification), as
//! `skopeo copy … oci:directory` and `docker buildx build --output type=oci` write them.
//!
//! One is unpacked once, by content, below this tool's own directory. What containers then show of the system comes from
//! there instead of from the host, read-only, so both engines take such an image in the same way, and neither starts
//! anything in it.

pub mod digest;
mod layout;
pub mod recipe;
pub(super) mod tree;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::host::{MERGED, SYSTEM, SystemWorld};
use super::spec::Mount;
use crate::project::private_directory;

pub(crate) use digest::Hashing;
pub use layout::{ImageError, Layout};
pub(super) use tree::Tree;

/// Directories of an image that jobs may read and execute, beside those that a host has.
const MORE: &[&str] = &["/etc", "/opt"];

/// An image that is unpacked below `images`, which is made if it is not there: its root directory. Nothing is done where
/// it is there already. `say` is called before the first byte is unpacked.
///
/// # Errors
/// When the image cannot be read, is not for this machine, or is not what its digests say.
pub fn unpacked(images: &Path, layout: &Layout, say: impl FnOnce()) -> Result<PathBuf, ImageError> {
    let failed = |error: io::Error| {
        ImageError::new(format!("failed to unpack it below `{}`: {error}", images.display()))
    };
    let place = images.join(layout.digest().replace(':', "-"));
    let root = place.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    say();
    private_directory(images).map_err(|error| ImageError::new(format!("{error:#}")))?;
    let unfinished = tempfile::tempdir_in(images).map_err(failed)?;
    let tree = unfinished.path().join("root");
    fs::create_dir(&tree).map_err(failed)?;
    layout.unpack(&tree)?;
    // Whoever is first wins: the content is the same.
    match fs::rename(unfinished.path(), &place) {
        Err(_) if root.is_dir() => {}
        other => other.map_err(failed)?,
    }
    Ok(root)
}

/// What a container shows of an image that is unpacked at `root`.
///
/// # Errors
/// When it has no `/usr`, or links where directories are needed that lead nowhere.
pub fn world(root: &Path) -> io::Result<SystemWorld> {
    let mut world = SystemWorld { mounts: Vec::new(), links: Vec::new() };
    for target in SYSTEM.iter().chain(MERGED).chain(MORE) {
        let source = root.join(target.trim_start_matches('/'));
        match fs::symlink_metadata(&source) {
            Ok(metadata) if metadata.is_dir() => {
                world.mounts.push(Mount { source, target: target.into(), writable: false });
            }
            Ok(metadata) if metadata.is_symlink() => {
                world.links.push((target.into(), fs::read_link(&source)?));
            }
            _ => {}
        }
    }
    if world.mounts.iter().any(|mount| mount.target == Path::new("/usr")) {
        return Ok(world);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the image has no directory /usr"))
}
