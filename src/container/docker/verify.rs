//! Whether a container is what was asked for.
//!
//! Engines accept fields that they do not know without a word, so what counts is what the kernel says. These
//! are functions over the kernel's own texts and the engine's answers; each returns what is not so.

use std::path::Path;

use bollard::models::ContainerInspectResponse;

use super::container::{ROOTS_CAPABILITY, Request};
use crate::container::{ContainerSpec, Mount};
use crate::mountinfo::{self, MountEntry};

/// `/proc/<pid>/status` of a process of the agent: what every process of the container inherits. `user` is left
/// out where numbers are those of another user namespace.
pub(super) fn inherited(text: &str, user: Option<(u32, u32)>) -> Vec<String> {
    let mut expected = vec![("NoNewPrivs", "1".to_owned()), ("Seccomp", "2".to_owned())];
    if let Some((uid, gid)) = user {
        expected.extend([("Uid", uid.to_string()), ("Gid", gid.to_string())]);
    }
    compare(text, &expected)
}

/// `/proc/<pid>/status` of a process that is in the user namespace in which the engine started it: it has no
/// capability and can get none. Root's agent has given up the one that it started with, which stays in the
/// bounding set.
pub(super) fn capabilities(text: &str, uid: u32) -> Vec<String> {
    let none = || "0000000000000000".to_owned();
    // CAP_SETFCAP is number 31 (linux/capability.h).
    let bounding = if uid == 0 { "0000000080000000".to_owned() } else { none() };
    let empty = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| (set, none()));
    compare(text, &[empty.as_slice(), &[("CapBnd", bounding)]].concat())
}

