//! Finding the broker, and starting one where plain cargo runs and none is there yet.

use crate::caller::{BROKER_ARGUMENT, Name, REPORT_DESCRIPTOR, Stat, front_end};
use crate::sys::{self, UnixAddress};
use crate::{PATH_LIMIT, fail, fail_as_said};

/// Connects to the broker: of the front end above, by the descriptor that cargo inherited; else to the one that
/// works in the background for the cargo process that this wrapper belongs to.
pub fn connect(exe: &[u8]) -> i32 {
    const SESSION: &[u8] = b"/proc/self/fd/250/broker.sock";
    if let Some(socket) = UnixAddress::new(&[SESSION]).and_then(|address| sys::connect(&address).ok()) {
        return socket;
    }
    if let Some(socket) = introduced() {
        return socket;
    }
    let user = sys::user();
    let mut own = [0; 1024];
    let own = sys::read_file(c"/proc/self/stat".to_bytes_with_nul(), &mut own).and_then(Stat::parse);
    let Some(own) = own else { fail(b"the kernel does not say which process this is") };
    // `cargo run` becomes the runner: the process is then cargo's own, and not a child of it.
    if let Some(socket) = Name::new(user, &own).and_then(|name| connect_to(&name, user)) {
        return socket;
    }
    let mut parent = [0; 1024];
    let mut path = [0; 64];
    let parent = stat_path(own.parent, &mut path)
        .and_then(|path| sys::read_file(path, &mut parent))
        .and_then(Stat::parse);
    let Some(name) = parent.and_then(|parent| Name::new(user, &parent)) else {
        fail(b"what started this wrapper is gone; cargo has to start it")
    };
    if let Some(socket) = connect_to(&name, user) {
        return socket;
    }
    start(exe, &name);
    match connect_to(&name, user) {
        Some(socket) => socket,
        None => {
            fail(b"no cargo-sandbox is there to run this; start the build with `cargo-sandbox`, not `cargo`")
        }
    }
}

/// In the Publish container, whose cargo is a job: a new connection, by the one that cargo inherited. A directory of the
/// host's would lead a process there out of the container.
fn introduced() -> Option<i32> {
    const SESSION: i32 = 250;
    if !sys::is_socket(SESSION) {
        return None;
    }
    let (ours, theirs) = sys::socket_pair().ok()?;
    sys::send(SESSION, &[sys::IoSlice::new(&[0])], &[theirs]).ok()?;
    sys::close(theirs);
    Some(ours)
}

/// A connection to the broker of this name, if there is one. Any user can listen under any name that is free: one of
/// another user's is no broker.
fn connect_to(name: &Name, user: u32) -> Option<i32> {
    let socket = sys::connect(&UnixAddress::new_abstract(name.as_bytes())?).ok()?;
    if sys::peer(socket) != Some(user) {
        fail(b"another user listens in the place of cargo-sandbox");
    }
    Some(socket)
}

fn stat_path<'a>(pid: &[u8], place: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for part in [b"/proc/".as_slice(), pid, b"/stat\0"] {
        place.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    place.get(..end)
}

/// Starts a background broker and waits until it serves; ends this process with what it says otherwise. It gets
/// nothing of this process: no variable, no descriptor, no terminal.
fn start(exe: &[u8], name: &Name) {
    let Ok((read, write)) = sys::pipe() else { fail(b"no pipe can be made") };
    match sys::fork() {
        Ok(0) => become_broker(exe, name, write),
        Ok(_) => {}
        Err(_) => fail(b"no process can be started for the broker"),
    }
    sys::close(write);
    let mut said = false;
    let mut text = [0; 1024];
    while let Ok(count) = sys::read_all(read, &mut text)
        && count > 0
    {
        said = true;
        let _ = sys::write(2, text.get(..count).unwrap_or_default());
    }
    if said {
        fail_as_said();
    }
    sys::close(read);
}

fn become_broker(exe: &[u8], name: &Name, report: i32) -> ! {
    sys::leave_everything(report, REPORT_DESCRIPTOR);
    let mut argument = [0; 32];
    if let Some(place) = argument.get_mut(..BROKER_ARGUMENT.len()) {
        place.copy_from_slice(BROKER_ARGUMENT.as_bytes());
    }
    let mut nth = 0;
    let mut path = [0; PATH_LIMIT];
    while let Some(program) = front_end(exe, nth, &mut path) {
        sys::execute(program, &argument, name.with_nul());
        nth += 1;
    }
    let message =
        b"error: `cargo-sandbox` is not beside its wrapper `cargo-sandbox-rustc`; install both together\n";
    let _ = sys::write(REPORT_DESCRIPTOR, message);
    sys::exit(127)
}
