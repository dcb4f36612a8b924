//! The few system calls that the wrapper makes, and what the compiler expects a libc to bring.

use core::arch::{asm, global_asm};
use core::marker::PhantomData;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("the wrapper's entry and system calls are written for x86-64 Linux only so far");

// The kernel starts a program with argc, argv and envp on the stack (System V ABI, x86-64 supplement, 3.4.1)
// and no return address. The stack is aligned here by hand, since what follows expects a call.
global_asm!(
    ".globl cargo_sandbox_start",
    "cargo_sandbox_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym crate::start,
);

/// Numbers from `asm/unistd_64.h`.
mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const OPEN: usize = 2;
    pub const CLOSE: usize = 3;
    pub const FSTAT: usize = 5;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const DUP2: usize = 33;
    pub const GETPID: usize = 39;
    pub const SOCKET: usize = 41;
    pub const CONNECT: usize = 42;
    pub const SENDMSG: usize = 46;
    pub const SOCKETPAIR: usize = 53;
    pub const GETSOCKOPT: usize = 55;
    pub const FORK: usize = 57;
    pub const EXECVE: usize = 59;
    pub const KILL: usize = 62;
    pub const GETCWD: usize = 79;
    pub const CHDIR: usize = 80;
    pub const READLINK: usize = 89;
    pub const GETEUID: usize = 107;
    pub const SETSID: usize = 112;
    pub const SETRLIMIT: usize = 160;
    pub const EXIT_GROUP: usize = 231;
    pub const PPOLL: usize = 271;
    pub const SIGNALFD4: usize = 289;
    pub const PIPE2: usize = 293;
    pub const CLOSE_RANGE: usize = 436;
}

/// One system call.
///
/// # Safety
/// As the system call's own manual page asks: every pointer among the arguments must be valid for what the
/// kernel does with it.
unsafe fn syscall(number: usize, arguments: [usize; 4]) -> isize {
    let [first, second, third, fourth] = arguments;
    // SAFETY: as the caller promised; a call of four arguments does not look at the fifth.
    unsafe { syscall_of_five(number, [first, second, third, fourth, 0]) }
}

/// The same for calls of five arguments.
///
/// # Safety
/// As [`syscall`].
unsafe fn syscall_of_five(number: usize, arguments: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the kernel preserves every register but rax, rcx and r11 (syscall(2), x86-64); memory is
    // clobbered as the caller promised.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The `errno` of a failed system call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// `EINTR`.
pub const EINTR: Errno = Errno(4);

fn checked(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno(i32::try_from(-result).unwrap_or(0)))
}

/// `exit_group(2)`.
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes no pointer, and does not return.
        unsafe { syscall(nr::EXIT_GROUP, [code as usize, 0, 0, 0]) };
    }
}

/// `read(2)`.
pub fn read(descriptor: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `len` bytes to the buffer that is borrowed here.
    checked(unsafe {
        syscall(nr::READ, [descriptor as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0])
    })
}

/// `write(2)`.
pub fn write(descriptor: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most `len` bytes of the borrowed slice.
    checked(unsafe { syscall(nr::WRITE, [descriptor as usize, bytes.as_ptr() as usize, bytes.len(), 0]) })
}

/// `getcwd(2)`; the length without the NUL.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `len` bytes to the buffer that is borrowed here.
    checked(unsafe { syscall(nr::GETCWD, [buffer.as_mut_ptr() as usize, buffer.len(), 0, 0]) })
        .map(|length| length.saturating_sub(1))
}

/// `readlink(2)`; `path` ends in NUL.
pub fn readlink(path: &core::ffi::CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let arguments = [path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0];
    // SAFETY: the path ends in NUL by its type; the kernel writes at most `len` bytes to the buffer.
    checked(unsafe { syscall(nr::READLINK, arguments) })
}

const AF_UNIX: u16 = 1;
const SOCK_STREAM: usize = 1;
const SOCK_CLOEXEC: usize = 0o2_000_000;