/// Fields that do not have the expected value, in every column.
fn compare(text: &str, expected: &[(&str, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, expected) in expected {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let values: Vec<&str> = line.into_iter().flat_map(str::split_whitespace).collect();
        if values.is_empty() || values.iter().any(|value| value != expected) {
            let found = if values.is_empty() { "not told".to_owned() } else { values.join(" ") };
            wrong.push(format!("{name} is {found} instead of {expected}"));
        }
    }
    wrong
}

/// `/proc/<pid>/mountinfo` of the agent as the engine made it.
pub(super) fn mounts(text: &str, expected: &[Mount]) -> Vec<String> {
    let entries = mountinfo::parse(text);
    let visible = |target: &Path| entries.iter().rev().find(|entry| entry.target == target);
    let mut wrong = Vec::new();
    match visible(Path::new("/")) {
        Some(root) if root.read_only => {}
        _ => wrong.push("the root file system is not read-only".into()),
    }
    for mount in expected {
        match visible(&mount.target) {
            None => wrong.push(format!("{} is not mounted", mount.target.display())),
            Some(entry) if !mount.writable && !entry.read_only => {
                wrong.push(format!("{} is writable", mount.target.display()));
            }
            Some(_) => {}
        }
    }
    for entry in &entries {
        let asked = expected.iter().any(|mount| mount.target == entry.target);
        if !entry.read_only && !asked && entry.target != Path::new("/") && !is_of_the_container(entry) {
            wrong.push(format!(
                "{} ({}) is writable and was not asked for",
                entry.target.display(),
                entry.kind
            ));
        }
    }
    wrong
}

/// The devices that every container has.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// File systems that an engine makes for each container and that hold nothing of the host.
fn is_of_the_container(entry: &MountEntry) -> bool {
    match entry.kind.as_str() {
        "proc" => entry.target == Path::new("/proc"),
        "devpts" | "mqueue" => entry.target.starts_with("/dev"),
        // A rootless engine cannot make device nodes and shows the host's.
        "devtmpfs" => DEVICES.iter().any(|device| entry.target == Path::new(device)),
        "tmpfs" => true,
        _ => false,
    }
}

/// `/proc/<pid>/mountinfo` of a job. Root writes to `/proc/sys`, the host's own settings, without any capability;
/// so where the agent could give jobs no `/proc` of their own, root's must not run.
pub(super) fn settings(text: &str, uid: u32) -> Vec<String> {
    let entries = mountinfo::parse(text);
    let proc = entries.iter().rev().find(|entry| entry.target == Path::new("/proc"));
    if uid != 0 || proc.is_some_and(|entry| entry.read_only) {
        return Vec::new();
    }
    vec!["root's jobs could write to /proc/sys (does the host refuse mounts in containers?)".into()]
}

/// The names of the network interfaces inside.
pub(super) fn interfaces(names: &[String]) -> Vec<String> {
    let others = names.iter().filter(|name| *name != "lo");
    others.map(|name| format!("there is a network interface {name}")).collect()
}

/// What the engine itself says that it made. It may say so and not have done it; limits show nowhere else.
pub(super) fn inspect(
    answer: &ContainerInspectResponse,
    spec: &ContainerSpec,
    asked: &Request,
    limits: bool,
) -> Vec<String> {
    let Some(host) = &answer.host_config else { return vec!["the engine says nothing about it".into()] };
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let network = if spec.host_network { "host" } else { "none" };
    expect(host.network_mode.as_deref() == Some(network), "the network is not as asked for");
    expect(host.readonly_rootfs == Some(true), "the root file system is not read-only");
    expect(host.privileged != Some(true), "it is privileged");
    // Engines write the name with and without its prefix.
    let known = |name: &String| asked.user.0 == 0 && name.trim_start_matches("CAP_") == ROOTS_CAPABILITY;
    expect(host.cap_add.iter().flatten().all(known), "it has extra capabilities");
    // Where the host cannot limit, engines say what they like; the agent's report tells.
    let is =
        |number: Option<i64>, limit| !limits || number.and_then(|n| u64::try_from(n).ok()) == Some(limit);
    expect(is(host.memory, spec.limits.memory), "memory is not limited");
    expect(is(host.pids_limit, spec.limits.pids), "the number of processes is not limited");
    // Podman calls a private one shareable: another container may ask to join it, which nobody does.
    let ipc = host.ipc_mode.as_deref().unwrap_or_default();
    expect(ipc != "host" && !ipc.starts_with("container:"), "it shares memory with others");
    expect(!matches!(host.pid_mode.as_deref(), Some("host")), "it sees the host's processes");
    let config = answer.config.as_ref();
    let user = config.and_then(|config| config.user.as_deref());
    expect(user == asked.body.user.as_deref(), "it runs as another user");
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tagent\nUid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    const MOUNTS: &str = "1 0 0:1 / / ro - overlay overlay rw\n\
        2 1 0:2 / /proc rw - proc proc rw\n\
        3 1 0:3 / /tmp rw - tmpfs tmpfs rw\n\
        4 1 8:1 /usr /usr ro - ext4 /dev/vda rw\n\
        5 1 8:1 /p /p rw - ext4 /dev/vda rw\n";

    fn status(text: &str) -> Vec<String> {
        [inherited(text, Some((1000, 100))), capabilities(text, 1000)].concat()
    }

    fn asked() -> Vec<Mount> {
        vec![Mount::read_only("/usr"), Mount::writable("/p")]
    }

    #[test]
    fn what_was_asked_for_passes() {
        assert!(status(STATUS).is_empty());
        assert!(mounts(MOUNTS, &asked()).is_empty());
        assert!(interfaces(&["lo".into()]).is_empty());
    }

    #[test]
    fn each_line_of_the_status_counts() {
        for (line, other) in [
            ("Uid:\t1000\t1000", "Uid:\t1000\t0"),
            ("Gid:\t100", "Gid:\t0"),
            ("CapEff:\t0000000000000000", "CapEff:\t0000000000000001"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
            ("Seccomp:\t2\n", ""),
        ] {
            assert_eq!(status(&STATUS.replace(line, other)).len(), 1, "{line}");
        }
        assert_eq!(status("").len(), 9);
    }

    #[test]
    fn root_may_have_had_the_one_capability_that_it_needs() {
        let root = STATUS.replace("CapBnd:\t0000000000000000", "CapBnd:\t0000000080000000");
        assert!(capabilities(&root, 0).is_empty());
        assert_eq!(capabilities(&root, 1000).len(), 1);
        assert_eq!(capabilities(&root.replace("CapEff:\t00000000", "CapEff:\t00000001"), 0).len(), 1);
    }

    #[test]
    fn a_writable_root_or_source_is_found() {
        let root = MOUNTS.replace("/ / ro", "/ / rw");
        assert_eq!(mounts(&root, &asked()), ["the root file system is not read-only"]);
        let usr = MOUNTS.replace("/usr /usr ro", "/usr /usr rw");
        assert_eq!(mounts(&usr, &asked()), ["/usr is writable"]);
    }

    #[test]
    fn the_usual_devices_may_be_the_hosts_and_no_others() {
        let device = |name: &str| format!("{MOUNTS}6 1 0:6 /{name} /dev/{name} rw - devtmpfs devtmpfs rw\n");
        assert!(mounts(&device("null"), &asked()).is_empty());
        assert_eq!(mounts(&device("kmsg"), &asked()).len(), 1);
    }

    #[test]
    fn a_writable_mount_below_a_read_only_one_is_found() {
        let text = format!("{MOUNTS}6 4 8:2 / /usr/local rw - ext4 /dev/vdb rw\n");
        assert_eq!(mounts(&text, &asked()), ["/usr/local (ext4) is writable and was not asked for"]);
    }

    #[test]
    fn a_missing_mount_is_found() {
        let mut more = asked();
        more.push(Mount::read_only("/opt"));
        assert_eq!(mounts(MOUNTS, &more), ["/opt is not mounted"]);
    }

    #[test]
    fn a_writable_proc_is_found_where_it_matters() {
        assert_eq!(settings(MOUNTS, 0).len(), 1);
        assert!(settings(MOUNTS, 1000).is_empty());
        assert!(settings(&MOUNTS.replace("/ /proc rw", "/ /proc ro"), 0).is_empty());
    }

    #[test]
    fn any_interface_but_the_loopback_is_found() {
        assert_eq!(interfaces(&["lo".into(), "eth0".into()]), ["there is a network interface eth0"]);
    }
}
