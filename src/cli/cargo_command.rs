//! A command of cargo's, from the words to the exit code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::broker::identify::role;
use crate::broker::nested::may_run_tests;
use crate::broker::session::{Purpose, normalized};
use crate::broker::trace::Trace;
use crate::broker::{Broker, Session};
use crate::cargo::configuration::{Aliases, Configuration, Expansion, Place};
use crate::cargo::installed::coverage::{self, Coverage};
use crate::cargo::installed::{self, InstalledError, Tool};
use crate::cargo::run::{SessionDirectory, exit_code, install_wrapper, own_executable};
use crate::cargo::stderr::CargoStderr;
use crate::cargo::{CargoCommand, CommandKind, Toolchain, ToolchainError, environment, version};
use crate::container::Image;
use crate::container::engines::Engines;
use crate::container::lifecycle::Containers;
use crate::container::spec::Mount;
use crate::container::world::World;
use crate::missing::Advisor;
use crate::policy::bar::Bar;
use crate::policy::kind::Kind;
use crate::policy::question::Question;
use crate::policy::repository::RepositoryPolicy;
use crate::project::outside;
use crate::project::planted::{self, TargetDir};
use crate::project::{
    Project, ProjectDirectories, StateDirectory, WorkspaceError, find_manifest, record, workspace_root,
};
use crate::publish::tokens::Tokens;
use crate::report::{Mode, Recorder};
use crate::switch_off::{Defence, is_off};

use super::image;
use super::introduction::introduce;
use super::policy::{self, Ground};
use super::provider;
use super::report::{Report, ReportOptions};
use super::system_packages;
use super::trust;
use super::vetted::Vetted;
use super::{EXIT_FAILURE, FrontEnd, Options, fix, install, publish};

/// Runs cargo with `words`, which are everything behind our own options; returns its exit code.
pub fn run(front_end: &FrontEnd, options: &Options, words: &[OsString]) -> anyhow::Result<u8> {
    let (vetted, root) = vetted(front_end, options, words)?;
    refuse_unrecorded(&vetted.command, &options.report)?;
    match (vetted.command.kind, root) {
        (CommandKind::Install, _) => install::run(&vetted),
        (CommandKind::Fix, Ok(root)) => fix::run(&vetted, &root),
        (CommandKind::Publish, Ok(root)) => publish::run(&vetted, &root),
        (CommandKind::Registry, root) => publish::registry::run(&vetted, root.ok().as_deref()),
        (_, Ok(root)) => in_project(&vetted, &root),
        // `new`, `--version`, `search` need no project; cargo says so where another one does.
        (CommandKind::Host | CommandKind::Unknown, Err(_)) => {
            Ok(exit_code(vetted.cargo(&vetted.command, None)?.without_project()?))
        }
        (_, Err(error)) => Err(error.into()),
    }
}

