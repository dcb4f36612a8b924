//! The network that a policy gives to one job: what is asked of the agent, and what serves it here.

use std::io;
use std::os::unix::net::UnixStream;

use crate::agent::protocol::JobNetwork;
use crate::forward::{Forwarder, Plan};
use crate::policy::network::Network;

use super::identify::Job;

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
    Ok(Some(Served { network: plan.job_network(), channel: theirs, _forwarder: forwarder, _own_end: own_end }))
}
