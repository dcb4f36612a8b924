//! The network that a policy gives to one job: what is asked of the agent, and what serves it here.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use anyhow::bail;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::agent::protocol::{JobNetwork, Reply, Request};
use crate::container::world::Reachable;
use crate::forward::{Forwarder, Plan, Publisher};
use crate::policy::network::Network;

use super::identify::Job;
use super::session::Session;

/// What serves the network of one job, as long as it lives.
#[derive(Debug)]
pub struct Served {
    /// What is asked of the agent.
    pub network: JobNetwork,
    /// The agent's end of the channel on which the listening sockets come.
    pub channel: UnixStream,
    _forwarder: Option<Forwarder>,
    _own_end: Option<UnixStream>,
}

/// Which of the project's containers a job runs in.
pub fn of_container(job: &Job) -> Reachable {
    match job.network {
        Network::Host => Reachable::Host,
        Network::None | Network::Loopback | Network::Only(_) => Reachable::Nothing,
    }
}

/// Publishes the ports of a program, with connections that `agent`'s container makes; nothing where it has none.
///
/// # Errors
/// When a port is not free, or the program's network is one that nobody else gets into.
pub fn publish(job: &Job, session: &Arc<Session>) -> anyhow::Result<Option<Publisher>> {
    if job.ports.is_empty() || job.network == Network::Host {
        return Ok(None);
    }
    if job.network != Network::Loopback {
        bail!(
            "the ports of {} cannot be published: its network is its own\n\nhint: a program with `ports` has `network = \
             \"loopback\"` or `\"host\"`",
            job.package
        );
    }
    let ports: Vec<(u16, u16)> = job.ports.iter().map(|port| (port.host, port.program)).collect();
    let session = Arc::clone(session);
    Ok(Some(Publisher::start(&ports, move |port| connect(&session, port))?))
}

/// A connection to a port of the container's loopback, made by its agent.
fn connect(session: &Session, port: u16) -> io::Result<TcpStream> {
    let (ours, theirs): (UnixStream, UnixStream) = UnixStream::pair()?;
    let agent = session.containers.connect(session, Reachable::Nothing).map_err(io::Error::other)?;
    agent.send(&Request::Connect(port), &[theirs.as_fd()])?;
    drop(theirs);
    match agent.read_reply()? {
        Reply::Connected => received(&ours),
        Reply::Failed { message, errno, .. } => {
            Err(io::Error::new(io::Error::from_raw_os_error(errno).kind(), message))
        }
        other => Err(io::Error::other(format!("the agent answered {other:?} to a connection"))),
    }
}

/// The socket that came with one byte.
fn received(channel: &UnixStream) -> io::Result<TcpStream> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    recvmsg(channel, &mut [IoSliceMut::new(&mut [0])], &mut ancillary, flags)?;
    let socket = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    socket.map(TcpStream::from).ok_or_else(|| io::Error::other("the agent sent no connection"))
}

/// Starts what serves a job's network; nothing where it has the container's loopback.
///
/// # Errors
/// When the list cannot be served, or nothing can be started.
pub fn serve(job: &Job) -> anyhow::Result<Option<Served>> {
    let allowed: Vec<_> = match &job.network {
        Network::Loopback | Network::Host => return Ok(None),
        Network::None => Vec::new(),
        Network::Only(list) => list.iter().cloned().collect(),
    };
    let plan = Plan::new(&allowed)?;
    let (ours, theirs): (UnixStream, UnixStream) = UnixStream::pair().map_err(io::Error::other)?;
    let (forwarder, own_end) = match allowed.is_empty() {
        true => (None, Some(ours)),
        false => (Some(Forwarder::start(&plan, ours)?), None),
    };
    Ok(Some(Served {
        network: plan.job_network(),
        channel: theirs,
        _forwarder: forwarder,
        _own_end: own_end,
    }))
}
