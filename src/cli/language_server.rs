//! `self rust-analyzer`: the language server of an editor, wholly inside.
//!
//! The host's cargo fetches, as `cargo-sandbox fetch` does. Everything else that the server has cargo do runs inside with
//! it, without a network, in a build directory that the host never looks into.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum as _};

use crate::broker::identify::language_server;
use crate::broker::session::{Inside, Purpose};
use crate::cargo::Toolchain;
use crate::cargo::run::own_executable;
use crate::container::spec::Mount;
use crate::editor::gateway::Gateway;
use crate::editor::job::{self, Fetch};
use crate::editor::server::{NAME, Search};
use crate::project::{Project, create_cache_directory, private_directory};
use crate::report::Mode;

use super::cargo_command::{prepare, vetted};
use super::inside::{CACHES, Needed, needed};
use super::vetted::Vetted;
use super::{FrontEnd, Options};

/// Beside this program under the server's name: a link to the server that the user has named.
pub const REMEMBERED: &str = "server";

/// Which server, and what it is told.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The server's executable, where it is not the toolchain's and not in PATH
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,

    /// Arguments of the server's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// What is meant where this program is started under the server's name, by an editor that takes a path and no
/// arguments; nothing where it is not.
pub fn as_server(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let (name, given) = arguments.split_first()?;
    let name = Path::new(name);
    if name.file_name() != Some(OsStr::new(NAME)) {
        return None;
    }
    let mut words: Vec<OsString> = vec!["cargo-sandbox".into(), "self".into(), NAME.into()];
    let remembered = name.with_file_name(REMEMBERED);
    if remembered.is_absolute() && remembered.is_symlink() {
        words.extend(["--server".into(), remembered.into()]);
    }
    words.extend_from_slice(given);
    Some(words)
}

/// Runs the server until it ends, or the editor does.
pub fn run(front_end: &FrontEnd, options: &Options, arguments: &ServerArguments) -> anyhow::Result<u8> {
    let own = own_executable()?;
    let search = |toolchain: &Toolchain, root: Option<&Path>| {
        let named = arguments.server.as_ref().map(|path| front_end.cwd.join(path));
        let path = std::env::split_paths(front_end.variable("PATH").unwrap_or_default()).collect();
        Search { named, toolchain, path, root, own: &own }.find()
    };
    if let [only] = arguments.arguments.as_slice()
        && (only == "--version" || only == "-V")
    {
        // Editors ask whether it can be started. It is not, for that.
        let toolchain = front_end.toolchain(None)?.resolve(&front_end.cwd)?;
        let server = search(&toolchain, None)?;
        println!("{NAME} in cargo-sandbox {} ({})", env!("CARGO_PKG_VERSION"), server.display());
        return Ok(0);
    }
    if let Some(word) = arguments.arguments.iter().find(|word| is_other_command(word)) {
        bail!(
            "`{NAME} {}` is no language server, and only that runs here\n\nhint: `cargo-sandbox self {NAME}` is for an \
             editor; `cargo-sandbox check` says what is wrong with a project",
            word.display()
        );
    }
    if options.report.mode != Mode::Failures || options.report.locked {
        bail!(
            "the language server is one job with all that it starts, so that no record tells one package from the other\n\n\
             hint: `cargo-sandbox --audit check` records the same build scripts and macros"
        );
    }
    let (vetted, root) = vetted(front_end, options, &["fetch".into()])?;
    let root = root.context("the language server works on one project, and is started in it")?;
    let server = search(&vetted.toolchain, Some(&root))?;
    let fetch = fetch(&own, options, &vetted.directory);
    start(&vetted, &root, &server, arguments, &own, fetch)
}

/// The server's own subcommands are words, and other words are values of options: paths, or a number.
fn is_other_command(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    let is_word = word.chars().all(|character| character.is_ascii_lowercase() || character == '-');
    is_word && !word.is_empty() && !word.starts_with('-') && word != "lsp-server"
}

