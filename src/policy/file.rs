//! The tables of a policy, as they are written: in a repository's `cargo-sandbox.toml` and in the user's own
//! configuration. Everything in them must be known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::container::engines::Selection;

use super::calls::SystemCall;
use super::invalid::Mistake;
use super::kind::Kind;
use super::layers::spans;
use super::limits::{LimitName, LimitSettings};
use super::native::Native;
use super::network::{Network, PublishedPort};
use super::package::Selector;
use super::reference::only;
use super::sockets::SocketPath;
use super::words::{GrantedPath, ImageName, LibraryPath, Variable, word};

/// A policy as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PolicyFile {
    /// What makes the project's containers.
    pub engine: Option<Spanned<Selection>>,
    /// What they are made from.
    pub image: Option<Spanned<ImageName>>,
    /// What of the system jobs see beside.
    #[serde(default)]
    pub native: Native,
    /// What they, and the jobs in them, may use up.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Which build scripts run at all.
    pub build_scripts: Option<Spanned<BuildScripts>>,
    /// What holds for every package.
    #[serde(default)]
    pub defaults: Defaults,
    /// What holds for some.
    #[serde(default)]
    pub packages: Packages,
}

/// A list, with the place of each entry.
pub type List<T> = Spanned<Vec<Spanned<T>>>;

/// The entries below `packages`.
pub type Packages = BTreeMap<Selector, PackageRules>;

/// Which build scripts run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildScripts {
    /// None.
    Deny,
    /// Those of packages that an entry names.
    AllowListed,
    /// All, confined.
    Allow,
}

impl BuildScripts {
    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::AllowListed => "allow-listed",
            Self::Allow => "allow",
        }
    }
}

/// One table of rules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rules {
    /// What may be reached.
    pub network: Option<Spanned<Network>>,
    /// Unix sockets of this machine that may be connected to.
    pub sockets: Option<List<SocketPath>>,
    /// What may be read beside the rest.
    pub read: Option<List<GrantedPath>>,
    /// What may be written, and read.
    pub write: Option<List<GrantedPath>>,
    /// What may be executed, and read.
    pub execute: Option<List<GrantedPath>>,
    /// Variables of the user's that pass.
    pub env: Option<List<Variable>>,
    /// What may be used up.
    pub limits: Option<Spanned<JobLimitSettings>>,
    /// System calls beyond the default.
    pub seccomp: Option<Spanned<BTreeSet<SystemCall>>>,
    /// Ports of `run` that this machine gets.
    pub ports: Option<List<PublishedPort>>,
    /// What build scripts write into their own package is kept for its compilers.
    pub generates_source: Option<Spanned<bool>>,
    /// Variables of the loader's that a build script may set for the compilers and programs of its package.
    pub sets_env: Option<List<LibraryPath>>,
    /// Such jobs do not run.
    pub deny: Option<Spanned<bool>>,
    /// They run, whatever is said in general.
    pub allow: Option<Spanned<bool>>,
}

macro_rules! by_kind {
    ($(#[$doc:meta])* $name:ident { $($own:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct $name {
            $(#[allow(missing_docs, reason = "as in `Rules`")] pub $own: $type,)*
            build_script: Option<Spanned<Rules>>,
            compile: Option<Spanned<Rules>>,
            #[serde(rename = "macro")]
            macros: Option<Spanned<Rules>>,
            rustdoc: Option<Spanned<Rules>>,
            doctest: Option<Spanned<Rules>>,
            test: Option<Spanned<Rules>>,
            bench: Option<Spanned<Rules>>,
            run: Option<Spanned<Rules>>,
        }

        impl $name {
            /// The table of a kind of job.
            pub fn of_kind(&self, kind: Kind) -> Option<&Spanned<Rules>> {
                match kind {
                    Kind::BuildScript => self.build_script.as_ref(),
                    Kind::Compile => self.compile.as_ref(),
                    Kind::Macro => self.macros.as_ref(),
                    Kind::Rustdoc => self.rustdoc.as_ref(),
                    Kind::Doctest => self.doctest.as_ref(),
                    Kind::Test => self.test.as_ref(),
                    Kind::Bench => self.bench.as_ref(),
                    Kind::Run => self.run.as_ref(),
                }
            }
        }
    };
}

by_kind! {
    /// `[defaults.<kind>]`.
    Defaults {}
}

by_kind! {
    /// `[packages."name"]` with what holds for all kinds, and `[packages."name".<kind>]`.
    PackageRules {
        network: Option<Spanned<Network>>,
        sockets: Option<List<SocketPath>>,
        read: Option<List<GrantedPath>>,
        write: Option<List<GrantedPath>>,
        execute: Option<List<GrantedPath>>,
        env: Option<List<Variable>>,
        limits: Option<Spanned<JobLimitSettings>>,
        seccomp: Option<Spanned<BTreeSet<SystemCall>>>,
        ports: Option<List<PublishedPort>>,
        generates_source: Option<Spanned<bool>>,
        sets_env: Option<List<LibraryPath>>,
        deny: Option<Spanned<bool>>,
        allow: Option<Spanned<bool>>,
    }
}

impl PackageRules {
    /// What holds for all kinds of job.
    pub fn of_all(&self) -> Rules {
        let Self {
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
            ..
        } = self.clone();
        Rules {
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
        }
    }
}

/// Limits of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobLimitSettings(pub LimitSettings);

/// The limits that a job can have of its own.
pub const JOB_LIMITS: [LimitName; 6] = [
    LimitName::Memory,
    LimitName::Processes,
    LimitName::OpenFiles,
    LimitName::FileSize,
    LimitName::DiskWrites,
    LimitName::WallTime,
];

impl<'de> Deserialize<'de> for JobLimitSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LimitSettings::read::<JobLimitName, D>(deserializer).map(Self)
    }
}

