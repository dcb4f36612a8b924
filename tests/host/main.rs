//! What the host executes, and what a variable can do to it: proofs from outside, by strace and by bytes.

mod executed;
mod hostile;
mod planted_library;
mod static_wrapper;
#[path = "../support/mod.rs"]
mod support;
