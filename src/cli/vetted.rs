//! A command whose configuration, toolchain and environment are judged: all that can be known before cargo starts.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::cargo::configuration::Configuration;
use crate::cargo::domain::grants::{CARGO_HOME_FILES, Needs};
use crate::cargo::install_root::{self, install_root};
use crate::cargo::installed::{self, Tool};
use crate::cargo::run::CargoRun;
use crate::cargo::{CargoCommand, CommandKind, Toolchain};
use crate::policy::bar::Bar;
use crate::project::create_cache_directory;
use crate::publish::tokens::Tokens;

use super::cargo_command::Known;
use super::{FrontEnd, Options};

/// A command that may run.
pub struct Vetted<'a> {
    /// The process.
    pub front_end: &'a FrontEnd,
    /// Our own options.
    pub options: &'a Options,
    /// The command.
    pub command: CargoCommand,
    /// The directory that it works from.
    pub directory: PathBuf,
    /// What it is configured to, which the user trusts.
    pub configuration: Configuration,
    /// Whose cargo.
    pub toolchain: Toolchain,
    /// What passes of the user's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// cargo's own directory.
    pub cargo_home: PathBuf,
    /// The user's home directory.
    pub home: PathBuf,
    /// The installed subcommand that it is.
    pub installed: Option<&'static Tool>,
    /// What may be missing of the promised confinement.
    pub bar: Arc<Bar>,
}

impl Vetted<'_> {
    /// What a session is prepared from.
    pub fn known<'b>(&'b self, command: &'b CargoCommand) -> Known<'b> {
        let Self { configuration, toolchain, bar, installed, .. } = self;
        Known { command, configuration, toolchain, bar, installed: *installed, vetted: Some(self) }
    }

    /// Where the user's tokens are.
    pub fn tokens(&self) -> Tokens {
        let environment = self.front_end.environment().collect();
        Tokens::new(&self.configuration, environment, self.cargo_home.clone())
    }

    /// cargo with a command line, which is this one or a part of it; `project` is the root and the target directory.
    ///
    /// # Errors
    /// When a directory that it needs cannot be made.
    pub fn cargo<'b>(
        &'b self,
        command: &'b CargoCommand,
        project: Option<(&Path, &Path)>,
    ) -> anyhow::Result<CargoRun<'b>> {
        self.create_written(command, project)?;
        let inside: Vec<&Path> = project.into_iter().flat_map(<[&Path; 2]>::from).collect();
        let programs = match self.installed {
            Some(_) => {
                let path = self.front_end.variable("PATH");
                let search = installed::search_path(&self.toolchain.sysroot, &self.cargo_home, path);
                installed::programs(command, &self.options.subcommands, &search, &inside)?
            }
            None => Vec::new(),
        };
        let needs = Needs {
            command,
            directory: &self.directory,
            toolchain: &self.toolchain,
            cargo_home: &self.cargo_home,
            home: &self.home,
            configuration: &self.configuration,
            environment: &self.environment,
            installed: self.installed.map(|tool| (tool, &*programs)),
            reads: &self.options.reads,
            project,
        };
        let mut environment = self.environment.clone();
        if let Some(tool) = self.installed {
            installed::adapt(tool, &mut environment);
        }
        Ok(CargoRun {
            domain: needs.domain(),
            toolchain: &self.toolchain,
            arguments: &command.arguments,
            environment,
            cargo_home: &self.cargo_home,
            compilers_write_temporary: self.installed.is_some_and(|tool| tool.expands),
            bar: Arc::clone(&self.bar),
            stderr: None,
            credential_providers: self.tokens().provider_variables(),
        })
    }

    /// Creates directories that cargo would create in ones that it may not write.
    fn create_written(&self, command: &CargoCommand, project: Option<(&Path, &Path)>) -> anyhow::Result<()> {
        let failed = |path: &Path| format!("failed to create `{}`", path.display());
        std::fs::create_dir_all(&self.cargo_home).with_context(|| failed(&self.cargo_home))?;
        let installs = command.subcommand == "install" && command.kind != CommandKind::Host;
        let variable = self.variable("CARGO_INSTALL_ROOT");
        let root = install_root(command, &self.directory, variable, &self.configuration, &self.cargo_home);
        if let Some(root) = root.filter(|_| installs) {
            install_root::create(&root, !command.flag(&["--no-track"])).with_context(|| failed(&root))?;
        }
        if let Some(tool) = self.installed {
            for name in ["registry", "git"].iter().chain(tool.keeps) {
                let path = self.cargo_home.join(name);
                std::fs::create_dir_all(&path).with_context(|| failed(&path))?;
            }
            for name in CARGO_HOME_FILES {
                let path = self.cargo_home.join(name);
                let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
                file.with_context(|| failed(&path))?;
            }
        }
        let Some((root, target_dir)) = project else { return Ok(()) };
        let compiles = !matches!(command.kind, CommandKind::Host);
        if compiles && !target_dir.starts_with(root) {
            create_cache_directory(target_dir).with_context(|| failed(target_dir))?;
        }
        if compiles || command.subcommand == "vendor" {
            let written = command.writes_beside_project().into_iter().map(|path| self.directory.join(path));
            for path in written.filter(|path| !path.starts_with(root)) {
                std::fs::create_dir_all(&path).with_context(|| failed(&path))?;
            }
        }
        Ok(())
    }

    /// A variable of cargo's environment.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }
}