/// The name of a limit that a job can have of its own.
struct JobLimitName(LimitName);

impl From<JobLimitName> for LimitName {
    fn from(name: JobLimitName) -> Self {
        name.0
    }
}

impl FromStr for JobLimitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name: LimitName = text.parse()?;
        if JOB_LIMITS.contains(&name) {
            return Ok(Self(name));
        }
        let known: Vec<String> = JOB_LIMITS.iter().map(ToString::to_string).collect();
        Err(format!(
            "`{name}` is a limit of the whole container, which belongs into `[limits]` at the top of the file\n\nhint: a \
             job can have {}",
            known.join(", ")
        ))
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

impl PartialOrd for Selector {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Selector {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.exactness().cmp(&other.exactness()).then_with(|| self.to_string().cmp(&other.to_string()))
    }
}

/// A table of rules, and where it is.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// Whom it is about; nobody in particular: `defaults`.
    pub selector: Option<&'a Selector>,
    /// The kind of job; none: all.
    pub kind: Option<Kind>,
    /// What it says.
    pub rules: Rules,
    /// Where it starts, in bytes; the rules have places of their own.
    pub start: usize,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.selector, self.kind) {
            (None, Some(kind)) => write!(f, "defaults.{kind}"),
            (Some(selector), None) => write!(f, "packages.\"{selector}\""),
            (Some(selector), Some(kind)) => write!(f, "packages.\"{selector}\".{kind}"),
            (None, None) => f.write_str("defaults"),
        }
    }
}

