//! The command line: our own options, our own commands under `self`, and everything else, which is cargo's.

mod background;
mod cargo_command;
mod consent;
mod dependency_graph;
mod fix;
mod front_end;
mod image;
mod inside;
mod install;
mod introduction;
mod language_server;
mod own;
mod policy;
mod provider;
mod publish;
mod report;
mod system_packages;
mod trust;
mod version;
mod vetted;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::container::Image;
use crate::container::engines::Selection;
use crate::policy::bar::Weakness;
use crate::policy::containers::{Own, Settings};
use crate::policy::effective::Said;
use crate::policy::layers::Place;
use crate::policy::limits::{self, LimitSetting, LimitSettings};
use crate::policy::user::UserConfig;

pub use background::main as background;
pub use front_end::FrontEnd;

/// What cargo exits with when it fails, and this program with it.
pub const EXIT_FAILURE: u8 = 101;

/// How long a container stays without a job.
const IDLE_SECONDS: u64 = 600;

const HELP: &str = "\
Examples:
  cargo-sandbox check                    as `cargo check`, every compiler and build script in a container
  cargo-sandbox --engine native test     without a daemon
  cargo-sandbox +nightly build --release
  cargo-sandbox --audit build            and what every package did, as a page (docs/audit.md)
  cargo-sandbox publish --dry-run        what would be sent, and what has changed since the last version
  cargo-sandbox self doctor              what this machine offers, proved by running a job

`cargo-sandbox --help` is about this program, `cargo-sandbox help` about cargo.
Your own configuration: ~/.config/cargo-sandbox/config.toml. Limits: docs/limits.md. Publishing: docs/publish.md.
Libraries and programs that this machine does not have: `[native] packages`, docs/compatibility.md.
What is protected, and what is not: docs/architecture.md and README.md.";

/// Runs cargo so that other people's code (compilers with their macros, build scripts, tests, programs) runs in
/// the project's container and not on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-sandbox",
    version,
    after_help = HELP,
    disable_help_subcommand = true,
    override_usage = "cargo-sandbox [OPTIONS] [+toolchain] <cargo command>...\n       cargo-sandbox self <command>"
)]
struct Arguments {
    /// What makes the container [default: auto, or CARGO_SANDBOX_ENGINE]
    #[arg(long, value_enum)]
    engine: Option<Selection>,

    /// Say on standard error what runs in the container
    #[arg(long)]
    sandbox_verbose: bool,

    /// Let jobs read this directory outside of the project (a path dependency, say); may be given again
    #[arg(long, value_name = "DIR")]
    sandbox_read: Vec<PathBuf>,

    /// Pass this environment variable to cargo and to jobs; may be given again
    #[arg(long, value_name = "NAME")]
    sandbox_env: Vec<String>,

    /// Make the container from this image instead of from this machine's own system: a name (`rust:1.95`), which the
    /// docker engine has or pulls, or the path of a directory or an archive in the OCI layout (`./image`), or of a
    /// Dockerfile
    #[arg(long, value_name = "IMAGE")]
    sandbox_image: Option<String>,

    /// End the container after so many seconds without a job [default: 600]
    #[arg(long, value_name = "SECONDS")]
    sandbox_idle: Option<u64>,

    /// Set a limit of jobs, `memory=8G` or `wall-time=2h` for instance; may be given again. `self doctor` lists
    /// them all
    #[arg(long, value_name = "NAME=VALUE")]
    sandbox_limit: Vec<LimitSetting>,

    /// Record what every job reads, writes, starts and connects to, as JSON and as a page to look at
    #[arg(long)]
    audit: bool,

    /// Propose the smallest cargo-sandbox.toml that would allow what was refused; it is not applied
    #[arg(long)]
    learn: bool,

    /// Fail when a dependency does something that cargo-sandbox.lock does not have (`self report --pin`)
    #[arg(long)]
    locked_behaviour: bool,

    /// Write down for each job where the time of its start and end goes, as lines of JSON
    #[arg(long, value_name = "FILE", hide = true)]
    sandbox_trace: Option<PathBuf>,

    /// cargo's command line, or `self` and one of: doctor, status, setup, rust-analyzer, trust, explain, report,
    /// stop, prune, completions, man
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO COMMAND")]
    command: Vec<OsString>,
}

/// The user's own options, understood.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the user says of containers: a repository's policy may say more of them.
    pub own: Own,
    /// The file for where the time of jobs goes.
    pub trace: Option<PathBuf>,
    /// Say what runs.
    pub verbose: bool,
    /// More that jobs may read, canonical.
    pub reads: Vec<PathBuf>,
    /// More variables that pass.
    pub variables: Vec<String>,
    /// What is recorded, and what is made of it.
    pub report: report::ReportOptions,
    /// How long a container stays without a job.
    pub idle: std::time::Duration,
    /// Installed subcommands that run though it is not known what they do: from the configuration alone.
    pub subcommands: Vec<String>,
    /// What may be missing of the promised confinement: from the configuration alone.
    pub allowed: BTreeSet<Weakness>,
}

impl Options {
    /// What holds for containers where no repository has a say: those that publish, and those of what is installed.
    pub fn settings(&self) -> Settings {
        self.own.settings(None)
    }
}

