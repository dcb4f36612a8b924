//! `self doctor`: what this machine offers, proved by running a job.

use crate::agent::protocol::{Access, JOB_HOME, JobSpec, Reply, Request, Rights};
use crate::broker::Session;
use crate::cargo::CargoCommand;
use crate::cargo::configuration::Configuration;
use crate::container::docker::DockerEngine;
use crate::container::engines::{Selection, explain};
use crate::container::{Engine, EngineKind};
use crate::project::Project;

use super::super::cargo_command::prepare;
use super::super::{EXIT_FAILURE, FrontEnd, Options};
use super::Context;

/// Prints what is there, runs a job, and says whether that worked.
pub fn run(front_end: &FrontEnd, options: &Options, context: &Context) -> anyhow::Result<u8> {
    println!("cargo-sandbox {}", env!("CARGO_PKG_VERSION"));
    say("kernel", &kernel());
    let toolchain = front_end.toolchain(None)?.resolve(&front_end.cwd)?;
    say("toolchain", &format!("{} ({})", toolchain.name, toolchain.sysroot.display()));
    engines(front_end, context);

    // Where there is no project, one of this tool's own: jobs need a place to run in.
    let own = tempfile::tempdir()?;
    let project = match &context.project {
        Some(project) => project.clone(),
        None => Project::new(&own.path().canonicalize()?),
    };
    let is_own = context.project.is_none();
    let command = CargoCommand::parse(vec!["check".into()]);
    let configuration = Configuration::read(&front_end.cwd, &front_end.cargo_home()?, &command.config)?;
    let session =
        prepare(front_end, options, &command, &configuration, &toolchain, &context.state, project)?.session;
    let proof = prove(&session);
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

fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

/// Which engines are there, and which one the selection means.
fn engines(front_end: &FrontEnd, context: &Context) {
    let patience = std::time::Duration::from_secs(2);
    let docker = DockerEngine::connect(&front_end.docker_endpoints(), patience);
    match docker.and_then(|docker| docker.describe()) {
        Ok(text) => say("docker", &text),
        Err(error) => say("docker", &format!("not used: {error}")),
    }
    match context.engines.engine(EngineKind::Native).and_then(|native| native.describe()) {
        Ok(text) => say("native", &text),
        Err(error) => say("native", &format!("not usable: {error}")),
    }
    let why = match context.engines.selection() {
        Selection::Auto => "auto: docker where its daemon answers, else native",
        Selection::Docker | Selection::Native => "selected",
    };
    match context.engines.choose() {
        Ok(kind) => say("engine", &format!("{kind} ({why})")),
        Err(error) => say("engine", &format!("none: {error}")),
    }
}

/// Runs rustc in the container, after the check of what is enforced that every start makes, and says what that
/// found.
fn prove(session: &Session) -> anyhow::Result<()> {
    let agent = session.containers.connect(session)?;
    agent.send(&Request::Report, &[])?;
    if let Reply::Enforced(enforced) = agent.read_reply()? {
        let limit =
            |bytes: Option<u64>| bytes.map_or("none that can be seen".to_owned(), |bytes| format!("{bytes}"));
        say("landlock", &format!("level {} of the kernel, in force", enforced.landlock_abi));
        say(
            "jobs",
            &format!("ended by {}, no capabilities, seccomp filter, no network", enforced.process_tree),
        );
        let memory = enforced.memory_limit.map(|bytes| bytes >> 20);
        say("limits", &format!("memory {} MiB, processes {}", limit(memory), limit(enforced.pids_limit)));
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
        files: Vec::new(),
        access: access.chain([Access { path: sysroot, rights: Rights::ReadExecute }]).collect(),
        layered: Vec::new(),
        local_sockets: false,
        umask: 0o022,
        new_session: true,
    };
    let agent = session.containers.connect(session)?;
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