/// A command that may run, and the root of the project that it is given in.
///
/// # Errors
/// When the repository asks for what is not trusted, and for all else that keeps cargo from being started.
pub(super) fn vetted<'a>(
    front_end: &'a FrontEnd,
    options: &'a Options,
    words: &[OsString],
) -> anyhow::Result<(Vetted<'a>, Result<PathBuf, WorkspaceError>)> {
    let (toolchain_name, words) = split_toolchain(words);
    let cargo_home = front_end.cargo_home()?;
    let Understood { mut command, configuration, root, aliases, asked_before } =
        understood(front_end, &cargo_home, installed::help_as_option(words))?;
    if let CommandKind::Refused(reason) = command.kind {
        bail!("`cargo-sandbox {}` is not there yet: {reason}", command.subcommand)
    }
    warn_of_ignored(front_end, &command);

    let directory = command.working_directory(&front_end.cwd);
    let mut questions = Vec::new();
    let toolchain = match front_end.toolchain(toolchain_name)?.resolve(&directory) {
        Err(ToolchainError::PathToolchain(named)) => {
            questions.push(named.question());
            named.trusted()
        }
        other => other,
    };
    let search = |sysroot: &Path| installed::search_path(sysroot, &cargo_home, front_end.variable("PATH"));
    let installed = match (&command.kind, &toolchain) {
        (CommandKind::Unknown, Ok(toolchain)) => {
            let config = front_end.user_config()?;
            match installed::admit(&command, &options.subcommands, &search(&toolchain.sysroot), &config) {
                // A mistake: cargo says what was meant, perhaps. There is nothing that it could start.
                Err(InstalledError::Missing(_)) => {
                    command.kind = CommandKind::Host;
                    None
                }
                admitted => Some(admitted?),
            }
        }
        _ => None,
    };
    if installed.is_some_and(|tool| tool.measures) {
        coverage::keep_out_of_the_wrapper(&mut command);
    }
    // A cargo that is started by another program writes any alias out by itself.
    let passes_on = installed.is_some_and(|tool| tool.passes_on);
    let aliases = if passes_on { Aliases::All } else { Aliases::Used(&aliases) };
    questions.splice(0..0, configuration.questions(aliases));
    let others: Vec<_> = asked_before.into_iter().filter(|question| !questions.contains(question)).collect();
    questions.extend(others);
    if let (Some(_), Ok(root)) = (installed, &root)
        && installed::runs_nextest(&command)
    {
        questions.extend(installed::nextest::question(root)?);
    }
    if let Ok(root) = &root {
        questions.extend(policy_question(front_end, options, root)?);
    }
    let scene = trust::Scene { directory: &directory, manifest_path: command.manifest_path.as_deref() };
    trust::require(front_end, &scene, &questions)?;
    configuration.refuse_decided()?;
    let toolchain = toolchain?;
    let mut environment = environment::scrub(front_end.environment(), &options.variables);
    if configuration.get("build.rustc-workspace-wrapper").is_some() {
        // It would run in the place of the compiler. Only here, since even an empty one is part of what names
        // artifacts.
        environment.push(("RUSTC_WORKSPACE_WRAPPER".into(), OsString::new()));
    }
    let vetted = Vetted {
        front_end,
        options,
        bar: Arc::new(Bar::new(&options.allowed, command.quiet)),
        home: front_end.user()?.home,
        command,
        directory,
        configuration,
        toolchain,
        environment,
        cargo_home,
        installed,
    };
    Ok((vetted, root))
}

/// Refuses to record what would say nothing.
fn refuse_unrecorded(command: &CargoCommand, report: &ReportOptions) -> anyhow::Result<()> {
    let name = &command.subcommand;
    match command.kind {
        CommandKind::Fix if report.mode != Mode::Failures => bail!(
            "`{name}` runs all of cargo as one job, so that no record tells one package from the other\n\nhint: \
             `cargo-sandbox --audit check` records the same build scripts and macros"
        ),
        CommandKind::Install if report.mode == Mode::Learn || report.locked => bail!(
            "`{name}` has no project with a `cargo-sandbox.toml` or a `cargo-sandbox.lock`\n\nhint: `--audit` records \
             what it does; or use `--learn` and `--locked-behaviour` with `build` in a copy of the sources"
        ),
        _ => Ok(()),
    }
}

/// What the repository's policy asks for.
fn policy_question(front_end: &FrontEnd, options: &Options, root: &Path) -> anyhow::Result<Option<Question>> {
    // The user's own part is read when all that it depends on is known, and not twice.
    if !RepositoryPolicy::may_be_in(root) {
        return Ok(None);
    }
    let ground = Ground { root, target_dir: None, sysroot: None, own: &options.own };
    Ok(policy::of_project(front_end, &ground)?.question)
}

