//! What all commands that use a token have in common: the registry, the token, and the Publish container.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::super::vetted::Vetted;
use super::host::Host;
use crate::cargo::CargoCommand;
use crate::cargo::run::{WRAPPER, own_executable};
use crate::container::engines::Engines;
use crate::container::host::system_world;
use crate::forward::Allowed;
use crate::forward::unreached;
use crate::project::StateDirectory;
use crate::project::single_use::SingleUse;
use crate::publish::channel::CREDENTIAL;
use crate::publish::container::{self, PublishCommand, Surroundings};
use crate::publish::contents::Archive;
use crate::publish::protocol::Operation;
use crate::publish::registry::Registry;
use crate::publish::tokens::Tokens;
use crate::publish::warrant::{Keeper, Purpose, Warrant};

/// Variables that cargo gets in the Publish container, by how their names begin.
const VARIABLES: &[&str] =
    &["CARGO_TERM_", "CARGO_HTTP_", "CARGO_NET_", "LANG", "LC_", "NO_COLOR", "CLICOLOR", "SOURCE_DATE_EPOCH"];

/// And among them, what would lead elsewhere than the container's own network does.
const NOT_THESE: &[&str] = &["CARGO_HTTP_PROXY", "CARGO_HTTP_CAINFO", "CARGO_NET_GIT_FETCH_WITH_CLI"];

/// Settings that cargo gets there, which change how it transfers and not where.
const SETTINGS: &[&str] =
    &["http.timeout", "http.low-speed-limit", "http.multiplexing", "http.user-agent", "net.retry"];

/// A command that uses a registry's token.
pub struct Sending<'a> {
    vetted: &'a Vetted<'a>,
    state: &'a StateDirectory,
    /// Which registry.
    pub registry: Registry,
    /// Where tokens are.
    pub tokens: Tokens,
}

impl<'a> Sending<'a> {
    /// Finds out which registry is meant.
    pub fn new(
        vetted: &'a Vetted<'a>,
        state: &'a StateDirectory,
        by_manifest: Option<String>,
    ) -> anyhow::Result<Self> {
        let variable = |name: &str| {
            let value = vetted.front_end.variable(name).map(|value| value.to_string_lossy().into_owned());
            value.filter(|value| !value.is_empty())
        };
        let registry =
            Registry::of(&vetted.command, &vetted.configuration, &variable, by_manifest.as_deref())?;
        registry.index_host()?;
        let tokens = vetted.tokens();
        Ok(Self { vetted, state, registry, tokens })
    }

    /// The token for an operation: what the command says (`--token`), else where the user keeps it.
    pub fn token(&self, operation: &Operation) -> anyhow::Result<Option<String>> {
        match self.vetted.command.option("--token").pop() {
            Some(token) => Ok(Some(token.to_string_lossy().into_owned())),
            None => self.tokens.find(&self.registry, operation),
        }
    }

    /// Stops where it is clear without asking anybody that there is no token.
    pub fn require_token(&self) -> anyhow::Result<()> {
        if self.vetted.command.option("--token").is_empty() && self.tokens.certainly_none(&self.registry)? {
            bail!(self.no_token());
        }
        Ok(())
    }

    fn no_token(&self) -> String {
        let name = self.registry.name.as_deref().unwrap_or("NAME");
        let variable = crate::publish::tokens::variable(name);
        format!(
            "there is no token for the registry `{}`\n\nhint: `cargo-sandbox login --registry {name}`, or set {variable}",
            self.registry.display()
        )
    }

    /// Has the host's cargo read the registry's index, so that it is known where uploads go.
    pub fn load_index(&self, host: &Host<'_>, name: &str) -> anyhow::Result<()> {
        let (code, _, stderr) = host.unheard(&self.info(name))?;
        self.index_was_read(code, &stderr)
    }

    /// The same where there is no project.
    pub fn info(&self, name: &str) -> CargoCommand {
        let registry: [OsString; 2] = match &self.registry.name {
            Some(name) => ["--registry".into(), name.into()],
            None => ["--index".into(), self.registry.index.clone().into()],
        };
        let mut words: Vec<OsString> =
            vec!["info".into(), "--quiet".into(), "--color=never".into(), name.into()];
        words.extend(registry);
        CargoCommand::parse(words)
    }

    /// Whether the host's cargo came through; that a crate is not there is no failure.
    pub fn index_was_read(&self, code: u8, stderr: &[u8]) -> anyhow::Result<()> {
        let said = String::from_utf8_lossy(stderr);
        if code == 0 || said.contains("could not find") {
            return Ok(());
        }
        bail!(
            "the registry `{}` cannot be read:\n{}",
            self.registry.display(),
            said.trim_start_matches("error: ").trim_end()
        )
    }

