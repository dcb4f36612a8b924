//! Our own commands, all under `self`, a word that cargo has no use for.

mod completions;
mod doctor;
mod editors;
mod explain;
mod prune;
mod remedies;
mod report;
mod setup;
mod status;
mod stop;
mod trust;

use std::ffi::OsString;

use clap::{Parser, Subcommand, ValueEnum};

use crate::container::engines::Engines;
use crate::project::{Project, StateDirectory, find_manifest, workspace_root};

use super::language_server::{self, ServerArguments};
use super::{EXIT_FAILURE, FrontEnd, Options};

#[derive(Debug, Parser)]
#[command(name = "cargo-sandbox self", about = "Commands about cargo-sandbox itself")]
struct OwnArguments {
    #[command(subcommand)]
    command: OwnCommand,
}

#[derive(Debug, Subcommand)]
enum OwnCommand {
    /// Say what this machine offers and prove it by running a job; exit code 0 only if jobs can run
    Doctor(doctor::DoctorArguments),
    /// Say where this project's build directory and containers are
    Status {
        /// How to say it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write the repository's `.cargo/config.toml`, so that plain cargo is confined in it
    Setup(setup::SetupArguments),
    /// Run rust-analyzer in a container, for an editor: over standard input and output (docs/editors.md)
    RustAnalyzer(ServerArguments),
    /// End the containers of this project
    Stop {
        /// Of every project
        #[arg(long)]
        all: bool,
    },
    /// Show what this repository's configuration asks for on this machine, and allow it
    Trust(trust::TrustArguments),
    /// Say what the jobs of a package may do, and where each part of it is said
    Explain(explain::ExplainArguments),
    /// Say what the last recorded command's jobs did; with `--pin`, write it to cargo-sandbox.lock
    Report(report::ReportArguments),
    /// Remove containers, images and build directories of projects that are gone
    Prune,
    /// Print a script for a shell that completes this program's words and cargo's
    Completions(completions::CompletionsArguments),
    /// Print the manual page, for `man -l -`
    Man,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object
    Json,
}

/// Runs one of them; `words` is what follows `self`.
pub fn run(front_end: &FrontEnd, options: &Options, words: &[OsString]) -> anyhow::Result<u8> {
    let name = OsString::from("cargo-sandbox self");
    let arguments = match OwnArguments::try_parse_from(std::iter::once(&name).chain(words)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _gone = error.print();
            return Ok(if error.use_stderr() { EXIT_FAILURE } else { 0 });
        }
    };
    match &arguments.command {
        OwnCommand::Trust(arguments) => return trust::run(front_end, arguments),
        OwnCommand::Completions(arguments) => return completions::run(front_end, arguments),
        OwnCommand::Man => return completions::man(),
        OwnCommand::Explain(arguments) => return explain::run(front_end, options, arguments),
        OwnCommand::RustAnalyzer(arguments) => return language_server::run(front_end, options, arguments),
        OwnCommand::Setup(setup::SetupArguments { editor: Some(editor), server, .. }) => {
            return editors::run(front_end, *editor, server.as_deref());
        }
        _ => {}
    }
    let context = Context::new(front_end, options)?;
    match arguments.command {
        OwnCommand::Doctor(arguments) => doctor::run(front_end, options, &context, &arguments),
        OwnCommand::Status { format } => status::run(&context, format),
        OwnCommand::Setup(arguments) => setup::run(front_end, &context, &arguments),
        OwnCommand::Stop { all } => stop::run(&context, all),
        OwnCommand::Report(arguments) => report::run(&context, &arguments),
        OwnCommand::Prune => prune::run(&context),
        // Above: they need no engines.
        OwnCommand::Trust(_)
        | OwnCommand::Explain(_)
        | OwnCommand::RustAnalyzer(_)
        | OwnCommand::Completions(_)
        | OwnCommand::Man => Ok(EXIT_FAILURE),
    }
}

/// What these commands share.
struct Context {
    state: StateDirectory,
    engines: Engines,
    /// The project of the working directory, where there is one.
    project: Option<Project>,
}

impl Context {
    fn new(front_end: &FrontEnd, options: &Options) -> anyhow::Result<Self> {
        let state = front_end.state()?;
        let engines = Engines::new(options.settings().engine.value, front_end.docker_endpoints(), &state);
        let root = find_manifest(&front_end.cwd, None).and_then(|manifest| workspace_root(&manifest));
        Ok(Self { state, engines, project: root.ok().map(|root| Project::new(&root)) })
    }

    fn needed_project(&self, front: &str) -> anyhow::Result<&Project> {
        self.project.as_ref().ok_or_else(|| {
            anyhow::anyhow!(
                "there is no `Cargo.toml` here or above\n\nhint: change to a project's directory{front}"
            )
        })
    }
}