/// cargo in a project, with everything that it starts of others' going through the broker.
fn in_project(vetted: &Vetted<'_>, root: &Path) -> anyhow::Result<u8> {
    let command = &vetted.command;
    let state = vetted.front_end.state()?;
    let mut prepared =
        prepare(vetted.front_end, vetted.options, &vetted.known(command), &state, Project::new(root))?;
    let places = (prepared.session.project.root.clone(), prepared.session.target_dir.clone());
    if command.subcommand != "clean" && !is_off(Defence::PlantedCheck) {
        planted::check(&places.0, &places.1)?;
        if let Some(coverage) = &prepared.session.coverage {
            planted::check(&places.0, &coverage.place)?;
        }
    }
    introduce(&prepared.session.directories, command, &places.0)
        .context("failed to write down this project")?;
    let mut cargo = vetted.cargo(command, Some((&places.0, &places.1)))?;
    if prepared.session.coverage.is_some() {
        let bin = prepared.session.directories.bin();
        for (name, role) in [(COV, role::LLVM_COV), (PROFDATA, role::LLVM_PROFDATA)] {
            cargo.environment.push((name.into(), bin.join(role).into()));
        }
    }
    for (name, value) in prepared.session.provided.of_compilers() {
        cargo.environment.retain(|(own, _)| own != name);
        cargo.environment.push((name.into(), value.into()));
    }
    if command.kind == CommandKind::Compile {
        prepared.session.containers.provide()?;
    }
    let directories = prepared.session.directories.clone();
    // An installed subcommand shows what it likes.
    if command.kind == CommandKind::Compile {
        let stderr = CargoStderr::start(&directories.bin(), &vetted.toolchain.sysroot);
        prepared.session.stderr = Some(stderr.context("failed to give cargo a standard error")?);
        cargo.stderr = prepared.session.stderr.clone();
    }
    prepared.session.says_of_questions = command.quiet && command.subcommand == "run";
    let report = Report::begin(&vetted.options.report, &prepared.session, command)?;
    let session = Arc::new(prepared.session);
    let session_directory = start_broker(Arc::clone(&session))?;
    let ahead = needs_container(command, &directories)
        .then(|| std::thread::spawn(move || session.containers.start_ahead(&session)));
    let status = cargo.with_broker(&directories, &session_directory, &prepared.triples);
    // What has begun must come to an end: half of a container would stay behind.
    ahead.map(std::thread::JoinHandle::join);
    let status = status?;
    drop(session_directory);
    let accepted = report.finish()?;
    if status.code() == Some(i32::from(EXIT_FAILURE)) {
        explain_outside(&places.0, &vetted.options.reads);
    }
    if command.subcommand == "clean" && !directories.build().exists() {
        forget_scripts(&directories);
    }
    if !accepted && status.success() {
        return Ok(EXIT_FAILURE);
    }
    Ok(exit_code(status))
}

/// Whether a command is about to have jobs: it compiles, and nothing has been compiled yet.
fn needs_container(command: &CargoCommand, directories: &ProjectDirectories) -> bool {
    let is_empty =
        || std::fs::read_dir(directories.build()).map_or(true, |mut entries| entries.next().is_none());
    command.kind == CommandKind::Compile && is_empty()
}

/// Starts the broker of a session; its socket is in the directory that is returned.
pub(super) fn start_broker(session: impl Into<Arc<Session>>) -> anyhow::Result<SessionDirectory> {
    let session = session.into();
    let wrapper = install_wrapper(&own_executable()?, &session.directories)?;
    let directory = SessionDirectory::create(&session.directories.sessions())
        .context("failed to make a directory for this session")?;
    Broker::start(session, wrapper, directory.path()).context("failed to listen for cargo's compilers")?;
    Ok(directory)
}

/// A session, and what cargo must be told beside it.
pub(super) struct Prepared {
    pub session: Session,
    pub triples: Vec<String>,
    /// Whether the repository's policy asks for what is not trusted, and so is not given.
    pub asks: bool,
}

