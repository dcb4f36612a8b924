//! Whether a container is what was asked for.
//!
//! Engines accept fields that they do not know without a word, so what counts is what the kernel says. These
//! are functions over the kernel's own texts and the engine's answers; each returns what is not so.

use std::path::Path;

use bollard::models::ContainerInspectResponse;

use super::container::Request;
use super::mountinfo::{self, MountEntry};
use crate::container::{ContainerSpec, Mount};

/// `/proc/<pid>/status` of the agent as the engine started it. `user` is left out where numbers are those of
/// another user namespace.
pub(super) fn status(text: &str, user: Option<(u32, u32)>) -> Vec<String> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>())
    };
    let mut wrong = Vec::new();
    let mut expect = |name: &str, expected: &str| {
        let found = field(name);
        if !found
            .as_ref()
            .is_some_and(|found| !found.is_empty() && found.iter().all(|value| *value == expected))
        {
            let found = found.map_or("nothing".into(), |found| found.join(" "));
            wrong.push(format!("{name} is {found} instead of {expected}"));
        }
    };
    if let Some((uid, gid)) = user {
        expect("Uid", &uid.to_string());
        expect("Gid", &gid.to_string());
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        expect(set, "0000000000000000");
    }
    expect("NoNewPrivs", "1");
    expect("Seccomp", "2");
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

/// File systems that an engine makes for each container and that hold nothing of the host.
fn is_of_the_container(entry: &MountEntry) -> bool {
    match entry.kind.as_str() {
        "proc" => entry.target == Path::new("/proc"),
        "devpts" | "mqueue" => entry.target.starts_with("/dev"),
        "tmpfs" => true,
        _ => false,
    }
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
) -> Vec<String> {
    let Some(host) = &answer.host_config else { return vec!["the engine says nothing about it".into()] };
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    expect(host.network_mode.as_deref() == Some("none"), "the network is not off");
    expect(host.readonly_rootfs == Some(true), "the root file system is not read-only");
    expect(host.privileged != Some(true), "it is privileged");
    expect(host.cap_add.as_ref().is_none_or(Vec::is_empty), "it has extra capabilities");
    expect(
        host.memory.and_then(|bytes| u64::try_from(bytes).ok()) == Some(spec.limits.memory),
        "memory is not limited",
    );
    expect(
        host.pids_limit.and_then(|number| u64::try_from(number).ok()) == Some(spec.limits.pids),
        "the number of processes is not limited",
    );
    expect(!matches!(host.ipc_mode.as_deref(), Some("host" | "shareable")), "it shares memory with others");
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

    fn asked() -> Vec<Mount> {
        vec![Mount::read_only("/usr"), Mount::writable("/p")]
    }

    #[test]
    fn what_was_asked_for_passes() {
        assert!(status(STATUS, Some((1000, 100))).is_empty());
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
            assert_eq!(status(&STATUS.replace(line, other), Some((1000, 100))).len(), 1, "{line}");
        }
        assert!(!status("", None).is_empty());
    }

    #[test]
    fn a_writable_root_or_source_is_found() {
        let root = MOUNTS.replace("/ / ro", "/ / rw");
        assert_eq!(mounts(&root, &asked()), ["the root file system is not read-only"]);
        let usr = MOUNTS.replace("/usr /usr ro", "/usr /usr rw");
        assert_eq!(mounts(&usr, &asked()), ["/usr is writable"]);
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
    fn any_interface_but_the_loopback_is_found() {
        assert_eq!(interfaces(&["lo".into(), "eth0".into()]), ["there is a network interface eth0"]);
    }
}
