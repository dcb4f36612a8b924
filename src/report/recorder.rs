//! Collects, while a command runs, what its jobs did and what was refused to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::agent::observe::{Act, Closeness, Event, Reach};
use crate::agent::protocol::Access;

use crate::mountinfo;

use super::denial::{self, Denial, Sort};
use super::explain::{self, MOST, Subject};
use super::files::PROPOSED;
use super::package::{Locked, PackageId};
use super::places::Places;
use super::record::{Program, Record, Source, Variables, is_compilers};
use super::remedy::Remedy;
use crate::policy::kind::Kind;
use crate::policy::network::Network;
use crate::policy::paths;

/// What is collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Of jobs that fail, what was refused to them.
    #[default]
    Failures,
    /// Of every job, all that is written down.
    Audit,
    /// As [`Mode::Audit`], and what every job only looked for.
    Learn,
}

/// What is collected of one command.
#[derive(Debug)]
pub struct Recorder {
    mode: Mode,
    /// Name all denials.
    all: bool,
    home: PathBuf,
    /// Names of the variables that the user has.
    environment: BTreeSet<String>,
    /// Where the kernel mounts what is asked for: nothing there is looked for by a job's wish.
    automatic: Vec<PathBuf>,
    /// What a policy can grant depends on.
    grounds: paths::Places,
    /// The file that a policy is suggested for.
    policy: PathBuf,
    /// Read with the first job: before that, cargo may not have written it.
    locked: OnceLock<Locked>,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    records: BTreeMap<(PackageId, Kind), Record>,
    failed: BTreeMap<Subject, BTreeSet<Denial>>,
    refused: BTreeMap<Subject, BTreeSet<Denial>>,
}

/// A job that is over, as far as the broker knows it.
#[derive(Debug)]
pub struct Finished<'a> {
    /// Whose it was.
    pub package: PackageId,
    /// Whose code that is.
    pub source: Source,
    /// What it was.
    pub kind: Kind,
    /// What it was allowed.
    pub access: &'a [Access],
    /// What it may reach.
    pub network: &'a Network,
    /// Names of the variables that it had.
    pub variables: Variables,
    /// Names of directories.
    pub places: Places,
    /// What was seen of it.
    pub events: &'a [Event],
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub exit: String,
}

/// Directories with the system's own files, which every program reads.
const SYSTEM: &[&str] = &["/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt"];

/// Files that the loader, the C library and shells read for every program.
const EVERYBODYS: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/openssl.cnf",
];

/// Places that are a job's own, or what it is there to read.
const OWN: &[&str] = &["{package}", "{toolchain}", "{out}", "{tmp}", "{sandbox}"];

/// What a compiler is there to read beside that.
const OF_COMPILERS: &[&str] = &["{build}", "{crates}", "{git}", "{vendored}"];

/// Longest argument that is written down, and most arguments.
const MAX_ARGUMENT: usize = 200;
const MAX_ARGUMENTS: usize = 16;

/// Most different commands of a program that are written down.
const MAX_COMMANDS: usize = 200;