/// What is known of a command before its project is looked at.
pub(super) struct Known<'a> {
    pub command: &'a CargoCommand,
    pub configuration: &'a Configuration,
    pub toolchain: &'a Toolchain,
    pub bar: &'a Arc<Bar>,
    /// The installed subcommand that it is.
    pub installed: Option<&'static Tool>,
    /// All of it, where cargo can be asked about the project before the command runs.
    pub vetted: Option<&'a Vetted<'a>>,
}

/// What the user names LLVM's tools with, and cargo-llvm-cov is told this tool's stand-ins with.
const COV: &str = "LLVM_COV";
const PROFDATA: &str = "LLVM_PROFDATA";

/// Everything that is fixed before cargo starts.
pub(super) fn prepare(
    front_end: &FrontEnd,
    options: &Options,
    known: &Known<'_>,
    state: &StateDirectory,
    project: Project,
) -> anyhow::Result<Prepared> {
    let Known { command, configuration, toolchain, bar, installed, vetted } = *known;
    let user = front_end.user()?;
    if user.home.starts_with(&project.root) {
        bail!(
            "the project's root is `{}`, so that all of your home directory would be shown to its jobs\n\nhint: move \
             the project to a directory of its own",
            project.root.display()
        );
    }
    let config = front_end.user_config()?;
    if config.canonicalize().is_ok_and(|config| config.starts_with(&project.root)) {
        bail!(
            "your configuration `{}` is in the project `{}`, which must have no say in it\n\nhint: let XDG_CONFIG_HOME \
             name a directory outside of the project",
            config.display(),
            project.root.display()
        );
    }
    let user_home = user.home.clone();
    let cargo_home = front_end.cargo_home()?;
    let directories = state.project(&project.id);
    directories.create().context("failed to make the directories of this project")?;
    let stamp = record::read(&directories).and_then(|record| record.cargo_stamp);
    let stamp = version::check(toolchain, stamp)?;
    record::write(&directories, &project, stamp).context("failed to write down this project")?;

    let target_dir = target_dir(front_end, command, configuration, &project).resolve(&project.root)?;
    let mut triples = toolchain.installed_targets();
    triples.extend(command.targets.iter().cloned());
    triples.extend(configuration.targets());
    let from_environment = front_end.variable("CARGO_BUILD_TARGET");
    triples.extend(from_environment.map(|triple| triple.to_string_lossy().into_owned()));
    triples.sort();
    triples.dedup();

    let ground = Ground {
        root: &project.root,
        target_dir: Some(&target_dir),
        sysroot: Some(&toolchain.sysroot),
        own: &options.own,
    };
    let policy::Found { policy, places, settings, open, .. } = policy::of_project(front_end, &ground)?;
    let engines = Engines::new(settings.engine.value, front_end.docker_endpoints(), state)
        .selected_by(settings.engine_by_repository());
    let (image, mut system) = image::system(&settings.image, state, &user)?;
    let provided = {
        let (root, target_dir) = (project.root.as_path(), target_dir.as_path());
        let scene = provider::Scene { front_end, command, toolchain, bar, state, root, target_dir };
        provider::of_command(&scene, &settings, &mut system)?
    };
    let system_packages::Provided { image, root: packages } = {
        let scene = system_packages::Scene {
            front_end,
            command,
            vetted,
            bar,
            system: &system,
            root: &project.root,
            directories: &directories,
        };
        system_packages::provide(&scene, state, &settings, image)?
    };
    let coverage = match installed {
        Some(tool) if tool.measures && coverage::needs_tools(command) => {
            let search = installed::search_path(&toolchain.sysroot, &cargo_home, front_end.variable("PATH"));
            let itself =
                installed::program(tool.name, &search).context("cargo-llvm-cov is not there any more")?;
            let itself = itself.canonicalize().context("failed to find cargo-llvm-cov")?;
            let named = [front_end.variable(COV), front_end.variable(PROFDATA)];
            Some(Coverage::find(toolchain, &target_dir, itself, named)?)
        }
        _ => None,
    };
    let world = World {
        system,
        image,
        user,
        documents: matches!(command.subcommand.as_str(), "doc" | "rustdoc"),
        limits: settings.limits.container.clone(),
        bar: Arc::clone(bar),
        shown: coverage.iter().map(|coverage| Mount::read_only(&coverage.demangler)).collect(),
        packages,
        idle: options.idle,
        agent: own_executable()?,
    };
    let advisor = match &world.image {
        Image::Host => {
            let programs = front_end.variable("PATH").map(Into::into);
            Advisor::of_machine(world.system_directories(), programs)
        }
        image => Advisor::of_image(&image.to_string()),
    };
    let granted = |name: &str| Some((OsString::from(name), front_end.variable(name)?.to_owned()));
    let tokens = Tokens::new(configuration, front_end.environment().collect(), cargo_home.clone());
    let recorder = {
        let all = options.verbose || command.flag(&["-v", "-vv", "--verbose"]);
        let names = front_end.environment().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        let recorder = Recorder::new(options.report.mode, all, places, &user_home, names);
        match command.kind {
            CommandKind::Install => recorder.suggesting_for(&config),
            _ => recorder,
        }
    };
    let path = front_end.variable("PATH").unwrap_or_default();
    let path_of_cargo = installed::path_of_cargo(&toolchain.sysroot, &cargo_home, Some(path));
    let session = Session {
        path: Some((path_of_cargo, path.to_owned())),
        programs: Kind::of_programs(coverage::stands_for(command)),
        tests: may_run_tests(&command.subcommand),
        granted_variables: policy.variables().filter_map(granted).collect(),
        provided,
        policy,
        probes: state.probes(),
        toolchain: toolchain.clone(),
        cargo_home,
        target_dir,
        extra_reads: options.reads.clone(),
        vendored: vendored(configuration),
        containers: Containers::new(engines, world),
        umask: front_end.umask()?,
        budgets: settings.limits.budgets,
        advisor,
        verbose: options.verbose,
        recorder: Some(Arc::new(recorder)),
        trace: options.trace.as_deref().map(trace).transpose()?,
        purpose: Purpose::Build,
        stderr: None,
        says_of_questions: false,
        coverage,
        expands: installed.is_some_and(|tool| tool.expands),
        tokens: Some(tokens).filter(Tokens::are_elsewhere),
        plain: None,
        project,
        directories,
    };
    Ok(Prepared { session, triples, asks: open })
}

