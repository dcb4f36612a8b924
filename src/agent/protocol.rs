//! What the broker and the agent say to each other.
//!
//! One connection is one [`Request`]. The agent speaks first, with a [`Greeting`], so that the broker knows
//! that it talks to the right container before it sends anything. A job's descriptors come with the first
//! byte of its request (`SCM_RIGHTS`). While a job runs, each byte that the broker sends is the number of a
//! signal for it. Closing the connection ends the job: the agent kills every process of it.
//!
//! A message is a length (4 bytes, little endian) and that many bytes of [postcard].

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use crate::policy::calls::SystemCall;

use super::moments::Moments;
use super::observe::Closeness;

/// Raised whenever a message changes its meaning. Broker and agent are the same executable, so they differ
/// only when a container outlives an upgrade; the container is then replaced.
pub const PROTOCOL_VERSION: u32 = 7;

/// Longest message that is accepted, in bytes. Linux limits argv and environment together to 6 MiB.
pub const MAX_MESSAGE: usize = 16 << 20;

/// Few messages are longer, in bytes.
const FEW_ARE_LONGER: usize = 16 << 10;

/// Most descriptors that one job may have (`SCM_MAX_FD` in the kernel is 253).
pub const MAX_DESCRIPTORS: usize = 64;

/// The agent's socket inside the container's directory ([`crate::container::ContainerSpec::directory`]).
pub const AGENT_SOCKET: &str = "agent.sock";

/// What the agent says first on every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// [`PROTOCOL_VERSION`] of the agent.
    pub version: u32,
    /// What the container was made to ([`crate::container::ContainerSpec::fingerprint`]).
    pub fingerprint: String,
}

/// What the broker asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Run one job; answered by [`Reply::Exited`] or [`Reply::Failed`].
    Run(Box<JobSpec>),
    /// Connect to a port of the container's loopback, and send the connection through the descriptor that comes with
    /// this, a Unix socket (`SCM_RIGHTS`); answered by [`Reply::Connected`] or [`Reply::Failed`].
    Connect(u16),
    /// Tell what is enforced; answered by [`Reply::Enforced`].
    Report,
    /// End as soon as no job runs; answered by [`Reply::Stopping`].
    Stop,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The job ended, and every process of it is dead.
    Exited {
        /// As `waitpid(2)` gives it.
        wait_status: i32,
    },
    /// The job was ended by a limit, and every process of it is dead.
    Exceeded(Exceeded),
    /// The job did not start, or could not be confined, and nothing of it runs.
    Failed {
        /// The step that failed, in words, with the reason.
        message: String,
        /// The `errno` of that step; `ENOENT` and `EACCES` from `execve(2)` mean what they mean to a shell.
        errno: i32,
        /// Whether the step was the `execve(2)` of the job itself (the program is missing or not executable).
        at_exec: bool,
    },
    /// Nothing yet: what is sent on this connection goes to the process that becomes the job, without a turn of the agent's. May
    /// come once, at any time before the job's end.
    Ready,
    /// No end yet, but right before it: when the job came how far, where it is [timed](JobSpec::timed).
    Moments(Moments),
    /// No end yet: the job has stopped, as terminals have jobs do, until it is sent `SIGCONT`. May come several
    /// times.
    Suspended,
    /// What the kernel says of the agent and of a job's world.
    Enforced(Box<Enforced>),
    /// The connection has been sent.
    Connected,
    /// The agent accepts nothing more and ends with its last job.
    Stopping,
}

