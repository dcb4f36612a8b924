//! Limits of jobs where no table of a policy says anything.

use std::collections::BTreeMap;

use super::kind::Kind;
use super::layers::Place;
use super::limits::{LimitName, Resolved};

/// Limits by the kind of job, for some names. Programs of the project have a time of their own, and no limit of what
/// they write.
#[derive(Debug, Clone, Default)]
pub(super) struct Bounds {
    build: BTreeMap<LimitName, Option<u64>>,
    program: BTreeMap<LimitName, Option<u64>>,
}

impl Bounds {
    /// What `value` says of each limit of a container, put to the kinds of job.
    pub(super) fn new(value: impl Fn(LimitName) -> Option<Option<u64>>) -> Self {
        const BOTH: [LimitName; 4] =
            [LimitName::Memory, LimitName::Processes, LimitName::OpenFiles, LimitName::FileSize];
        let of = |names: &[(LimitName, LimitName)]| {
            let names = BOTH.iter().map(|name| (*name, *name)).chain(names.iter().copied());
            names.filter_map(|(name, of)| Some((name, value(of)?))).collect()
        };
        Self {
            build: of(&[
                (LimitName::DiskWrites, LimitName::DiskWrites),
                (LimitName::WallTime, LimitName::WallTime),
            ]),
            program: of(&[(LimitName::WallTime, LimitName::ProgramTime)]),
        }
    }

    /// The limits of a kind of job.
    pub(super) fn of(&self, kind: Kind) -> &BTreeMap<LimitName, Option<u64>> {
        match is_program(kind) {
            true => &self.program,
            false => &self.build,
        }
    }
}

/// Whether jobs of this kind run programs of the project.
fn is_program(kind: Kind) -> bool {
    match kind {
        Kind::Doctest | Kind::Test | Kind::Bench | Kind::Run => true,
        Kind::BuildScript | Kind::Compile | Kind::Macro | Kind::Rustdoc => false,
    }
}

/// Limits of jobs where no table of a policy says anything.
#[derive(Debug, Clone, Default)]
pub struct Base {
    limits: Bounds,
    /// Who says so; what is not there is built in.
    origins: BTreeMap<LimitName, Place>,
    /// What the command line says: no table gives more.
    most: Bounds,
}

impl Base {
    /// What the container is made to.
    pub fn new(limits: &Resolved) -> Self {
        Self::of(Bounds::new(|name| Some(limits.value(name))))
    }

    pub(super) fn of(limits: Bounds) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn said_by(self, origins: BTreeMap<LimitName, Place>) -> Self {
        Self { origins, ..self }
    }

    pub(super) fn with_most(self, most: Bounds) -> Self {
        Self { most, ..self }
    }

    /// The limits of a kind of job.
    pub(super) fn limits(&self, kind: Kind) -> &BTreeMap<LimitName, Option<u64>> {
        self.limits.of(kind)
    }

    /// What no table of a policy raises for a kind of job.
    pub(super) fn most(&self, kind: Kind) -> &BTreeMap<LimitName, Option<u64>> {
        self.most.of(kind)
    }

    /// Who says a limit of the containers; none: it is built in.
    pub(super) fn origin(&self, name: LimitName) -> Option<&Place> {
        self.origins.get(&name)
    }
}

/// What a limit of a job is called where it is a container's.
pub(super) fn of_container(kind: Kind, name: LimitName) -> LimitName {
    match name {
        LimitName::WallTime if is_program(kind) => LimitName::ProgramTime,
        name => name,
    }
}
