//! What many jobs, many containers and many sudden ends leave behind: nothing.
//!
//! CI runs a little of each; all of it, which takes half an hour:
//!
//! ```text
//! CSB_SOAK=full cargo test --test soak -- --nocapture --test-threads=1
//! ```
//!
//! As root, who alone may look at an agent's files and memory.

mod jobs;
mod kills;
mod restarts;
mod survey;

#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A number for CI, or the one of the whole soak.
fn rounds(few: usize, all: usize) -> usize {
    match std::env::var_os("CSB_SOAK") {
        Some(value) if value == "full" => all,
        _ => few,
    }
}

/// The tests count what is on the machine.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
