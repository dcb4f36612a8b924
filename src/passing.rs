//! Bytes on a Unix socket together with the descriptors that come with them (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, send, sendmsg,
};

use crate::agent::protocol::MAX_DESCRIPTORS;

/// A stream that is read, and the descriptors that have come. They are closed at exec.
#[derive(Debug)]
pub struct WithDescriptors<'a> {
    stream: &'a UnixStream,
    /// In the order in which they came.
    pub descriptors: Vec<OwnedFd>,
}

impl<'a> WithDescriptors<'a> {
    /// Of which nothing was read yet.
    pub fn of(stream: &'a UnixStream) -> Self {
        Self { stream, descriptors: Vec::new() }
    }
}

impl Read for WithDescriptors<'_> {
    /// As of the stream itself; more than [`MAX_DESCRIPTORS`] are an error.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(bytes)];
        let received = recvmsg(self.stream, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > MAX_DESCRIPTORS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors"));
        }
        Ok(received.bytes)
    }
}

/// Sends bytes, and with the first of them up to [`MAX_DESCRIPTORS`].
///
/// # Errors
/// When the peer is gone, or there are too many.
pub fn send_with(socket: &impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        let number = descriptors.len();
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{number} descriptors are too many"),
        ));
    }
    let mut sent = rustix::io::retry_on_intr(|| {
        sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    while sent < bytes.len() {
        sent += rustix::io::retry_on_intr(|| send(socket, &bytes[sent..], SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// The same with descriptors that this process has.
///
/// # Errors
/// As [`send_with`].
pub fn send_owned(socket: &impl AsFd, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    send_with(socket, bytes, &descriptors.iter().map(OwnedFd::as_fd).collect::<Vec<_>>())
}
