//! Which system calls an observed job is asked about, and what each of them means.

use libc::c_long;

use super::event::{Act, Closeness, Reach};

/// A path among the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// What is done with it.
    pub act: Act,
    /// The descriptor that it is relative to.
    pub base: i32,
    /// Where the text is.
    pub text: u64,
    /// Whether a link in its last place is followed.
    pub follow: bool,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Something with files.
    Files(Vec<Named>),
    /// A program: where it is, and its arguments.
    Program(Named, u64),
    /// An address: what for, the socket, where it is, its length.
    Address(Reach, i32, u64, u64),
    /// Data for a socket: the socket, where it is, its length; and an address with its length, which may be 0.
    Send(i32, (u64, u64), (u64, u64)),
    /// Several messages for a socket: the socket, where they are, how many.
    SendMany(i32, u64, u64),
    /// Nothing that is told.
    Nothing,
}

/// Calls of every architecture.
const RECORD: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendto,
    libc::SYS_sendmmsg,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmodat,
    libc::SYS_truncate,
];

/// Calls that ask about files.
const LOOKS: &[c_long] = &[
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_chdir,
];

/// What x86-64 has beside the calls that take a descriptor.
#[cfg(target_arch = "x86_64")]
const OWN_RECORD: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
];
#[cfg(target_arch = "x86_64")]
const OWN_LOOKS: &[c_long] = &[libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink];

#[cfg(not(target_arch = "x86_64"))]
const OWN_RECORD: &[c_long] = &[];
#[cfg(not(target_arch = "x86_64"))]
const OWN_LOOKS: &[c_long] = &[];

/// The calls that are asked about, at this closeness.
pub fn observed(closeness: Closeness) -> Vec<c_long> {
    let looks = match closeness {
        Closeness::Record => [&[][..], &[]],
        Closeness::Refusals => [LOOKS, OWN_LOOKS],
    };
    [RECORD, OWN_RECORD].into_iter().chain(looks).flatten().copied().collect()
}

/// What a call means, by its number and its arguments.
pub fn meaning(number: c_long, arguments: [u64; 6]) -> Meaning {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let file = |act, base, text, follow| Meaning::Files(vec![Named { act, base, text, follow }]);
    let at = |base: u64| descriptor(base);
    let follows = |flags: u64| flags & libc::AT_SYMLINK_NOFOLLOW as u64 == 0;
    match number {
        libc::SYS_openat => opened(at(first), second, third),
        libc::SYS_execve => Meaning::Program(
            Named { act: Act::Read, base: libc::AT_FDCWD, text: first, follow: true },
            second,
        ),
        libc::SYS_execveat => {
            Meaning::Program(Named { act: Act::Read, base: at(first), text: second, follow: true }, third)
        }
        libc::SYS_connect => Meaning::Address(Reach::Connect, at(first), second, third),
        libc::SYS_bind => Meaning::Address(Reach::Listen, at(first), second, third),
        libc::SYS_sendto => Meaning::Send(at(first), (second, third), (fifth, sixth)),
        libc::SYS_sendmmsg => Meaning::SendMany(at(first), second, third),
        libc::SYS_mkdirat => file(Act::Make, at(first), second, false),
        libc::SYS_mknodat => file(Act::Write, at(first), second, false),
        libc::SYS_unlinkat => file(Act::Remove, at(first), second, false),
        libc::SYS_renameat | libc::SYS_renameat2 => {
            moved((at(first), second), (at(third), fourth), Act::Remove)
        }
        libc::SYS_linkat => moved((at(first), second), (at(third), fourth), Act::Read),
        libc::SYS_symlinkat => file(Act::Write, at(second), third, false),
        libc::SYS_fchmodat => file(Act::Write, at(first), second, true),
        libc::SYS_truncate => file(Act::Write, libc::AT_FDCWD, first, true),
        libc::SYS_newfstatat => file(Act::Look, at(first), second, follows(fourth)),
        libc::SYS_statx => file(Act::Look, at(first), second, follows(third)),
        libc::SYS_faccessat | libc::SYS_faccessat2 => file(Act::Look, at(first), second, true),
        libc::SYS_readlinkat => file(Act::Look, at(first), second, false),
        libc::SYS_chdir => file(Act::Look, libc::AT_FDCWD, first, true),
        _ => own_meaning(number, arguments),
    }
}

