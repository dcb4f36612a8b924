//! A policy, resolved: its layers in the order in which they count.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::base::{Base, Bounds, of_container};
use super::calls::SystemCall;
use super::file::{BuildScripts, PolicyFile, Rules, Table};
use super::invalid::{self, Mistake};
use super::kind::Kind;
use super::limits::LimitName;
use super::network::Network;
use super::package::{Package, Provenance, Selector};
use super::paths::{PathRight, Places};

/// Who wrote a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The list that comes with this tool.
    Known,
    /// The user.
    User,
    /// The repository.
    Repository,
    /// An option of the user's, or a variable.
    CommandLine,
}

/// A policy file with what is known about it.
#[derive(Debug, Clone)]
pub struct Written {
    /// Who wrote it.
    pub source: Source,
    /// The file.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    /// What it says.
    pub file: PolicyFile,
    /// Whether it may widen what the layers before it say.
    pub trusted: bool,
}

/// A layer whose paths are looked up.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) source: Source,
    pub(super) trusted: bool,
    pub(super) build_scripts: Option<(BuildScripts, Place)>,
    /// `[limits]`.
    bounds: Bounds,
    places: BTreeMap<LimitName, Place>,
    pub(super) tables: Vec<ResolvedTable>,
}

/// A table of rules whose paths are looked up.
#[derive(Debug, Clone)]
pub(super) struct ResolvedTable {
    pub(super) selector: Option<Selector>,
    pub(super) kind: Option<Kind>,
    pub(super) rules: Rules,
    pub(super) paths: Vec<(PathRight, PathBuf, Place)>,
    pub(super) place: Place,
    lines: BTreeMap<&'static str, usize>,
}

impl ResolvedTable {
    /// Whether it is about such a job.
    pub(super) fn is_about(&self, package: &Package, kind: Kind) -> bool {
        self.kind.is_none_or(|own| own == kind)
            && self.selector.as_ref().is_none_or(|selector| selector.matches(package))
    }

    /// Where a key of it is.
    pub(super) fn at(&self, key: &'static str) -> Place {
        Place { line: self.lines.get(key).copied().or(self.place.line), ..self.place.clone() }
    }
}

impl Layer {
    /// Whether a table may give a package more than the layers before it do. A repository can call a package of its own
    /// anything, so that what the user gives to a name is for what cargo unpacked from a registry.
    pub(super) fn may_widen(&self, table: &ResolvedTable, package: &Package) -> bool {
        let named = table.selector.is_none() || package.provenance == Provenance::Registry;
        self.trusted && (self.source == Source::Repository || named)
    }

    /// What `[limits]` says of a kind of job, and where.
    pub(super) fn limits(&self, kind: Kind) -> impl Iterator<Item = (LimitName, Option<u64>, &Place)> {
        let all = self.bounds.of(kind).iter();
        all.filter_map(move |(name, value)| {
            Some((*name, *value, self.places.get(&of_container(kind, *name))?))
        })
    }
}

/// Where something is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// By whom; none: it is built in.
    pub source: Option<Source>,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The table.
    pub table: String,
}

impl Place {
    /// What holds where nobody says anything.
    pub fn built_in() -> Self {
        Self { source: None, file: PathBuf::new(), line: None, table: String::new() }
    }

    /// An option of the command line, or a variable.
    pub fn option(name: &str) -> Self {
        Self { source: Some(Source::CommandLine), table: name.to_owned(), ..Self::built_in() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            None => return f.write_str("built in"),
            Some(Source::Known) => return write!(f, "the list of known packages, {}", self.table),
            Some(Source::CommandLine) => return f.write_str(&self.table),
            Some(Source::User | Source::Repository) => write!(f, "{}", self.file.display())?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if self.table.is_empty() { Ok(()) } else { write!(f, ", [{}]", self.table) }
    }
}

/// A policy in force.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub(super) layers: Vec<Layer>,
    pub(super) base: Base,
}

