//! What one job may do: what all layers say of it, folded.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::calls::SystemCall;
use super::file::BuildScripts;
use super::kind::Kind;
use super::layers::{Layer, Place, Policy, ResolvedTable, Source};
use super::limits::LimitName;
use super::network::{Network, PublishedPort};
use super::package::{Package, Provenance};
use super::paths::PathRight;

/// Something, and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// What.
    pub value: T,
    /// Where it is said.
    pub by: Place,
}

/// What one job may do beyond what every job of its kind does, and what it may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Why it does not run, if it does not.
    pub denied: Option<Denied>,
    /// What it reaches.
    pub network: Said<Network>,
    /// Unix sockets that it may connect to.
    pub sockets: Vec<Said<PathBuf>>,
    /// What it reads, executes and writes.
    pub paths: Vec<Said<(PathRight, PathBuf)>>,
    /// Variables of the user's.
    pub env: Vec<Said<String>>,
    /// What it may use up; `None`: as much as it likes.
    pub limits: BTreeMap<LimitName, Said<Option<u64>>>,
    /// System calls beyond the default.
    pub calls: Vec<Said<SystemCall>>,
    /// Ports that this machine gets.
    pub ports: Vec<Said<PublishedPort>>,
    /// Who says that what a build script writes into its own package is kept for the compilers of that package.
    pub generates_source: Option<Place>,
    /// Variables of the loader's that a build script may set for its package.
    pub sets_env: Vec<Said<String>>,
}

/// Why a job does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// A table says so.
    Table(Place),
    /// No build script runs that is not named, or none at all.
    BuildScripts(BuildScripts, Place),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(place) => write!(f, "`deny` ({place})"),
            Self::BuildScripts(mode, place) => write!(f, "`build-scripts = \"{}\"` ({place})", mode.name()),
        }
    }
}

impl Policy {
    /// What a job of a package may do.
    pub fn effective(&self, package: &Package, kind: Kind) -> Effective {
        let built_in = |value| Said { value, by: Place::built_in() };
        let mut job = Effective {
            denied: None,
            network: Said { value: Network::Loopback, by: Place::built_in() },
            sockets: Vec::new(),
            paths: Vec::new(),
            env: Vec::new(),
            limits: self.base.limits(kind).iter().map(|(name, value)| (*name, built_in(*value))).collect(),
            calls: Vec::new(),
            ports: Vec::new(),
            generates_source: None,
            sets_env: Vec::new(),
        };
        for layer in &self.layers {
            for (name, value, by) in layer.limits(kind) {
                job.lower(name, value, by);
            }
            for table in layer.tables.iter().filter(|table| table.is_about(package, kind)) {
                job.fold(table, layer.may_widen(table, package));
            }
        }
        for (name, value) in self.base.most(kind) {
            job.lower(*name, *value, &Place::option("--sandbox-limit"));
        }
        if kind == Kind::BuildScript && job.denied.is_none() {
            job.denied = self.unlisted(package);
        }
        job
    }

    /// What a compiler may do that loads these macros as well: each macro's grants are the whole job's, since a macro
    /// runs in the compiler's own process.
    pub fn effective_with_macros(&self, package: &Package, kind: Kind, macros: &[Package]) -> Effective {
        let mut job = self.effective(package, kind);
        let mut network: Option<Said<Network>> = None;
        for package in macros {
            let own = self.effective(package, Kind::Macro);
            job.denied = job.denied.or(own.denied);
            job.sockets.extend(own.sockets);
            job.paths.extend(own.paths);
            job.env.extend(own.env);
            job.calls.extend(own.calls);
            for (name, said) in own.limits {
                let current = job.limits.get(&name).and_then(|said| said.value);
                if said.by.source.is_some() && is_less(said.value, current) {
                    job.limits.insert(name, said);
                }
            }
            if own.network.by.source.is_some() {
                network = Some(match network {
                    Some(said) if own.network.value.is_within(&said.value) => said,
                    Some(said) => Said { value: said.value.join(&own.network.value), by: own.network.by },
                    None => own.network,
                });
            }
        }
        // Less than the compiler has where all say so, and else more.
        if let Some(said) = network {
            job.network = match said.value.is_within(&job.network.value) {
                true => said,
                false => Said { value: said.value.join(&job.network.value), by: said.by },
            };
        }
        job
    }

    /// Why a package's build script does not run though no table denies it. Each layer that wants a list is content
    /// with what it lists itself, or what a later one that may widen does.
    fn unlisted(&self, package: &Package) -> Option<Denied> {
        let mut denied = None;
        for (index, layer) in self.layers.iter().enumerate() {
            let Some((mode, place)) = &layer.build_scripts else { continue };
            if layer.trusted && layer.source == Source::Repository {
                denied = None;
            }
            let listed = || {
                self.layers.iter().enumerate().any(|(other, by)| {
                    let own = other == index
                        && (by.source == Source::Repository || package.provenance == Provenance::Registry);
                    by.source != Source::Known
                        && by
                            .tables
                            .iter()
                            .any(|table| lists(table, package) && (own || by.may_widen(table, package)))
                })
            };
            let refused = match mode {
                BuildScripts::Allow => false,
                BuildScripts::AllowListed => !listed(),
                BuildScripts::Deny => true,
            };
            if refused && denied.is_none() {
                denied = Some(Denied::BuildScripts(*mode, place.clone()));
            }
        }
        denied
    }
}

