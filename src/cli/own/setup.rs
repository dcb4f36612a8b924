//! `self setup`: the repository's own `.cargo/config.toml`, so that plain cargo is confined.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cargo::configuration::{Configuration, Place};
use crate::cargo::run::{install_wrapper, own_executable};
use crate::cargo::setup::{Change, apply, settings, take_back};
use crate::cargo::version;
use crate::policy::difference;
use crate::project::{Project, ProjectDirectories, record};

use super::super::consent;
use super::editors::Editor;
use super::{Context, FrontEnd};

/// Variables that win over every file.
const WINNING: &[&str] = &[
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTDOC",
];

/// How it is to be done.
#[derive(Debug, Clone, Args)]
pub struct SetupArguments {
    /// Print the setting by which an editor has its language server confined, and write nothing in the repository
    #[arg(long, value_enum, conflicts_with_all = ["undo", "print", "yes"])]
    pub(super) editor: Option<Editor>,
    /// With `--editor`: the language server's executable, where it is not the toolchain's and not in PATH
    #[arg(long, value_name = "PATH", requires = "editor")]
    pub(super) server: Option<PathBuf>,
    /// Take back what an earlier `self setup` wrote
    #[arg(long)]
    undo: bool,
    /// Print what the file would be, and write nothing
    #[arg(long)]
    print: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// What is kept of a setup in the project's directory, to take it back.
#[derive(Debug, Serialize, Deserialize)]
struct Setup {
    file: PathBuf,
    /// The file's text; nothing where it was not there.
    before: Option<String>,
    /// What was written.
    after: String,
    /// Whether `.cargo` was there.
    directory: bool,
    change: Change,
}

/// Writes the file, or takes it back.
pub fn run(front_end: &FrontEnd, context: &Context, arguments: &SetupArguments) -> anyhow::Result<u8> {
    let project = context.needed_project(", or to the repository that is to be set up")?;
    let directories = context.state.project(&project.id);
    let kept = Kept(directories.path().join("setup.json"));
    if arguments.undo {
        return undo(&kept, arguments);
    }
    let file = configuration_file(&project.root)?;
    let before = read(&file)?;
    let toolchain = front_end.toolchain(None)?.resolve(&project.root)?;
    let cargo_home = front_end.cargo_home()?;
    let place = Place { directory: &project.root, cargo_home: &cargo_home, root: Some(&project.root) };
    let configuration = Configuration::read(place, &[])?;
    let mut triples = toolchain.installed_targets();
    triples.extend(configuration.targets().into_iter().filter(|triple| !triple.contains('/')));
    triples.sort();
    triples.dedup();

    let earlier = kept.read().filter(|earlier| earlier.file == file);
    let wanted = settings(&directories, &triples)?;
    let given = before.clone().unwrap_or_default();
    let (after, change) = apply(&given, &wanted, earlier.as_ref().map(|earlier| &earlier.change))
        .with_context(|| format!("failed to change `{}`", file.display()))?;
    if arguments.print {
        print!("{after}");
        return Ok(0);
    }
    prepare(&toolchain, project, &directories)?;
    warn(front_end, &given);
    if after == given {
        println!("`{}` is set up already", file.display());
        return Ok(0);
    }
    if !agreed(&file, &given, &after, arguments.yes)? {
        return Ok(1);
    }
    let directory = file.parent().is_some_and(Path::is_dir);
    let setup = match earlier {
        // The first state counts where nobody else has changed the file since.
        Some(earlier) if earlier.after == given => Setup { after: after.clone(), change, ..earlier },
        _ => Setup { file: file.clone(), before, after: after.clone(), directory, change },
    };
    kept.write(&setup)?;
    write(&file, &after)?;
    println!(
        "wrote `{}`: `cargo build`, `test`, `run`, `doc`, `bench` and `check` in this repository are confined from now \
         on\n\nhint: it names places of this machine, so do not commit it; `cargo-sandbox self setup --undo` takes it \
         back",
        file.display()
    );
    Ok(0)
}

fn undo(kept: &Kept, arguments: &SetupArguments) -> anyhow::Result<u8> {
    let Some(setup) = kept.read() else {
        bail!("`cargo-sandbox self setup` wrote nothing for this project that could be taken back")
    };
    let file = &setup.file;
    let Some(given) = read(file)? else {
        kept.remove()?;
        println!("`{}` is gone already", file.display());
        return Ok(0);
    };
    let (after, left) = if given == setup.after {
        (setup.before.clone(), Vec::new())
    } else {
        let (text, left) = take_back(&given, &setup.change)
            .with_context(|| format!("failed to change `{}`", file.display()))?;
        (Some(text).filter(|text| setup.before.is_some() || !text.trim().is_empty()), left)
    };
    if arguments.print {
        print!("{}", after.unwrap_or_default());
        return Ok(0);
    }
    if !agreed(file, &given, after.as_deref().unwrap_or_default(), arguments.yes)? {
        return Ok(1);
    }
    match &after {
        Some(text) => write(file, text)?,
        None => {
            std::fs::remove_file(file).with_context(|| format!("failed to remove `{}`", file.display()))?;
            if let Some(directory) = file.parent().filter(|_| !setup.directory) {
                // Something else may be in it by now.
                let _not_empty = std::fs::remove_dir(directory);
            }
        }
    }
    kept.remove()?;
    for key in left {
        println!("`{key}` was changed since then, and stays as it is");
    }
    println!("took back what was written to `{}`", file.display());
    Ok(0)
}

/// Shows the difference and asks.
fn agreed(file: &Path, before: &str, after: &str, yes: bool) -> anyhow::Result<bool> {
    print!("{}:\n{}", file.display(), difference::lines(before, after, 1));
    if yes {
        return Ok(true);
    }
    if !consent::can_be_asked() {
        bail!(
            "nobody can be asked whether to write this\n\nhint: `--yes` writes it, `--print` only shows it"
        );
    }
    Ok(consent::given("write it?")?)
}

/// The file that cargo reads: the name without extension where it is there.
fn configuration_file(root: &Path) -> anyhow::Result<PathBuf> {
    let directory = root.join(".cargo");
    let old = directory.join("config");
    let file = if old.exists() { old } else { directory.join("config.toml") };
    for path in [&directory, &file] {
        if path.is_symlink() {
            bail!(
                "`{}` is a symbolic link, and what it leads to may not be this repository's alone\n\nhint: replace it by \
                 what it leads to",
                path.display()
            );
        }
    }
    Ok(file)
}

/// What the file will lead to is there before the file is.
fn prepare(
    toolchain: &crate::cargo::Toolchain,
    project: &Project,
    directories: &ProjectDirectories,
) -> anyhow::Result<()> {
    directories.create().context("failed to make the directories of this project")?;
    let stamp = record::read(directories).and_then(|record| record.cargo_stamp);
    let stamp = version::check(toolchain, stamp)?;
    record::write(directories, project, stamp).context("failed to write down this project")?;
    install_wrapper(&own_executable()?, directories)?;
    Ok(())
}

fn warn(front_end: &FrontEnd, text: &str) {
    let runner = |name: &str| name.starts_with("CARGO_TARGET_") && name.ends_with("_RUNNER");
    for (name, value) in front_end.environment() {
        let name = name.to_string_lossy();
        if !value.is_empty() && (WINNING.contains(&&*name) || runner(&name)) {
            eprintln!("warning: {name} is set in your environment, and wins over the file: unset it");
        }
    }
    if text.contains("rustc-workspace-wrapper") {
        eprintln!(
            "warning: `build.rustc-workspace-wrapper` names another compiler, which is not run: remove it from the file"
        );
    }
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).with_context(|| format!("failed to read `{}`", file.display())),
    }
}

/// Whole or not at all; a file that is there keeps its mode.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write `{}`", file.display());
    let directory = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).with_context(failed)?;
    let mode = std::fs::metadata(file).map(|metadata| metadata.permissions());
    let mode = mode.unwrap_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut temporary = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
    temporary.write_all(text.as_bytes()).with_context(failed)?;
    temporary.as_file().set_permissions(mode).with_context(failed)?;
    temporary.persist(file).with_context(failed)?;
    Ok(())
}

/// The record of a setup.
struct Kept(PathBuf);

impl Kept {
    fn read(&self) -> Option<Setup> {
        serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()
    }

    fn write(&self, setup: &Setup) -> anyhow::Result<()> {
        write(&self.0, &serde_json::to_string_pretty(setup)?)
    }

    fn remove(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.0).with_context(|| format!("failed to remove `{}`", self.0.display()))
    }
}