/// One job: resolved, validated and owned. Every path is absolute and the same inside and outside. By default it may nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The file to execute.
    pub program: Vec<u8>,
    /// Arguments, `argv[0]` included; bytes, since Unix does not ask for UTF-8.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment, each `NAME=value`.
    pub env: Vec<Vec<u8>>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// The number that each received descriptor gets in the job, in the order in which they came.
    pub descriptors: Vec<i32>,
    /// Files that are put below [`JOB_FILES`] before the job starts: name and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the job may touch, beyond its private `/tmp`. Empty directories of the table in the documentation
    /// are not implied: what is not listed is refused.
    pub access: Vec<Access>,
    /// Layers over directories. Where the kernel makes no such layer they stay as the container shows them.
    pub layered: Vec<Layered>,
    /// The job's `umask(2)`: cargo's, so that files get the modes that they have without a container.
    pub umask: u32,
    /// Which of [`Self::descriptors`] is a terminal made for this job, to control its session. Never the user's.
    pub terminal: Option<i32>,
    /// Let the job make Unix sockets. A socket of the host's in a directory that the container shows can be
    /// connected to, whatever the job may read there, unless the kernel's Landlock knows that right (Linux 7.1).
    pub local_sockets: bool,
    /// What the job may use up.
    pub budget: Budget,
    /// A network of the job's own, in which some names lead out. `None`: it has that of the container, a loopback that
    /// leads nowhere. Behind the job's descriptors then comes one more, a Unix socket, on which the agent sends the
    /// listening sockets (`SCM_RIGHTS`), in their order, before the job starts.
    pub network: Option<JobNetwork>,
    /// Paths at which Unix sockets listen that lead out, in the job's own view of files. Where there are any, one more
    /// descriptor comes behind the network's, on which the agent sends them as it does those. The job may make Unix sockets
    /// then ([`Self::local_sockets`]).
    pub sockets: Vec<Vec<u8>>,
    /// System calls that the filter refuses to other jobs.
    pub system_calls: Vec<SystemCall>,
    /// Tell what it asks the kernel for. The file that the record is written to comes last, behind all other descriptors;
    /// the job does not get it.
    pub observe: Option<Closeness>,
    /// Tell when it came how far ([`Reply::Moments`]).
    pub timed: bool,
}

/// A directory with a layer over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layered {
    /// The directory.
    pub directory: Vec<u8>,
    /// What is over it.
    pub layer: Layer,
}

impl Layered {
    /// A layer over this directory.
    pub fn new(directory: &Path, layer: Layer) -> Self {
        Self { directory: directory.as_os_str().as_bytes().to_vec(), layer }
    }
}

/// What is over a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// The job may write there as if the directory were its own; what it writes is gone with it.
    Lost,
    /// The same, but what it writes is kept in this directory, which nothing else uses at the time.
    Kept(Vec<u8>),
    /// What an earlier job's layer has kept in this directory, read-only.
    Shown(Vec<u8>),
}

/// A loopback of one job's own, and what is on it. Whoever holds the listening sockets decides where connections lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNetwork {
    /// The whole content of the job's `/etc/hosts`.
    pub hosts: String,
    /// Where something listens. An address that is none of loopback's is added to it.
    pub listeners: Vec<SocketAddr>,
}

/// Most sockets that one job's network may have: so many descriptors go into one message.
pub const MAX_LISTENERS: usize = 64;

/// What a job may use up before it is ended; `None`: as much as it likes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Time, in seconds.
    pub seconds: Option<u64>,
    /// Bytes written to disk, in all.
    pub disk_writes: Option<u64>,
    /// Bytes of memory, where it is to be less than the container's.
    pub memory: Option<u64>,
    /// Processes and threads, where there are to be fewer than others may have.
    pub processes: Option<u64>,
    /// Open files of each process, where there are to be fewer.
    pub open_files: Option<u64>,
    /// Bytes of each file, where there are to be fewer.
    pub file_size: Option<u64>,
}

/// The limit that ended a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exceeded {
    /// Memory; where the kernel has ended it, the limit is the container's.
    Memory {
        /// Bytes, where the agent knows.
        limit: Option<u64>,
    },
    /// Processes and threads of the job.
    Processes {
        /// So many were there.
        found: u64,
        /// So many may be.
        limit: u64,
    },
    /// Size of a file.
    FileSize {
        /// Bytes, where the agent knows.
        limit: Option<u64>,
    },
    /// Bytes written to disk.
    DiskWrites {
        /// Bytes.
        limit: u64,
    },
    /// Free space where jobs write.
    FreeSpace {
        /// So many bytes were left.
        free: u64,
        /// So many must be.
        limit: u64,
    },
    /// Time.
    Time {
        /// So long it was allowed to run.
        seconds: u64,
    },
}

