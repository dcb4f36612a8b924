//! The Unix sockets that a policy gives to one job: what is asked of the agent, and what serves it here.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, bail};

use crate::agent::protocol::MAX_LISTENERS;
use crate::forward::{LocalForwarder, open_socket};

use super::identify::Job;

/// What serves the sockets of one job, as long as it lives.
#[derive(Debug)]
pub struct Served {
    /// What is asked of the agent.
    pub paths: Vec<Vec<u8>>,
    /// The agent's end of the channel on which the listening sockets come.
    pub channel: UnixStream,
    _forwarder: LocalForwarder,
}

/// Starts what serves a job's sockets; nothing where it has none. One that is not there now is not there for the job, as
/// it would not be without a container.
///
/// # Errors
/// When one is no socket, or behind a symbolic link; or nothing can be started.
pub fn serve(job: &Job) -> anyhow::Result<Option<Served>> {
    let mut there = Vec::new();
    for path in &job.sockets {
        let socket = open_socket(path).with_context(|| {
            format!("`{}`, which the policy lets {} connect to, is not taken", path.display(), job.package)
        })?;
        if socket.is_some() {
            there.push(path.clone());
        }
    }
    if there.is_empty() {
        return Ok(None);
    }
    if there.len() > MAX_LISTENERS {
        bail!("{} Unix sockets are too many for one job; there can be {MAX_LISTENERS}", there.len());
    }
    let paths = there.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    let (ours, theirs): (UnixStream, UnixStream) = UnixStream::pair().map_err(io::Error::other)?;
    Ok(Some(Served { paths, channel: theirs, _forwarder: LocalForwarder::start(there, ours)? }))
}
