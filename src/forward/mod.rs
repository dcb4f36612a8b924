//! Letting one job reach some hosts of the network, and no other.
//!
//! A job that may reach something gets a network of its own (`agent/network.rs`): a loopback on which a socket listens for
//! each host and port that it is allowed, and a `/etc/hosts` that knows those names alone. The sockets are handed to the
//! front end, which accepts on them, looks the name up itself, and connects to what it was told, whatever the job says. So
//! a program needs no proxy setting, nothing else resolves or leads anywhere, and every connection is known here.
//!
//! ```text
//! job ── connect("index.crates.io", 443) ──► 127.1.0.1:443 (job's own loopback)
//!                                                  │ listening socket, held by the front end
//!                                                  ▼
//!                              Forwarder ── connect(index.crates.io:443) ──► the network
//! ```
//!
//! 1. [`Plan::new`] makes of a list of [`Allowed`] what the agent is asked for ([`Plan::job_network`]) and where each
//!    socket leads.
//! 2. [`Forwarder::start`] waits for the sockets on its end of a channel whose other end goes to the agent, as the job's
//!    last descriptor, and serves them in a thread of its own.
//! 3. [`Forwarder::finish`] ends that and says which connections there were.

mod address;
mod allowed;
mod dial;
mod local;
mod plan;
mod publish;
mod serve;
mod thread;

pub use address::{Reach, reach};
pub use allowed::{Allowed, AllowedError, Host};
pub use local::{LocalForwarder, open_socket};
pub use plan::{Plan, PlanError};
pub use publish::{PublishError, Publisher};
pub use serve::{Connection, Forwarder, Outcome, unreached};
