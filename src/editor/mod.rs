//! An editor's language server as a job: rust-analyzer, which starts cargo, build scripts and macros by itself.
//!
//! All of it is one job, in a container of its own. The macros that it loads share its confinement, so that whatever it
//! says to the editor may have been said by a macro; editors do on this machine what their language server tells them
//! to. Every message therefore goes through `gateway`:
//!
//! - `framing`: one message of the protocol, from and to a stream.
//! - `gateway`: which messages pass, in both directions.
//! - `result`: what of a message passes: commands, programs to start, changes of files.
//! - `markup`: words in which an editor finds links that start something.
//! - `runnable`, `edit`: what a program to start, and a change, may be.
//! - `registration`: what the server is told of by the editor.
//! - `places`: what the editor says of files and directories.
//! - `settings`: what the server is told of the editor's configuration.
//! - `server`: where the server's executable is.
//! - `job`: the job, and the streams between the editor and it.

mod edit;
pub mod framing;
pub mod gateway;
pub mod job;
mod markup;
mod places;
mod registration;
mod result;
mod runnable;
pub mod server;
mod settings;
