//! The seccomp profile of the container as a whole: what the agent and every job may ask of the kernel.
//!
//! It is an allow-list. It has to leave the agent what it builds each job's world from (namespaces, mounts,
//! Landlock), so it is wider there than an engine's own profile, and narrower elsewhere: what no build needs
//! and what kernel exploits are made of is absent (`ABSENT` names the notable ones). The agent installs a
//! stricter filter in each job; this one is what still holds if that ever failed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::policy::calls::SystemCall;

/// Socket families that jobs and the agent use. `AF_VSOCK` talks to a hypervisor, `AF_ALG` and `AF_PACKET` have
/// been ways into the kernel; they and all others are refused.
const SOCKET_FAMILIES: &[(u64, &str)] = &[
    (1, "AF_UNIX: the agent's own socket, and tests of it"),
    (2, "AF_INET: tests over the container's own loopback"),
    (10, "AF_INET6: the same"),
    (16, "AF_NETLINK: libc lists interfaces by it; the agent brings the loopback up"),
];

/// Execution domains that may be set or asked for.
const PERSONALITIES: &[(u64, &str)] = &[
    (0x0000_0000, "PER_LINUX: the default"),
    (0x0004_0000, "ADDR_NO_RANDOMIZE: sanitizers start themselves again with it"),
    (0xffff_ffff, "a query"),
];