    /// Runs cargo in the Publish container with the right to the token for one purpose.
    pub fn run(
        &self,
        arguments: Vec<OsString>,
        purpose: Purpose,
        operation: &Operation,
        root: &Path,
        hidden: &[PathBuf],
    ) -> anyhow::Result<u8> {
        let config = self.registry.kept_config(&self.vetted.cargo_home);
        let config = config.with_context(|| {
            format!("the registry `{}` has told nothing about itself", self.registry.display())
        })?;
        let token = self.token(operation)?;
        if token.is_none() {
            bail!(self.no_token());
        }
        let warrant = Warrant::new(self.registry.clone(), purpose, config.auth_required, token);
        self.run_with(arguments, warrant, self.registry.hosts(&config)?, root, hidden)
    }

    /// Runs cargo in the Publish container to have a token kept, which it neither gets nor sees: the registry's index is all
    /// that it reaches.
    pub fn keep(
        &self,
        arguments: Vec<OsString>,
        purpose: Purpose,
        keeper: Keeper,
        empty: &Path,
    ) -> anyhow::Result<u8> {
        let warrant = Warrant::to_keep(self.registry.clone(), purpose, keeper);
        self.run_with(arguments, warrant, vec![self.registry.index_host()?], empty, &[])
    }

    fn run_with(
        &self,
        arguments: Vec<OsString>,
        warrant: Warrant,
        mut allowed: Vec<Allowed>,
        root: &Path,
        hidden: &[PathBuf],
    ) -> anyhow::Result<u8> {
        let vetted = self.vetted;
        let others = self.others(root);
        allowed.extend(others.iter().filter_map(|other| other.index_host().ok()));
        let mut sources = vec![root.to_owned()];
        sources.extend(vetted.options.reads.iter().cloned());
        let command = PublishCommand {
            toolchain: &vetted.toolchain,
            compiler_version: self.compiler_version()?,
            arguments,
            configuration: self.configuration(&others),
            certificates: vetted.configuration.path("http.cainfo"),
            environment: self.environment(),
            sources,
            hidden: hidden.to_vec(),
            allowed: dedup(allowed),
            warrant: Arc::new(warrant),
            umask: vetted.front_end.umask()?,
        };
        let made_up =
            SingleUse::create(self.state, "publish").context("failed to make directories for publishing")?;
        let ended = container::run(&command, &self.surroundings()?, &made_up)?;
        drop(made_up);
        for line in unreached(&ended.connections) {
            eprintln!("note: {line}");
        }
        Ok(ended.code)
    }

    fn surroundings(&self) -> anyhow::Result<Surroundings> {
        let vetted = self.vetted;
        let user = vetted.front_end.user()?;
        // What touches a token is made as the user says, and no repository.
        let settings = vetted.options.settings();
        let system =
            system_world(&self.state.etc(), &user).context("failed to look at the system's directories")?;
        let etc = system.mounts.into_iter().find(|mount| mount.target == Path::new("/etc"));
        let own = own_executable()?;
        let wrapper = own.with_file_name(WRAPPER);
        let wrapper = std::fs::read(&wrapper).with_context(|| {
            format!("`{}` is missing; it is installed together with cargo-sandbox", wrapper.display())
        })?;
        Ok(Surroundings {
            engines: Engines::new(settings.engine.value, vetted.front_end.docker_endpoints(), self.state),
            etc: etc.context("there is no synthetic /etc")?.source,
            user,
            limits: settings.limits.container,
            bar: Arc::clone(&vetted.bar),
            agent: own,
            wrapper,
        })
    }

    /// Other registries that the lock file names: cargo asks their indexes as well.
    fn others(&self, root: &Path) -> Vec<Registry> {
        let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
        let mut found: Vec<Registry> = Vec::new();
        let sources = lock.lines().filter_map(|line| line.strip_prefix("source = \"")?.strip_suffix('"'));
        let mut indexes: Vec<String> = sources
            .filter_map(|source| match source.strip_prefix("registry+") {
                Some("https://github.com/rust-lang/crates.io-index") => {
                    Some("sparse+https://index.crates.io/".to_owned())
                }
                Some(_) => None,
                None => source.starts_with("sparse+").then(|| source.to_owned()),
            })
            .collect();
        indexes.sort();
        indexes.dedup();
        let names = self.vetted.configuration.names_in("registries");
        for index in indexes.into_iter().filter(|index| !self.registry.is_index(index)) {
            let named = names.iter().find(|name| {
                let own = self.vetted.configuration.get(&format!("registries.{name}.index"));
                own.and_then(toml::Value::as_str)
                    .is_some_and(|own| own.trim_end_matches('/') == index.trim_end_matches('/'))
            });
            let crates_io = Registry::named(crate::publish::registry::CRATES_IO, &index);
            match named {
                Some(name) => found.push(Registry::named(name, &index)),
                None if crates_io.index == "sparse+https://index.crates.io/" => found.push(crates_io),
                None => {}
            }
        }
        found
    }

