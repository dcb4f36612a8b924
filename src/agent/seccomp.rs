//! Which system calls a job may make.
//!
//! A list of what is refused, each with its reason, compiled to a binary search by number: the kernel runs
//! the filter once for every number when it is installed, so a filter that compares one number after the
//! other costs more than all other confinement together.
//!
//! The entry points of other architectures (32-bit, x32) have other numbers and are refused as a whole.

use std::io;

use seccompiler::sock_filter;

use super::protocol::SystemCall;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// The call fails with this error.
    Fail(i32),
    /// Decided by an argument.
    Check(Check),
    /// The listener is asked.
    Ask,
    /// As [`Verdict::Check`], with the listener being asked where that fails.
    AskIf(Check),
}

/// Decisions that need an argument. Only its low 32 bits count, as in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// The argument with this index has none of these bits, else `EPERM`.
    NoBits { argument: u8, bits: u32 },
    /// The argument is none of these, else `EPERM`.
    NoneOf { argument: u8, values: &'static [u32] },
    /// The argument is one of these, else the error.
    OneOf { argument: u8, values: &'static [u32], error: i32 },
    /// As [`Check::NoBits`] for `mode`, where `flags` make the call create a file.
    OpenMode { flags: u8, mode: u8 },
    /// A node that is no device, without set-user-id and set-group-id.
    NodeMode { mode: u8 },
    /// `socket(2)`: family, type and protocol.
    Socket,
}

/// One system call, what happens to it, and why.
pub(super) type Entry = (libc::c_long, Verdict, &'static str);

const REFUSE: Verdict = Verdict::Fail(libc::EPERM);
/// For calls that programs try first and replace by an older one.
const ABSENT: Verdict = Verdict::Fail(libc::ENOSYS);

/// `CLONE_NEW*`: time, mount, cgroup, uts, ipc, user, pid, net.
const NAMESPACES: u32 =
    0x80 | 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
/// The lowest byte of `clone(2)`'s flags is a signal, not `CLONE_NEWTIME`.
const CLONE_NAMESPACES: u32 = NAMESPACES & !0xff;
const SET_ID_BITS: u32 = 0o6000;

const fn no_set_id(argument: u8) -> Verdict {
    Verdict::Check(Check::NoBits { argument, bits: SET_ID_BITS })
}

/// Calls that every architecture has.
pub(super) const COMMON: &[Entry] = &[
    // Other processes.
    (libc::SYS_ptrace, REFUSE, "traces and changes other processes"),
    (libc::SYS_process_vm_readv, REFUSE, "reads the memory of other processes"),
    (libc::SYS_process_vm_writev, REFUSE, "writes the memory of other processes"),
    (libc::SYS_process_madvise, REFUSE, "changes the memory of other processes"),
    (libc::SYS_pidfd_getfd, REFUSE, "takes descriptors from other processes"),
    (libc::SYS_kcmp, REFUSE, "compares kernel pointers of other processes"),
    // Kernel keyrings are shared by every process of a user, across containers.
    (libc::SYS_add_key, REFUSE, "kernel keyrings outlive jobs"),
    (libc::SYS_request_key, REFUSE, "kernel keyrings outlive jobs, and it starts a host program"),
    (libc::SYS_keyctl, REFUSE, "kernel keyrings outlive jobs"),
    // Large or young parts of the kernel with many holes in their past.
    (libc::SYS_bpf, REFUSE, "loads programs into the kernel"),
    (libc::SYS_perf_event_open, REFUSE, "observes the whole machine"),
    (libc::SYS_userfaultfd, REFUSE, "stops the kernel in the middle of a copy; the tool of many exploits"),
    (libc::SYS_io_uring_setup, ABSENT, "does system calls that no filter sees"),
    (libc::SYS_io_uring_enter, ABSENT, "does system calls that no filter sees"),
    (libc::SYS_io_uring_register, ABSENT, "does system calls that no filter sees"),
    // Mounts.
    (libc::SYS_mount, REFUSE, "changes the job's view of files"),
    (libc::SYS_umount2, REFUSE, "uncovers what a mount hides"),
    (libc::SYS_pivot_root, REFUSE, "changes the job's view of files"),
    (libc::SYS_chroot, REFUSE, "changes the job's view of files"),
    (libc::SYS_fsopen, REFUSE, "makes a file system"),
    (libc::SYS_fsconfig, REFUSE, "makes a file system"),
    (libc::SYS_fsmount, REFUSE, "makes a mount"),
    (libc::SYS_fspick, REFUSE, "changes a file system"),
    (libc::SYS_move_mount, REFUSE, "changes the job's view of files"),
    (libc::SYS_open_tree, REFUSE, "copies a mount"),
    (467, REFUSE, "open_tree_attr: copies a mount"),
    (libc::SYS_mount_setattr, REFUSE, "makes a mount writable"),
    // Namespaces bring capabilities over a part of the kernel that was written for root.
    (
        libc::SYS_unshare,
        Verdict::Check(Check::NoBits { argument: 0, bits: NAMESPACES }),
        "new namespaces bring capabilities",
    ),
    (libc::SYS_setns, REFUSE, "leaves the job's namespaces"),
    (
        libc::SYS_clone,
        Verdict::Check(Check::NoBits { argument: 0, bits: CLONE_NAMESPACES }),
        "new namespaces bring capabilities",
    ),
    (libc::SYS_clone3, ABSENT, "its flags are behind a pointer; C libraries fall back to clone"),
    // Terminals.
    (
        libc::SYS_ioctl,
        Verdict::Check(Check::NoneOf { argument: 1, values: &[0x5412, 0x541c, 0x5423] }),
        "TIOCSTI and TIOCLINUX type into the user's terminal; TIOCSETD has the kernel load line disciplines",
    ),
    // The machine.
    (libc::SYS_kexec_load, REFUSE, "replaces the kernel"),
    (libc::SYS_init_module, REFUSE, "loads kernel code"),
    (libc::SYS_finit_module, REFUSE, "loads kernel code"),
    (libc::SYS_delete_module, REFUSE, "unloads kernel code"),
    (libc::SYS_reboot, REFUSE, "stops the machine"),
    (libc::SYS_swapon, REFUSE, "changes the machine"),
    (libc::SYS_swapoff, REFUSE, "changes the machine"),
    (libc::SYS_acct, REFUSE, "changes the machine"),
    (libc::SYS_settimeofday, REFUSE, "changes the machine's clock"),
    (libc::SYS_clock_settime, REFUSE, "changes the machine's clock"),
    (libc::SYS_adjtimex, REFUSE, "changes the machine's clock"),
    (libc::SYS_clock_adjtime, REFUSE, "changes the machine's clock"),
    (libc::SYS_sethostname, REFUSE, "changes what other jobs see"),
    (libc::SYS_setdomainname, REFUSE, "changes what other jobs see"),
    (libc::SYS_quotactl, REFUSE, "changes disk quotas"),
    (libc::SYS_quotactl_fd, REFUSE, "changes disk quotas"),
    (libc::SYS_syslog, REFUSE, "reads the kernel's log"),
    (libc::SYS_vhangup, REFUSE, "hangs up a terminal"),
    (libc::SYS_lookup_dcookie, REFUSE, "names files beyond the job's view"),
    (libc::SYS_nfsservctl, ABSENT, "gone from the kernel"),
    (libc::SYS_name_to_handle_at, REFUSE, "names files without a path"),
    (libc::SYS_open_by_handle_at, REFUSE, "opens files beyond the job's view"),
    (libc::SYS_fanotify_init, REFUSE, "watches whole file systems"),
    (
        libc::SYS_personality,
        Verdict::Check(Check::OneOf { argument: 0, values: &[0, u32::MAX], error: libc::EPERM }),
        "switches protections of the address space off",
    ),
    // Network families: anything but these is code that is seldom used and seldom looked at.
    (libc::SYS_socket, Verdict::Check(Check::Socket), "exotic families and protocols, and raw packets"),
    (
        libc::SYS_socketpair,
        Verdict::Check(Check::OneOf {
            argument: 0,
            values: &[libc::AF_UNIX.cast_unsigned()],
            error: libc::EAFNOSUPPORT,
        }),
        "exotic families",
    ),
    // Files that would mean something to another user of the host.
    (libc::SYS_fchmod, no_set_id(1), "a set-user-id file in target/ gives the user's rights away"),
    (libc::SYS_fchmodat, no_set_id(2), "as fchmod"),
    (libc::SYS_fchmodat2, no_set_id(2), "as fchmod"),
    (libc::SYS_openat, Verdict::Check(Check::OpenMode { flags: 2, mode: 3 }), "creates with a mode"),
    (libc::SYS_openat2, ABSENT, "its mode is behind a pointer; programs fall back to openat"),
    (libc::SYS_mknodat, Verdict::Check(Check::NodeMode { mode: 2 }), "devices, and as fchmod"),
];

/// What x86-64 has beyond [`COMMON`].
#[cfg(target_arch = "x86_64")]
pub(super) const OWN: &[Entry] = &[
    (libc::SYS_kexec_file_load, REFUSE, "replaces the kernel"),
    (174, REFUSE, "create_module: loads kernel code"),
    (178, REFUSE, "query_module: reads kernel symbols"),
    (177, REFUSE, "get_kernel_syms: reads kernel symbols"),
    (libc::SYS_uselib, REFUSE, "an old way to map a file"),
    (libc::SYS__sysctl, REFUSE, "changes the machine"),
    (libc::SYS_ustat, REFUSE, "looks at file systems beyond the job's view"),
    (libc::SYS_sysfs, REFUSE, "looks at the kernel"),
    (libc::SYS_iopl, REFUSE, "speaks to hardware"),
    (libc::SYS_ioperm, REFUSE, "speaks to hardware"),
    (libc::SYS_modify_ldt, REFUSE, "16-bit segments, the tool of several exploits"),
    (libc::SYS_chmod, no_set_id(1), "as fchmod"),
    (libc::SYS_creat, no_set_id(1), "as fchmod"),
    (libc::SYS_open, Verdict::Check(Check::OpenMode { flags: 1, mode: 2 }), "creates with a mode"),
    (libc::SYS_mknod, Verdict::Check(Check::NodeMode { mode: 1 }), "devices, and as fchmod"),
];

/// What aarch64 has beyond [`COMMON`].
#[cfg(target_arch = "aarch64")]
pub(super) const OWN: &[Entry] = &[(294, REFUSE, "kexec_file_load: replaces the kernel")];

/// `AUDIT_ARCH_*` of the calls that the tables are about.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

/// Calls of the x32 variant share the architecture of x86-64 and have this bit; no other architecture has
/// numbers this high.
const X32: u32 = 0x4000_0000;

/// The compiled filter: made once, installed in every job.
#[derive(Debug, Clone)]
pub struct Filter(pub(super) Vec<sock_filter>);

// Offsets in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
const fn argument_offset(index: u8) -> u32 {
    // Little endian: the low half comes first.
    16 + 8 * index as u32
}

pub(super) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const JUMP_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
pub(super) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const fn op(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

const fn allow() -> sock_filter {
    op(RETURN, libc::SECCOMP_RET_ALLOW)
}

const fn ask() -> sock_filter {
    op(RETURN, libc::SECCOMP_RET_USER_NOTIF)
}

const fn fail(error: i32) -> sock_filter {
    op(RETURN, libc::SECCOMP_RET_ERRNO | error.cast_unsigned())
}

impl Filter {
    /// Compiles the tables of this architecture.
    pub fn new() -> Self {
        Self::of(COMMON.iter().chain(OWN).map(|&(number, verdict, _)| (number, verdict)))
    }

    /// The same for a job that may make these calls.
    pub fn allowing(calls: &[SystemCall]) -> Self {
        let allowed = |number: libc::c_long| calls.iter().any(|call| call.number() == number);
        let entries = COMMON.iter().chain(OWN).filter(|entry| !allowed(entry.0));
        Self::of(entries.map(|&(number, verdict, _)| (number, verdict)))
    }

    pub(super) fn of(entries: impl Iterator<Item = (libc::c_long, Verdict)>) -> Self {
        let mut entries: Vec<_> =
            entries.map(|(number, verdict)| (u32::try_from(number).unwrap_or(u32::MAX), verdict)).collect();
        entries.sort_by_key(|entry| entry.0);
        // Ranges of numbers that share a verdict, by their first number.
        let mut ranges = vec![(0, Verdict::Allow)];
        for (number, verdict) in entries {
            match ranges.last_mut() {
                Some(last) if last.0 == number => last.1 = verdict,
                _ => ranges.push((number, verdict)),
            }
            ranges.push((number + 1, Verdict::Allow));
        }
        ranges.dedup_by_key(|range| range.1);
        let mut program = vec![
            op(LOAD, ARCH),
            branch(JUMP_EQUAL, ARCHITECTURE, 1, 0),
            fail(libc::ENOSYS),
            op(LOAD, NUMBER),
            branch(JUMP_AT_LEAST, X32, 0, 1),
            fail(libc::ENOSYS),
        ];
        program.extend(search(&ranges));
        Self(program)
    }

    /// One more filter, for jobs that need no Unix sockets. Pairs of connected ones stay: they lead nowhere else.
    pub fn no_local_sockets() -> Self {
        // The first filter has looked at the architecture already, and lets no other pass.
        let number = u32::try_from(libc::SYS_socket).unwrap_or(u32::MAX);
        Self(vec![
            op(LOAD, NUMBER),
            branch(JUMP_EQUAL, number, 0, 3),
            op(LOAD, argument_offset(0)),
            branch(JUMP_EQUAL, libc::AF_UNIX.cast_unsigned(), 0, 1),
            fail(libc::EAFNOSUPPORT),
            allow(),
        ])
    }

    /// Puts the filter on this process and all that it starts.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install(&self) -> io::Result<()> {
        seccompiler::apply_filter(&self.0).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
            other => io::Error::other(other),
        })
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds the range that holds the accumulator and gives its verdict.
fn search(ranges: &[(u32, Verdict)]) -> Vec<sock_filter> {
    if let [(_, verdict)] = ranges {
        return verdict.compile();
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let middle = high.first().map_or(0, |range| range.0);
    let (low, high) = (search(low), search(high));
    // Jumps over more than 255 instructions need one of their own.
    let mut program = match u8::try_from(low.len()) {
        Ok(over) => vec![branch(JUMP_AT_LEAST, middle, over, 0)],
        Err(_) => {
            vec![branch(JUMP_AT_LEAST, middle, 0, 1), op(JUMP, u32::try_from(low.len()).unwrap_or(u32::MAX))]
        }
    };
    program.extend(low);
    program.extend(high);
    program
}

impl Verdict {
    fn compile(self) -> Vec<sock_filter> {
        match self {
            Self::Allow => vec![allow()],
            Self::Fail(error) => vec![fail(error)],
            Self::Check(check) => check.compile(),
            Self::Ask => vec![ask()],
            Self::AskIf(check) => {
                let mut program = check.compile();
                for instruction in &mut program {
                    if instruction.code == RETURN && instruction.k != libc::SECCOMP_RET_ALLOW {
                        *instruction = ask();
                    }
                }
                program
            }
        }
    }
}

impl Check {
    fn compile(self) -> Vec<sock_filter> {
        match self {
            Self::NoBits { argument, bits } => vec![
                op(LOAD, argument_offset(argument)),
                branch(JUMP_ANY_BIT, bits, 0, 1),
                fail(libc::EPERM),
                allow(),
            ],
            Self::NoneOf { argument, values } => one_of(argument, values, fail(libc::EPERM), allow()),
            Self::OneOf { argument, values, error } => one_of(argument, values, allow(), fail(error)),
            Self::OpenMode { flags, mode } => {
                // __O_TMPFILE; without one of these the mode is not read and may be anything.
                let creates = libc::O_CREAT.cast_unsigned() | 0o20_000_000;
                let mut program =
                    vec![op(LOAD, argument_offset(flags)), branch(JUMP_ANY_BIT, creates, 1, 0), allow()];
                program.extend(Self::NoBits { argument: mode, bits: SET_ID_BITS }.compile());
                program
            }
            Self::NodeMode { mode } => vec![
                op(LOAD, argument_offset(mode)),
                branch(JUMP_ANY_BIT, SET_ID_BITS, 5, 0),
                op(AND, libc::S_IFMT),
                branch(JUMP_EQUAL, 0, 4, 0),
                branch(JUMP_EQUAL, libc::S_IFREG, 3, 0),
                branch(JUMP_EQUAL, libc::S_IFIFO, 2, 0),
                branch(JUMP_EQUAL, libc::S_IFSOCK, 1, 0),
                fail(libc::EPERM),
                allow(),
            ],
            Self::Socket => vec![
                op(LOAD, argument_offset(0)),
                branch(JUMP_EQUAL, libc::AF_UNIX.cast_unsigned(), 15, 0),
                branch(JUMP_EQUAL, libc::AF_NETLINK.cast_unsigned(), 11, 0),
                branch(JUMP_EQUAL, libc::AF_INET.cast_unsigned(), 1, 0),
                branch(JUMP_EQUAL, libc::AF_INET6.cast_unsigned(), 0, 11),
                // The type without SOCK_CLOEXEC and SOCK_NONBLOCK: a stream or datagrams.
                op(LOAD, argument_offset(1)),
                op(AND, 0xf),
                branch(JUMP_EQUAL, libc::SOCK_STREAM.cast_unsigned(), 1, 0),
                branch(JUMP_EQUAL, libc::SOCK_DGRAM.cast_unsigned(), 0, 9),
                // What that usually means, TCP or UDP: others are modules that the kernel would load.
                op(LOAD, argument_offset(2)),
                branch(JUMP_EQUAL, 0, 6, 0),
                branch(JUMP_EQUAL, libc::IPPROTO_TCP.cast_unsigned(), 5, 0),
                branch(JUMP_EQUAL, libc::IPPROTO_UDP.cast_unsigned(), 4, 0),
                fail(libc::EPROTONOSUPPORT),
                // Only NETLINK_ROUTE, for the list of interfaces.
                op(LOAD, argument_offset(2)),
                branch(JUMP_EQUAL, libc::NETLINK_ROUTE.cast_unsigned(), 1, 0),
                fail(libc::EAFNOSUPPORT),
                allow(),
                fail(libc::EPERM),
            ],
        }
    }
}

/// `found` if the argument is one of `values`, else `other`.
fn one_of(argument: u8, values: &[u32], found: sock_filter, other: sock_filter) -> Vec<sock_filter> {
    let mut program = vec![op(LOAD, argument_offset(argument))];
    for (value, left) in values.iter().zip((0..u8::try_from(values.len()).unwrap_or(u8::MAX)).rev()) {
        program.push(branch(JUMP_EQUAL, *value, left + 1, 0));
    }
    program.extend([other, found]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would, and counts the steps.
    fn run(number: libc::c_long, arguments: [u64; 6], architecture: u32) -> (u32, usize) {
        walk(&Filter::new(), number, arguments, architecture)
    }

    fn walk(filter: &Filter, number: libc::c_long, arguments: [u64; 6], architecture: u32) -> (u32, usize) {
        let load = |offset: u32| -> u32 {
            match offset {
                NUMBER => u32::try_from(number).unwrap(),
                ARCH => architecture,
                offset => {
                    let argument = arguments[usize::try_from((offset - 16) / 8).unwrap()];
                    assert_eq!((offset - 16) % 8, 0);
                    u32::try_from(argument & 0xffff_ffff).unwrap()
                }
            }
        };
        let (mut at, mut accumulator, mut steps) = (0, 0, 0);
        loop {
            let instruction = &filter.0[at];
            let k = instruction.k;
            at += 1;
            steps += 1;
            let jump = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
            match instruction.code {
                LOAD => accumulator = load(k),
                AND => accumulator &= k,
                JUMP => at += k as usize,
                JUMP_EQUAL => at += jump(accumulator == k),
                JUMP_AT_LEAST => at += jump(accumulator >= k),
                JUMP_ANY_BIT => at += jump(accumulator & k != 0),
                RETURN => return (k, steps),
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    fn verdict(number: libc::c_long, arguments: [u64; 6]) -> Result<(), i32> {
        match run(number, arguments, ARCHITECTURE).0 {
            libc::SECCOMP_RET_ALLOW => Ok(()),
            other => Err(i32::try_from(other & 0xffff).unwrap()),
        }
    }

    #[test]
    fn every_entry_does_what_the_table_says_and_nothing_else_is_refused() {
        for number in 0..1000 {
            let entry = COMMON.iter().chain(OWN).find(|entry| entry.0 == number);
            match entry.map(|entry| entry.1) {
                None | Some(Verdict::Allow) => assert_eq!(verdict(number, [0; 6]), Ok(()), "{number}"),
                Some(Verdict::Fail(error)) => assert_eq!(verdict(number, [0; 6]), Err(error), "{number}"),
                Some(Verdict::Check(_) | Verdict::Ask | Verdict::AskIf(_)) => {}
            }
        }
    }

    /// What an observed job is asked about, the listener answers as the filter would have.
    #[test]
    fn an_asking_filter_lets_nothing_pass_that_the_ordinary_one_refuses() {
        let ordinary = Filter::new();
        let asking = Filter::asking(&[libc::SYS_openat, libc::SYS_connect]);
        assert!(asking.0.len() < 512, "{} instructions", asking.0.len());
        let values = [0, 1, 2, 3, 5, 0x80, 0o4755, 0o101, 0x5412, 0x541c, 0x1000_0011, 0x0004_0000, u64::MAX];
        for number in 0..1000_i32 {
            for value in values {
                for (at, second) in [(0, 1), (1, 16), (2, 0), (3, 2)] {
                    let mut args = [second; 6];
                    args[at] = value;
                    for arch in [ARCHITECTURE, 0x4000_0003] {
                        let data = libc::seccomp_data { nr: number, arch, instruction_pointer: 0, args };
                        let refused = ordinary.refuses(&data);
                        let (expected, _) = walk(&ordinary, number.into(), args, arch);
                        let error = (expected & 0xffff).cast_signed();
                        let expected = (expected != libc::SECCOMP_RET_ALLOW).then_some(error);
                        assert_eq!(refused, expected, "{number} {args:?}");
                        let (asked, _) = walk(&asking, number.into(), args, arch);
                        assert!(asked != libc::SECCOMP_RET_ALLOW || refused.is_none(), "{number} {args:?}");
                    }
                }
            }
        }
        let (asked, _) = walk(&asking, libc::SYS_connect, [0; 6], ARCHITECTURE);
        assert_eq!(asked, libc::SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    fn a_job_that_may_make_one_more_call_may_make_no_other() {
        for call in SystemCall::ALL {
            let filter = Filter::allowing(&[call]);
            for number in 0..1000 {
                let default = run(number, [0; 6], ARCHITECTURE).0;
                let own = walk(&filter, number, [0; 6], ARCHITECTURE).0;
                if number == call.number() {
                    assert_eq!(
                        (default & 0xffff, own),
                        (libc::EPERM.cast_unsigned(), libc::SECCOMP_RET_ALLOW)
                    );
                } else {
                    assert_eq!(default, own, "{number} with {call}");
                }
            }
        }
    }

    #[test]
    fn no_number_is_listed_twice() {
        let mut numbers: Vec<_> = COMMON.iter().chain(OWN).map(|entry| entry.0).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_filter_is_short_to_walk() {
        let longest = (0..500).map(|number| run(number, [0; 6], ARCHITECTURE).1).max().unwrap();
        assert!(longest < 30, "{longest} steps");
        assert!(Filter::new().0.len() < 512, "{} instructions", Filter::new().0.len());
    }

    #[test]
    fn other_entry_points_are_closed() {
        assert_eq!(run(1, [0; 6], 0x4000_0003).0 & 0xffff, libc::ENOSYS.cast_unsigned());
        assert_eq!(verdict(libc::c_long::from(X32) | 1, [0; 6]), Err(libc::ENOSYS));
    }

    #[test]
    fn arguments_decide() {
        let m = |flags| [flags, 0, 0, 0, 0, 0];
        assert_eq!(verdict(libc::SYS_clone, m(0x0120_0011)), Ok(()));
        assert_eq!(verdict(libc::SYS_clone, m(0x003d_0f00)), Ok(()), "a thread");
        assert_eq!(verdict(libc::SYS_clone, m(0x1000_0011)), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_unshare, m(0x400)), Ok(()));
        assert_eq!(verdict(libc::SYS_unshare, m(0x80)), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_ioctl, [0, 0x5401, 0, 0, 0, 0]), Ok(()));
        assert_eq!(verdict(libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_ioctl, [0, 0x5423, 0, 0, 0, 0]), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_ioctl, [0, 0xff_0000_541c, 0, 0, 0, 0]), Err(libc::EPERM), "high bits");
        assert_eq!(verdict(libc::SYS_personality, m(0xffff_ffff)), Ok(()));
        assert_eq!(verdict(libc::SYS_personality, m(0x0004_0000)), Err(libc::EPERM));
    }

    #[test]
    fn sockets_by_family_type_and_protocol() {
        let socket = |family: u64, kind: u64, protocol: u64| {
            verdict(libc::SYS_socket, [family, kind, protocol, 0, 0, 0])
        };
        assert_eq!(socket(1, 0o2000001, 0), Ok(()));
        assert_eq!(socket(2, 1, 6), Ok(()));
        assert_eq!(socket(10, 0o2004002, 0), Ok(()));
        assert_eq!(socket(16, 3, 0), Ok(()), "the list of interfaces");
        assert_eq!(socket(16, 3, 9), Err(libc::EAFNOSUPPORT), "audit");
        assert_eq!(socket(2, 2, 17), Ok(()));
        for protocol in [1, 33, 115, 132, 136, 262] {
            assert_eq!(socket(2, 2, protocol), Err(libc::EPROTONOSUPPORT), "{protocol}");
        }
        assert_eq!(socket(2, 3, 1), Err(libc::EPERM), "raw");
        assert_eq!(socket(2, 10, 0), Err(libc::EPERM), "packet");
        for family in [3, 4, 5, 9, 17, 21, 29, 30, 38, 40, 44] {
            assert_eq!(socket(family, 1, 0), Err(libc::EAFNOSUPPORT), "{family}");
        }
    }

    #[test]
    fn no_local_sockets_but_pairs() {
        let filter = Filter::no_local_sockets();
        let answer = |number, family| walk(&filter, number, [family, 1, 0, 0, 0, 0], ARCHITECTURE).0;
        assert_eq!(answer(libc::SYS_socket, 1) & 0xffff, libc::EAFNOSUPPORT.cast_unsigned());
        assert_eq!(answer(libc::SYS_socket, 0xff_0000_0001) & 0xffff, libc::EAFNOSUPPORT.cast_unsigned());
        assert_eq!(answer(libc::SYS_socket, 2), libc::SECCOMP_RET_ALLOW);
        assert_eq!(answer(libc::SYS_socketpair, 1), libc::SECCOMP_RET_ALLOW);
        assert_eq!(answer(libc::SYS_connect, 1), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn no_set_id_bits_and_no_devices() {
        let at = |index: usize, value: u64| std::array::from_fn(|i| if i == index { value } else { 0 });
        assert_eq!(verdict(libc::SYS_fchmod, at(1, 0o755)), Ok(()));
        assert_eq!(verdict(libc::SYS_fchmod, at(1, 0o4755)), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_fchmodat, at(2, 0o2755)), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_openat, [0, 0, 0, 0o6777, 0, 0]), Ok(()), "not read");
        assert_eq!(verdict(libc::SYS_openat, [0, 0, 0o101, 0o4755, 0, 0]), Err(libc::EPERM));
        assert_eq!(verdict(libc::SYS_openat, [0, 0, 0o101, 0o666, 0, 0]), Ok(()));
        assert_eq!(verdict(libc::SYS_openat, [0, 0, 0o20200001, 0o4755, 0, 0]), Err(libc::EPERM));
        for (kind, answer) in [
            (0o010_000, Ok(())),
            (0o100_000, Ok(())),
            (0o140_000, Ok(())),
            (0, Ok(())),
            (0o020_000, Err(libc::EPERM)),
            (0o060_000, Err(libc::EPERM)),
            (0o104_000, Err(libc::EPERM)),
        ] {
            assert_eq!(verdict(libc::SYS_mknodat, at(2, kind | 0o644)), answer, "{kind:o}");
        }
    }
}