/// Calls that are allowed whatever their arguments, by what they are for. The arguments of `ioctl` are left to
/// the job's own filter: "not TIOCSTI" is a comparison of 32 bits, which this form cannot express.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "reading and writing open files",
        &[
            "close",
            "close_range",
            "copy_file_range",
            "dup",
            "dup2",
            "dup3",
            "fadvise64",
            "fallocate",
            "fcntl",
            "fdatasync",
            "flock",
            "fsync",
            "ftruncate",
            "ioctl",
            "lseek",
            "pipe",
            "pipe2",
            "pread64",
            "preadv",
            "preadv2",
            "pwrite64",
            "pwritev",
            "pwritev2",
            "read",
            "readahead",
            "readv",
            "sendfile",
            "splice",
            "sync",
            "sync_file_range",
            "syncfs",
            "tee",
            "vmsplice",
            "write",
            "writev",
        ],
    ),
    (
        "finding and opening files",
        &[
            "access",
            "cachestat",
            "chdir",
            "creat",
            "faccessat",
            "faccessat2",
            "fchdir",
            "fstat",
            "fstatfs",
            "getcwd",
            "getdents",
            "getdents64",
            "lstat",
            "name_to_handle_at",
            "newfstatat",
            "open",
            "openat",
            "openat2",
            "readlink",
            "readlinkat",
            "stat",
            "statfs",
            "statx",
            "umask",
        ],
    ),
    (
        "changing the file tree; mknod makes fifos and sockets, devices need a capability",
        &[
            "chmod",
            "chown",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "fchown",
            "fchownat",
            "futimesat",
            "lchown",
            "link",
            "linkat",
            "mkdir",
            "mkdirat",
            "mknod",
            "mknodat",
            "rename",
            "renameat",
            "renameat2",
            "rmdir",
            "symlink",
            "symlinkat",
            "truncate",
            "unlink",
            "unlinkat",
            "utime",
            "utimensat",
            "utimes",
        ],
    ),
    (
        "extended attributes: cp, install and tar ask for them",
        &[
            "fgetxattr",
            "flistxattr",
            "fremovexattr",
            "fsetxattr",
            "getxattr",
            "lgetxattr",
            "listxattr",
            "llistxattr",
            "lremovexattr",
            "lsetxattr",
            "removexattr",
            "setxattr",
        ],
    ),
    (
        "watching files: build tools under test",
        &["inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch"],
    ),
    (
        "memory",
        &[
            "brk",
            "madvise",
            "map_shadow_stack",
            "membarrier",
            "memfd_create",
            "mincore",
            "mlock",
            "mlock2",
            "mlockall",
            "mmap",
            "mprotect",
            "mremap",
            "mseal",
            "msync",
            "munlock",
            "munlockall",
            "munmap",
            "pkey_alloc",
            "pkey_free",
            "pkey_mprotect",
        ],
    ),
    (
        "System V memory, semaphores and queues, in an ipc namespace of the container's own",
        &[
            "msgctl",
            "msgget",
            "msgrcv",
            "msgsnd",
            "semctl",
            "semget",
            "semop",
            "semtimedop",
            "shmat",
            "shmctl",
            "shmdt",
            "shmget",
        ],
    ),
    (
        "POSIX queues, likewise",
        &["mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink"],
    ),
    (
        "starting and ending processes and threads",
        &[
            "clone",
            "clone3",
            "execve",
            "execveat",
            "exit",
            "exit_group",
            "fork",
            "kill",
            "pidfd_open",
            "pidfd_send_signal",
            "tgkill",
            "tkill",
            "vfork",
            "wait4",
            "waitid",
        ],
    ),
    (
        "threads and locks",
        &[
            "arch_prctl",
            "futex",
            "futex_requeue",
            "futex_wait",
            "futex_waitv",
            "futex_wake",
            "get_robust_list",
            "prctl",
            "rseq",
            "set_robust_list",
            "set_thread_area",
            "get_thread_area",
            "set_tid_address",
        ],
    ),
    (
        "who a process is",
        &[
            "capget",
            "capset",
            "getegid",
            "geteuid",
            "getgid",
            "getgroups",
            "getpgid",
            "getpgrp",
            "getpid",
            "getppid",
            "getresgid",
            "getresuid",
            "getsid",
            "gettid",
            "getuid",
            "setfsgid",
            "setfsuid",
            "setgid",
            "setgroups",
            "setpgid",
            "setregid",
            "setresgid",
            "setresuid",
            "setreuid",
            "setsid",
            "setuid",
        ],
    ),
    (
        "signals",
        &[
            "alarm",
            "pause",
            "restart_syscall",
            "rt_sigaction",
            "rt_sigpending",
            "rt_sigprocmask",
            "rt_sigqueueinfo",
            "rt_sigreturn",
            "rt_sigsuspend",
            "rt_sigtimedwait",
            "rt_tgsigqueueinfo",
            "sigaltstack",
            "signalfd",
            "signalfd4",
        ],
    ),
    (
        "clocks and timers, without setting any",
        &[
            "clock_getres",
            "clock_gettime",
            "clock_nanosleep",
            "getitimer",
            "gettimeofday",
            "nanosleep",
            "setitimer",
            "time",
            "timer_create",
            "timer_delete",
            "timer_getoverrun",
            "timer_gettime",
            "timer_settime",
            "timerfd_create",
            "timerfd_gettime",
            "timerfd_settime",
            "times",
        ],
    ),
    (
        "waiting for several things",
        &[
            "epoll_create",
            "epoll_create1",
            "epoll_ctl",
            "epoll_pwait",
            "epoll_pwait2",
            "epoll_wait",
            "eventfd",
            "eventfd2",
            "poll",
            "ppoll",
            "pselect6",
            "select",
        ],
    ),
    (
        "sockets once they exist",
        &[
            "accept",
            "accept4",
            "bind",
            "connect",
            "getpeername",
            "getsockname",
            "getsockopt",
            "listen",
            "recvfrom",
            "recvmmsg",
            "recvmsg",
            "sendmmsg",
            "sendmsg",
            "sendto",
            "setsockopt",
            "shutdown",
        ],
    ),
    (
        "limits, priorities and the scheduler",
        &[
            "getcpu",
            "getpriority",
            "getrlimit",
            "getrusage",
            "ioprio_get",
            "ioprio_set",
            "prlimit64",
            "sched_get_priority_max",
            "sched_get_priority_min",
            "sched_getaffinity",
            "sched_getattr",
            "sched_getparam",
            "sched_getscheduler",
            "sched_rr_get_interval",
            "sched_setaffinity",
            "sched_setattr",
            "sched_setparam",
            "sched_setscheduler",
            "sched_yield",
            "setpriority",
            "setrlimit",
        ],
    ),
    ("about the system", &["getrandom", "sysinfo", "uname"]),
    (
        "the agent: each job's namespaces and mounts, before the job's own filter forbids them",
        &[
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "pivot_root",
            "sethostname",
            "umount2",
            "unshare",
        ],
    ),
    (
        "the agent: each job's confinement; programs may confine themselves further by the same",
        &["landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp"],
    ),
];

