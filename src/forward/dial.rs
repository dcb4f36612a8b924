//! Connecting to what is allowed: the name is looked up here, and what it leads to is judged.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::address::{Reach, reach};
use super::allowed::{Allowed, Host};

/// How long looking a name up may take, and each attempt to connect.
const PATIENCE: Duration = Duration::from_secs(15);

/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Connects. An attacker who owns an allowed name can have it stand for any address; so what a name stands for must be
/// of the network at large, or local where that is allowed.
pub(super) async fn dial(to: &Allowed) -> io::Result<TcpStream> {
    let addresses = match &to.host {
        Host::Address(address) => vec![SocketAddr::new(*address, to.port)],
        Host::Name(name) => look_up(name, to).await?,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("`{}` has no address", to.host));
    for address in addresses.into_iter().take(MOST_ADDRESSES) {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn look_up(name: &str, to: &Allowed) -> io::Result<Vec<SocketAddr>> {
    let found = timeout(PATIENCE, lookup_host((name, to.port))).await;
    let found = found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (may, not): (Vec<_>, Vec<_>) = found.partition(|address| may_reach(address.ip(), to));
    match (may.is_empty(), not.first()) {
        (true, Some(address)) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("`{name}` stands for {}, which is no address of the network at large", address.ip()),
        )),
        _ => Ok(may),
    }
}

/// Whether a name that is allowed may lead to this address.
fn may_reach(address: IpAddr, to: &Allowed) -> bool {
    // This name is this machine by definition (RFC 6761).
    let local = to.local || to.host == Host::Name("localhost".into());
    match reach(address) {
        Reach::Public => true,
        Reach::Local => local,
        Reach::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_network_at_large_alone() {
        let may = |text: &str, local: bool, address: &str| {
            let allowed: Allowed = text.parse().unwrap();
            may_reach(address.parse().unwrap(), &Allowed { local, ..allowed })
        };
        assert!(may("a.example:1", false, "1.1.1.1"));
        assert!(!may("a.example:1", false, "127.0.0.1"));
        assert!(!may("a.example:1", false, "10.0.0.1"));
        assert!(may("a.example:1", true, "10.0.0.1"));
        assert!(may("localhost:1", false, "127.0.0.1"));
        assert!(!may("a.example:1", true, "169.254.169.254"));
    }
}
