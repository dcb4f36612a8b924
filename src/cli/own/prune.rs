//! `self prune`.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::container::Engine;
use crate::container::engines::explain;
use crate::container::packages::{self, Store};
use crate::project::{StateDirectory, record, single_use};
use crate::provider::store::make_removable;

use super::Context;

/// Removes what belongs to projects that are gone, and images that no container uses.
pub fn run(context: &Context) -> anyhow::Result<u8> {
    let mut freed = 0;
    let engines = context.engines.available();
    single_use::remove_stale(&context.state.projects());
    for (id, root) in gone(&context.state) {
        let directories = context.state.project(&id);
        for engine in &engines {
            for container in
                engine.list().unwrap_or_default().iter().filter(|container| container.project == id)
            {
                engine
                    .remove(container)
                    .map_err(|error| explain(&format!("stop {}", container.name), &error))?;
            }
        }
        freed += size_of_tree(directories.path());
        make_removable(directories.path());
        std::fs::remove_dir_all(directories.path())?;
        let name = root.map_or(id, |root| root.display().to_string());
        println!("removed the build directory of {name}");
    }
    freed += images(context, &engines)?;
    freed += packages(context)?;
    for engine in &engines {
        freed += engine.prune().map_err(|error| explain("remove unused images", &error))?;
    }
    println!("freed {}", human(freed));
    Ok(0)
}

/// The ids of all projects.
fn projects(context: &Context) -> impl Iterator<Item = String> {
    let projects = std::fs::read_dir(context.state.projects()).into_iter().flatten().flatten();
    projects.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// Whether a command or a container runs: what is shown in containers may be in use.
fn anything_runs(context: &Context, engines: &[Box<dyn Engine>]) -> bool {
    projects(context).any(|id| is_used(&context.state.project(&id).sessions()))
        || engines.iter().any(|engine| engine.list().map_or(true, |list| !list.is_empty()))
}

/// Removes packages that no project has used the last time. What a container shows is its project's.
fn packages(context: &Context) -> anyhow::Result<u64> {
    let directory = context.state.packages();
    if !directory.exists() {
        return Ok(0);
    }
    let used = projects(context).filter_map(|id| packages::used(context.state.project(&id).path())).collect();
    let _lock = Store::open(directory.clone())?.lock(false)?;
    let before = size_of_tree(&directory);
    packages::remove_unused(&directory, &used)?;
    Ok(before.saturating_sub(size_of_tree(&directory)))
}

/// Removes what was unpacked of images in files.
fn images(context: &Context, engines: &[Box<dyn Engine>]) -> anyhow::Result<u64> {
    let images = context.state.images();
    if !images.exists() || anything_runs(context, engines) {
        return Ok(0);
    }
    let size = size_of_tree(&images);
    std::fs::remove_dir_all(&images)?;
    Ok(size)
}

/// Projects whose root is not there any more, by id, with that root where it is known.
pub fn gone(state: &StateDirectory) -> Vec<(String, Option<PathBuf>)> {
    let entries = std::fs::read_dir(state.projects()).into_iter().flatten().flatten();
    let all = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let with_root = all.map(|id| {
        let root = record::read(&state.project(&id)).map(|record| record.root);
        (id, root)
    });
    let is_gone = |(id, root): &(String, Option<PathBuf>)| {
        let directories = state.project(id);
        !root.as_ref().is_some_and(|root| root.join("Cargo.toml").is_file())
            && !is_used(&directories.sessions())
            && !single_use::is_used(directories.path())
    };
    with_root.filter(is_gone).collect()
}

/// Whether a front end works for the project just now: its session's lock is held.
fn is_used(sessions: &Path) -> bool {
    let sessions = std::fs::read_dir(sessions).into_iter().flatten().flatten();
    sessions.flat_map(|session| File::open(session.path().join("lock"))).any(|lock| lock.try_lock().is_err())
}

/// What a directory takes on disk, in bytes; links are not followed.
fn size_of_tree(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let below = if metadata.is_dir() {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of_tree(&entry.path())).sum()
    } else {
        0
    };
    metadata.blocks() * 512 + below
}

fn human(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a figure with one decimal for people")]
    let value = bytes as f64;
    for (unit, size) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << size {
            return format!("{:.1} {unit}", value / f64::from(1_u32 << size));
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(human(0), "0 bytes");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(5 << 30), "5.0 GiB");
    }

    #[test]
    fn a_tree_is_summed_without_following_links() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("file"), vec![1; 10_000]).unwrap();
        std::os::unix::fs::symlink("/usr", tree.path().join("link")).unwrap();
        let size = size_of_tree(tree.path());
        assert!((10_000..1 << 20).contains(&size), "{size}");
    }
}