    /// cargo's whole configuration in the Publish container.
    fn configuration(&self, others: &[Registry]) -> String {
        let provider = format!("/publish/bin/{CREDENTIAL}");
        let mut table = toml::Table::new();
        let mut set = |path: &[&str], value: toml::Value| {
            let mut at = &mut table;
            for part in &path[..path.len() - 1] {
                let below =
                    at.entry((*part).to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                let toml::Value::Table(below) = below else { return };
                at = below;
            }
            at.insert(path[path.len() - 1].to_owned(), value);
        };
        let text = |text: &str| toml::Value::String(text.to_owned());
        let list = |text: &str| toml::Value::Array(vec![toml::Value::String(text.to_owned())]);
        set(&["registry", "global-credential-providers"], list(&provider));
        for registry in others.iter().chain([&self.registry]).filter(|one| !one.is_crates_io()) {
            if let Some(name) = &registry.name {
                set(&["registries", name, "index"], text(&registry.index));
            }
        }
        for key in SETTINGS {
            if let Some(value) = self.vetted.configuration.get(key) {
                set(&key.split('.').collect::<Vec<_>>(), value.clone());
            }
        }
        if self.vetted.configuration.path("http.cainfo").is_some() {
            set(&["http", "cainfo"], text("/publish/certificates.pem"));
        }
        table.to_string()
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let passes =
            |name: &str| VARIABLES.iter().any(|start| name.starts_with(start)) && !NOT_THESE.contains(&name);
        let mut environment: Vec<_> = self
            .vetted
            .environment
            .iter()
            .filter(|(name, _)| name.to_str().is_some_and(passes))
            .cloned()
            .collect();
        // What it says comes through a pipe.
        if std::io::stderr().is_terminal() && self.vetted.variable("CARGO_TERM_COLOR").is_none() {
            environment.push(("CARGO_TERM_COLOR".into(), "always".into()));
        }
        environment
    }

    /// What cargo asks of the compiler, which is not there: the toolchain's own answer.
    fn compiler_version(&self) -> anyhow::Result<Vec<u8>> {
        let rustc = self.vetted.toolchain.program("rustc");
        let output = Command::new(&rustc)
            .arg("-vV")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to start `{}`", rustc.display()))?;
        Ok(output.stdout)
    }

    /// Says what differs from the newest version that the registry has, if it has one.
    pub fn tell_difference(&self, host: &Host<'_>, archive: &Archive) {
        match self.published(host, &archive.name) {
            Ok(Some(earlier)) => {
                let lines = archive.difference(&earlier);
                eprintln!("compared with {} {} on the registry:", earlier.name, earlier.version);
                if lines.is_empty() {
                    eprintln!("  nothing has changed");
                }
                for line in lines {
                    eprintln!("  {line}");
                }
            }
            Ok(None) => eprintln!("the registry has no version of {} yet", archive.name),
            Err(error) => eprintln!("note: no comparison with what is on the registry: {error:#}"),
        }
    }

    /// The newest version that is on the registry, which cargo downloads where it has not.
    fn published(&self, host: &Host<'_>, name: &str) -> anyhow::Result<Option<Archive>> {
        let (code, stdout, stderr) = host.unheard(&self.info(name))?;
        self.index_was_read(code, &stderr)?;
        if code != 0 {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&stdout);
        let version = said.lines().find_map(|line| line.strip_prefix("version: "));
        let version =
            version.and_then(|line| line.split_whitespace().next()).context("no version is told")?;
        let file = format!("{name}-{version}.crate");
        let caches = std::fs::read_dir(self.vetted.cargo_home.join("registry/cache"))?;
        let found = caches.flatten().map(|entry| entry.path().join(&file)).find(|path| path.is_file());
        found.map(|path| Archive::read(&path)).transpose()
    }
}

fn dedup(mut allowed: Vec<Allowed>) -> Vec<Allowed> {
    allowed.sort();
    allowed.dedup();
    allowed
}
