//! Ports of this machine's loopback that lead to a program in a container.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::thread::Serving;

/// Most connections at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;

/// Breath after a failure to accept.
const BREATH: Duration = Duration::from_millis(50);

/// Serves published ports, until it is dropped.
#[derive(Debug)]
pub struct Publisher {
    _serving: Serving,
}

/// Why a port cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is in use, or may not be used.
    #[error(
        "port {port} of this machine cannot be published: {source}\n\nhint: let `ports` name another one, `\"8081:{port}\"` for \
         instance"
    )]
    Listen {
        /// Which.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// Nothing can be served.
    #[error("published ports cannot be served: {0}")]
    Serve(#[from] io::Error),
}

impl Publisher {
    /// Listens on 127.0.0.1 for each pair of a port of this machine and one of the program, to which `connect` connects.
    ///
    /// # Errors
    /// When a port is not free.
    pub fn start<F>(ports: &[(u16, u16)], connect: F) -> Result<Self, PublishError>
    where
        F: Fn(u16) -> io::Result<StdStream> + Send + Sync + 'static,
    {
        let mut listeners = Vec::with_capacity(ports.len());
        for (port, program) in ports {
            let listener = StdListener::bind((Ipv4Addr::LOCALHOST, *port));
            let listener = listener.map_err(|source| PublishError::Listen { port: *port, source })?;
            listener.set_nonblocking(true)?;
            listeners.push((listener, *program));
        }
        let connect = Arc::new(connect);
        let serving = Serving::start("publish", || async move {
            let mut tasks = tokio::task::JoinSet::new();
            for (listener, program) in listeners {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    tasks.spawn(accept(listener, program, Arc::clone(&connect)));
                }
            }
            while tasks.join_next().await.is_some() {}
            Ok(())
        })?;
        Ok(Self { _serving: serving })
    }
}

async fn accept<F>(listener: TcpListener, program: u16, connect: Arc<F>)
where
    F: Fn(u16) -> io::Result<StdStream> + Send + Sync + 'static,
{
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((outside, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let connect = Arc::clone(&connect);
        connections.spawn(async move {
            let _closed = join(outside, program, connect).await;
            drop(permit);
        });
    }
}

/// Joins a connection of this machine's to one of the program's.
async fn join<F>(mut outside: TcpStream, program: u16, connect: Arc<F>) -> io::Result<()>
where
    F: Fn(u16) -> io::Result<StdStream> + Send + Sync + 'static,
{
    let connected = tokio::task::spawn_blocking(move || connect(program)).await.map_err(io::Error::other)?;
    let inside = match connected {
        Ok(stream) => stream,
        Err(error) => {
            // As where nothing listens.
            outside.set_zero_linger()?;
            return Err(error);
        }
    };
    inside.set_nonblocking(true)?;
    let mut inside = TcpStream::from_std(inside)?;
    tokio::io::copy_bidirectional(&mut outside, &mut inside).await.map(drop)
}
