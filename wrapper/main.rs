//! What cargo starts in the place of rustc, rustdoc, build scripts and programs.
//!
//! It says to the broker what it was given (its own executable, working directory, arguments, environment,
//! descriptors), waits for the answer, and ends as the job ended. It decides nothing, believes no variable and
//! executes nothing but the broker, where plain cargo runs and none is there yet. It is a static executable without libc: `cargo::rustc-env` and a planted library in
//! `LD_LIBRARY_PATH` reach this process on the host, and find no loader in it (see docs/architecture.md).
#![no_std]
#![no_main]
#![allow(clippy::cast_sign_loss, reason = "system calls take every argument as a register")]

mod caller;
mod find;
mod jobserver;
mod sys;
#[allow(dead_code, reason = "the broker uses the other half")]
mod wire;

use sys::{EINTR, IoSlice};

/// Exit code when the broker cannot be reached: what cargo itself uses for an internal failure.
const NO_BROKER: i32 = 101;

/// `PATH_MAX`.
const PATH_LIMIT: usize = 4096;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail(b"the wrapper failed")
}

/// Called by the entry with the kernel's initial stack: argc, argv, NULL, envp, NULL.
///
/// # Safety
/// `stack` is that stack.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    let mut exe = [0; PATH_LIMIT];
    let mut cwd = [0; PATH_LIMIT];

    // SAFETY: the kernel's stack starts with argc.
    let argc = unsafe { stack.read() };
    let argv = stack.wrapping_add(1).cast::<*const u8>();
    let envp = argv.wrapping_add(argc + 1);
    // SAFETY: argv and envp are arrays of strings, each array ending in NULL.
    let arguments = unsafe { block(argv) };
    // SAFETY: as above.
    let environment = unsafe { block(envp) };

    let exe_length = sys::readlink(c"/proc/self/exe", &mut exe).unwrap_or(0);
    let exe = exe.get(..exe_length).unwrap_or_default();
    let Ok(cwd_length) = sys::getcwd(&mut cwd) else { fail(b"the working directory is gone") };
    let cwd = cwd.get(..cwd_length).unwrap_or_default();

    let mut message = wire::Header {
        exe: length(exe),
        cwd: length(cwd),
        argc: arguments.count,
        argv: length(arguments.bytes),
        envc: environment.count,
        env: length(environment.bytes),
        ..wire::Header::default()
    };
    for descriptor in 0..3 {
        if sys::is_pipe(descriptor).is_some() {
            add_descriptor(&mut message, descriptor);
        }
    }
    if let Some((read, write)) = environment.value(b"CARGO_MAKEFLAGS=").and_then(jobserver::descriptors)
        && read > 2
        && write > 2
        && sys::is_pipe(read) == Some(true)
        && sys::is_pipe(write) == Some(true)
    {
        add_descriptor(&mut message, read);
        add_descriptor(&mut message, write);
    }
    let header = message.encode();

    let socket = find::connect(exe);
    // Behind the connection: what was started for it must not inherit this.
    let Ok(signals) = sys::Signals::hold() else { fail(b"signals cannot be held") };
    send_all(
        socket,
        [
            IoSlice::new(&header),
            IoSlice::new(exe),
            IoSlice::new(cwd),
            IoSlice::new(arguments.bytes),
            IoSlice::new(environment.bytes),
        ],
        message.descriptors.get(..message.descriptor_count as usize).unwrap_or_default(),
    );
    match wire::Reply::decode(receive(socket, &signals)) {
        Some(wire::Reply::Exit(code)) => sys::exit(code),
        Some(wire::Reply::Signal(signal)) => {
            sys::die_by(signal);
            sys::exit(128 + signal)
        }
        None => fail(b"the broker's answer makes no sense"),
    }
}

fn length(bytes: &[u8]) -> u32 {
    // The kernel's limit on arguments is far below 4 GiB.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn add_descriptor(message: &mut wire::Header, descriptor: i32) {
    if let Some(place) = message.descriptors.get_mut(message.descriptor_count as usize) {
        *place = descriptor;
        message.descriptor_count += 1;
    }
}

