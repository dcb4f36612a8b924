//! Limits of a container and of its jobs: their names, their units, what holds when nobody says anything.
//!
//! What each of them is held by is in `docs/limits.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::agent::JobLimits;
use crate::agent::protocol::Budget;
use crate::container::Limits;

use super::nearest;

/// The names of limits, as options and the configuration have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitName {
    /// Memory of a container.
    Memory,
    /// Processes and threads of a job.
    Processes,
    /// Open files of a process.
    OpenFiles,
    /// Size of each file that a job writes.
    FileSize,
    /// What a compiler or a build script may write to disk in all.
    DiskWrites,
    /// What must stay free of the disk that jobs write to.
    FreeSpace,
    /// Size of each private `/tmp`.
    Tmp,
    /// How long a compiler or a build script may run.
    WallTime,
    /// How long a program of the project may run.
    ProgramTime,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Number,
    Seconds,
}

/// Everything about a limit that does not depend on the machine.
struct Row {
    limit: LimitName,
    name: &'static str,
    unit: Unit,
    /// Below this nothing would run.
    least: u64,
    /// Whether it can be switched off.
    optional: bool,
}

const ROWS: [Row; 9] = [
    Row { limit: LimitName::Memory, name: "memory", unit: Unit::Bytes, least: 64 << 20, optional: false },
    Row { limit: LimitName::Processes, name: "processes", unit: Unit::Number, least: 16, optional: false },
    Row { limit: LimitName::OpenFiles, name: "open-files", unit: Unit::Number, least: 32, optional: true },
    Row { limit: LimitName::FileSize, name: "file-size", unit: Unit::Bytes, least: 1 << 20, optional: true },
    Row {
        limit: LimitName::DiskWrites,
        name: "disk-writes",
        unit: Unit::Bytes,
        least: 1 << 20,
        optional: true,
    },
    Row { limit: LimitName::FreeSpace, name: "free-space", unit: Unit::Bytes, least: 0, optional: true },
    Row { limit: LimitName::Tmp, name: "tmp", unit: Unit::Bytes, least: 1 << 20, optional: false },
    Row { limit: LimitName::WallTime, name: "wall-time", unit: Unit::Seconds, least: 1, optional: true },
    Row {
        limit: LimitName::ProgramTime,
        name: "program-time",
        unit: Unit::Seconds,
        least: 1,
        optional: true,
    },
];

impl LimitName {
    /// What a value is, for the reference page.
    pub fn form(self) -> &'static str {
        match self.row().unit {
            Unit::Bytes => "a size such as `512M` or `8G`",
            Unit::Number => "a whole number",
            Unit::Seconds => "a time such as `90s`, `30min` or `2h`",
        }
    }

    fn row(self) -> &'static Row {
        // Every name has a row: a test looks.
        ROWS.iter().find(|row| row.limit == self).unwrap_or(&ROWS[0])
    }

    /// Every name, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.limit)
    }

    /// A value of this limit for people.
    pub fn show(self, value: u64) -> String {
        let units: &[(u64, &str)] = match self.row().unit {
            Unit::Bytes => &[(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")],
            Unit::Number => &[],
            Unit::Seconds => &[(3600, "h"), (60, "min"), (1, "s")],
        };
        let unit = units.iter().find(|(size, _)| value >= *size && value.is_multiple_of(*size));
        unit.map_or_else(|| value.to_string(), |(size, name)| format!("{}{name}", value / size))
    }

    /// A value of this limit for people, where it may have none.
    pub fn show_optional(self, value: Option<u64>) -> String {
        match (value, self) {
            (Some(value), _) => self.show(value),
            (None, Self::OpenFiles) => "as outside".into(),
            (None, _) => "none".into(),
        }
    }

    /// Whether a value leaves more to jobs than another one; `None`: it is switched off.
    pub fn is_wider(self, one: Option<u64>, other: Option<u64>) -> bool {
        match self {
            // What must stay free: the less, the more there is for jobs.
            Self::FreeSpace => one.unwrap_or(0) < other.unwrap_or(0),
            _ => other.is_some_and(|other| one.is_none_or(|one| one > other)),
        }
    }

    /// Reads a value: a number with a unit, or `none`.
    pub(super) fn read(self, text: &str) -> Result<Option<u64>, String> {
        let row = self.row();
        if text == "none" {
            return if row.optional { Ok(None) } else { Err(format!("`{}` cannot be `none`", row.name)) };
        }
        let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let factor = match (row.unit, unit.trim()) {
            (Unit::Number | Unit::Bytes, "") | (Unit::Seconds, "s") => Some(1),
            (Unit::Bytes, "K" | "KiB") => Some(1 << 10),
            (Unit::Bytes, "M" | "MiB") => Some(1 << 20),
            (Unit::Bytes, "G" | "GiB") => Some(1 << 30),
            (Unit::Bytes, "T" | "TiB") => Some(1 << 40),
            (Unit::Seconds, "min" | "m") => Some(60),
            (Unit::Seconds, "h") => Some(3600),
            _ => None,
        };
        let value =
            number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        let Some(value) = value else {
            let form = self.form();
            let none = if row.optional { ", or `none`" } else { "" };
            return Err(format!("`{text}` is no value for `{}`, which takes {form}{none}", row.name));
        };
        if value < row.least {
            let least = self.show(row.least);
            return Err(format!(
                "`{text}` is too little for `{}`: nothing runs with less than {least}",
                row.name
            ));
        }
        Ok(Some(value))
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

impl FromStr for LimitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = ROWS.each_ref().map(|row| row.name);
        match ROWS.iter().find(|row| row.name == text) {
            Some(row) => Ok(row.limit),
            None => Err(format!("there is no limit `{text}`\n\n{}", nearest::hint(text, &names))),
        }
    }
}

/// What somebody says about limits; `None` switches one off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSettings {
    values: BTreeMap<LimitName, Option<u64>>,
    /// Where a name is in its file, in bytes.
    places: BTreeMap<LimitName, usize>,
}