/// Whether a table names a package as one whose build script runs: a table for its build script, or `allow` for all of
/// it.
pub(super) fn lists(table: &ResolvedTable, package: &Package) -> bool {
    let about = table.selector.as_ref().is_some_and(|selector| selector.matches(package));
    let allows = |all: &Option<toml::Spanned<bool>>| all.as_ref().is_some_and(|value| *value.get_ref());
    about && (table.kind == Some(Kind::BuildScript) || table.kind.is_none() && allows(&table.rules.allow))
}

impl Effective {
    /// Takes in what one table says.
    fn fold(&mut self, table: &ResolvedTable, may_widen: bool) {
        let rules = &table.rules;
        if let Some(network) = &rules.network {
            let said = network.get_ref();
            let value = if may_widen { said.clone() } else { self.network.value.meet(said) };
            if may_widen || value != self.network.value {
                self.network = Said { value, by: table.at("network") };
            }
        }
        for (key, value, denies) in [("deny", &rules.deny, true), ("allow", &rules.allow, false)] {
            let Some(value) = value else { continue };
            if *value.get_ref() == denies {
                self.denied = Some(Denied::Table(table.at(key)));
            } else if may_widen {
                self.denied = None;
            }
        }
        for (name, value) in rules.limits.iter().flat_map(|limits| limits.get_ref().0.iter()) {
            let current = self.limits.get(&name).and_then(|said| said.value);
            // What the container is made to holds for all; time and what is written are a job's own.
            let raises = may_widen && matches!(name, LimitName::WallTime | LimitName::DiskWrites);
            if raises || is_less(value, current) {
                self.limits.insert(name, Said { value, by: table.at("limits") });
            }
        }
        if let Some(generates) = rules.generates_source.as_ref().map(|value| *value.get_ref())
            && (may_widen || !generates)
        {
            self.generates_source = generates.then(|| table.at("generates-source"));
        }
        if !may_widen {
            return;
        }
        self.paths.extend(
            table
                .paths
                .iter()
                .map(|(right, path, by)| Said { value: (*right, path.clone()), by: by.clone() }),
        );
        let by = |key| table.at(key);
        let sockets = rules.sockets.iter().flat_map(|sockets| sockets.get_ref());
        self.sockets.extend(
            sockets.map(|socket| Said { value: socket.get_ref().path().to_owned(), by: by("sockets") }),
        );
        let env = rules.env.iter().flat_map(|env| env.get_ref());
        self.env.extend(env.map(|name| Said { value: name.get_ref().name().to_owned(), by: by("env") }));
        let calls = rules.seccomp.iter().flat_map(|calls| calls.get_ref());
        self.calls.extend(calls.map(|call| Said { value: *call, by: by("seccomp") }));
        let ports = rules.ports.iter().flat_map(|ports| ports.get_ref());
        self.ports.extend(ports.map(|port| Said { value: *port.get_ref(), by: by("ports") }));
        let sets = rules.sets_env.iter().flat_map(|sets| sets.get_ref());
        self.sets_env
            .extend(sets.map(|name| Said { value: name.get_ref().name().to_owned(), by: by("sets-env") }));
    }

    /// Lowers a limit where it is higher.
    fn lower(&mut self, name: LimitName, value: Option<u64>, by: &Place) {
        if is_less(value, self.limits.get(&name).and_then(|said| said.value)) {
            self.limits.insert(name, Said { value, by: by.clone() });
        }
    }

    /// Whether the other allows all that this one does.
    pub fn is_within(&self, other: &Self) -> bool {
        let denied = other.denied.is_none() || self.denied.is_some();
        let network = self.network.value.is_within(&other.network.value);
        let limits = self.limits.iter().all(|(name, said)| {
            let most = other.limits.get(name).and_then(|said| said.value);
            said.value == most || is_less(said.value, most)
        });
        denied
            && network
            && limits
            && within(&self.sockets, &other.sockets)
            && within(&self.paths, &other.paths)
            && within(&self.env, &other.env)
            && within(&self.calls, &other.calls)
            && within(&self.ports, &other.ports)
            && within(&self.sets_env, &other.sets_env)
            && (self.generates_source.is_none() || other.generates_source.is_some())
    }
}

fn within<T: PartialEq>(some: &[Said<T>], all: &[Said<T>]) -> bool {
    some.iter().all(|one| all.iter().any(|other| other.value == one.value))
}

/// Whether one limit is lower; `None` is no limit.
pub(super) fn is_less(one: Option<u64>, other: Option<u64>) -> bool {
    one.is_some_and(|one| other.is_none_or(|other| one < other))
}

impl Layer {
    /// Whether anything in it keeps jobs from what others may do, so that to say the default is to widen.
    pub(super) fn takes_away(&self) -> TakesAway {
        let mut all = TakesAway {
            build_scripts: self.build_scripts.as_ref().map_or(BuildScripts::Allow, |(mode, _)| *mode),
            ..TakesAway::default()
        };
        for table in &self.tables {
            let rules = &table.rules;
            all.network |= rules.network.is_some();
            all.denies |= rules.deny.is_some() || rules.allow.is_some();
            all.limits.extend(rules.limits.iter().flat_map(|limits| limits.get_ref().0.names()));
        }
        all
    }
}

/// What a layer may keep from jobs.
#[derive(Debug, Clone)]
pub(super) struct TakesAway {
    pub(super) network: bool,
    pub(super) denies: bool,
    pub(super) limits: Vec<LimitName>,
    pub(super) build_scripts: BuildScripts,
}

impl Default for TakesAway {
    fn default() -> Self {
        Self { network: false, denies: false, limits: Vec::new(), build_scripts: BuildScripts::Allow }
    }
}
