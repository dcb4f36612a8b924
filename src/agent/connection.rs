//! Receiving one request and sending one reply without ever waiting for the peer.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recv, recvmsg, send,
};

use super::protocol::{MAX_DESCRIPTORS, MAX_MESSAGE, Reply, Request, encode};

/// A request as far as it has come.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What came of reading.
#[derive(Debug)]
pub enum Progress {
    /// More has to come.
    Partial,
    /// The whole request, and its descriptors.
    Complete(Request, Vec<OwnedFd>),
}

/// Few requests are longer. Each page of it is copied at the first write, since the agent and the process that becomes
/// the job are both forked off a moment before.
const CHUNK: usize = 8 << 10;

impl Incoming {
    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what has arrived. `chunk` is scratch space that connections share.
    ///
    /// # Errors
    /// When the peer is gone, or sends what is no request.
    pub fn receive(&mut self, stream: &UnixStream, chunk: &mut Vec<u8>) -> io::Result<Progress> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        chunk.resize(CHUNK, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = match recvmsg(stream, &mut [IoSliceMut::new(chunk)], &mut ancillary, flags) {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Progress::Partial),
            Err(error) => return Err(error.into()),
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > MAX_DESCRIPTORS {
            return Err(invalid("too many descriptors"));
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        let Some((length, body)) = self.bytes.split_first_chunk::<4>() else { return Ok(Progress::Partial) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_MESSAGE || body.len() > length {
            return Err(invalid("a request of another length than it says"));
        }
        if body.len() < length {
            return Ok(Progress::Partial);
        }
        let request = postcard::from_bytes(body).map_err(|_| invalid("no request"))?;
        Ok(Progress::Complete(request, std::mem::take(&mut self.descriptors)))
    }
}

/// A reply as far as it has not been sent.
#[derive(Debug)]
pub struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// A message to send.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0 }
    }

    /// Replies to send, of which the last is the end.
    ///
    /// # Errors
    /// When one is longer than a message may be.
    pub fn replies(replies: &[Reply]) -> io::Result<Self> {
        Ok(Self::new(replies.iter().map(encode).collect::<io::Result<Vec<_>>>()?.concat()))
    }

    /// Sends what the peer takes now; returns whether that was all.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn send(&mut self, stream: &UnixStream) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match send(stream, &self.bytes[self.sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => self.sent += sent,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// What the peer says behind its request.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing now.
    Nothing,
    /// Signals for its job.
    Signals(Vec<u8>),
    /// It has closed its end.
    Gone,
}

/// Takes what the peer says behind its request.
pub fn hear(stream: &UnixStream) -> Said {
    let mut bytes = [0; 16];
    match recv(stream, &mut bytes, RecvFlags::DONTWAIT) {
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Said::Nothing,
        Ok((count, _)) if count > 0 => Said::Signals(bytes[..count].to_vec()),
        _ => Said::Gone,
    }
}

/// Whether the peer has said something that was not taken.
pub fn has_more(stream: &UnixStream) -> bool {
    recv(stream, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK).is_ok_and(|(count, _)| count > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::super::client::AgentConnection;
    use super::super::protocol::{Greeting, PROTOCOL_VERSION, write_message};
    use super::*;

    fn greeted() -> (AgentConnection, UnixStream) {
        let (here, mut there) = UnixStream::pair().unwrap();
        write_message(&mut there, &Greeting { version: PROTOCOL_VERSION, fingerprint: "f".into() }).unwrap();
        (AgentConnection::greeted(here, "f").unwrap(), there)
    }

    #[test]
    fn descriptors_come_with_the_request() {
        let (client, agent) = greeted();
        let file = std::fs::File::open("/dev/null").unwrap();
        client.send(&Request::Report, &[file.as_fd(), file.as_fd()]).unwrap();
        let Progress::Complete(request, descriptors) =
            Incoming::default().receive(&agent, &mut Vec::new()).unwrap()
        else {
            panic!("incomplete");
        };
        assert_eq!((request, descriptors.len()), (Request::Report, 2));
    }

    #[test]
    fn a_request_may_come_byte_by_byte() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let bytes = encode(&Request::Stop).unwrap();
        let mut incoming = Incoming::default();
        for (index, byte) in bytes.iter().enumerate() {
            here.write_all(&[*byte]).unwrap();
            let progress = incoming.receive(&there, &mut Vec::new()).unwrap();
            assert_eq!(matches!(progress, Progress::Complete(..)), index + 1 == bytes.len());
        }
    }

    #[test]
    fn a_length_that_is_too_long_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[0xff; 8]).unwrap();
        let error = Incoming::default().receive(&there, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn another_fingerprint_is_refused() {
        let (here, mut there) = UnixStream::pair().unwrap();
        write_message(&mut there, &Greeting { version: PROTOCOL_VERSION, fingerprint: "f".into() }).unwrap();
        let error = AgentConnection::greeted(here, "g").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn signals_and_a_closed_end_are_noticed() {
        let (client, agent) = greeted();
        assert_eq!(hear(&agent), Said::Nothing);
        client.signal(libc::SIGINT).unwrap();
        assert_eq!(hear(&agent), Said::Signals(vec![2]));
        drop(client);
        assert_eq!(hear(&agent), Said::Gone);
    }
}
