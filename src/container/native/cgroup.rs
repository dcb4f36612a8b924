//! The container's limits. Version 2 of cgroups where a part of the tree is ours to divide, version 1 for
//! root, otherwise none: the report says so.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::{limit_of, out_of_memory_kills};

const MOUNT: &str = "/sys/fs/cgroup";

/// The groups of one container; none where limits are not to be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The group with the memory limit.
    memory: Option<PathBuf>,
    /// The group with the limit on processes; with version 2 the same.
    pids: Option<PathBuf>,
}

impl Cgroup {
    /// Makes groups with limits, as far as that is possible.
    pub fn create(name: &str, memory: u64, pids: u64) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if Path::new(MOUNT).join("cgroup.controllers").exists() {
            let group = create_unified(&own, name, memory, pids);
            Self { memory: group.clone(), pids: group }
        } else {
            let limits = [("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory)];
            Self {
                memory: create_single(&own, "memory", name, &limits),
                pids: create_single(&own, "pids", name, &[("pids.max", pids)]),
            }
        }
    }

    fn groups(&self) -> impl Iterator<Item = &PathBuf> {
        let pids = self.pids.iter().filter(|pids| self.memory.as_ref() != Some(*pids));
        self.memory.iter().chain(pids)
    }

    /// Puts a process, and with it all that it will start, under the limits.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter(&self, pid: i32) -> io::Result<()> {
        self.groups().try_for_each(|group| fs::write(group.join("cgroup.procs"), pid.to_string()))
    }

    /// The memory limit that is in force.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory.as_deref().and_then(|group| read_first(group, &["memory.max", "memory.limit_in_bytes"]))
    }

    /// The limit on processes that is in force.
    pub fn pids_limit(&self) -> Option<u64> {
        self.pids.as_deref().and_then(|group| read_first(group, &["pids.max"]))
    }

    /// The file in which the kernel counts whom it killed for want of memory.
    pub fn memory_events(&self) -> Option<File> {
        let group = self.memory.as_deref()?;
        ["memory.events", "memory.oom_control"].iter().find_map(|name| File::open(group.join(name)).ok())
    }

    /// Says so, if the kernel has killed a process of the container for want of memory.
    pub fn out_of_memory(&self, limit: u64) -> Option<String> {
        let mut events = String::new();
        self.memory_events()?.read_to_string(&mut events).ok()?;
        (out_of_memory_kills(&events)? > 0).then(|| format!("out of memory (limit {} MiB)", limit >> 20))
    }

    /// Removes the groups; the last process must be dead, which the kernel may need a moment to notice.
    pub fn remove(&self) {
        for group in self.groups() {
            for _ in 0..50 {
                match fs::remove_dir(group) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Whether a container of this user would get limits.
pub fn is_usable() -> bool {
    let probe = Cgroup::create(&format!("cargo-sandbox-probe-{}", std::process::id()), 1 << 30, 64);
    probe.remove();
    probe.memory.is_some() && probe.pids.is_some()
}

fn read_first(group: &Path, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| limit_of(&fs::read_to_string(group.join(name)).ok()?))
}

/// This process's group in the hierarchy of a version 1 controller, or (with an empty name) in version 2's.
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|found| found == controller).then_some(path.trim_start_matches('/'))
    })
}

fn create_single(own: &str, controller: &str, name: &str, limits: &[(&str, u64)]) -> Option<PathBuf> {
    let group = Path::new(MOUNT).join(controller).join(own_path(own, controller)?).join(name);
    make(&group)?;
    for (index, (file, limit)) in limits.iter().enumerate() {
        // Only the first must be there: swap is not counted everywhere.
        if fs::write(group.join(file), limit.to_string()).is_err() && index == 0 {
            let _ = fs::remove_dir(&group);
            return None;
        }
    }
    Some(group)
}

/// Below the nearest group that is ours and has no processes of its own: those with some cannot hand
/// controllers on.
fn create_unified(own: &str, name: &str, memory: u64, pids: u64) -> Option<PathBuf> {
    let mount = Path::new(MOUNT);
    let own = mount.join(own_path(own, "")?);
    own.ancestors().take_while(|group| group.starts_with(mount)).find_map(|parent| {
        let controllers = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
        if !["memory", "pids"].iter().all(|name| controllers.split_whitespace().any(|found| found == *name)) {
            fs::write(parent.join("cgroup.subtree_control"), "+memory +pids").ok()?;
        }
        let group = parent.join(name);
        make(&group)?;
        let set = fs::write(group.join("memory.max"), memory.to_string())
            .and_then(|()| fs::write(group.join("pids.max"), pids.to_string()));
        if set.is_err() {
            let _ = fs::remove_dir(&group);
            return None;
        }
        let _ = fs::write(group.join("memory.swap.max"), "0");
        Some(group)
    })
}

fn make(group: &Path) -> Option<()> {
    match fs::create_dir(group) {
        Ok(()) => Some(()),
        // Left by a keeper that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some(()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_either_version() {
        let hybrid = "9:pids:/a\n4:cpu,memory:/b/c\n0::/d\n";
        assert_eq!(own_path(hybrid, "memory"), Some("b/c"));
        assert_eq!(own_path(hybrid, "pids"), Some("a"));
        assert_eq!(own_path(hybrid, ""), Some("d"));
        assert_eq!(own_path(hybrid, "blkio"), None);
    }
}
