//! What is really in force, read back from the kernel: container engines ignore options that they do not
//! know, so nothing counts as enforced because it was asked for.

use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::protocol::{Enforced, encode, read_message};
use crate::passing::{WithDescriptors, send_owned};

/// What a process sees of its own world after it went through the steps of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    status: String,
    mountinfo: String,
    interfaces: Vec<String>,
    landlock_enforced: bool,
}

/// Reads this process's own world and writes it to descriptor 1.
///
/// # Errors
/// When something cannot be read: a job could not read it either.
pub fn probe(landlock_enforced: bool) -> io::Result<()> {
    let probe = Probe {
        status: fs::read_to_string("/proc/self/status")?,
        mountinfo: read_lossy("/proc/self/mountinfo")?,
        interfaces: interfaces(&fs::read_to_string("/proc/self/net/dev")?),
        landlock_enforced,
    };
    let bytes = postcard::to_stdvec(&probe).map_err(io::Error::other)?;
    // SAFETY: the caller put the file for the result under this number, and nothing else here owns it.
    let mut output: fs::File = unsafe { std::os::fd::FromRawFd::from_raw_fd(1) };
    output.write_all(&bytes)
}

/// What the agent knows from before it changed its own world.
#[derive(Debug, Default)]
pub struct Origin {
    /// `/proc/<pid>/status` of the process as which the engine started the agent, where that is another one: it stays as it
    /// was, while this one has capabilities over namespaces of its own.
    pub first: Option<fs::File>,
    /// `/proc/self/mountinfo` as the engine made it.
    pub mountinfo: String,
    /// Memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// Limit on processes.
    pub pids_limit: Option<u64>,
    /// The file in which the kernel counts whom it killed for want of memory.
    pub out_of_memory: Option<OwnedFd>,
}

/// The limits of a container whose agent begins to serve before they are in force: the kernel takes its time to move a process into a
/// group (cgroups(7)). Until then no job is started.
#[derive(Debug)]
pub struct Coming(UnixStream);

impl Coming {
    /// Limits that come on this.
    pub fn on(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// Says what is in force from now on, with the file in which the kernel counts whom it killed, if there is one.
    ///
    /// # Errors
    /// When the agent is gone.
    pub fn say(
        stream: &UnixStream,
        memory: Option<u64>,
        pids: Option<u64>,
        out_of_memory: Option<OwnedFd>,
    ) -> io::Result<()> {
        let bytes = encode(&(memory, pids))?;
        send_owned(stream, &bytes, out_of_memory.as_slice())
    }

    /// Waits for them.
    ///
    /// # Errors
    /// When nobody will say them any more.
    pub fn take(&self, origin: &mut Origin) -> io::Result<()> {
        let mut reader = WithDescriptors::of(&self.0);
        (origin.memory_limit, origin.pids_limit) = read_message(&mut reader)?;
        origin.out_of_memory = reader.descriptors.pop();
        // The group is the top of the tree that the container sees from now on; without, it sees a path of the host.
        // SAFETY: this flag changes nothing that Rust code relies on.
        let _kept = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) };
        Ok(())
    }
}

impl Origin {
    /// Reads it now, from inside the container.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn read() -> io::Result<Self> {
        let limit = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| limit_of(&fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?))
        };
        let events = ["memory.events", "memory/memory.oom_control"];
        Ok(Self {
            first: Some(fs::File::open("/proc/self/status")?),
            mountinfo: read_lossy("/proc/self/mountinfo")?,
            // Version 2 of cgroups, then version 1: a container sees its own group at the top.
            memory_limit: limit(&["memory.max", "memory/memory.limit_in_bytes"]),
            pids_limit: limit(&["pids.max", "pids/pids.max"]),
            out_of_memory: events
                .iter()
                .find_map(|name| fs::File::open(format!("/sys/fs/cgroup/{name}")).ok().map(OwnedFd::from)),
        })
    }
}

/// A cgroup's limit; `None` for `max` and for the number near 2^63 by which version 1 says the same.
pub fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < 1 << 62)
}

/// Puts together what the broker gets to read.
pub fn enforced(origin: &Origin, probe: Probe, landlock_abi: i32, process_tree: &str) -> Enforced {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let first = |mut status: &fs::File| {
        let mut text = String::new();
        status.rewind().and_then(|()| status.read_to_string(&mut text)).map(|_| text)
    };
    Enforced {
        // What cannot be read is not believed.
        first_status: origin
            .first
            .as_ref()
            .map_or_else(|| read("/proc/self/status"), |status| first(status).unwrap_or_default()),
        job_status: probe.status,
        job_mountinfo: probe.mountinfo,
        agent_status: read("/proc/self/status"),
        agent_mountinfo: origin.mountinfo.clone(),
        boot_id: read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        landlock_abi,
        landlock_enforced: probe.landlock_enforced,
        memory_limit: origin.memory_limit,
        pids_limit: origin.pids_limit,
        interfaces: probe.interfaces,
        process_tree: process_tree.to_owned(),
    }
}

/// Paths of mounts need not be UTF-8.
fn read_lossy(path: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// The names in `/proc/net/dev`: two lines of headings, then `name: numbers`.
fn interfaces(table: &str) -> Vec<String> {
    let name = |line: &str| Some(line.split_once(':')?.0.trim().to_owned());
    table.lines().skip(2).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_by_name() {
        let table = "Inter-| Receive\n face |bytes\n    lo: 0 0\n  eth0: 12 1\n";
        assert_eq!(interfaces(table), ["lo", "eth0"]);
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(limit_of("max\n"), None);
        assert_eq!(limit_of("9223372036854771712\n"), None);
        assert_eq!(limit_of("1048576\n"), Some(1 << 20));
    }
}
