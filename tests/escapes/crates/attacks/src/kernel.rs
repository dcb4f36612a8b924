//! Parts of the kernel that no build needs. The arguments are such that a kernel that permits the call finds
//! another fault with it, or does nothing that lasts.

use super::Attack;
use super::attempt::Outcome;
use super::sys::{NONE, NOWHERE, call, reaches};

pub const ATTACKS: &[Attack] = &[
    ("add-key", |_| {
        let (kind, name, payload) = (c"user", c"csb-escape", b"x");
        reaches(248, &[kind.as_ptr() as u64, name.as_ptr() as u64, payload.as_ptr() as u64, 1, -2_i64 as u64])
    }),
    ("request-key", |_| {
        let (kind, name) = (c"user", c"csb-no-such-key");
        reaches(249, &[kind.as_ptr() as u64, name.as_ptr() as u64, 0, 0])
    }),
    ("keyctl", |_| reaches(250, &[0, -4_i64 as u64, 1])),
    ("bpf", |_| reaches(321, &[99, NOWHERE, 8])),
    ("perf-event", |_| reaches(298, &[NOWHERE, 0, 0, NONE, 0])),
    ("userfaultfd", |_| reaches(323, &[1])),
    ("io-uring-setup", |_| reaches(425, &[1, NOWHERE])),
    ("io-uring-enter", |_| reaches(426, &[NONE, 0, 0, 0, 0, 0])),
    ("io-uring-register", |_| reaches(427, &[NONE, 0, 0, 0])),
    ("mount", |_| reaches(165, &[NOWHERE, NOWHERE, NOWHERE, 0, 0])),
    ("unmount", |_| reaches(166, &[NOWHERE, 0x8000_0000])),
    ("pivot-root", |_| reaches(155, &[NOWHERE, NOWHERE])),
    ("chroot", |_| reaches(161, &[NOWHERE])),
    ("open-tree", |_| reaches(428, &[NONE, NOWHERE, 0])),
    ("open-tree-attributes", |_| reaches(467, &[NONE, NOWHERE, 0, NOWHERE, 1])),
    ("move-mount", |_| reaches(429, &[NONE, NOWHERE, NONE, NOWHERE, 0xffff_ffff])),
    ("fsopen", |_| reaches(430, &[NOWHERE, 0xff])),
    ("fsconfig", |_| reaches(431, &[NONE, 99, 0, 0, 0])),
    ("fsmount", |_| reaches(432, &[NONE, 0xff, 0])),
    ("fspick", |_| reaches(433, &[NONE, NOWHERE, 0xffff])),
    ("mount-attributes", |_| reaches(442, &[NONE, NOWHERE, 0xffff_ffff, NOWHERE, 32])),
    // CLONE_NEWUSER and a bit that no kernel knows: a kernel that looks at it at all says so.
    ("unshare-user", |_| reaches(272, &[0x1000_0000 | 1])),
    ("unshare-mounts", |_| reaches(272, &[0x0002_0000 | 1])),
    ("unshare-network", |_| reaches(272, &[0x4000_0000 | 1])),
    ("unshare-high-bits", |_| reaches(272, &[0xdead_0000_1000_0001])),
    ("clone-user", |_| namespace(0x1000_0000)),
    ("clone-user-and-mounts", |_| namespace(0x1000_0000 | 0x0002_0000)),
    ("clone-user-and-network", |_| namespace(0x1000_0000 | 0x4000_0000)),
    ("clone3", |_| reaches(435, &[NOWHERE, 64])),
    ("setns", |_| reaches(308, &[NONE, 0])),
    ("personality", |_| {
        // ADDR_NO_RANDOMIZE, and back.
        let old = call(135, &[0xffff_ffff]).unwrap_or(0);
        let gained = reaches(135, &[old as u64 | 0x0004_0000]);
        let _ = call(135, &[old as u64]);
        gained
    }),
    // On something that is no terminal: the kernel says just that where it permits the request.
    ("type-into-terminal", |_| reaches(16, &[not_a_terminal(), 0x5412, NOWHERE])),
    ("type-into-terminal-high-bits", |_| reaches(16, &[not_a_terminal(), 0x1_0000_5412, NOWHERE])),
    ("paste-into-console", |_| reaches(16, &[not_a_terminal(), 0x541c, NOWHERE])),
    ("paste-into-console-high-bits", |_| reaches(16, &[not_a_terminal(), 0x1_0000_541c, NOWHERE])),
    ("line-discipline", |_| reaches(16, &[not_a_terminal(), 0x5423, NOWHERE])),
    ("kexec", |_| reaches(246, &[0, 0, 0, 0xffff_ffff])),
    ("kexec-file", |_| reaches(320, &[NONE, NONE, 0, 0, 0xffff_ffff])),
    ("init-module", |_| reaches(175, &[NOWHERE, 0, NOWHERE])),
    ("finit-module", |_| reaches(313, &[NONE, NOWHERE, 0xff])),
    ("delete-module", |_| reaches(176, &[NOWHERE, 0])),
    ("reboot", |_| reaches(169, &[0, 0, 0, 0])),
    ("swapon", |_| reaches(167, &[NOWHERE, 0xffff_ffff])),
    ("swapoff", |_| reaches(168, &[NOWHERE])),
    ("account", |_| reaches(163, &[NOWHERE])),
    ("set-time", |_| reaches(164, &[NOWHERE, 0])),
    ("set-clock", |_| reaches(227, &[99, NOWHERE])),
    ("adjust-time", |_| reaches(159, &[NOWHERE])),
    ("adjust-clock", |_| reaches(305, &[0, NOWHERE])),
    ("set-host-name", |_| reaches(170, &[NOWHERE, NONE])),
    ("set-domain-name", |_| reaches(171, &[NOWHERE, NONE])),
    ("quotas", |_| reaches(179, &[0xffff_ffff, NOWHERE, 0, 0])),
    ("quotas-by-descriptor", |_| reaches(443, &[NONE, 0, 0, 0])),
    ("kernel-log", |_| reaches(103, &[3, NOWHERE, 0xffff_ffff])),
    ("name-file-handle", |_| reaches(303, &[NONE, NOWHERE, NOWHERE, NOWHERE, 0xffff_ffff])),
    ("open-file-handle", |_| reaches(304, &[NONE, NOWHERE, 0])),
    ("watch-file-system", |_| reaches(300, &[0x201, 0])),
    ("port-level", |_| reaches(172, &[0])),
    ("port-permissions", |_| reaches(173, &[0, 1, 0])),
    ("segments", |_| reaches(154, &[0, NOWHERE, 0])),
    ("map-old-library", |_| reaches(134, &[NOWHERE])),
    ("file-system-statistics", |_| reaches(136, &[0xffff, NOWHERE])),
    ("file-system-types", |_| reaches(139, &[3, 0, 0])),
    ("entry-of-32-bit", |_| old_entry()),
    ("entry-of-x32", |_| {
        // `getpid`, in a child as above.
        let answered = child(0, || call(0x4000_0000 | 39, &[]).is_ok())?;
        if answered { Ok("answered".into()) } else { Err("refused, or ended (os error 38)".into()) }
    }),
];