/// `sockaddr_un`, unix(7).
#[repr(C)]
struct RawAddress {
    family: u16,
    path: [u8; 108],
}

/// Where a Unix socket listens.
pub struct UnixAddress {
    raw: RawAddress,
    length: usize,
}

impl UnixAddress {
    /// The address of a path, given in parts; `None` when it does not fit (107 bytes and a NUL).
    pub fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut raw = RawAddress { family: AF_UNIX, path: [0; 108] };
        let mut end = 0;
        for part in parts {
            let place = raw.path.get_mut(end..end + part.len())?;
            place.copy_from_slice(part);
            end += part.len();
        }
        (end < raw.path.len()).then_some(Self { raw, length: size_of::<RawAddress>() })
    }

    /// The address of a name that is in no file system. Its length is part of it.
    pub fn new_abstract(name: &[u8]) -> Option<Self> {
        let address = Self::new(&[b"\0", name])?;
        Some(Self { length: size_of::<u16>() + 1 + name.len(), ..address })
    }
}

/// A connection to a listening Unix socket.
pub fn connect(address: &UnixAddress) -> Result<i32, Errno> {
    // SAFETY: takes no pointer.
    let socket = checked(unsafe { syscall(nr::SOCKET, [AF_UNIX.into(), SOCK_STREAM | SOCK_CLOEXEC, 0, 0]) })?;
    let pointer = core::ptr::from_ref(&address.raw) as usize;
    loop {
        let arguments = [socket, pointer, address.length, 0];
        // SAFETY: the address is a whole `sockaddr_un`, borrowed for the call, of which `length` bytes count.
        match checked(unsafe { syscall(nr::CONNECT, arguments) }) {
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(i32::try_from(socket).unwrap_or(-1)),
        }
    }
}

/// The user who listens at the other end of a connection (`SO_PEERCRED`, unix(7)).
pub fn peer(socket: i32) -> Option<u32> {
    const SO_PEERCRED: usize = 17;
    // struct ucred: process, user, group.
    let mut credentials = [0_u32; 3];
    let mut length = u32::try_from(size_of_val(&credentials)).unwrap_or(0);
    let place = credentials.as_mut_ptr() as usize;
    let arguments =
        [socket as usize, SOL_SOCKET as usize, SO_PEERCRED, place, core::ptr::from_mut(&mut length) as usize];
    // SAFETY: the kernel writes at most `length` bytes to the buffer of that size, and to `length`.
    checked(unsafe { syscall_of_five(nr::GETSOCKOPT, arguments) }).ok()?;
    Some(credentials[1])
}

/// The user whose rights this process has.
pub fn user() -> u32 {
    // SAFETY: takes no pointer.
    let user = unsafe { syscall(nr::GETEUID, [0; 4]) };
    u32::try_from(user).unwrap_or(u32::MAX)
}

/// The beginning of a file, as much as the buffer takes; the path ends in NUL.
pub fn read_file<'a>(path: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = open(path, O_CLOEXEC).ok()?;
    let count = read_all(file, buffer);
    close(file);
    buffer.get(..count.ok()?)
}

