//! The filter of an observed job, and the ordinary filter's word on a call that was asked about.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::agent::seccomp::{
    AND, ARCH, COMMON, Filter, JUMP, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, NUMBER, OWN, RETURN,
    Verdict,
};

impl Filter {
    /// A filter that refuses nothing.
    pub fn none() -> Self {
        Self::of(std::iter::empty())
    }

    /// As [`Filter::new`] for a job that is observed: a listener is asked about `observed`, and about each call that
    /// would be refused, for which it has to give the answer that [`refuses`](Self::refuses) gives. What programs
    /// replace by an older call is refused as ever.
    pub fn asking(observed: &[libc::c_long]) -> Self {
        let table = || COMMON.iter().chain(OWN).map(|&(number, verdict, _)| (number, verdict));
        let listed = table().map(|(number, verdict)| match verdict {
            _ if observed.contains(&number) => (number, Verdict::Ask),
            Verdict::Fail(error) if error != libc::ENOSYS => (number, Verdict::Ask),
            Verdict::Check(check) => (number, Verdict::AskIf(check)),
            other => (number, other),
        });
        let others = observed.iter().filter(|number| table().all(|(known, _)| known != **number));
        Self::of(listed.chain(others.map(|number| (*number, Verdict::Ask))))
    }

    /// The error that this filter answers a call with, from what the kernel says of it; `None` if it lets it pass.
    pub fn refuses(&self, data: &libc::seccomp_data) -> Option<i32> {
        let load = |offset: u32| match offset {
            NUMBER => data.nr.cast_unsigned(),
            ARCH => data.arch,
            // The low half, as in the kernel.
            offset => usize::try_from(offset.saturating_sub(16) / 8)
                .ok()
                .and_then(|index| data.args.get(index))
                .map_or(0, |argument| (argument & 0xffff_ffff) as u32),
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            // A program that leaves its end lets nothing pass, as the kernel would not take it.
            let Some(instruction) = self.0.get(at) else { return Some(libc::EPERM) };
            let k = instruction.k;
            let jump = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
            at += 1;
            match instruction.code {
                LOAD => accumulator = load(k),
                AND => accumulator &= k,
                JUMP => at += k as usize,
                JUMP_EQUAL => at += jump(accumulator == k),
                JUMP_AT_LEAST => at += jump(accumulator >= k),
                JUMP_ANY_BIT => at += jump(accumulator & k != 0),
                RETURN if k == libc::SECCOMP_RET_ALLOW => return None,
                RETURN if k & 0xffff_0000 == libc::SECCOMP_RET_ERRNO => {
                    return Some((k & 0xffff).cast_signed());
                }
                _ => return Some(libc::EPERM),
            }
        }
    }

    /// Puts the filter on this process and all that it starts; returns its listener.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install_with_listener(&self) -> io::Result<OwnedFd> {
        let length = u16::try_from(self.0.len()).map_err(io::Error::other)?;
        let program = libc::sock_fprog { len: length, filter: self.0.as_ptr().cast_mut().cast() };
        let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // With the second one (Linux 5.19) signals do not have a call asked about again.
        for flags in [listen | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, listen] {
            // SAFETY: the kernel copies the program, which lives as long as `self`; `sock_filter` is the kernel's own
            // layout (seccompiler says so). It writes nothing.
            let made = unsafe {
                libc::syscall(
                    libc::SYS_seccomp,
                    libc::c_long::from(libc::SECCOMP_SET_MODE_FILTER),
                    flags,
                    &raw const program,
                )
            };
            if let Ok(made) = i32::try_from(made)
                && made >= 0
            {
                // SAFETY: the kernel made this descriptor for us just now.
                return Ok(unsafe { OwnedFd::from_raw_fd(made) });
            }
        }
        Err(io::Error::last_os_error())
    }
}