/// A grant that cannot be given.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}:{line}:{column}: {what}\n\nhint: take it out; a job gets no such path, whoever grants it",
    file.display()
)]
pub struct Impossible {
    file: PathBuf,
    line: usize,
    column: usize,
    /// Which path, and why.
    what: String,
}

impl Policy {
    /// Resolves a policy; the layers come in the order in which they count.
    ///
    /// # Errors
    /// When one of them grants what cannot be granted.
    pub fn new(written: &[Written], places: &Places, base: Base) -> Result<Self, Impossible> {
        let layers = written.iter().map(|written| layer(written, places)).collect::<Result<_, _>>()?;
        Ok(Self { layers, base })
    }

    /// Every path that some job of this project may be granted, with the most that is granted of it.
    pub fn paths(&self) -> BTreeMap<&Path, PathRight> {
        let mut all = BTreeMap::new();
        for layer in self.layers.iter().filter(|layer| layer.trusted) {
            for (right, path, _) in layer.tables.iter().flat_map(|table| &table.paths) {
                let most = all.entry(path.as_path()).or_insert(*right);
                *most = (*most).max(*right);
            }
        }
        all
    }

    /// Every variable that some job may be granted.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let layers = self.layers.iter().filter(|layer| layer.trusted);
        let tables = layers.flat_map(|layer| &layer.tables);
        tables
            .flat_map(|table| table.rules.env.iter().flat_map(|env| env.get_ref()))
            .map(|name| name.get_ref().name())
    }

    /// Every Unix socket that some job may be granted.
    pub fn sockets(&self) -> impl Iterator<Item = &Path> {
        let layers = self.layers.iter().filter(|layer| layer.trusted);
        let tables = layers.flat_map(|layer| &layer.tables);
        tables
            .flat_map(|table| table.rules.sockets.iter().flat_map(|sockets| sockets.get_ref()))
            .map(|socket| socket.get_ref().path())
    }

    /// Every system call that some job may be granted.
    pub fn system_calls(&self) -> impl Iterator<Item = SystemCall> + '_ {
        let layers = self.layers.iter().filter(|layer| layer.trusted);
        let tables = layers.flat_map(|layer| &layer.tables);
        tables.flat_map(|table| table.rules.seccomp.iter().flat_map(|calls| calls.get_ref())).copied()
    }

    /// Whether what some build script writes into its own package is kept.
    pub fn keeps_source(&self) -> bool {
        let layers = self.layers.iter().filter(|layer| layer.trusted);
        let mut tables = layers.flat_map(|layer| &layer.tables);
        tables.any(|table| table.rules.generates_source.as_ref().is_some_and(|value| *value.get_ref()))
    }

    /// Who says a limit that all containers of the project have; none: it is built in.
    pub fn origin(&self, name: LimitName) -> Option<&Place> {
        self.base.origin(name)
    }

    /// Who says a limit of a kind of job where no table does; none: it is built in.
    pub fn origin_for(&self, kind: Kind, name: LimitName) -> Option<&Place> {
        self.origin(of_container(kind, name))
    }

    /// Whether no layer says anything about limits.
    pub fn sets_no_limits(&self) -> bool {
        self.layers.iter().flat_map(|layer| &layer.tables).all(|table| table.rules.limits.is_none())
    }

    /// Whether it takes anything away from any job: what cannot tell one job from the other cannot keep to it.
    pub fn narrows(&self) -> bool {
        self.layers.iter().any(|layer| {
            layer.build_scripts.as_ref().is_some_and(|(mode, _)| *mode != BuildScripts::Allow)
                || layer.tables.iter().any(|table| {
                    let Rules { network, limits, deny, allow, .. } = &table.rules;
                    let none = network.as_ref().is_some_and(|network| *network.get_ref() == Network::None);
                    let denied = deny.as_ref().is_some_and(|deny| *deny.get_ref())
                        || allow.as_ref().is_some_and(|allow| !*allow.get_ref());
                    none || denied || limits.is_some()
                })
        })
    }
}