#[cfg(target_arch = "x86_64")]
fn own_meaning(number: c_long, [first, second, ..]: [u64; 6]) -> Meaning {
    const HERE: i32 = libc::AT_FDCWD;
    let file = |act, text, follow| Meaning::Files(vec![Named { act, base: HERE, text, follow }]);
    match number {
        libc::SYS_open => opened(HERE, first, second),
        libc::SYS_creat | libc::SYS_chmod => file(Act::Write, first, true),
        libc::SYS_mkdir => file(Act::Make, first, false),
        libc::SYS_mknod => file(Act::Write, first, false),
        libc::SYS_rmdir | libc::SYS_unlink => file(Act::Remove, first, false),
        libc::SYS_rename => moved((HERE, first), (HERE, second), Act::Remove),
        libc::SYS_link => moved((HERE, first), (HERE, second), Act::Read),
        libc::SYS_symlink => file(Act::Write, second, false),
        libc::SYS_stat | libc::SYS_access => file(Act::Look, first, true),
        libc::SYS_lstat | libc::SYS_readlink => file(Act::Look, first, false),
        _ => Meaning::Nothing,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn own_meaning(_number: c_long, _arguments: [u64; 6]) -> Meaning {
    Meaning::Nothing
}

fn opened(base: i32, text: u64, flags: u64) -> Meaning {
    let flags = descriptor(flags);
    let changes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
    let act = match flags {
        _ if changes => Act::Write,
        _ if flags & libc::O_PATH != 0 => Act::Look,
        _ => Act::Read,
    };
    Meaning::Files(vec![Named { act, base, text, follow: flags & libc::O_NOFOLLOW == 0 }])
}

fn moved(from: (i32, u64), to: (i32, u64), act: Act) -> Meaning {
    let named = |(base, text), act| Named { act, base, text, follow: false };
    Meaning::Files(vec![named(from, act), named(to, Act::Write)])
}

/// The kernel looks at the low half of such an argument only.
fn descriptor(argument: u64) -> i32 {
    i32::from_le_bytes([0, 1, 2, 3].map(|index| argument.to_le_bytes()[index]))
}

/// Names of the calls that the filter refuses, for people (`<number>` for one that has no name here).
pub fn name(number: i64) -> String {
    let known = NAMES.iter().find(|(own, _)| *own == number);
    known.map_or_else(|| format!("system call {number}"), |(_, name)| (*name).to_owned())
}

macro_rules! names {
    ($($name:ident: $number:ident),* $(,)?) => { &[$((libc::$number, stringify!($name))),*] };
}

const NAMES: &[(c_long, &str)] = names![
    ptrace: SYS_ptrace,
    process_vm_readv: SYS_process_vm_readv,
    process_vm_writev: SYS_process_vm_writev,
    process_madvise: SYS_process_madvise,
    pidfd_getfd: SYS_pidfd_getfd,
    kcmp: SYS_kcmp,
    add_key: SYS_add_key,
    request_key: SYS_request_key,
    keyctl: SYS_keyctl,
    bpf: SYS_bpf,
    perf_event_open: SYS_perf_event_open,
    userfaultfd: SYS_userfaultfd,
    mount: SYS_mount,
    umount2: SYS_umount2,
    pivot_root: SYS_pivot_root,
    chroot: SYS_chroot,
    fsopen: SYS_fsopen,
    fsconfig: SYS_fsconfig,
    fsmount: SYS_fsmount,
    fspick: SYS_fspick,
    move_mount: SYS_move_mount,
    open_tree: SYS_open_tree,
    mount_setattr: SYS_mount_setattr,
    unshare: SYS_unshare,
    setns: SYS_setns,
    clone: SYS_clone,
    ioctl: SYS_ioctl,
    kexec_load: SYS_kexec_load,
    init_module: SYS_init_module,
    finit_module: SYS_finit_module,
    delete_module: SYS_delete_module,
    reboot: SYS_reboot,
    swapon: SYS_swapon,
    swapoff: SYS_swapoff,
    acct: SYS_acct,
    settimeofday: SYS_settimeofday,
    clock_settime: SYS_clock_settime,
    adjtimex: SYS_adjtimex,
    clock_adjtime: SYS_clock_adjtime,
    sethostname: SYS_sethostname,
    setdomainname: SYS_setdomainname,
    quotactl: SYS_quotactl,
    syslog: SYS_syslog,
    vhangup: SYS_vhangup,
    name_to_handle_at: SYS_name_to_handle_at,
    open_by_handle_at: SYS_open_by_handle_at,
    fanotify_init: SYS_fanotify_init,
    personality: SYS_personality,
    socket: SYS_socket,
    socketpair: SYS_socketpair,
    fchmod: SYS_fchmod,
    fchmodat: SYS_fchmodat,
    openat: SYS_openat,
    mknodat: SYS_mknodat,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_observed_call_means_something() {
        for number in observed(Closeness::Refusals) {
            assert_ne!(meaning(number, [0; 6]), Meaning::Nothing, "{number}");
        }
        assert!(observed(Closeness::Record).len() < observed(Closeness::Refusals).len());
    }

    #[test]
    fn flags_say_whether_a_file_is_changed() {
        let act = |flags: i32| match meaning(libc::SYS_openat, [0xffff_ff9c, 1, flags as u64, 0, 0, 0]) {
            Meaning::Files(files) => (files[0].act, files[0].base, files[0].follow),
            other => panic!("{other:?}"),
        };
        assert_eq!(act(libc::O_RDONLY | libc::O_CLOEXEC), (Act::Read, libc::AT_FDCWD, true));
        assert_eq!(act(libc::O_RDWR | libc::O_NOFOLLOW), (Act::Write, libc::AT_FDCWD, false));
        assert_eq!(act(libc::O_CREAT), (Act::Write, libc::AT_FDCWD, true));
        assert_eq!(act(libc::O_PATH), (Act::Look, libc::AT_FDCWD, true));
    }

    #[test]
    fn calls_have_names() {
        assert_eq!(name(libc::SYS_ptrace), "ptrace");
        assert_eq!(name(9999), "system call 9999");
    }
}