/// Reads until the buffer is full or nothing more comes.
pub fn read_all(descriptor: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match read(descriptor, rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

const O_RDWR: usize = 2;
const O_CLOEXEC: usize = 0o2_000_000;

/// `open(2)`; the path ends in NUL.
fn open(path: &[u8], flags: usize) -> Result<i32, Errno> {
    debug_assert!(path.ends_with(b"\0"));
    // SAFETY: the path ends in NUL, as every caller sees to.
    checked(unsafe { syscall(nr::OPEN, [path.as_ptr() as usize, flags, 0, 0]) })
        .map(|descriptor| i32::try_from(descriptor).unwrap_or(-1))
}

/// `close(2)`.
pub fn close(descriptor: i32) {
    // SAFETY: takes no pointer, and nothing here keeps using a descriptor that it closes.
    unsafe { syscall(nr::CLOSE, [descriptor as usize, 0, 0, 0]) };
}

/// A pipe: the end to read from, and the one to write to.
pub fn pipe() -> Result<(i32, i32), Errno> {
    let mut ends = [0_i32; 2];
    // SAFETY: the kernel writes two descriptors to the array of two.
    checked(unsafe { syscall(nr::PIPE2, [ends.as_mut_ptr() as usize, O_CLOEXEC, 0, 0]) })?;
    Ok((ends[0], ends[1]))
}

/// `fork(2)`. Not `vfork`, which would have two processes on one stack: this one has few pages to copy.
pub fn fork() -> Result<usize, Errno> {
    // SAFETY: this process has one thread; the child goes on with a copy of all its memory.
    checked(unsafe { syscall(nr::FORK, [0; 4]) })
}

/// Leaves the session, the working directory and all descriptors but one, which gets the number `as_number`.
pub fn leave_everything(keep: i32, as_number: i32) {
    let to = |from: i32, number: i32| {
        // SAFETY: takes no pointer; the child owns every descriptor that it has.
        unsafe { syscall(nr::DUP2, [from as usize, number as usize, 0, 0]) };
    };
    to(keep, as_number);
    if let Ok(nothing) = open(b"/dev/null\0", O_RDWR) {
        (0..3).for_each(|number| to(nothing, number));
    }
    // SAFETY: takes no pointer.
    unsafe { syscall(nr::CLOSE_RANGE, [as_number as usize + 1, u32::MAX as usize, 0, 0]) };
    // SAFETY: takes no pointer.
    unsafe { syscall(nr::SETSID, [0; 4]) };
    // SAFETY: the path ends in NUL.
    unsafe { syscall(nr::CHDIR, [c"/".as_ptr() as usize, 0, 0, 0]) };
}

/// `execve(2)` with two arguments and an empty environment; all three end in NUL. Returns if it fails.
pub fn execute(program: &[u8], first: &[u8], second: &[u8]) {
    debug_assert!([program, first, second].iter().all(|one| one.ends_with(b"\0")));
    let arguments = [program.as_ptr(), first.as_ptr(), second.as_ptr(), core::ptr::null()];
    let environment = [core::ptr::null::<u8>()];
    let (arguments, environment) = (arguments.as_ptr() as usize, environment.as_ptr() as usize);
    // SAFETY: strings that end in NUL, and arrays of them that end in NULL.
    unsafe { syscall(nr::EXECVE, [program.as_ptr() as usize, arguments, environment, 0]) };
}

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoSlice<'a> {
    base: *const u8,
    length: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> IoSlice<'a> {
    /// These bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { base: bytes.as_ptr(), length: bytes.len(), borrowed: PhantomData }
    }

    /// The same without its first `count` bytes.
    pub fn advanced(self, count: usize) -> Self {
        let count = count.min(self.length);
        Self { base: self.base.wrapping_add(count), length: self.length - count, borrowed: PhantomData }
    }

    /// How many bytes it has.
    pub fn length(self) -> usize {
        self.length
    }
}

/// `struct msghdr`, recv(2).
#[repr(C)]
struct MessageHeader<'a> {
    name: usize,
    name_length: u32,
    slices: *const IoSlice<'a>,
    slice_count: usize,
    control: *const u8,
    control_length: usize,
    flags: i32,
}

/// `struct cmsghdr` with room for the descriptors, cmsg(3).
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    descriptors: [i32; crate::wire::MAX_DESCRIPTORS],
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_NOSIGNAL: usize = 0x4000;

