//! What of a job's requests was refused: found in what it asked for and what it may do.
//!
//! The kernel's answers are not seen. They follow from the rules: a path is refused where none of the job's rules covers
//! it, and it matters only if something is there: in the container, or, hidden from jobs, on this machine. What is
//! nowhere is no denial but a file that does not exist.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::observe::{Act, Event, Reach, calls};
use crate::agent::protocol::{Access, Rights};
use crate::policy::network::Network;

/// What kind of thing was refused; the first is what matters most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// A host and a port.
    Network,
    /// A file that it wanted to make, change or remove.
    Write,
    /// A directory that it wanted to make.
    Make,
    /// A system call.
    Call,
    /// A program.
    Execute,
    /// A file that it wanted to read.
    Read,
    /// A Unix socket of the host's.
    Socket,
    /// An environment variable that the user has and it has not.
    Env,
}

impl Sort {
    fn words(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Write => "write",
            Self::Make => "make a directory",
            Self::Call => "system call",
            Self::Execute => "execute",
            Self::Read => "read",
            Self::Socket => "socket",
            Self::Env => "variable",
        }
    }
}

/// One thing that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Denial {
    /// What kind of thing.
    pub sort: Sort,
    /// Which: `host:port`, a path of this machine, the name of a system call.
    pub what: String,
    /// What else is known; empty for nothing.
    pub note: String,
}

impl Denial {
    /// What kind of thing it is, in words.
    pub fn words(&self) -> &'static str {
        self.sort.words()
    }
}

/// Private to each job, or the kernel's own.
const PRIVATE: &[&str] = &["/tmp", "/dev", "/proc", "/sys"];

/// What the C library and programs look for by themselves, whatever they are used for, and do without.
const LOOKED_FOR: &[(&str, &str)] = &[
    ("/etc/ld.so.preload", "the loader"),
    ("/etc/gai.conf", "looking up names"),
    ("/etc/host.conf", "looking up names"),
    ("/etc/resolv.conf", "looking up names"),
    ("/etc/localtime", "the time of day"),
    ("/etc/services", "looking up names"),
    ("/etc/ssl/openssl.cnf", "libraries for TLS"),
    ("/etc/inputrc", "shells"),
    ("/etc/gitconfig", "git"),
    ("/etc/mime.types", "programs that serve files"),
    ("/var/run/nscd", "looking up names and users"),
    ("/run/nscd", "looking up names and users"),
    ("/var/lib/sss", "looking up users"),
    ("/run/systemd", "looking up names and users"),
];

/// The port that is assumed where a name could not even be looked up.
const ASSUMED_PORT: u16 = 443;

/// What of a job's requests was refused. `on_host` says whether something is at a path of this machine.
pub fn find(
    events: &[Event],
    access: &[Access],
    network: &Network,
    on_host: impl Fn(&Path) -> bool,
) -> BTreeSet<Denial> {
    let rules = Rules::new(access);
    let listens = events.iter().any(|event| matches!(event, Event::Address { reach: Reach::Listen, .. }));
    let started: BTreeSet<&OsStr> = events
        .iter()
        .filter_map(|event| match event {
            Event::Program { path, found: true, .. } => Path::new(OsStr::from_bytes(path)).file_name(),
            _ => None,
        })
        .collect();
    let mut found = BTreeSet::new();
    let mut add = |sort, what: String, note: &str| {
        found.insert(Denial { sort, what, note: note.to_owned() });
    };
    for event in events {
        match event {
            Event::File { act, path, found } => {
                let path = Path::new(OsStr::from_bytes(path));
                if is_ignored(path) && !rules.names(path) {
                    continue;
                }
                let there = *found || on_host(path);
                let note = if *found { "" } else { HIDDEN };
                match act {
                    Act::Read if !rules.allow(path, Need::Read) && there => {
                        add(Sort::Read, path.display().to_string(), note);
                    }
                    // Asking whether something is there is refused by nobody, where it is shown at all.
                    Act::Look if !*found && there && !rules.allow(path, Need::Read) => {
                        add(Sort::Read, path.display().to_string(), note);
                    }
                    // Nobody makes what is there.
                    Act::Make if *found => {}
                    // Where not even the directory is, nothing can be made with or without a sandbox.
                    Act::Write | Act::Make | Act::Remove
                        if !rules.allow(path, Need::Write)
                            && (there || (*act != Act::Remove && path.parent().is_some_and(&on_host))) =>
                    {
                        let sort = if *act == Act::Make && !there { Sort::Make } else { Sort::Write };
                        add(sort, path.display().to_string(), "");
                    }
                    _ => {}
                }
            }
            Event::Program { path, found, .. } => {
                let path = Path::new(OsStr::from_bytes(path));
                let note = if *found { "" } else { HIDDEN };
                // One that is found further on in `PATH` is not missed here.
                let elsewhere = started.contains(path.file_name().unwrap_or_default()) && !*found;
                let refused = !rules.allow(path, Need::Execute) && !is_ignored(path) && !elsewhere;
                if refused && (*found || on_host(path)) {
                    add(Sort::Execute, path.display().to_string(), note);
                }
            }
            Event::Address { reach: Reach::Connect, address } => {
                if let Some(socket) = address.strip_prefix("unix:") {
                    let path = Path::new(socket);
                    if path.is_absolute()
                        && !is_ignored(path)
                        && on_host(path)
                        && !rules.allow(path, Need::Read)
                    {
                        add(Sort::Socket, socket.to_owned(), "");
                    }
                } else if allows(network, address) {
                } else if is_loopback(address) {
                    // Its own loopback, where the host's servers are not. One that listens itself talks to itself.
                    if !listens && !address.ends_with(":53") {
                        add(Sort::Network, address.clone(), "the loopback of jobs is their own");
                    }
                } else if !address.ends_with(":53") && !address.ends_with(":0") {
                    add(Sort::Network, address.clone(), "");
                }
            }
            Event::Lookup(name) if allows_host(network, name) => {}
            Event::Lookup(name) => match port_of(name, events) {
                Some(port) => add(Sort::Network, format!("{name}:{port}"), ""),
                None => add(Sort::Network, format!("{name}:{ASSUMED_PORT}"), "the port is a guess"),
            },
            Event::Refused { number, .. } => add(Sort::Call, calls::name(*number), ""),
            Event::Address { reach: Reach::Listen, .. } | Event::Full | Event::End { .. } => {}
        }
    }
    found
}

