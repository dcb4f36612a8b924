//! Serving the listening sockets of one job, and keeping a record of its connections.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::try_join;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::allowed::Allowed;
use super::dial::dial;
use super::plan::{Plan, Route};
use super::thread::Serving;
use crate::agent::protocol::MAX_LISTENERS;

/// Most connections of one job at a time; more wait to be accepted.
pub(super) const MOST_CONNECTIONS: usize = 128;

/// Most connections that are remembered of one job.
const MOST_REMEMBERED: usize = 10_000;

/// How much is copied at a time, per direction.
const CHUNK: usize = 16 << 10;

/// Breath after a failure to accept: there are no descriptors left, and connections will give some back.
pub(super) const BREATH: Duration = Duration::from_millis(50);

/// One connection that a job made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// When it was accepted.
    pub at: SystemTime,
    /// Which host and port.
    pub to: Allowed,
    /// What came of it.
    pub outcome: Outcome,
    /// Bytes that the job sent.
    pub sent: u64,
    /// Bytes that the job got.
    pub received: u64,
}

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It led to this address.
    Connected(SocketAddr),
    /// It led nowhere, for this reason.
    Failed(String),
    /// The job's end, or its own, came first.
    Unfinished,
}

/// Serves the network of one job, until it is dropped.
#[derive(Debug)]
pub struct Forwarder {
    serving: Serving,
    record: Arc<Record>,
}

/// What is remembered of all connections.
#[derive(Debug, Default)]
struct Record {
    entries: Mutex<Vec<Arc<Entry>>>,
    forgotten: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    at: SystemTime,
    to: Allowed,
    outcome: Mutex<Outcome>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Forwarder {
    /// Serves what `plan` allows with the sockets that come on `channel`. The channel's other end is for the agent alone:
    /// where the job is not started, it is closed, and nothing is served.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(plan: &Plan, channel: UnixStream) -> io::Result<Self> {
        let record = Arc::new(Record::default());
        let (routes, kept) = (plan.routes().to_vec(), Arc::clone(&record));
        let serving = Serving::start("forward", || serve(routes, channel, kept))?;
        Ok(Self { serving, record })
    }

    /// The connections so far, in the order in which they were accepted.
    pub fn connections(&self) -> Vec<Connection> {
        let entries = self.record.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| entry.connection()).collect()
    }

    /// How many connections there were beyond those that are remembered.
    pub fn forgotten(&self) -> u64 {
        self.record.forgotten.load(Ordering::Relaxed)
    }

    /// Ends all connections, and says which there were.
    ///
    /// # Errors
    /// When they could not be served at all, though the job had a network.
    pub fn finish(mut self) -> io::Result<Vec<Connection>> {
        let result = self.serving.end();
        result.map(|()| self.connections())
    }
}

impl Record {
    fn add(&self, to: &Allowed) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            at: SystemTime::now(),
            to: to.clone(),
            outcome: Mutex::new(Outcome::Unfinished),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        });
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < MOST_REMEMBERED {
            entries.push(Arc::clone(&entry));
        } else {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        entry
    }
}

impl Entry {
    fn set(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }

    fn connection(&self) -> Connection {
        Connection {
            at: self.at,
            to: self.to.clone(),
            outcome: self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

/// Takes the sockets and serves them for good; returns only if there are none.
async fn serve(routes: Vec<Route>, channel: UnixStream, record: Arc<Record>) -> io::Result<()> {
    let Some(sockets) = sockets(channel).await? else { return Ok(()) };
    if sockets.len() != routes.len() {
        return Err(io::Error::other(format!("{} sockets came for {} routes", sockets.len(), routes.len())));
    }
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut tasks = tokio::task::JoinSet::new();
    for (socket, route) in sockets.into_iter().zip(routes) {
        let listener = checked(socket, &route)?;
        tasks.spawn(accept(listener, route.to, Arc::clone(&room), Arc::clone(&record)));
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

/// The sockets that come on a channel; none if the job was not started.
pub(super) async fn sockets(channel: UnixStream) -> io::Result<Option<Vec<OwnedFd>>> {
    channel.set_nonblocking(true)?;
    let channel = tokio::net::UnixStream::from_std(channel)?;
    loop {
        channel.readable().await?;
        match channel.try_io(tokio::io::Interest::READABLE, || receive(&channel)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => return result.map(Some),
        }
    }
}

/// The descriptors that came with one byte.
fn receive(channel: &tokio::net::UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(channel, &mut [IoSliceMut::new(&mut [0])], &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("too many sockets"));
    }
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    Ok(sockets)
}

/// A socket that listens where the plan says.
fn checked(socket: OwnedFd, route: &Route) -> io::Result<TcpListener> {
    if !sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::other("a socket came that does not listen"));
    }
    let listener = StdListener::from(socket);
    if listener.local_addr()? != route.listen {
        return Err(io::Error::other(format!("no socket came that listens on {}", route.listen)));
    }
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: TcpListener, to: Allowed, room: Arc<Semaphore>, record: Arc<Record>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let entry = record.add(&to);
                connections.spawn(async move {
                    forward(stream, &entry).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

async fn forward(stream: TcpStream, entry: &Entry) {
    let there = match dial(&entry.to).await {
        Ok(there) => there,
        Err(error) => {
            entry.set(Outcome::Failed(error.to_string()));
            // A reset, as from a host that is not there, and no end of data.
            let _ = stream.set_zero_linger();
            return;
        }
    };
    if let Ok(address) = there.peer_addr() {
        entry.set(Outcome::Connected(address));
    }
    let _ = (stream.set_nodelay(true), there.set_nodelay(true));
    let (from_job, to_job) = stream.into_split();
    let (from_there, to_there) = there.into_split();
    let out = copy(from_job, to_there, &entry.sent);
    let back = copy(from_there, to_job, &entry.received);
    // Each direction ends by itself; an error of one ends both.
    let _ = try_join(out, back).await;
}

/// Copies to the end, and passes the end on.
pub(super) async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// What could not be reached, for people: a program sees a connection that ends.
pub fn unreached(connections: &[Connection]) -> Vec<String> {
    let mut lines: Vec<String> = connections
        .iter()
        .filter_map(|connection| match &connection.outcome {
            Outcome::Failed(why) => Some(format!("`{}` could not be reached: {why}", connection.to)),
            Outcome::Connected(_) | Outcome::Unfinished => None,
        })
        .collect();
    lines.dedup();
    lines
}