/// Runs a whole command line; what goes wrong is said on standard error.
pub fn run(front_end: &FrontEnd) -> ExitCode {
    match try_run(front_end) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn try_run(front_end: &FrontEnd) -> anyhow::Result<u8> {
    let words = language_server::as_server(&front_end.arguments);
    let arguments = match Arguments::try_parse_from(words.as_deref().unwrap_or(&front_end.arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap prints help and version on standard output, everything else as an error.
            let _gone = error.print();
            if error.kind() == ErrorKind::DisplayVersion && version::is_long(&front_end.arguments) {
                version::print_engines(front_end);
            }
            return Ok(if error.use_stderr() { EXIT_FAILURE } else { 0 });
        }
    };
    let options = options(front_end, &arguments)?;
    match arguments.command.first().and_then(|word| word.to_str()) {
        None => {
            Arguments::command().print_help()?;
            Ok(0)
        }
        Some("sandbox") => anyhow::bail!(
            "`cargo sandbox …` cannot protect: an alias or a toolchain file of the repository has been obeyed before \
             this program starts\n\nhint: write `cargo-sandbox`, with a dash"
        ),
        Some("self") => own::run(front_end, &options, &arguments.command[1..]),
        Some(_) => cargo_command::run(front_end, &options, &arguments.command),
    }
}

/// What is in force where nobody can write an option of ours.
fn default_options(front_end: &FrontEnd) -> anyhow::Result<Options> {
    options(front_end, &Arguments::try_parse_from(["cargo-sandbox"])?)
}

fn options(front_end: &FrontEnd, arguments: &Arguments) -> anyhow::Result<Options> {
    let file = front_end.user_config()?;
    let config = UserConfig::read(&file)?;
    let reads = arguments.sandbox_read.iter().map(|path| {
        let canonical = front_end.cwd.join(path).canonicalize();
        canonical.map_err(|error| anyhow::anyhow!("--sandbox-read `{}`: {error}", path.display()))
    });
    let memory = limits::machine_memory().context("failed to find out how much memory there is")?;
    let own = Own {
        engine: engine(front_end, arguments, &config, &file)?,
        image: match &arguments.sandbox_image {
            // A path is relative to where it was written.
            Some(name) if Image::is_path(name) => {
                let value = front_end.cwd.join(name).to_string_lossy().into_owned();
                Some(Said { value, by: Place::option("--sandbox-image") })
            }
            Some(name) => Some(Said { value: name.clone(), by: Place::option("--sandbox-image") }),
            None => config.image.as_ref().map(|image| config.said(&file, image)),
        },
        packages: config.native.packages.as_ref().map(|packages| Said {
            by: Place { table: "native".into(), ..config.said(&file, packages).by },
            value: packages.get_ref().clone(),
        }),
        provider: config.native.provider.as_ref().map(|provider| Said {
            by: Place { table: "native".into(), ..config.said(&file, provider).by },
            value: *provider.get_ref(),
        }),
        limits: config.limits,
        options: LimitSettings::default().overridden_by(arguments.sandbox_limit.iter().copied()),
        memory,
        file,
        text: config.text,
    };
    let idle = arguments.sandbox_idle.or(config.idle_seconds).unwrap_or(IDLE_SECONDS);
    Ok(Options {
        own,
        verbose: arguments.sandbox_verbose,
        trace: arguments.sandbox_trace.as_ref().map(|path| front_end.cwd.join(path)),
        reads: reads.collect::<Result<_, _>>()?,
        variables: arguments.sandbox_env.clone(),
        report: report::ReportOptions::of(arguments.audit, arguments.learn, arguments.locked_behaviour),
        idle: std::time::Duration::from_secs(idle),
        subcommands: config.subcommands,
        allowed: config.allow_weaker_confinement,
    })
}

/// The engine that the user chooses, if he does.
fn engine(
    front_end: &FrontEnd,
    arguments: &Arguments,
    config: &UserConfig,
    file: &Path,
) -> anyhow::Result<Option<Said<Selection>>> {
    const VARIABLE: &str = "CARGO_SANDBOX_ENGINE";
    if let Some(value) = arguments.engine {
        return Ok(Some(Said { value, by: Place::option("--engine") }));
    }
    if let Some(name) = front_end.variable(VARIABLE).filter(|name| !name.is_empty()) {
        let name = name.to_string_lossy();
        let value = <Selection as clap::ValueEnum>::from_str(&name, true)
            .map_err(|_| anyhow::anyhow!("{VARIABLE} is `{name}`; it can be `auto`, `docker` or `native`"))?;
        return Ok(Some(Said { value, by: Place::option(VARIABLE) }));
    }
    Ok(config.engine.as_ref().map(|engine| config.said(file, engine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_first_word_of_cargos_is_cargos() {
        let parsed =
            parse("cargo-sandbox --engine native +nightly build --engine x --help -V --sandbox-verbose");
        assert_eq!(parsed.engine, Some(Selection::Native));
        assert_eq!(
            parsed.command,
            ["+nightly", "build", "--engine", "x", "--help", "-V", "--sandbox-verbose"]
        );
        assert!(!parsed.sandbox_verbose);
    }

    #[test]
    fn an_option_of_cargos_before_its_command_is_cargos() {
        assert_eq!(
            parse("cargo-sandbox --sandbox-verbose -v --locked build").command,
            ["-v", "--locked", "build"]
        );
        assert_eq!(parse("cargo-sandbox --color always check").command, ["--color", "always", "check"]);
    }

    #[test]
    fn the_dashes_of_run_stay() {
        assert_eq!(parse("cargo-sandbox run -- -x -- y").command, ["run", "--", "-x", "--", "y"]);
    }
}