fn layer(written: &Written, places: &Places) -> Result<Layer, Impossible> {
    let line = |start: usize| invalid::line(&written.text, start);
    let place = |start: Option<usize>, table: String| Place {
        source: Some(written.source),
        file: written.path.clone(),
        line: start.map(line),
        table,
    };
    let mut tables = Vec::new();
    for Table { selector, kind, rules, start } in written.file.tables() {
        let table = Table { selector, kind, rules: Rules::default(), start }.to_string();
        let mut lines = BTreeMap::new();
        for spanned in rules.sockets.iter().flat_map(|list| list.get_ref()) {
            let (socket, start) = (spanned.get_ref(), spanned.span().start);
            places.judge_socket(socket).map_err(|reason| {
                let what = format!("`sockets` of `{table}`: `{socket}` {reason}");
                let Mistake { line, column, message } = Mistake::at(&written.text, start, what);
                Impossible { file: written.path.clone(), line, column, what: message }
            })?;
        }
        let mut paths = Vec::new();
        for (right, list) in [
            (PathRight::Read, &rules.read),
            (PathRight::Execute, &rules.execute),
            (PathRight::Write, &rules.write),
        ] {
            let Some(list) = list else { continue };
            for spanned in list.get_ref() {
                let (path, start) = (spanned.get_ref(), spanned.span().start);
                let found = places.judge(path, right).map_err(|reason| {
                    let what = format!("`{}` of `{table}`: `{}` {reason}", right.name(), path.as_str());
                    let Mistake { line, column, message } = Mistake::at(&written.text, start, what);
                    Impossible { file: written.path.clone(), line, column, what: message }
                })?;
                paths.extend(found.map(|path| (right, path, place(Some(start), table.clone()))));
            }
        }
        for (key, span) in spans(&rules) {
            lines.insert(key, line(span));
        }
        let first = lines.values().copied().min();
        let mut own = place(Some(start).filter(|start| *start > 0), table);
        own.line = own.line.or(first);
        tables.push(ResolvedTable { selector: selector.cloned(), kind, rules, paths, place: own, lines });
    }
    let build_scripts = written.file.build_scripts.as_ref();
    let build_scripts =
        build_scripts.map(|mode| (*mode.get_ref(), place(Some(mode.span().start), String::new())));
    let limits = written.file.limits.clone();
    let said = |name: LimitName| (name, place(limits.place(name), "limits".into()));
    Ok(Layer {
        source: written.source,
        trusted: written.trusted,
        build_scripts,
        bounds: Bounds::new(|name| limits.get(name)),
        places: limits.names().map(said).collect(),
        tables,
    })
}

/// The keys that a table has, and where each value starts.
pub(super) fn spans(rules: &Rules) -> Vec<(&'static str, usize)> {
    let Rules {
        network,
        sockets,
        read,
        write,
        execute,
        env,
        limits,
        seccomp,
        ports,
        generates_source,
        sets_env,
        deny,
        allow,
    } = rules;
    let all = [
        ("network", network.as_ref().map(|value| value.span())),
        ("sockets", sockets.as_ref().map(|value| value.span())),
        ("read", read.as_ref().map(|value| value.span())),
        ("write", write.as_ref().map(|value| value.span())),
        ("execute", execute.as_ref().map(|value| value.span())),
        ("env", env.as_ref().map(|value| value.span())),
        ("limits", limits.as_ref().map(|value| value.span())),
        ("seccomp", seccomp.as_ref().map(|value| value.span())),
        ("ports", ports.as_ref().map(|value| value.span())),
        ("generates-source", generates_source.as_ref().map(|value| value.span())),
        ("sets-env", sets_env.as_ref().map(|value| value.span())),
        ("deny", deny.as_ref().map(|value| value.span())),
        ("allow", allow.as_ref().map(|value| value.span())),
    ];
    all.into_iter().filter_map(|(key, span)| Some((key, span?.start))).collect()
}
