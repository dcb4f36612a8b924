//! `self doctor`: what this machine offers, proved by running a job.

use std::sync::Arc;

use clap::Args;

use crate::agent::protocol::{Access, JOB_HOME, JobSpec, Reply, Request, Rights};
use crate::broker::Session;
use crate::cargo::CargoCommand;
use crate::cargo::configuration::{Configuration, Place};
use crate::cargo::domain::kernel;
use crate::container::Image;
use crate::container::engines::{Engines, Selection, explain};
use crate::container::world::Reachable;
use crate::policy::bar::Bar;
use crate::policy::containers::Settings;
use crate::policy::layers::Source;
use crate::project::Project;

use super::super::cargo_command::{Known, prepare};
use super::super::policy::{Ground, of_project};
use super::super::version;
use super::super::{EXIT_FAILURE, FrontEnd, Options};
use super::{Context, remedies};

/// The arguments of `self doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Propose what can be done about what is missing, do what you agree to, and look again
    #[arg(long)]
    fix: bool,
    /// With `--fix`: do all of it without asking
    #[arg(long, requires = "fix")]
    yes: bool,
}

/// Prints what is there, runs a job, and says whether that worked.
pub fn run(
    front_end: &FrontEnd,
    options: &Options,
    context: &Context,
    arguments: &DoctorArguments,
) -> anyhow::Result<u8> {
    let found = examine(front_end, options, context);
    let remedies = remedies::find(front_end, context, settings(front_end, options, context)?.engine.value);
    if !arguments.fix {
        match remedies.len() {
            0 => {}
            count => println!("\n`cargo-sandbox self doctor --fix` proposes what can be done here ({count})"),
        }
        return found;
    }
    if let Err(error) = &found {
        println!("error: {error:#}");
    }
    if remedies.is_empty() {
        println!("\nthere is nothing that --fix could do");
        return found;
    }
    if remedies::propose(&remedies, context, arguments.yes)? {
        println!("\nand now:");
        return examine(front_end, options, context);
    }
    found
}

/// What holds for containers here.
fn settings(front_end: &FrontEnd, options: &Options, context: &Context) -> anyhow::Result<Settings> {
    let Some(project) = &context.project else { return Ok(options.settings()) };
    let ground = Ground { root: &project.root, target_dir: None, sysroot: None, own: &options.own };
    Ok(of_project(front_end, &ground)?.settings)
}

fn examine(front_end: &FrontEnd, options: &Options, context: &Context) -> anyhow::Result<u8> {
    println!("cargo-sandbox {}", env!("CARGO_PKG_VERSION"));
    say("kernel", &release());
    let toolchain = front_end.toolchain(None)?.resolve(&front_end.cwd)?;
    say("toolchain", &format!("{} ({})", toolchain.name, toolchain.sysroot.display()));
    let settings = settings(front_end, options, context)?;
    engines(front_end, context, &settings);
    policy(front_end, options, &settings)?;

    // Where there is no project, one of this tool's own: jobs need a place to run in.
    let own = tempfile::tempdir()?;
    let project = match &context.project {
        Some(project) => project.clone(),
        None => Project::new(&own.path().canonicalize()?),
    };
    let is_own = context.project.is_none();
    let command = CargoCommand::parse(vec!["check".into()]);
    let cargo_home = front_end.cargo_home()?;
    let place = Place { directory: &front_end.cwd, cargo_home: &cargo_home, root: Some(&project.root) };
    let configuration = Configuration::read(place, &command.config)?;
    let bar = Arc::new(Bar::new(&options.allowed, false));
    let known = Known {
        command: &command,
        configuration: &configuration,
        toolchain: &toolchain,
        bar: &bar,
        installed: None,
        vetted: None,
    };
    let session = prepare(front_end, options, &known, &context.state, project)?.session;
    let proof = kernel::check(&bar).map_err(anyhow::Error::from).and_then(|_| prove(&session));
    if is_own {
        stop(&session);
        let _left = std::fs::remove_dir_all(session.directories.path());
    }
    match proof {
        Ok(()) => {
            println!("\njobs can run here, confined as promised");
            Ok(0)
        }
        Err(error) => {
            println!("\njobs cannot run here");
            eprintln!("error: {error:#}");
            Ok(EXIT_FAILURE)
        }
    }
}

fn say(what: &str, text: &str) {
    println!("{:<12} {text}", format!("{what}:"));
}

/// A line that may belong to the one before.
fn say_more(what: &str, text: &str) {
    match what {
        "" => println!("{:<12} {text}", ""),
        what => say(what, text),
    }
}

fn release() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

