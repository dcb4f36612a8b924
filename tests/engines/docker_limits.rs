//! Limits, as the kernel has them.

use std::path::{Path, PathBuf};

use crate::docker_support::{Fixture, cgroup_version, engine_command, report, rootless};

#[test]
fn memory_and_processes_are_limited_by_the_kernel() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    if rootless() && cgroup_version() == "1" {
        // There are none to be had. What must not be is that somebody believes in them.
        let report = report(&fixture.spec);
        assert_eq!((report.memory_limit, report.pids_limit), (None, None));
        return;
    }
    let id = fixture.listed().unwrap().id;
    let inspect = |field: &str| engine_command(&["inspect", "--format", field, &id]);
    assert_eq!(inspect("{{.HostConfig.Memory}}"), fixture.spec.limits.memory.to_string());
    assert_eq!(inspect("{{.HostConfig.PidsLimit}}"), fixture.spec.limits.pids.to_string());
    let pid = inspect("{{.State.Pid}}");
    let found = |files: &[&str]| files.iter().find_map(|file| cgroup_value(&pid, file));
    let memory = found(&["memory/memory.limit_in_bytes", "memory.max"]).expect("a memory limit");
    assert_eq!(memory, fixture.spec.limits.memory.to_string());
    let pids = found(&["pids/pids.max", "pids.max"]).expect("a limit of processes");
    assert_eq!(pids, fixture.spec.limits.pids.to_string());
}

/// A value of the cgroup of a process: `controller/file` for version 1, `file` for version 2.
fn cgroup_value(pid: &str, file: &str) -> Option<String> {
    let (controller, name) = file.split_once('/').unwrap_or(("", file));
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        controllers.split(',').any(|one| one == controller).then(|| parts.next())?
    })?;
    let root = Path::new("/sys/fs/cgroup").join(controller);
    let place: PathBuf = root.join(path.trim_start_matches('/')).join(name);
    Some(std::fs::read_to_string(place).ok()?.trim().to_owned())
}

#[test]
fn the_limit_of_open_files_is_this_process_s_own() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let id = fixture.listed().unwrap().id;
    let pid = engine_command(&["inspect", "--format", "{{.State.Pid}}", &id]);
    let line = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned()
    };
    assert_eq!(line(&pid), line("self"));
}
