//! What riff or Nix gives to a project's jobs, for one command.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::agent::protocol::Budget;
use crate::broker::escapes::visible;
use crate::cargo::run::own_executable;
use crate::cargo::{CargoCommand, CommandKind, Toolchain, version};
use crate::container::Image;
use crate::container::engines::Engines;
use crate::container::host::{SystemWorld, system_world};
use crate::container::spec::Mount;
use crate::policy::bar::Bar;
use crate::policy::containers::Settings;
use crate::policy::limits::LimitName;
use crate::policy::provider::Provider;
use crate::project::single_use::SingleUse;
use crate::project::{Project, ProjectDirectories, StateDirectory, file_name, record};
use crate::provider::evaluation::Surroundings;
use crate::provider::store::Store;
use crate::provider::{Provided, Wish, kept, provide};

use super::FrontEnd;

/// The directory of a project's own that all of this is kept in.
const DIRECTORY: &str = "provider";

/// What a command is known by, and what it depends on.
pub(super) struct Scene<'a> {
    /// The process.
    pub front_end: &'a FrontEnd,
    /// The command.
    pub command: &'a CargoCommand,
    /// Whose toolchain.
    pub toolchain: &'a Toolchain,
    /// What may be missing of the promised confinement.
    pub bar: &'a Arc<Bar>,
    /// This tool's directory.
    pub state: &'a StateDirectory,
    /// The project's root.
    pub root: &'a Path,
    /// Where final artifacts land.
    pub target_dir: &'a Path,
}

/// What jobs get beside what the containers are made from; its store is added to what containers show.
///
/// # Errors
/// When the policy wants what is not there, or what it wants cannot be evaluated as promised.
pub(super) fn of_command(
    scene: &Scene<'_>,
    settings: &Settings,
    system: &mut SystemWorld,
) -> anyhow::Result<Provided> {
    let provider = &settings.provider;
    let runs_jobs = matches!(
        scene.command.kind,
        CommandKind::Compile | CommandKind::Fix | CommandKind::Publish | CommandKind::Unknown
    );
    if provider.value == Provider::Image && settings.image.value == Image::Host {
        bail!(
            "{} wants all compilers and libraries from an image, and none is chosen\n\nhint: `image = \"…\"` in the same file, \
             or `--sandbox-image`",
            provider.by
        );
    }
    if !provider.value.evaluates() {
        return Ok(Provided::default());
    }
    let directory = project(scene)?.path().join(DIRECTORY);
    if !runs_jobs {
        // The compiler may be asked about itself, in the container that other commands use.
        if let Some(store) = Store::existing(&directory) {
            show(system, store.mount());
        }
        return Ok(Provided::default());
    }
    let cargo_home = scene.front_end.cargo_home()?;
    let wish = Wish {
        provider,
        root: scene.root,
        target_dir: scene.target_dir,
        directory: &directory,
        path: scene.front_end.variable("PATH"),
        sysroot: &scene.toolchain.sysroot,
        cargo_home: &cargo_home,
        budget: Budget {
            seconds: settings.limits.value(LimitName::WallTime),
            disk_writes: settings.limits.value(LimitName::DiskWrites),
            ..Budget::default()
        },
        offline: scene.command.offline,
        quiet: scene.command.quiet,
    };
    let given = provide(&wish, || surroundings(scene, settings))?;
    show(system, given.store);
    Ok(given.provided)
}

/// In the place of another store.
fn show(system: &mut SystemWorld, store: Mount) {
    system.mounts.retain(|mount| mount.target != store.target);
    system.mounts.push(store);
}

/// What was given last, for people: what jobs get and what none gets.
pub(super) fn explained(state: &StateDirectory, root: &Path, settings: &Settings) -> String {
    let provider = settings.provider.value;
    let directory = state.project(&Project::new(root).id).path().join(DIRECTORY);
    let Some(provided) = kept::last(&directory).filter(|_| provider.evaluates()) else {
        return String::new();
    };
    let mut text = String::new();
    let programs = provided.programs.iter().map(|path| ("PATH", path.display().to_string()));
    let libraries = provided.libraries.iter().map(|path| ("LD_LIBRARY_PATH", path.display().to_string()));
    let variables = provided.variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in programs.chain(libraries).chain(variables) {
        let _infallible = writeln!(text, "    env       {}={}", visible(name), visible(&value));
    }
    for name in &provided.withheld {
        let _infallible = writeln!(text, "    withheld  {}", visible(name));
    }
    text
}

/// What the project at the root keeps, also where this command works on a copy of it.
fn project(scene: &Scene<'_>) -> anyhow::Result<ProjectDirectories> {
    let project = Project::new(scene.root);
    let directories = scene.state.project(&project.id);
    directories.create().context("failed to make the directories of this project")?;
    if record::read(&directories).is_none() {
        let stamp = version::check(scene.toolchain, None)?;
        record::write(&directories, &project, stamp).context("failed to write down this project")?;
    }
    Ok(directories)
}

fn surroundings(scene: &Scene<'_>, settings: &Settings) -> anyhow::Result<Surroundings> {
    let user = scene.front_end.user()?;
    let system =
        system_world(&scene.state.etc(), &user).context("failed to look at the system's directories")?;
    let endpoints = scene.front_end.docker_endpoints();
    let engines = Engines::new(settings.engine.value, endpoints, scene.state)
        .selected_by(settings.engine_by_repository());
    let made_up = SingleUse::create(scene.state, &file_name(scene.root))
        .context("failed to make directories for riff and Nix")?;
    Ok(Surroundings {
        engines,
        system,
        user,
        limits: settings.limits.container.clone(),
        bar: Arc::clone(scene.bar),
        agent: own_executable()?,
        made_up,
    })
}