impl PolicyFile {
    /// Reads a policy.
    ///
    /// # Errors
    /// When anything in it is not understood, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let file: Self = toml::from_str(text).map_err(|error| Mistake::of(text, &error))?;
        file.check(text)?;
        Ok(file)
    }

    /// What the format cannot say: keys that do not go together.
    ///
    /// # Errors
    /// The first such place.
    pub fn check(&self, text: &str) -> Result<(), Mistake> {
        for table in self.tables() {
            let Rules { deny, allow, .. } = &table.rules;
            if let (Some(deny), Some(allow)) = (deny, allow)
                && deny.get_ref() == allow.get_ref()
            {
                let message = format!("`{table}` says both `allow` and `deny`");
                return Err(Mistake::at(text, allow.span().start, message));
            }
            for (key, start) in spans(&table.rules) {
                if let Some((kind, why)) = only(key)
                    && table.kind != Some(kind)
                {
                    let message = format!("{why}\n\nhint: move `{key}` to a table of the kind `{kind}`");
                    return Err(Mistake::at(text, start, message));
                }
            }
        }
        Ok(())
    }

    /// Every table, the one that says less about whom it is for before the one that says more.
    pub fn tables(&self) -> Vec<Table<'_>> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            if let Some(rules) = self.defaults.of_kind(kind) {
                let (start, rules) = (rules.span().start, rules.get_ref().clone());
                all.push(Table { selector: None, kind: Some(kind), rules, start });
            }
        }
        for (selector, entry) in &self.packages {
            all.push(Table { selector: Some(selector), kind: None, rules: entry.of_all(), start: 0 });
            for kind in Kind::ALL {
                if let Some(rules) = entry.of_kind(kind) {
                    let (start, rules) = (rules.span().start, rules.get_ref().clone());
                    all.push(Table { selector: Some(selector), kind: Some(kind), rules, start });
                }
            }
        }
        all
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let file = PolicyFile::parse(
            "engine = \"docker\"\nimage = \"debian:13\"\nbuild-scripts = \"allow-listed\"\n\
             [limits]\nmemory = \"2G\"\ntmp = \"1G\"\n\
             [defaults.test]\nnetwork = \"none\"\nwrite = [\"tests/snapshots\"]\n\
             [packages.\"ring@0.17\".build-script]\nread = [\"/opt/x\"]\nexecute = [\"/opt/y\"]\nenv = [\"RING_X\"]\n\
             network = [\"a.example:443\"]\nsockets = [\"/run/mysqld/mysqld.sock\"]\nlimits = { memory = \"1G\", wall-time = \"5min\" }\nseccomp = [\"ptrace\"]\ngenerates-source = true\n\
             [packages.app]\nread = [\"/opt/z\"]\n[packages.app.run]\nports = [\"8080\", \"8081:80\"]\n\
             [packages.\"evil*\"]\ndeny = true\n[packages.x]\nmacro = { allow = true }\n",
        )
        .unwrap();
        let tables: Vec<String> = file.tables().iter().map(ToString::to_string).collect();
        assert_eq!(
            tables,
            [
                "defaults.test",
                "packages.\"evil*\"",
                "packages.\"x\"",
                "packages.\"x\".macro",
                "packages.\"app\"",
                "packages.\"app\".run",
                "packages.\"ring@0.17\"",
                "packages.\"ring@0.17\".build-script"
            ]
        );
        assert!(PolicyFile::parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_place() {
        for (text, place, word) in [
            ("build-script = \"deny\"", "line 1, column 1", "did you mean `build-scripts`?"),
            ("build-scripts = \"no\"", "line 1, column 17", "allow-listed"),
            ("build-scripts = \"allow-liste\"", "line 1, column 17", "did you mean `allow-listed`?"),
            ("engin = \"docker\"", "line 1, column 1", "did you mean `engine`?"),
            ("engine = \"dokcer\"", "line 1, column 10", "did you mean `docker`?"),
            ("image = \"a b\"", "line 1, column 9", "no name of an image"),
            ("[limits]\ntmp = \"1G\"\nmemry = \"1G\"", "line 3, column 1", "did you mean `memory`?"),
            ("[limits]\nmemory = \"8X\"", "line 2, column 10", "a size such as"),
            ("[defaults.tests]", "line 1, column 11", "did you mean `test`?"),
            ("[defaults.test]\nnetwrok = \"none\"", "line 2, column 1", "did you mean `network`?"),
            ("[packages.a.build-scripts]", "line 1, column 13", "did you mean `build-script`?"),
            ("[packages.\"a b\"]\ndeny = true", "line 1, column 11", "names no package"),
            ("[packages.a]\nnetwork = \"hots\"", "line 2, column 11", "did you mean `host`?"),
            ("[packages.a]\nnetwork = \"a:1\"", "line 2, column 11", "`[\"a:1\"]`"),
            ("[packages.a]\nnetwork = [\"a\"]", "line 2, column 12", "`a`"),
            (
                "[packages.a]\nnetwork = [\n  \"a:1\",\n  \"b:x\",\n]",
                "line 4, column 3",
                "`x` is no TCP port",
            ),
            (
                "[packages.a]\nnetwork = [\"169.254.169.254:80\"]",
                "line 2, column 12",
                "which no policy grants",
            ),
            ("[packages.a]\nread = [\"/x\", \"~/y\"]", "line 2, column 15", "absolute"),
            ("[packages.a]\nsockets = [\"/run/docker.sock\"]", "line 2, column 12", "engine of containers"),
            ("[packages.a]\nsockets = [\"x.sock\"]", "line 2, column 12", "absolute"),
            ("[packages.a]\nwrite = [\"../y\"]", "line 2, column 10", "upwards"),
            ("[packages.a]\nexecute = [\n\t\"/x\",\n\t\"\",\n]", "line 4, column 2", "no path"),
            ("[packages.a]\nenv = [\"A\", \"LD_PRELOAD\"]", "line 2, column 13", "loader"),
            ("[packages.a]\nenv = [\"A=B\"]", "line 2, column 8", "no name"),
            ("[packages.a]\nenv = [\"A\", 1]", "line 2, column 13", "a text"),
            ("[packages.a]\nlimits = { memry = 1 }", "line 2, column 12", "did you mean `memory`?"),
            ("[packages.a]\nlimits = { tmp = \"1G\" }", "line 2, column 12", "whole container"),
            ("[packages.a]\nseccomp = [\"bpf\"]", "line 2, column 12", "ptrace"),
            ("[packages.a]\nseccomp = [\"kcmp\", \"ptrce\"]", "line 2, column 20", "did you mean `ptrace`?"),
            ("[packages.a]\nallow = true\ndeny = true", "line 2, column 9", "both"),
            ("[packages.a.test]\nports = [\"80\"]", "line 2, column 9", "kind `run`"),
            ("[packages.a.run]\nports = [\"80\", \"http\"]", "line 2, column 16", "no port"),
            ("[packages.a]\ngenerates-source = true", "line 2, column 20", "build-script"),
            ("[packages.a.run]\nsets-env = []", "line 2, column 12", "build-script"),
            ("[packages.a.build-script]\nsets-env = ['LD_PRELOAD']", "line 2, column 13", "LD_LIBRARY_PATH"),
        ] {
            let error = PolicyFile::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(place) && error.contains(word), "{text}:\n{error}");
        }
    }
}
