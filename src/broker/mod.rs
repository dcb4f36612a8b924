//! The broker: takes what wrappers were given, decides what job that is and what it may do, and hands it to the
//! agent.
//!
//! Follow a request in this order: [`request`] (what came), [`identify`] (what it means), [`access`] and
//! [`environment`] (what the job gets), [`packages`] and [`grants`] (whose it is, and what a policy gives and takes), [`server`] (run it and answer), [`relay`] and [`directives`] (what a build script
//! says to cargo), [`scripts`] and [`probes`] (what is
//! kept of it), [`exceeded`] (what is said of a job that a limit ended). Nothing here believes a variable: a build script sets any of them in the wrapper
//! (`cargo::rustc-env`). Arguments and the working directory are cargo's own.

pub mod access;
pub mod directives;
pub mod environment;
pub mod escapes;
pub mod exceeded;
mod foreground;
pub mod generated;
pub mod grants;
pub mod identify;
pub mod jobserver;
pub mod messages;
pub mod nested;
pub mod network;
pub mod observation;
pub mod outputs;
pub mod packages;
pub mod probes;
pub mod profiles;
pub mod relay;
pub mod request;
pub mod running;
pub mod rustc_arguments;
pub mod scripts;
pub mod server;
pub mod session;
pub mod sockets;
pub mod terminal;
pub mod trace;
mod wait;

pub use server::Broker;
pub use session::Session;