/// `sendmsg(2)` with descriptors, which go with the first byte.
pub fn send(socket: i32, slices: &[IoSlice<'_>], descriptors: &[i32]) -> Result<usize, Errno> {
    let mut control = Control {
        length: 16 + size_of_val(descriptors),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptors: [0; crate::wire::MAX_DESCRIPTORS],
    };
    for (place, descriptor) in control.descriptors.iter_mut().zip(descriptors) {
        *place = *descriptor;
    }
    let control_length = if descriptors.is_empty() { 0 } else { control.length.next_multiple_of(8) };
    let header = MessageHeader {
        name: 0,
        name_length: 0,
        slices: slices.as_ptr(),
        slice_count: slices.len(),
        control: core::ptr::from_ref(&control).cast(),
        control_length,
        flags: 0,
    };
    let header = core::ptr::from_ref(&header) as usize;
    // SAFETY: the header, its slices and its control block live until the call returns, and have the
    // kernel's layout; `IoSlice` borrows what it points at.
    checked(unsafe { syscall(nr::SENDMSG, [socket as usize, header, MSG_NOSIGNAL, 0]) })
}

/// Whether a descriptor is open, and whether it is a pipe.
pub fn is_pipe(descriptor: i32) -> Option<bool> {
    const S_IFIFO: u32 = 0o010_000;
    Some(kind(descriptor)? == S_IFIFO)
}

/// Whether a descriptor is a socket.
pub fn is_socket(descriptor: i32) -> bool {
    const S_IFSOCK: u32 = 0o140_000;
    kind(descriptor) == Some(S_IFSOCK)
}

/// What an open descriptor is.
fn kind(descriptor: i32) -> Option<u32> {
    // struct stat of x86-64 is 144 bytes; st_mode is the 32 bits at offset 24.
    let mut stat = [0_u32; 36];
    // SAFETY: the kernel writes one `struct stat`, 144 bytes, to the buffer of that size.
    checked(unsafe { syscall(nr::FSTAT, [descriptor as usize, stat.as_mut_ptr() as usize, 0, 0]) }).ok()?;
    const S_IFMT: u32 = 0o170_000;
    Some(stat[6] & S_IFMT)
}

/// A pair of connected Unix sockets.
pub fn socket_pair() -> Result<(i32, i32), Errno> {
    let mut ends = [0_i32; 2];
    let kind = SOCK_STREAM | SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors to the array of two.
    checked(unsafe { syscall(nr::SOCKETPAIR, [AF_UNIX.into(), kind, 0, ends.as_mut_ptr() as usize]) })?;
    Ok((ends[0], ends[1]))
}

/// Ends this process by a signal, as the job ended, without a core of its own; returns only if it cannot.
pub fn die_by(signal: i32) {
    const RLIMIT_CORE: usize = 4;
    const SIG_SETMASK: usize = 2;
    let zeros = [0_u64; 4];
    let zeros = zeros.as_ptr() as usize;
    // SAFETY: reads one `struct rlimit` of two zeros.
    unsafe { syscall(nr::SETRLIMIT, [RLIMIT_CORE, zeros, 0, 0]) };
    // SAFETY: reads one kernel `struct sigaction` of zeros (SIG_DFL, no flags, no mask).
    unsafe { syscall(nr::RT_SIGACTION, [signal as usize, zeros, 0, 8]) };
    // SAFETY: reads one empty signal set of 8 bytes.
    unsafe { syscall(nr::RT_SIGPROCMASK, [SIG_SETMASK, zeros, 0, 8]) };
    // SAFETY: takes no pointer.
    let own = unsafe { syscall(nr::GETPID, [0; 4]) };
    // SAFETY: takes no pointer.
    unsafe { syscall(nr::KILL, [own as usize, signal as usize, 0, 0]) };
}

/// Signals that a job gets instead of this process, as bits (`1 << (number - 1)`): SIGHUP, SIGINT, SIGQUIT,
/// SIGUSR1, SIGUSR2, SIGTERM.
const PASSED_ON: u64 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 9 | 1 << 11 | 1 << 14;

/// Signals that were meant for the job.
pub struct Signals {
    descriptor: i32,
}

impl Signals {
    /// From now on they are read from here.
    pub fn hold() -> Result<Self, Errno> {
        const SIG_BLOCK: usize = 0;
        const SFD_CLOEXEC: usize = 0o2_000_000;
        let set = PASSED_ON;
        let set = core::ptr::from_ref(&set) as usize;
        // SAFETY: reads one signal set of 8 bytes; the old one is not asked for.
        checked(unsafe { syscall(nr::RT_SIGPROCMASK, [SIG_BLOCK, set, 0, 8]) })?;
        // SAFETY: reads one signal set of 8 bytes.
        let descriptor = checked(unsafe { syscall(nr::SIGNALFD4, [usize::MAX, set, 8, SFD_CLOEXEC]) })?;
        Ok(Self { descriptor: i32::try_from(descriptor).unwrap_or(-1) })
    }

    /// Waits until there is something to read from `other`, and returns the number of a signal that came before.
    pub fn or_readable(&self, other: i32) -> Result<Option<u8>, Errno> {
        /// `struct pollfd`, poll(2).
        #[repr(C)]
        struct PollFd {
            descriptor: i32,
            events: i16,
            found: i16,
        }
        const POLLIN: i16 = 1;
        let mut both =
            [self.descriptor, other].map(|descriptor| PollFd { descriptor, events: POLLIN, found: 0 });
        // SAFETY: the kernel reads and writes two `struct pollfd`; no time limit and no signal mask is given.
        checked(unsafe { syscall(nr::PPOLL, [both.as_mut_ptr() as usize, 2, 0, 0]) })?;
        if both[0].found == 0 {
            return Ok(None);
        }
        // `struct signalfd_siginfo` is 128 bytes; the signal's number is the first of its 32 bit fields.
        let mut information = [0; 128];
        read(self.descriptor, &mut information).map(|_| Some(information[0]))
    }
}

/// The string that starts at a pointer, without its NUL.
///
/// # Safety
/// `start` points at bytes that end in NUL and live as long as the program: the kernel's argument area.
pub unsafe fn string(start: *const u8) -> &'static [u8] {
    // SAFETY: as the caller promised.
    unsafe { core::ffi::CStr::from_ptr(start.cast()) }.to_bytes()
}