/// One setting, as `--sandbox-limit` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSetting(LimitName, Option<u64>);

impl FromStr for LimitSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or("it is written NAME=VALUE, `memory=8G` for instance")?;
        let name: LimitName = name.parse()?;
        Ok(Self(name, name.read(value)?))
    }
}

impl LimitSettings {
    /// These, and `others` where they say something.
    #[must_use]
    pub fn overridden_by(mut self, others: impl IntoIterator<Item = LimitSetting>) -> Self {
        for LimitSetting(name, value) in others {
            self.set(name, value);
        }
        self
    }

    /// Sets one.
    pub fn set(&mut self, name: LimitName, value: Option<u64>) {
        self.values.insert(name, value);
        self.places.remove(&name);
    }

    /// Takes one that is at a place of a file, in bytes.
    pub(super) fn take(&mut self, name: LimitName, value: Option<u64>, place: usize) {
        self.values.insert(name, value);
        self.places.insert(name, place);
    }

    /// Where a name is in the file that it was read from, in bytes.
    pub fn place(&self, name: LimitName) -> Option<usize> {
        self.places.get(&name).copied()
    }

    /// What it sets; `None` switches a limit off.
    pub fn iter(&self) -> impl Iterator<Item = (LimitName, Option<u64>)> + '_ {
        self.values.iter().map(|(name, value)| (*name, *value))
    }

    /// What it says of one, if it does.
    pub fn get(&self, name: LimitName) -> Option<Option<u64>> {
        self.values.get(&name).copied()
    }

    /// The names of what it sets.
    pub fn names(&self) -> impl Iterator<Item = LimitName> + '_ {
        self.values.keys().copied()
    }

    /// What holds on a machine with so much memory.
    pub fn resolve(&self, machine: u64) -> Resolved {
        let value = |name, default: Option<u64>| self.values.get(&name).copied().unwrap_or(default);
        // Whole mebibytes, so that a value that varies a little between boots asks for no new container.
        let memory = value(LimitName::Memory, None).unwrap_or((machine / 10 * 9) >> 20 << 20);
        let processes = value(LimitName::Processes, None).unwrap_or(DEFAULT_PROCESSES);
        let budgets = Budgets {
            // No compiler and no build script that is known takes so long; one that hangs should not do so
            // until somebody looks.
            build: Budget {
                seconds: value(LimitName::WallTime, Some(4 * 3600)),
                disk_writes: value(LimitName::DiskWrites, Some(64 << 30)),
                ..Budget::default()
            },
            // A server may run for days.
            program: Budget { seconds: value(LimitName::ProgramTime, None), ..Budget::default() },
        };
        let container = Limits {
            memory,
            // A job that starts processes faster than anybody looks is stopped by the kernel here.
            pids: processes.saturating_mul(4),
            tmp: value(LimitName::Tmp, None).unwrap_or((memory / 2) >> 20 << 20),
            per_job: JobLimits {
                processes,
                open_files: value(LimitName::OpenFiles, None),
                file_size: value(LimitName::FileSize, Some(16 << 30)),
                free_space: value(LimitName::FreeSpace, Some(1 << 30)),
            },
        };
        Resolved { container, budgets }
    }
}