/// A process in a new namespace, which ends at once.
fn namespace(flags: u64) -> Outcome {
    child(flags, || true).map(|_| "a namespace".into())
}

/// Makes a child by `clone(2)`, which without a stack is `fork(2)`. What it does must take no lock and no memory.
fn child(flags: u64, work: impl FnOnce() -> bool) -> Result<bool, String> {
    const SIGCHLD: u64 = 17;
    match call(56, &[flags | SIGCHLD, 0, 0, 0, 0]) {
        Ok(0) => {
            let _ = call(231, &[u64::from(!work())]);
            unreachable!("exit_group returns to nobody")
        }
        Ok(child) => {
            let mut status = 0_i32;
            let _ = call(61, &[child as u64, (&raw mut status) as u64, 0, 0]);
            Ok(status == 0)
        }
        Err(error) => Err(format!("error {error}")),
    }
}

/// A descriptor of a plain file.
fn not_a_terminal() -> u64 {
    use std::os::fd::IntoRawFd;
    std::fs::File::open("/proc/self/status").map_or(NONE, |file| file.into_raw_fd() as u64)
}

/// `getpid` by the entry of 32-bit programs, in a child: a filter may end whoever tries.
#[cfg(target_arch = "x86_64")]
fn old_entry() -> Outcome {
    let answered = child(0, || {
        let mut value: i64 = 20;
        // SAFETY: the call takes no arguments and changes nothing but eax; old kernels clear r8 to r11.
        unsafe {
            core::arch::asm!("int 0x80", inout("rax") value, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        value > 0
    })?;
    if answered { Ok("answered".into()) } else { Err("refused, or ended".into()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn old_entry() -> Outcome {
    Err("no such entry".into())
}
