//! The bind mounts of a container, as an engine is asked for them.
//!
//! Engines disagree on what a read-only bind does with mounts below its source: Docker before API 1.44 shows
//! them **writable**, Podman does not show them, newer ones can be asked. So no bind here is recursive, and
//! each mount below a source gets a bind of its own; what was not seen when the container was made is not
//! shown at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::models::{Mount as EngineMount, MountBindOptions, MountType};
use rustix::fs::{AtFlags, StatxFlags};

use crate::container::{EngineError, Mount};
use crate::mountinfo::{self, MountEntry};

/// What to bind for `mounts`: these, without duplicate targets, and the mounts below their sources. Parents
/// come before children.
///
/// # Errors
/// When a source is missing or has been replaced by a link, or there is nothing to mount on.
pub(super) fn resolve(mounts: &[Mount]) -> Result<Vec<Mount>, EngineError> {
    let text = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| EngineError::failed(format!("cannot read /proc/self/mountinfo: {error}")))?;
    let present: Vec<MountEntry> = mountinfo::parse(&text).into_iter().filter(is_reachable).collect();
    let mut result: Vec<Mount> = Vec::new();
    for mount in mounts {
        let source = real_source(mount, mounts)?;
        place_exists(mount, &result)?;
        for sub in below(&source, &present) {
            let Ok(rest) = sub.strip_prefix(&source) else { continue };
            let target =
                if rest.as_os_str().is_empty() { mount.target.clone() } else { mount.target.join(rest) };
            // Docker refuses two mounts at one place; the last one that was asked for is the one that counts.
            result.retain(|earlier| earlier.target != target);
            result.push(Mount { source: sub, target, writable: mount.writable });
        }
    }
    Ok(result)
}

/// The binds in the form of the API.
pub(super) fn binds(mounts: &[Mount]) -> Result<Vec<EngineMount>, EngineError> {
    mounts
        .iter()
        .map(|mount| {
            Ok(EngineMount {
                typ: Some(MountType::BIND),
                source: Some(text(&mount.source)?),
                target: Some(text(&mount.target)?),
                read_only: Some(!mount.writable),
                bind_options: Some(MountBindOptions { non_recursive: Some(true), ..Default::default() }),
                ..Default::default()
            })
        })
        .collect()
}

/// The API is JSON: a path that is no text cannot be said.
fn text(path: &Path) -> Result<String, EngineError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        EngineError::failed(format!(
            "{} is not UTF-8, and the engine's API takes nothing else",
            path.display()
        ))
        .hint("rename the directory, or use `--engine native`")
    })
}

/// What a source really is. A link is followed, since homes and caches are often linked elsewhere, but not one
/// that a job may have put there: below a directory that is writable in the container.
fn real_source(mount: &Mount, mounts: &[Mount]) -> Result<PathBuf, EngineError> {
    let source = &mount.source;
    let real = fs::canonicalize(source)
        .map_err(|error| EngineError::failed(format!("cannot mount {}: {error}", source.display())))?;
    let within_reach = |other: &Mount| {
        other.writable && source.starts_with(&other.source) && *source != other.source && real != *source
    };
    if let Some(other) = mounts.iter().find(|other| within_reach(other)) {
        let message = format!(
            "cannot mount {}: it leads to {}, and jobs can write in {}",
            source.display(),
            real.display(),
            other.source.display()
        );
        return Err(EngineError::failed(message).hint("remove the link"));
    }
    Ok(real)
}

/// Refuses a mount for which the engine would have to make a directory in one of the user's own, as root.
fn place_exists(mount: &Mount, earlier: &[Mount]) -> Result<(), EngineError> {
    let parent = earlier
        .iter()
        .filter(|other| mount.target != other.target && mount.target.starts_with(&other.target))
        .max_by_key(|other| other.target.components().count());
    let Some(parent) = parent else { return Ok(()) };
    let rest = mount.target.strip_prefix(&parent.target).unwrap_or(&mount.target);
    let place = parent.source.join(rest);
    if place.symlink_metadata().is_ok() {
        return Ok(());
    }
    let message =
        format!("cannot mount at {}: there is no {} to mount on", mount.target.display(), place.display());
    Err(EngineError::failed(message))
}

/// `source` itself and every mount below it, parents first. Below `/sys` there are only those with which the engine of the
/// container that this process is in covers a part of it, as it does for the container that it is asked for.
fn below(source: &Path, present: &[MountEntry]) -> Vec<PathBuf> {
    if source.starts_with("/sys") {
        return vec![source.to_path_buf()];
    }
    let mut paths: Vec<PathBuf> = present
        .iter()
        .map(|entry| &entry.target)
        .filter(|target| target.starts_with(source) && *target != source)
        .cloned()
        .collect();
    paths.push(source.to_path_buf());
    paths.sort();
    paths.dedup();
    paths
}