/// What is not there, and why: a test holds these against [`ALLOWED`].
#[cfg(test)]
const ABSENT: &[(&str, &str)] = &[
    ("add_key", "kernel keyrings are shared with the host"),
    ("keyctl", "the same"),
    ("request_key", "the same, and it starts a program on the host"),
    ("bpf", "programs in the kernel"),
    ("perf_event_open", "attack surface; counters tell about other processes"),
    ("userfaultfd", "makes races in the kernel easy to win"),
    ("io_uring_setup", "attack surface, and operations that no filter sees"),
    ("io_uring_enter", "the same"),
    ("io_setup", "old asynchronous I/O: attack surface that no build uses"),
    ("ptrace", "control over other processes"),
    ("process_vm_readv", "memory of other processes"),
    ("process_vm_writev", "the same"),
    ("pidfd_getfd", "descriptors of other processes"),
    ("kcmp", "tells about other processes"),
    ("setns", "into namespaces of others"),
    ("open_by_handle_at", "opens files past every mount"),
    ("init_module", "kernel modules"),
    ("finit_module", "the same"),
    ("kexec_load", "another kernel"),
    ("kexec_file_load", "the same"),
    ("reboot", "the host's power"),
    ("swapon", "the host's memory"),
    ("syslog", "the kernel's messages tell addresses"),
    ("acct", "writes a file in the host's name"),
    ("settimeofday", "the host's clock"),
    ("clock_settime", "the same"),
    ("adjtimex", "the same"),
    ("fanotify_init", "sees what others open"),
    ("quotactl", "the host's file systems"),
    ("iopl", "the host's hardware"),
    ("ioperm", "the same"),
    ("modify_ldt", "old segments, a source of kernel bugs"),
    ("vhangup", "the host's terminals"),
    ("mbind", "memory placement: attack surface that no build uses"),
    ("remap_file_pages", "the same"),
    ("uselib", "obsolete"),
];

/// The profile in the form that Docker and Podman read.
///
/// Only the native instruction set of each machine is listed: 32-bit and x32 calls have tables of their own
/// and would be other doors to the same rooms.
///
/// `granted` are calls that a policy gives to single jobs: the container's filter has to let them pass, so that the
/// job's own can.
pub fn profile(granted: &BTreeSet<SystemCall>) -> String {
    let mut rules: Vec<Rule> = ALLOWED
        .iter()
        .map(|(reason, names)| Rule {
            names: names.to_vec(),
            action: ALLOW,
            args: Vec::new(),
            comment: reason,
        })
        .collect();
    rules.extend(equal("socket", 0, SOCKET_FAMILIES));
    rules.extend(equal("socketpair", 0, &SOCKET_FAMILIES[..1]));
    rules.extend(equal("personality", 0, PERSONALITIES));
    rules.extend((!granted.is_empty()).then(|| Rule {
        names: granted.iter().map(|call| call.name()).collect(),
        action: ALLOW,
        args: Vec::new(),
        comment: "granted to some jobs by a policy; the filter of all others refuses it",
    }));
    let profile = Profile {
        default_action: "SCMP_ACT_ERRNO",
        arch_map: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
            .map(|architecture| BTreeMap::from([("architecture", architecture)]))
            .to_vec(),
        syscalls: rules,
    };
    serde_json::to_string(&profile).expect("names and numbers have a form in JSON")
}

/// One rule for each value that one argument may have.
fn equal<'a>(name: &'a str, index: u32, values: &'a [(u64, &'a str)]) -> impl Iterator<Item = Rule<'a>> {
    values.iter().map(move |(value, reason)| Rule {
        names: vec![name],
        action: ALLOW,
        args: vec![Argument { index, value: *value, op: "SCMP_CMP_EQ" }],
        comment: reason,
    })
}

const ALLOW: &str = "SCMP_ACT_ALLOW";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    default_action: &'a str,
    arch_map: Vec<BTreeMap<&'a str, &'a str>>,
    syscalls: Vec<Rule<'a>>,
}

#[derive(Debug, Serialize)]
struct Rule<'a> {
    names: Vec<&'a str>,
    action: &'a str,
    args: Vec<Argument<'a>>,
    comment: &'a str,
}

#[derive(Debug, Serialize)]
struct Argument<'a> {
    index: u32,
    value: u64,
    op: &'a str,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names() -> Vec<&'static str> {
        ALLOWED.iter().flat_map(|(_, names)| names.iter().copied()).collect()
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut seen = HashSet::new();
        let twice: Vec<_> = names().into_iter().filter(|name| !seen.insert(*name)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn what_shall_be_absent_is_absent() {
        let names: HashSet<_> = names().into_iter().collect();
        let wrong: Vec<_> = ABSENT.iter().filter(|(name, _)| names.contains(name)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_call_with_a_condition_is_not_also_allowed_without() {
        for name in ["socket", "socketpair", "personality"] {
            assert!(!names().contains(&name), "{name}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let value: serde_json::Value = serde_json::from_str(&profile(&BTreeSet::new())).unwrap();
        assert_eq!(value["defaultAction"], "SCMP_ACT_ERRNO");
        assert!(value["syscalls"].as_array().unwrap().iter().all(|rule| rule["action"] == ALLOW));
        assert!(
            value["archMap"].as_array().unwrap().iter().all(|arch| arch.get("subArchitectures").is_none())
        );
    }
}
