//! Why a job could not be started as it must be.

use std::io;

use serde::{Deserialize, Serialize};

use super::protocol::Reply;

/// The steps between a request and a running job, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Step {
    /// The request contradicts itself.
    #[error("the request is not valid")]
    Request,
    /// Forking into the job's own process tree.
    #[error("cannot make a process tree of its own for the job")]
    Tree,
    /// Being killed with the agent.
    #[error("cannot tie the job's life to the agent's")]
    ParentDeath,
    /// `/proc` of the job's processes alone.
    #[error("cannot mount a /proc of its own for the job")]
    Proc,
    /// The private `/tmp`.
    #[error("cannot mount a private /tmp for the job")]
    Tmp,
    /// The private `/dev/shm`.
    #[error("cannot mount a private /dev/shm for the job")]
    SharedMemory,
    /// The files that come with the request.
    #[error("cannot write the job's files")]
    Files,
    /// The network of its own.
    #[error("cannot make a network of its own for the job")]
    Network,
    /// The Unix sockets that lead out.
    #[error("cannot give the job its Unix sockets")]
    Sockets,
    /// Limits of the kernel's.
    #[error("cannot set the job's limits")]
    Limits,
    /// A process group of its own, or a session with its terminal.
    #[error("cannot give the job a process group of its own")]
    Group,
    /// Descriptors under the numbers that were asked for.
    #[error("cannot put the job's descriptors in place")]
    Descriptors,
    /// No capabilities.
    #[error("cannot drop the job's capabilities")]
    Capabilities,
    /// The working directory.
    #[error("cannot enter the job's working directory")]
    WorkingDirectory,
    /// The rules for files.
    #[error("cannot restrict the job with Landlock")]
    Landlock,
    /// The rules for system calls.
    #[error("cannot install the job's seccomp filter")]
    Seccomp,
    /// Having the job observed.
    #[error("cannot have the job observed")]
    Observe,
    /// The terminal that is its own.
    #[error("cannot give the job its terminal")]
    Terminal,
    /// The program itself.
    #[error("cannot execute")]
    Exec,
    /// Reading back what is enforced.
    #[error("cannot read back what is enforced")]
    Probe,
}

/// A step that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}{detail}: {}", io::Error::from_raw_os_error(*errno))]
pub struct Failure {
    step: Step,
    /// Empty, or a space and what the step was about.
    detail: String,
    errno: i32,
}

impl Failure {
    /// A step that the kernel refused.
    pub fn new(step: Step, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        // An error without a number carries its reason as text.
        let detail = if error.raw_os_error().is_some() { String::new() } else { format!(" ({error})") };
        Self { step, detail, errno: error.raw_os_error().unwrap_or(libc::EINVAL) }
    }

    /// A step that the kernel refused, and the thing that it was about.
    pub fn about(step: Step, what: &[u8], error: impl Into<io::Error>) -> Self {
        // Short enough, with the rest of the record, for one atomic write to a pipe.
        let what = &what[..what.len().min(1024)];
        let mut failure = Self::new(step, error);
        failure.detail = format!(" {}{}", String::from_utf8_lossy(what), failure.detail);
        failure
    }

    /// A request that contradicts itself.
    pub fn request(why: &str) -> Self {
        Self { step: Step::Request, detail: format!(" ({why})"), errno: libc::EINVAL }
    }

    /// The reply that tells the broker.
    pub fn into_reply(self) -> Reply {
        Reply::Failed { message: self.to_string(), errno: self.errno, at_exec: self.step == Step::Exec }
    }
}

/// Names the step in which an operation failed.
pub trait AtStep<T> {
    /// Turns the error into a [`Failure`] of `step`.
    ///
    /// # Errors
    /// Those of the operation.
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> AtStep<T> for Result<T, E> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, error))
    }
}
