//! Reading from a Unix socket together with the descriptors that come with what is read (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

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