/// What the compiler emits calls to. Loops by hand and volatile-free; `no_builtins` is not needed since each
/// is written so that it is not recognised as a call to itself (`rep` instructions).
mod memory {
    use core::arch::asm;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        // SAFETY: both ranges are valid and apart, as memcpy(3) asks; the direction flag is clear (ABI).
        unsafe {
            asm!("rep movsb", inout("rcx") length => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags));
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        if to.addr().wrapping_sub(from.addr()) >= length {
            // SAFETY: copying forwards is right when the destination does not begin inside the source.
            return unsafe { memcpy(to, from, length) };
        }
        // SAFETY: both ranges are valid; copied backwards, and the direction flag is cleared again.
        unsafe {
            asm!("std", "rep movsb", "cld", inout("rcx") length => _,
                inout("rdi") to.wrapping_add(length).wrapping_sub(1) => _,
                inout("rsi") from.wrapping_add(length).wrapping_sub(1) => _, options(nostack));
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
        // SAFETY: the range is valid, as memset(3) asks; the direction flag is clear (ABI).
        unsafe {
            asm!("rep stosb", inout("rcx") length => _, inout("rdi") to => _, in("al") byte as u8,
                options(nostack, preserves_flags));
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
        for at in 0..length {
            // SAFETY: `at` is below the length for which memcmp(3) asks both ranges to be valid.
            let left = unsafe { left.wrapping_add(at).read_volatile() };
            // SAFETY: as above.
            let right = unsafe { right.wrapping_add(at).read_volatile() };
            if left != right {
                return i32::from(left) - i32::from(right);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
        // SAFETY: the same contract.
        unsafe { memcmp(left, right, length) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(start: *const u8) -> usize {
        let mut length = 0;
        // SAFETY: the string ends in NUL, as strlen(3) asks, and is read no further.
        while unsafe { start.wrapping_add(length).read_volatile() } != 0 {
            length += 1;
        }
        length
    }

    /// Named by core's unwind tables; nothing here unwinds.
    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}

    /// Named by core's unwind tables; nothing here unwinds.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Resume() {}
}
