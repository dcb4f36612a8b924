//! The jobs that run now, for what concerns all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agent::client::AgentConnection;

static RUNNING: Mutex<Vec<Arc<AgentConnection>>> = Mutex::new(Vec::new());

/// A job that runs for as long as this lives.
#[derive(Debug)]
pub struct Running(Arc<AgentConnection>);

impl Running {
    /// Adds one.
    pub fn new(agent: Arc<AgentConnection>) -> Self {
        all().push(Arc::clone(&agent));
        Self(agent)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        all().retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

/// Sends every job a signal.
pub fn signal_all(signal: i32) {
    for agent in all().iter() {
        // One that is ending needs none.
        let _ = agent.signal(signal);
    }
}

fn all() -> MutexGuard<'static, Vec<Arc<AgentConnection>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