fn trace(path: &Path) -> anyhow::Result<Trace> {
    Trace::create(path).with_context(|| format!("failed to write `{}` (`--sandbox-trace`)", path.display()))
}

/// Where vendored packages are, as cargo names them to the compiler and as they are without links.
fn vendored(configuration: &Configuration) -> Vec<PathBuf> {
    let named = configuration.vendored();
    let real = named.iter().filter_map(|path| path.canonicalize().ok()).collect::<Vec<_>>();
    let mut all: Vec<PathBuf> = named.iter().filter_map(|path| normalized(path)).chain(real).collect();
    all.sort();
    all.dedup();
    all
}

/// `+name` before the command.
pub(super) fn split_toolchain(words: &[OsString]) -> (Option<String>, &[OsString]) {
    match words.split_first() {
        Some((first, rest)) if first.to_string_lossy().starts_with('+') => {
            (Some(first.to_string_lossy()[1..].to_owned()), rest)
        }
        _ => (None, words),
    }
}

/// A command line, with what it depends on.
pub(super) struct Understood {
    /// The command, with aliases of the configuration written out where it is none of cargo's own.
    pub command: CargoCommand,
    /// The configuration that it is run with.
    pub configuration: Configuration,
    /// The project's root.
    pub root: Result<PathBuf, WorkspaceError>,
    /// The aliases that were in it.
    aliases: Vec<String>,
    /// What those ask for where they are from another configuration.
    asked_before: Vec<Question>,
}