/// Whether a policy lets the job reach this address, or this name, with its port.
fn allows(network: &Network, address: &str) -> bool {
    match network {
        Network::Host => true,
        Network::Only(list) => list.iter().any(|endpoint| endpoint.to_string() == address),
        Network::None | Network::Loopback => false,
    }
}

/// Whether it may reach some port of this host.
fn allows_host(network: &Network, name: &str) -> bool {
    match network {
        Network::Host => true,
        Network::Only(list) => list.iter().any(|endpoint| endpoint.host.to_string() == name),
        Network::None | Network::Loopback => false,
    }
}

const HIDDEN: &str = "there, and hidden from jobs";

fn is_ignored(path: &Path) -> bool {
    let looked_for = LOOKED_FOR.iter().map(|(path, _)| path);
    // Directories above of what is shown are looked through on the way to it.
    path.parent().is_none() || PRIVATE.iter().chain(looked_for).any(|ignored| path.starts_with(ignored))
}

fn is_loopback(address: &str) -> bool {
    address.starts_with("127.") || address.starts_with("[::1]") || address.starts_with("[::ffff:127.")
}

/// The port that a name goes with in the arguments of a program (`https://name:8443/…`, `name:22`).
fn port_of(name: &str, events: &[Event]) -> Option<u16> {
    let arguments = events.iter().filter_map(|event| match event {
        Event::Program { argv, .. } => Some(argv),
        _ => None,
    });
    arguments.flatten().find_map(|argument| {
        let text = String::from_utf8_lossy(argument);
        let at = text.find(name)?;
        let scheme = text[..at]
            .strip_suffix("://")
            .and_then(|before| before.rsplit(|c: char| !c.is_ascii_alphabetic()).next());
        let behind = &text[at + name.len()..];
        let digits: String =
            behind.strip_prefix(':').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().or(match scheme {
            Some("https") => Some(443),
            Some("http") => Some(80),
            Some("ssh") => Some(22),
            Some("git") => Some(9418),
            Some("ftp") => Some(21),
            _ => None,
        })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Read,
    Write,
    Execute,
}

/// A job's rules, under the paths that they have without links as well.
struct Rules(Vec<(PathBuf, Rights)>);

impl Rules {
    fn new(access: &[Access]) -> Self {
        let written = access.iter().map(|one| (PathBuf::from(OsStr::from_bytes(&one.path)), one.rights));
        let mut all: Vec<_> = written.collect();
        let real: Vec<_> =
            all.iter().filter_map(|(path, rights)| Some((path.canonicalize().ok()?, *rights))).collect();
        all.extend(real);
        Self(all)
    }

    fn names(&self, path: &Path) -> bool {
        self.0.iter().any(|(rule, _)| path.starts_with(rule))
    }

    /// Whether one of them allows it, as Landlock adds them up.
    fn allow(&self, path: &Path, need: Need) -> bool {
        self.0.iter().filter(|(rule, _)| path.starts_with(rule)).any(|(_, rights)| match need {
            Need::Read => true,
            Need::Write => matches!(rights, Rights::WritePlain | Rights::WriteAll),
            Need::Execute => matches!(rights, Rights::ReadExecute | Rights::WriteAll),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(path: &str, rights: Rights) -> Access {
        Access { path: path.as_bytes().to_vec(), rights }
    }

    fn file(act: Act, path: &str, found: bool) -> Event {
        Event::File { act, path: path.as_bytes().to_vec(), found }
    }

    fn all(events: &[Event]) -> Vec<(Sort, String)> {
        let rules = [
            access("/usr", Rights::ReadExecute),
            access("/w/p", Rights::Read),
            access("/b/out", Rights::WriteAll),
            access("/tmp/w", Rights::Read),
        ];
        let on_host = |path: &Path| {
            ["/h/.ssh/id", "/h", "/w/p", "/h/bin/tool", "/run/docker.sock"]
                .iter()
                .any(|there| path == Path::new(there))
        };
        find(events, &rules, &Network::Loopback, on_host)
            .into_iter()
            .map(|denial| (denial.sort, denial.what))
            .collect()
    }

    #[test]
    fn what_is_there_and_not_covered_is_refused() {
        use Sort::{Execute, Make, Read, Write};
        let one = |event| all(&[event]).into_iter().next().map(|(sort, _)| sort);
        assert_eq!(one(file(Act::Read, "/h/.ssh/id", false)), Some(Read), "hidden");
        assert_eq!(one(file(Act::Look, "/h/.ssh/id", false)), Some(Read), "hidden");
        assert_eq!(one(file(Act::Read, "/srv/x", true)), Some(Read), "shown, and not covered");
        assert_eq!(one(file(Act::Look, "/srv/x", true)), None, "to look is free");
        assert_eq!(one(file(Act::Read, "/h/none", false)), None, "nowhere");
        assert_eq!(one(file(Act::Read, "/usr/include/x.h", false)), None, "a search path");
        assert_eq!(one(file(Act::Write, "/h/new", false)), Some(Write));
        assert_eq!(one(file(Act::Write, "/h/none/new", false)), None, "not even a directory");
        assert_eq!(one(file(Act::Write, "/w/p/new", false)), Some(Write), "read-only");
        assert_eq!(one(file(Act::Write, "/b/out/new", false)), None);
        assert_eq!(one(file(Act::Make, "/w/p/new", false)), Some(Make));
        assert_eq!(one(file(Act::Make, "/w/p", true)), None, "there already");
        assert_eq!(one(file(Act::Make, "/h", false)), Some(Write), "there, and hidden");
        assert_eq!(one(file(Act::Write, "/tmp/x", false)), None, "its own");
        assert_eq!(one(file(Act::Write, "/tmp/w/x", true)), Some(Write), "a project there is not its own");
        assert_eq!(one(file(Act::Remove, "/h/.ssh/id", false)), Some(Write));
        let program =
            |path: &str, found| Event::Program { path: path.as_bytes().to_vec(), argv: Vec::new(), found };
        assert_eq!(one(program("/h/bin/tool", false)), Some(Execute));
        assert_eq!(one(program("/usr/bin/x", true)), None);
        assert_eq!(
            all(&[program("/h/bin/tool", false), program("/usr/bin/tool", true)]),
            [],
            "found in PATH"
        );
        assert_eq!(one(program("/w/p/tool", true)), Some(Execute), "read, and not executed");
    }

    #[test]
    fn what_a_policy_lets_it_reach_is_not_refused() {
        let to = |address: &str| Event::Address { reach: Reach::Connect, address: address.into() };
        let events =
            [to("a.example:443"), to("127.0.0.1:80"), Event::Lookup("a.example".into()), to("192.0.2.1:443")];
        let of = |network: &Network| -> Vec<String> {
            find(&events, &[], network, |_| false).into_iter().map(|denial| denial.what).collect()
        };
        let list = ["a.example:443", "127.0.0.1:80"].map(|text| text.parse().unwrap());
        assert_eq!(of(&Network::Only(list.into())), ["192.0.2.1:443"]);
        assert!(of(&Network::Host).is_empty());
        assert_eq!(of(&Network::Loopback).len(), 4, "the name twice: the port that is asked for is a guess");
    }

    #[test]
    fn where_it_wanted_to() {
        let to = |address: &str| Event::Address { reach: Reach::Connect, address: address.into() };
        let network = |what: &str| vec![(Sort::Network, what.to_owned())];
        assert_eq!(all(&[to("192.0.2.1:443")]), network("192.0.2.1:443"));
        assert_eq!(all(&[to("127.0.0.1:53"), Event::Lookup("a.example".into())]), network("a.example:443"));
        let curl = Event::Program {
            path: b"/usr/bin/curl".to_vec(),
            argv: vec![b"curl".to_vec(), b"-sL".to_vec(), b"http://a.example:8080/x".to_vec()],
            found: true,
        };
        assert_eq!(all(&[curl, Event::Lookup("a.example".into())]), network("a.example:8080"));
        assert_eq!(all(&[to("127.0.0.1:5432")]), network("127.0.0.1:5432"));
        let listens = Event::Address { reach: Reach::Listen, address: "127.0.0.1:0".into() };
        assert_eq!(all(&[listens, to("127.0.0.1:5432")]), []);
        assert_eq!(
            all(&[to("unix:/run/docker.sock"), to("unix:/none"), to("unix:@x")]),
            [(Sort::Socket, "/run/docker.sock".into())]
        );
    }
}
