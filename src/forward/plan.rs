//! From a list of hosts to what is asked of the agent, and where each listening socket leads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::agent::protocol::{JobNetwork, MAX_LISTENERS};

use super::allowed::{Allowed, Host};

/// The network of a job, from its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    routes: Vec<Route>,
    hosts: String,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Where it listens, in the job's network.
    pub listen: SocketAddr,
    /// Where it leads.
    pub to: Allowed,
}

/// Why there is no such network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A job's network has so many sockets at most.
    #[error("{0} hosts and ports are too many for one job; there can be {MAX_LISTENERS}")]
    TooMany(usize),
    /// Nothing can listen there in a network of a job's own.
    #[error("`{0}` is no address of a single host")]
    Address(Allowed),
}

/// What `/etc/hosts` says before the names that are allowed.
const OWN_NAMES: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

impl Plan {
    /// Gives each name an address of its own on the job's loopback. An address stays what it is.
    ///
    /// # Errors
    /// When there are too many, or one is the address of no single host.
    pub fn new(allowed: &[Allowed]) -> Result<Self, PlanError> {
        let all: BTreeSet<&Allowed> = allowed.iter().collect();
        let mut addresses: BTreeMap<&str, IpAddr> = BTreeMap::new();
        let mut routes: Vec<Route> = Vec::new();
        for to in all {
            let ip = match &to.host {
                Host::Name(name) if name == "localhost" => Ipv4Addr::LOCALHOST.into(),
                Host::Name(name) => {
                    let next = addresses.len() + 1;
                    *addresses.entry(name).or_insert_with(|| own_address(next))
                }
                Host::Address(address) if address.is_unspecified() || address.is_multicast() => {
                    return Err(PlanError::Address(to.clone()));
                }
                Host::Address(address) => *address,
            };
            let listen = SocketAddr::new(ip, to.port);
            match routes.iter_mut().find(|route| route.listen == listen) {
                // The same host and port, once with what is local behind it; or `localhost` beside its address.
                Some(route) => route.to.local |= to.local,
                None => routes.push(Route { listen, to: to.clone() }),
            }
        }
        if routes.len() > MAX_LISTENERS {
            return Err(PlanError::TooMany(routes.len()));
        }
        let mut hosts = OWN_NAMES.to_owned();
        for (name, address) in &addresses {
            let _infallible = writeln!(hosts, "{address}\t{name}");
        }
        Ok(Self { routes, hosts })
    }

    /// What the agent is asked for.
    pub fn job_network(&self) -> JobNetwork {
        JobNetwork {
            hosts: self.hosts.clone(),
            listeners: self.routes.iter().map(|route| route.listen).collect(),
        }
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }
}

/// The `number`-th address of `127.1.0.0/16`, from 1 on: far from what programs use for themselves.
fn own_address(number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(texts: &[&str]) -> Result<Plan, PlanError> {
        Plan::new(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_has_one_address_and_a_socket_for_each_port() {
        let plan = plan(&["b.example:443", "a.example:443", "a.example:80", "a.example:80"]).unwrap();
        let network = plan.job_network();
        let listeners: Vec<String> = network.listeners.iter().map(ToString::to_string).collect();
        assert_eq!(listeners, ["127.1.0.1:80", "127.1.0.1:443", "127.1.0.2:443"]);
        assert!(network.hosts.ends_with("127.1.0.1\ta.example\n127.1.0.2\tb.example\n"));
        assert!(network.hosts.starts_with("127.0.0.1\tlocalhost\n"));
    }

    #[test]
    fn an_address_stays_what_it_is() {
        let plan = plan(&["127.0.0.1:8080", "[2001:db8::1]:443", "10.0.0.1:22", "localhost:8080"]).unwrap();
        let listeners = plan.job_network().listeners;
        for address in ["127.0.0.1:8080", "10.0.0.1:22", "[2001:db8::1]:443"] {
            assert!(listeners.contains(&address.parse().unwrap()), "{address}");
        }
        assert_eq!(listeners.len(), 3, "localhost is 127.0.0.1");
    }

    #[test]
    fn what_cannot_be() {
        assert!(matches!(plan(&["0.0.0.0:1"]), Err(PlanError::Address(_))));
        assert!(matches!(plan(&["224.0.0.1:1"]), Err(PlanError::Address(_))));
        let many: Vec<String> = (0..65).map(|number| format!("h{number}.example:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(plan(&many), Err(PlanError::TooMany(65)));
        assert_eq!(plan(&[]).unwrap().job_network().listeners, []);
    }
}