/// As many as no build needs.
const DEFAULT_PROCESSES: u64 = 4096;

/// Limits in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What a container is made to.
    pub container: Limits,
    /// What depends on the kind of job.
    pub budgets: Budgets,
}

impl Resolved {
    /// A limit's value; `None`: it is switched off, or as it is outside.
    pub fn value(&self, name: LimitName) -> Option<u64> {
        let limits = &self.container;
        match name {
            LimitName::Memory => Some(limits.memory),
            LimitName::Processes => Some(limits.per_job.processes),
            LimitName::OpenFiles => limits.per_job.open_files,
            LimitName::FileSize => limits.per_job.file_size,
            LimitName::DiskWrites => self.budgets.build.disk_writes,
            LimitName::FreeSpace => limits.per_job.free_space,
            LimitName::Tmp => Some(limits.tmp),
            LimitName::WallTime => self.budgets.build.seconds,
            LimitName::ProgramTime => self.budgets.program.seconds,
        }
    }

    /// Every limit with its value, for people.
    pub fn list(&self) -> Vec<(LimitName, String)> {
        LimitName::all().map(|name| (name, name.show_optional(self.value(name)))).collect()
    }
}

/// What jobs may use up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Compilers and build scripts.
    pub build: Budget,
    /// Programs of the project: `run`, `test`, `bench`, and documentation tests.
    pub program: Budget,
}

/// How much memory the machine has, in bytes.
///
/// # Errors
/// When the kernel does not say.
pub fn machine_memory() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.ok_or_else(|| io::Error::other("/proc/meminfo has no MemTotal"))? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<LimitSetting, String> {
        text.parse()
    }

    #[test]
    fn every_name_has_a_row_and_comes_back() {
        for name in LimitName::all() {
            assert_eq!(name.row().limit, name);
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn values_have_units() {
        assert_eq!(set("memory=8G"), Ok(LimitSetting(LimitName::Memory, Some(8 << 30))));
        assert_eq!(set("wall-time=2h"), Ok(LimitSetting(LimitName::WallTime, Some(7200))));
        assert_eq!(set("processes=300"), Ok(LimitSetting(LimitName::Processes, Some(300))));
        assert_eq!(set("file-size=none"), Ok(LimitSetting(LimitName::FileSize, None)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (text, word) in [
            ("memory", "NAME=VALUE"),
            ("memry=8G", "did you mean `memory`?"),
            ("memory=lots", "a size such as"),
            ("memory=8", "too little"),
            ("memory=none", "cannot be `none`"),
            ("memory=99999999999T", "a size such as"),
            ("wall-time=5", "a time such as"),
            ("processes=-1", "a whole number"),
            ("processes=3K", "a whole number"),
        ] {
            let error = set(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        assert_eq!(LimitName::Memory.show(8 << 30), "8G");
        assert_eq!(LimitName::WallTime.show(5400), "90min");
        assert_eq!(LimitName::Processes.show(4096), "4096");
        assert_eq!(LimitName::FreeSpace.show(0), "0");
    }

    #[test]
    fn defaults_leave_something_to_the_machine() {
        let resolved = LimitSettings::default().resolve(machine_memory().unwrap());
        assert!(resolved.container.memory > 1 << 28 && resolved.container.tmp < resolved.container.memory);
        assert_eq!(resolved.budgets.program, Budget::default());
        assert_eq!(resolved.list().len(), ROWS.len());
    }

    #[test]
    fn options_override_the_configuration() {
        let file: LimitSettings = toml::from_str("processes = 100\ntmp = \"2M\"").unwrap();
        let both = file.overridden_by([set("processes=300").unwrap()]).resolve(1 << 30).container;
        assert_eq!((both.per_job.processes, both.pids, both.tmp), (300, 1200, 2 << 20));
    }
}