impl Recorder {
    /// For a command in the project of such places; `home` is the user's home directory as it is written, `environment` the
    /// names of the user's variables.
    pub fn new(
        mode: Mode,
        all: bool,
        grounds: paths::Places,
        home: &Path,
        environment: BTreeSet<String>,
    ) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mountinfo::parse(&mounts).into_iter();
        let automatic = mounts.filter(|mount| mount.kind == "autofs").map(|mount| mount.target).collect();
        Self {
            mode,
            all,
            home: home.to_owned(),
            environment,
            automatic,
            grounds,
            policy: PROPOSED.into(),
            locked: OnceLock::new(),
            found: Mutex::default(),
        }
    }

    /// Suggests what would allow something for another file than the project's.
    #[must_use]
    pub fn suggesting_for(self, file: &Path) -> Self {
        Self { policy: file.to_owned(), ..self }
    }

    /// How closely every job is looked at from the start, if it is.
    pub fn closeness(&self) -> Option<Closeness> {
        match self.mode {
            Mode::Failures => None,
            Mode::Audit => Some(Closeness::Record),
            Mode::Learn => Some(Closeness::Refusals),
        }
    }

    /// The user's home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Takes a job; returns what is to be said of it at once, where nobody says it in the end.
    pub fn take(&self, job: &Finished<'_>, failed: bool) -> Option<String> {
        let macros = if job.kind == Kind::Compile { self.macros(job) } else { BTreeSet::new() };
        let is_automatic = |path: &Path| self.automatic.iter().any(|mount| path.starts_with(mount));
        let on_host = |path: &Path| !is_automatic(path) && path.symlink_metadata().is_ok();
        let mut denials = denial::find(job.events, job.access, job.network, on_host);
        let withheld = job.variables.asked.difference(&job.variables.passed);
        denials.extend(withheld.filter(|name| self.environment.contains(*name)).map(|name| Denial {
            sort: Sort::Env,
            what: name.clone(),
            note: "you have it, and it is not passed on".to_owned(),
        }));
        let subject = Subject { package: job.package.clone(), kind: job.kind, macros };
        let said = (failed && !denials.is_empty()).then(|| self.explain(&subject, &denials));
        let mut found = self.found();
        if !denials.is_empty() {
            found.refused.entry(subject.clone()).or_default().extend(denials.iter().cloned());
            if failed {
                found.failed.entry(subject.clone()).or_default().extend(denials.iter().cloned());
            }
        }
        if self.mode != Mode::Failures {
            let record = record(job, subject.macros, denials);
            for record in self.of_macros(&record).into_iter().chain([record]) {
                let key = (record.package.clone(), record.kind);
                match found.records.entry(key) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut().add(record),
                    std::collections::btree_map::Entry::Vacant(new) => drop(new.insert(record)),
                }
            }
        }
        said
    }

    /// What was refused to jobs that failed, in words.
    pub fn explained(&self) -> Vec<String> {
        self.found().failed.iter().map(|(subject, denials)| self.explain(subject, denials)).collect()
    }

    /// All that was refused, to whomever.
    pub fn refused(&self) -> BTreeMap<Subject, BTreeSet<Denial>> {
        self.found().refused.clone()
    }

    /// What it would take to allow something of it.
    pub fn remedy(&self, denial: &Denial) -> Remedy {
        Remedy::of(denial, &self.grounds)
    }

    /// What is written down.
    pub fn records(&self) -> Vec<Record> {
        self.found().records.values().cloned().collect()
    }

    fn explain(&self, subject: &Subject, denials: &BTreeSet<Denial>) -> String {
        let most = if self.all { usize::MAX } else { MOST };
        explain::explain(subject, denials, most, &self.grounds, &self.policy)
    }

    fn locked(&self) -> &Locked {
        self.locked.get_or_init(|| Locked::read(&self.grounds.root))
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The procedural macros that a compiler loaded: it opens their libraries where it built them.
    fn macros(&self, job: &Finished<'_>) -> BTreeSet<String> {
        let libraries = job.events.iter().filter_map(|event| match event {
            Event::File { act: Act::Read, path, found: true } => {
                let path = Path::new(OsStr::from_bytes(path));
                let own = job.places.name(path);
                let name = own.rsplit('/').next()?.strip_prefix("lib")?.strip_suffix(".so")?;
                own.starts_with("{build}/").then(|| self.locked().of_library(name).to_string())
            }
            _ => None,
        });
        libraries.collect()
    }

    /// What a compiler did that none does by itself is written down for each macro that it ran, too.
    fn of_macros(&self, of: &Record) -> Vec<Record> {
        let mut part = of.clone();
        part.kind = Kind::Macro;
        part.programs = of.unusual_programs().cloned().collect();
        part.variables = Variables::default();
        part.macros = BTreeSet::new();
        // How much of the compiler's it used is not known.
        (part.seconds, part.processor_seconds, part.peak_memory) = (0.0, 0.0, 0);
        let named = |name: &String| {
            let (name, version) = name.split_once(' ').unwrap_or((name, ""));
            PackageId { name: name.to_owned(), version: version.to_owned() }
        };
        let of_one = |name: &String| {
            let package = named(name);
            let own = self.locked().is_local(&package);
            let source = if own { Source::Workspace } else { Source::Dependency };
            Record { package, source, ..part.clone() }
        };
        of.macros.iter().map(of_one).collect()
    }
}