/// Which engines are there, and which one the selection means.
fn engines(front_end: &FrontEnd, context: &Context, settings: &Settings) {
    for (name, described) in version::engines(front_end) {
        match described {
            Ok(text) => say(name, &text),
            Err(error) => say(name, &format!("not usable: {error}")),
        }
    }
    let by_repository = settings.engine_by_repository();
    let why = match (settings.engine.value, &by_repository) {
        (Selection::Auto, _) => "auto: docker where its daemon answers, else native".to_owned(),
        (Selection::Docker | Selection::Native, None) => "selected".to_owned(),
        (Selection::Docker | Selection::Native, Some(place)) => format!("selected by {place}"),
    };
    let endpoints = front_end.docker_endpoints();
    let engines = Engines::new(settings.engine.value, endpoints, &context.state);
    match engines.choose() {
        Ok(engine) => say("engine", &format!("{} ({why})", engine.kind())),
        Err(error) => say("engine", &format!("none: {error}")),
    }
    match &settings.image.value {
        Image::Host => {}
        image => say("image", &format!("{image} ({})", settings.image.by)),
    }
    for packages in &settings.packages {
        say("packages", &format!("{} ({})", packages.value, packages.by));
    }
}

/// What the user's own configuration says, and what holds with it and the repository's.
fn policy(front_end: &FrontEnd, options: &Options, settings: &Settings) -> anyhow::Result<()> {
    let path = front_end.user_config()?;
    let there = if path.exists() { "" } else { " (not there)" };
    say("yours", &format!("{}{there}", path.display()));
    for (index, line) in settings.limits.list().chunks(5).enumerate() {
        let line: Vec<String> = line.iter().map(|(name, value)| format!("{name}={value}")).collect();
        say_more(if index == 0 { "limits" } else { "" }, &line.join(" "));
    }
    let of_repository = settings.origins.values().find(|place| place.source == Some(Source::Repository));
    if let Some(place) = of_repository {
        say_more("", &format!("some by {}: `cargo-sandbox self explain` says which", place.file.display()));
    }
    let allowed: Vec<String> =
        options.allowed.iter().map(|weakness| format!("{weakness} (`{}`)", weakness.name())).collect();
    match allowed.as_slice() {
        [] => say("bar", "nothing of the promised confinement may be missing"),
        some => say("bar", &format!("lowered by your configuration; allowed: {}", some.join("; "))),
    }
    Ok(())
}

/// Runs rustc in the container, after the check of what is enforced that every start makes, and says what that
/// found.
fn prove(session: &Session) -> anyhow::Result<()> {
    let agent = session.containers.connect(session, Reachable::Nothing)?;
    agent.send(&Request::Report, &[])?;
    if let Reply::Enforced(enforced) = agent.read_reply()? {
        let in_force = if enforced.landlock_enforced { "in force" } else { "NOT in force" };
        say("landlock", &format!("level {} of the kernel, {in_force}", enforced.landlock_abi));
        say(
            "jobs",
            &format!("ended by {}, no capabilities, seccomp filter, no network", enforced.process_tree),
        );
        let by = |limit: Option<u64>, other: &str| limit.map_or(other.to_owned(), |_| "by cgroup".to_owned());
        let memory = by(enforced.memory_limit, "by watching");
        let processes = by(enforced.pids_limit, "by rlimit");
        say("held", &format!("memory {memory}, processes of the container {processes}"));
    }
    let access = session
        .containers
        .system_directories()
        .into_iter()
        .map(|path| Access { path: path.into_os_string().into_encoded_bytes(), rights: Rights::ReadExecute });
    let sysroot = session.toolchain.sysroot.as_os_str().as_encoded_bytes().to_vec();
    let rustc = session.toolchain.program("rustc").into_os_string().into_encoded_bytes();
    let output = tempfile::tempfile()?;
    let spec = JobSpec {
        program: rustc.clone(),
        argv: vec![rustc, b"-vV".to_vec()],
        env: vec![format!("HOME={JOB_HOME}").into_bytes()],
        cwd: b"/".to_vec(),
        descriptors: vec![1, 2],
        access: access.chain([Access { path: sysroot, rights: Rights::ReadExecute }]).collect(),
        umask: 0o022,
        ..JobSpec::default()
    };
    let agent = session.containers.connect(session, Reachable::Nothing)?;
    let descriptor = std::os::fd::AsFd::as_fd(&output);
    agent.send(&Request::Run(Box::new(spec)), &[descriptor, descriptor])?;
    match agent.read_reply()? {
        Reply::Exited { wait_status: 0 } => Ok(()),
        Reply::Exited { wait_status } => {
            use std::io::{Read, Seek};
            let mut text = String::new();
            let mut output = output;
            output.rewind()?;
            output.read_to_string(&mut text)?;
            anyhow::bail!("rustc in the container ended with status {wait_status}: {}", text.trim())
        }
        Reply::Failed { message, .. } => anyhow::bail!("a job cannot be confined: {message}"),
        other => anyhow::bail!("the agent answered {other:?}"),
    }
}

/// Ends the container of a project that is there for this command only.
fn stop(session: &Session) {
    for engine in session.containers.engines().available() {
        for container in engine.list().unwrap_or_default() {
            if container.project == session.project.id
                && let Err(error) = engine.remove(&container)
            {
                eprintln!("warning: {}", explain("end the container of this check", &error));
            }
        }
    }
}