/// Has the host's cargo fetch what the project needs, in its own confinement: this program, anew, since the repository may
/// have changed and with it what it asks for.
fn fetch(own: &Path, options: &Options, directory: &Path) -> Fetch {
    let (own, directory) = (own.to_owned(), directory.to_owned());
    let reads = options.reads.clone();
    let engine = options.own.engine.as_ref().and_then(|engine| engine.value.to_possible_value());
    Box::new(move || {
        let mut command = Command::new(&own);
        if let Some(engine) = &engine {
            command.arg("--engine").arg(engine.get_name());
        }
        for path in &reads {
            command.arg("--sandbox-read").arg(path);
        }
        // What the protocol is spoken on is not its own.
        command.arg("fetch").current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => eprintln!(
                "warning: not all crates could be fetched (above); the language server goes on with what is there"
            ),
            Err(error) => eprintln!("warning: failed to start `{}`: {error}", own.display()),
        }
    })
}

fn start(
    vetted: &Vetted<'_>,
    root: &Path,
    server: &Path,
    arguments: &ServerArguments,
    own: &Path,
    fetch: Fetch,
) -> anyhow::Result<u8> {
    let state = vetted.front_end.state()?;
    let known = vetted.known(&vetted.command);
    let mut session = prepare(vetted.front_end, vetted.options, &known, &state, Project::new(root))?.session;
    if session.policy.narrows() {
        bail!(
            "the language server is one job with all that it starts, in which a policy that takes something away from single \
             packages or kinds of job cannot be kept\n\nhint: `cargo-sandbox self explain <package>` shows what is said"
        );
    }
    let failed = "failed to make the directories of the language server";
    let build = session.directories.editor();
    private_directory(&build).context(failed)?;
    let own_directory = session.directories.path().join("editor-shown");
    private_directory(&own_directory).context(failed)?;
    // Crates are fetched when the container shows these already.
    for cache in CACHES.map(|name| vetted.cargo_home.join(name)) {
        create_cache_directory(&cache).with_context(|| format!("failed to create `{}`", cache.display()))?;
    }
    let Needed { mounts: mut shown, mut reads } = needed(vetted, root, &own_directory)?;
    reads.extend(session.extra_reads.iter().cloned());
    let inside = Inside {
        arguments: arguments.arguments.clone(),
        directory: root.to_owned(),
        reads,
        build: build.clone(),
    };
    session.directories = session.directories.with_build(&build);
    session.directories.create().context(failed)?;
    session.purpose = Purpose::Inside(inside.clone());
    if !server.starts_with(&vetted.toolchain.sysroot) {
        shown.push(Mount::read_only(server));
    }
    // Macros of any dependency read the project here, and no compiler needs what was in it once.
    let git = root.join(".git");
    if git.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        let empty = own_directory.join("empty");
        private_directory(&empty).context(failed)?;
        shown.push(Mount { source: empty, target: git, writable: false });
    }
    session.containers = session.containers.showing(shown);
    let environment = vetted.environment.iter().map(|(name, value)| {
        let mut variable = name.clone();
        variable.push("=");
        variable.push(value);
        variable
    });
    let job = language_server(&session, &inside, server, environment.collect());
    let gateway = Gateway::new(root.to_owned(), session.extra_reads.clone(), own.display().to_string());
    job::run(&session, job, gateway, fetch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn under_the_servers_name_this_program_is_the_server() {
        let is = |line: &str| as_server(&words(line)).map(|all| all.join(OsStr::new(" ")));
        assert_eq!(is("/x/cargo-sandbox self rust-analyzer"), None);
        assert_eq!(
            is("/x/rust-analyzer --version"),
            Some("cargo-sandbox self rust-analyzer --version".into())
        );
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr/bin/x", directory.path().join(REMEMBERED)).unwrap();
        let name = directory.path().join(NAME).into_os_string();
        let all = as_server(&[name, "-v".into()]).unwrap();
        let remembered = directory.path().join(REMEMBERED).into_os_string();
        assert_eq!(all[3..], ["--server".into(), remembered, "-v".into()]);
    }

    #[test]
    fn only_the_language_server_runs() {
        for word in ["diagnostics", "analysis-stats", "scip", "proc-macro"] {
            assert!(is_other_command(OsStr::new(word)), "{word}");
        }
        for word in ["-v", "--log-file", "/tmp/x.log", "1", "lsp-server", ""] {
            assert!(!is_other_command(OsStr::new(word)), "{word}");
        }
    }
}