pub(super) fn understood(
    front_end: &FrontEnd,
    cargo_home: &Path,
    words: Vec<OsString>,
) -> anyhow::Result<Understood> {
    let read = |command: &CargoCommand| {
        let directory = command.working_directory(&front_end.cwd);
        if command.kind == CommandKind::Install {
            let place = Place { directory: cargo_home, cargo_home, root: None };
            let configuration = Configuration::read_from(&directory, place, &command.config)?;
            return Ok((configuration, Err(WorkspaceError::NotFound(directory))));
        }
        let manifest = find_manifest(&directory, command.manifest_path.as_deref());
        let root = manifest.as_ref().map_err(Clone::clone).and_then(|path| workspace_root(path));
        // `cargo install --path` reads the configuration of what it installs.
        let installed = manifest.ok().filter(|_| command.subcommand == "install");
        let of = installed.as_deref().and_then(Path::parent).unwrap_or(&directory);
        let place = Place { directory: of, cargo_home, root: root.as_deref().ok() };
        let configuration = Configuration::read_from(&directory, place, &command.config)?;
        anyhow::Ok((configuration, root))
    };
    let command = CargoCommand::parse(words);
    let (configuration, root) = read(&command)?;
    let expanded = match command.position {
        Some(position) => configuration.expand_alias(&command.arguments, position)?,
        None => None,
    };
    let Some(Expansion { arguments, aliases }) = expanded else {
        let (aliases, asked_before) = (Vec::new(), Vec::new());
        return Ok(Understood { command, configuration, root, aliases, asked_before });
    };
    // An alias may carry `--config` of its own.
    let command = CargoCommand::parse(arguments);
    // `install` has the configuration of what it installs, and the alias is from where the user is.
    let asked_before = match command.subcommand.as_str() {
        "install" => configuration.questions(Aliases::Used(&aliases)),
        _ => Vec::new(),
    };
    let (configuration, root) = read(&command)?;
    Ok(Understood { command, configuration, root, aliases, asked_before })
}

/// The order of the cargo book: option, variables, configuration, default.
pub(super) fn target_dir(
    front_end: &FrontEnd,
    command: &CargoCommand,
    configuration: &Configuration,
    project: &Project,
) -> TargetDir {
    let directory = command.working_directory(&front_end.cwd);
    let variable = |name| front_end.variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let relative = command
        .target_dir
        .clone()
        .or_else(|| variable("CARGO_TARGET_DIR"))
        .or_else(|| variable("CARGO_BUILD_TARGET_DIR"))
        .map(|path| (directory.join(path), true));
    let (path, users) = relative
        .or_else(|| configuration.target_dir())
        .unwrap_or_else(|| (project.root.join("target"), false));
    TargetDir { path, users }
}

/// cargo only says that it may not read what lies outside.
fn explain_outside(root: &Path, reads: &[PathBuf]) {
    for path in outside::dependencies(root, reads) {
        let path = path.display();
        eprintln!(
            "\nnote: the dependency in `{path}` is outside of the project `{}`, where nothing is read\n\nhint: if you \
             trust what is there: `cargo-sandbox --sandbox-read {path} …`",
            root.display()
        );
    }
}

/// A wrapper of the user's own would run on the host; there is one slot, and this tool needs it.
fn warn_of_ignored(front_end: &FrontEnd, command: &CargoCommand) {
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        if let Some(value) = front_end.variable(name).filter(|value| !value.is_empty())
            && !command.quiet
        {
            eprintln!("warning: {name}={} is ignored: it would run on this machine", value.to_string_lossy());
        }
    }
}

/// After `clean` nothing is there that the shims stand for.
fn forget_scripts(directories: &ProjectDirectories) {
    for path in [
        directories.shims(),
        directories.scripts(),
        directories.generated(),
        directories.inside(),
        directories.editor(),
        directories.packages(),
        directories.profiles(),
    ] {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            let _left = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
}