/// The strings of argv or envp, which the kernel lays out one behind the other.
struct Block {
    bytes: &'static [u8],
    count: u32,
}

impl Block {
    /// What follows `name` in the first string that starts with it.
    fn value(&self, name: &[u8]) -> Option<&'static [u8]> {
        self.bytes.split(|byte| *byte == 0).find_map(|string| string.strip_prefix(name))
    }
}

/// # Safety
/// `strings` is argv or envp on the kernel's initial stack.
unsafe fn block(strings: *const *const u8) -> Block {
    // SAFETY: the array has at least its closing NULL.
    let first = unsafe { strings.read() };
    let (mut end, mut count) = (first, 0);
    loop {
        // SAFETY: `count` has not passed the closing NULL.
        let next = unsafe { strings.wrapping_add(count).read() };
        if next.is_null() {
            break;
        }
        if next != end {
            fail(b"the arguments are not laid out as the kernel lays them out");
        }
        // SAFETY: it points at a string of the kernel's argument area.
        end = end.wrapping_add(unsafe { sys::string(next) }.len() + 1);
        count += 1;
    }
    if first.is_null() {
        return Block { bytes: &[], count: 0 };
    }
    // SAFETY: from the first string to the NUL of the last all bytes are the argument area, walked just now;
    // it is never written or freed.
    let bytes = unsafe { core::slice::from_raw_parts(first, end.addr() - first.addr()) };
    Block { bytes, count: u32::try_from(count).unwrap_or(u32::MAX) }
}

fn send_all<const N: usize>(socket: i32, mut slices: [IoSlice<'_>; N], descriptors: &[i32]) {
    let mut left: usize = slices.iter().map(|slice| slice.length()).sum();
    let mut descriptors = descriptors;
    while left > 0 {
        match sys::send(socket, &slices, descriptors) {
            Ok(mut sent) => {
                descriptors = &[];
                left -= sent.min(left);
                for slice in &mut slices {
                    let step = sent.min(slice.length());
                    *slice = slice.advanced(step);
                    sent -= step;
                }
            }
            Err(EINTR) => {}
            Err(_) => fail(b"cargo-sandbox went away"),
        }
    }
}

/// Waits for the reply; meanwhile, signals go to the job.
fn receive(socket: i32, signals: &sys::Signals) -> [u8; wire::REPLY_LENGTH] {
    let mut reply = [0; wire::REPLY_LENGTH];
    let mut filled = 0;
    // Ctrl-C ends the front end as well: then this process ends by it, too, and says nothing.
    let mut signalled = None;
    let gone = |signalled: Option<u8>| -> ! {
        if let Some(signal) = signalled {
            sys::die_by(signal.into());
        }
        fail(b"cargo-sandbox went away; the job was stopped")
    };
    while let Some(rest) = reply.get_mut(filled..)
        && !rest.is_empty()
    {
        match signals.or_readable(socket) {
            Ok(None) => {}
            Ok(Some(signal)) => {
                signalled = Some(signal);
                // Where the broker is gone, the next read says so.
                let _ = sys::send(socket, &[IoSlice::new(&[signal])], &[]);
                continue;
            }
            Err(EINTR) => continue,
            Err(_) => fail(b"cannot wait for cargo-sandbox"),
        }
        match sys::read(socket, rest) {
            Ok(0) => gone(signalled),
            Ok(count) => filled += count,
            Err(EINTR) => {}
            Err(_) => gone(signalled),
        }
    }
    reply
}

fn fail(message: &[u8]) -> ! {
    for part in [b"error: ".as_slice(), message, b"\n"] {
        // Nothing is left to do where standard error refuses.
        let _ = sys::write(2, part);
    }
    fail_as_said()
}

/// Ends where why was said already.
fn fail_as_said() -> ! {
    sys::exit(NO_BROKER)
}