/// Where the files of [`JobSpec::files`] are, in the job's private `/tmp`.
pub const JOB_FILES: &str = "/tmp/.cargo-sandbox";

/// The job's `HOME`: empty, private, gone with the job.
pub const JOB_HOME: &str = "/tmp/.home";

/// One line of a job's Landlock rules: a path (a file or a whole directory) and what is allowed beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// An absolute path. A path that does not exist is left out: nothing is there to be allowed.
    pub path: Vec<u8>,
    /// What is allowed.
    pub rights: Rights,
}

impl Access {
    /// Whether it lets read and execute a directory that every job may.
    pub(super) fn is_common(&self, directory: &Path) -> bool {
        self.rights == Rights::ReadExecute && self.path == directory.as_os_str().as_bytes()
    }
}

/// The rights of an [`Access`]. Reading includes listing directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rights {
    /// Read only.
    Read,
    /// Read and execute.
    ReadExecute,
    /// Read and write regular files and directories; no links, fifos, sockets or devices: for directories in
    /// which cargo itself reads or writes.
    WritePlain,
    /// As [`Rights::WritePlain`], and execute, and make symbolic links, fifos and sockets: for directories
    /// that belong to the job alone (`OUT_DIR`).
    WriteAll,
    /// Connect to the Unix socket, where the kernel has a say in that (Linux 7.1).
    Connect,
}

/// [`Enforced::process_tree`] where jobs share the container's `/proc` and `/tmp`.
pub const SUBREAPER: &str = "subreaper";

/// What is really in force, read back from the kernel by the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// `/proc/self/status` of a probe that went through the same steps as a job.
    pub job_status: String,
    /// `/proc/self/mountinfo` of that probe.
    pub job_mountinfo: String,
    /// `/proc/<pid>/status` of the process as which the engine started the agent.
    pub first_status: String,
    /// `/proc/self/status` of the agent.
    pub agent_status: String,
    /// `/proc/self/mountinfo` of the agent as the engine made it, before the agent changed anything.
    pub agent_mountinfo: String,
    /// The kernel's boot id: equal to the host's unless the engine runs on another kernel.
    pub boot_id: String,
    /// The Landlock ABI that the kernel offers; 0 where there is none.
    pub landlock_abi: i32,
    /// Whether Landlock restricted the probe fully.
    pub landlock_enforced: bool,
    /// Memory limit in bytes that binds the container, where the agent can see one.
    pub memory_limit: Option<u64>,
    /// Limit on the number of processes that binds the container, where the agent can see one.
    pub pids_limit: Option<u64>,
    /// Names of the network interfaces that the probe sees.
    pub interfaces: Vec<String>,
    /// How a job's process tree is ended.
    pub process_tree: String,
}

/// Writes one message.
///
/// # Errors
/// When the stream refuses, or the message is longer than [`MAX_MESSAGE`].
pub fn write_message<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    stream.write_all(&encode(message)?)
}

/// The bytes of one message, its length first.
///
/// # Errors
/// When the message is longer than [`MAX_MESSAGE`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    if body.len() > MAX_MESSAGE {
        return Err(io::Error::other(format!("a message of {} bytes is too long", body.len())));
    }
    let mut bytes = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Reads one message.
///
/// # Errors
/// `UnexpectedEof` when the other side is gone; `InvalidData` when what came is no such message.
pub fn read_message<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    // Grown as bytes come, so that a length alone cannot make this process allocate more than most messages need.
    let mut body = Vec::with_capacity(length.min(FEW_ARE_LONGER));
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was_sent() {
        let message = Reply::Failed { message: "exec".into(), errno: 2, at_exec: true };
        let bytes = encode(&message).unwrap();
        assert_eq!(read_message::<Reply>(&mut bytes.as_slice()).unwrap(), message);
    }

    #[test]
    fn a_cut_message_is_an_end_of_file() {
        let bytes = encode(&Request::Report).unwrap();
        for end in 0..bytes.len() {
            let error = read_message::<Request>(&mut &bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
        let error = read_message::<Request>(&mut [0xff; 8].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