fn record(job: &Finished<'_>, macros: BTreeSet<String>, refused: BTreeSet<Denial>) -> Record {
    let mut record = Record::new(job.package.clone(), job.source, job.kind);
    record.jobs = 1;
    record.macros = macros;
    record.refused = refused;
    record.variables = job.variables.clone();
    record.seconds = job.took.as_secs_f64();
    record.exits.insert(job.exit.clone());
    record.complete = false;
    let own = |name: &str, list: &[&str]| {
        list.iter().any(|place| name == *place || name.starts_with(&format!("{place}/")))
    };
    let network = &mut record.network;
    let mut cut = false;
    for event in job.events {
        match event {
            Event::File { act, path, found } => {
                let path = Path::new(OsStr::from_bytes(path));
                let name = job.places.name(path);
                match act {
                    Act::Read => {
                        let usual = own(&name, OWN)
                            || SYSTEM.iter().any(|system| Path::new(&name).starts_with(system))
                            || ["/proc", "/dev", "/sys"].iter().any(|special| path.starts_with(special))
                            || EVERYBODYS.contains(&name.as_str())
                            || (job.kind != Kind::BuildScript && own(&name, OF_COMPILERS))
                            || (job.source == Source::Workspace && own(&name, &["{workspace}"]));
                        if *found && !usual {
                            record.reads.insert(name);
                        }
                    }
                    Act::Write | Act::Make | Act::Remove => {
                        let is_compiler = matches!(job.kind, Kind::Compile | Kind::Rustdoc | Kind::Doctest);
                        let usual = own(&name, &["{out}", "{tmp}", "{sandbox}"])
                            || ["/proc", "/dev"].iter().any(|special| path.starts_with(special))
                            || (is_compiler && own(&name, &["{build}", "{target}"]));
                        if !usual {
                            record.writes.insert(name);
                        }
                    }
                    Act::Look => {}
                }
            }
            Event::Program { path, argv, found: true } => {
                let path = job.places.name(Path::new(OsStr::from_bytes(path)));
                let argument = |argument: &Vec<u8>| {
                    let text = job.places.in_text(&String::from_utf8_lossy(argument));
                    let mut short: String = text.chars().take(MAX_ARGUMENT).collect();
                    if short.len() < text.len() {
                        short.push('…');
                    }
                    short
                };
                // What compilers tell their linkers is the same for all, and long.
                let usual = job.kind != Kind::BuildScript && is_compilers(&path);
                let kept = if usual { 0 } else { MAX_ARGUMENTS };
                let arguments = argv.iter().skip(1).take(kept).map(argument).collect();
                if record.programs.len() < MAX_COMMANDS {
                    record.programs.insert(Program { path, arguments });
                }
            }
            Event::Program { .. } => {}
            Event::Address { reach: Reach::Connect, address } => {
                // To a name server, which the names are told of.
                if !address.ends_with(":53") && address != "unix:/var/run/nscd/socket" {
                    network.connects.insert(address.clone());
                }
            }
            Event::Address { reach: Reach::Listen, address } => drop(network.listens.insert(address.clone())),
            Event::Lookup(name) => drop(network.names.insert(name.clone())),
            Event::Refused { .. } => {}
            Event::Full => cut = true,
            Event::End { user, system, peak } => {
                record.processor_seconds = Duration::from_micros(user.saturating_add(*system)).as_secs_f64();
                record.peak_memory = *peak;
                record.complete = true;
            }
        }
    }
    record.complete &= !cut;
    // What it did not get it wanted all the same.
    for denial in &record.refused {
        let name = job.places.name(Path::new(&denial.what));
        match denial.sort {
            Sort::Read | Sort::Socket => drop(record.reads.insert(name)),
            Sort::Write | Sort::Make => drop(record.writes.insert(name)),
            Sort::Execute => drop(record.programs.insert(Program { path: name, arguments: Vec::new() })),
            Sort::Network | Sort::Call | Sort::Env => {}
        }
    }
    record
}