/// The first of `mounts` that shows other files in the container than this process has at the source: the engine sees the
/// files of another machine, or of the host of the container that this process is in. `shown` is the agent's mountinfo.
pub(super) fn foreign<'a>(mounts: &'a [Mount], shown: &str) -> Option<&'a Mount> {
    let own = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (own, shown) = (mountinfo::parse(&own), mountinfo::parse(shown));
    mounts.iter().find(|mount| {
        let there = shown.iter().rev().find(|entry| entry.target == mount.target);
        let there = there.map(|entry| (file_system(entry), entry.root.clone()));
        there.is_none() || there != place(&mount.source, &own)
    })
}

/// What tells an entry's file system from others on this kernel, which is the same on both sides (its boot id is compared).
/// Each network namespace has a sysfs of its own number, and the same processors in it (sysfs(5), fs/sysfs/mount.c).
fn file_system(entry: &MountEntry) -> String {
    if entry.kind == "sysfs" { entry.kind.clone() } else { entry.device.clone() }
}

/// The file system that a path is on, and where on it.
fn place(path: &Path, own: &[MountEntry]) -> Option<(String, PathBuf)> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(rustix::fs::CWD, path, flags, StatxFlags::MNT_ID).ok()?;
    let entry = own.iter().find(|entry| entry.id == found.stx_mnt_id)?;
    let rest = path.strip_prefix(&entry.target).ok()?;
    // Without a slash at its end.
    Some((file_system(entry), entry.root.join(rest).components().collect()))
}

/// Whether a mount can still be reached by its path: another one may cover it, or a directory above it.
fn is_reachable(entry: &MountEntry) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(rustix::fs::CWD, &entry.target, flags, StatxFlags::MNT_ID) {
        Ok(found) if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 => found.stx_mnt_id == entry.id,
        Ok(_) => true,
        // What this user may not look at is not below anything that this user shows.
        Err(error) => io::Error::from(error).kind() == io::ErrorKind::Unsupported,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn entry(target: &str) -> MountEntry {
        MountEntry {
            id: 1,
            device: "0:1".into(),
            root: "/".into(),
            target: target.into(),
            read_only: false,
            kind: "tmpfs".into(),
        }
    }

    #[test]
    fn mounts_below_a_source_come_after_it_and_once() {
        let present = [entry("/a/c/d"), entry("/a/c"), entry("/ab"), entry("/a"), entry("/a/c")];
        assert_eq!(below(Path::new("/a"), &present), ["/a", "/a/c", "/a/c/d"].map(PathBuf::from));
        let present = [entry("/sys"), entry("/sys/devices/covered")];
        assert_eq!(below(Path::new("/sys/devices"), &present), ["/sys/devices"].map(PathBuf::from));
    }

    #[test]
    fn files_of_another_place_are_told_from_ones_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let own = mountinfo::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap());
        let (device, root) = place(&path, &own).unwrap();
        let mount = Mount { source: path, target: "/there".into(), writable: false };
        let shown =
            |device: &str, root: &Path| format!("1 2 {device} {} /there ro - ext4 x rw\n", root.display());
        let mounts = [mount];
        assert_eq!(foreign(&mounts, &shown(&device, &root)), None);
        assert_eq!(foreign(&mounts, &shown("0:0", &root)), Some(&mounts[0]));
        assert_eq!(foreign(&mounts, &shown(&device, "/elsewhere".as_ref())), Some(&mounts[0]));
        assert_eq!(foreign(&mounts, ""), Some(&mounts[0]));

        let mounts = [Mount::read_only("/sys/devices")];
        let shown = |kind: &str, root: &str| format!("1 2 0:0 {root} /sys/devices ro - {kind} x rw\n");
        assert_eq!(foreign(&mounts, &shown("sysfs", "/devices")), None);
        assert_eq!(foreign(&mounts, &shown("sysfs", "/")), Some(&mounts[0]));
        assert_eq!(foreign(&mounts, &shown("tmpfs", "/devices")), Some(&mounts[0]));
    }

    #[test]
    fn the_last_mount_at_a_place_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let resolved = resolve(&[Mount::read_only(&path), Mount::writable(&path)]).unwrap();
        assert_eq!(resolved, [Mount::writable(&path)]);
    }

    #[test]
    fn a_link_where_jobs_write_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        symlink("/etc", path.join("planted")).unwrap();
        let mounts = [Mount::writable(&path), Mount::read_only(path.join("planted"))];
        let error = resolve(&mounts).unwrap_err();
        assert!(error.message.contains("leads to /etc"), "{error}");
        assert!(resolve(&mounts[1..]).is_ok());
    }

    #[test]
    fn a_directory_is_never_made_in_the_users_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let inner = Mount { source: "/usr".into(), target: path.join("usr"), writable: false };
        let error = resolve(&[Mount::writable(&path), inner]).unwrap_err();
        assert!(error.message.contains("to mount on"), "{error}");
    }

    #[test]
    fn a_missing_source_is_named() {
        let error = resolve(&[Mount::read_only("/does/not/exist")]).unwrap_err();
        assert!(error.message.starts_with("cannot mount /does/not/exist"), "{error}");
    }
}
