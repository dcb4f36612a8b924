//! What cargo asks from inside the Publish container: for the token, and for the compiler's version.
//!
//! cargo starts the wrapper there in both roles. It has no socket to connect to; it sends an end of a new pair through the
//! one that cargo inherited as descriptor 250, and says on it what it was given, as it does to the broker.

use std::io::{self, BufRead as _, BufReader, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::protocol::{Answer, HELLO, Request as Question};
use super::warrant::Warrant;
use crate::broker::request::Request;
use crate::wire::Reply;

/// The wrapper as cargo's credential provider.
pub const CREDENTIAL: &str = "credential";

/// The wrapper as cargo's compiler, of which it only asks the version.
pub const RUSTC: &str = "rustc";

/// Answers until the other end of `channel` is closed.
///
/// # Errors
/// When no thread can be made.
pub fn serve(channel: UnixStream, warrant: Arc<Warrant>, version: Vec<u8>) -> io::Result<()> {
    std::thread::Builder::new().name("publish".into()).spawn(move || {
        while let Ok(streams) = receive(&channel) {
            for stream in streams {
                let stream = UnixStream::from(stream);
                let Ok(request) = Request::receive(&stream) else { continue };
                let reply = answer(&request, &warrant, &version);
                // cargo went away, and with it the wrapper.
                let _gone = (&stream).write_all(&reply.encode());
            }
        }
    })?;
    Ok(())
}

fn receive(channel: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(channel, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.flatten().collect())
}

fn answer(request: &Request, warrant: &Warrant, version: &[u8]) -> Reply {
    let role = request.exe.file_name().unwrap_or_default();
    let arguments: Vec<_> = request.argv.iter().skip(1).collect();
    if role == CREDENTIAL {
        return match provide(request, &|question| warrant.answer(question)) {
            Ok(()) => Reply::Exit(0),
            Err(_) => Reply::Exit(1),
        };
    }
    if role == RUSTC && arguments == ["-vV"] {
        return match write(request, 1, version) {
            Ok(()) => Reply::Exit(0),
            Err(_) => Reply::Exit(1),
        };
    }
    let _unheard = write(request, 2, b"error: nothing is compiled in the Publish container\n");
    Reply::Exit(101)
}

/// Speaks cargo's protocol on the wrapper's standard input and output.
///
/// # Errors
/// When cargo does not.
pub fn provide(request: &Request, answer: &dyn Fn(&Question) -> Answer) -> io::Result<()> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    let input = request.descriptor(0).ok_or_else(missing)?.try_clone()?;
    writeln_to(request, HELLO)?;
    for line in BufReader::new(std::fs::File::from(input)).lines() {
        let answer = match serde_json::from_str::<Question>(&line?) {
            Ok(question) if question.v == 1 => answer(&question),
            _ => Answer::refuse("cargo asks what is not understood"),
        };
        writeln_to(request, &serde_json::to_string(&answer)?)?;
    }
    Ok(())
}

fn writeln_to(request: &Request, line: &str) -> io::Result<()> {
    write(request, 1, format!("{line}\n").as_bytes())
}

fn write(request: &Request, number: i32, bytes: &[u8]) -> io::Result<()> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    let descriptor = request.descriptor(number).ok_or_else(missing)?.try_clone()?;
    std::fs::File::from(descriptor).write_all(bytes)
}
