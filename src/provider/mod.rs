//! What riff or Nix gives to jobs: compilers, libraries and variables of a project's development environment.
//!
//! To find that out a repository's expression is evaluated, and what it says is run: foreign code. So nothing of it happens
//! on the host. [`staged`] copies what of the project an evaluation may read, [`evaluation`] runs nix or riff on that in a
//! container of its own, whose store ([`store`]) belongs to this project alone or to Nix's daemon; [`variables`] judges what
//! comes of it; [`kept`] remembers it, by the content of all that was read.

pub mod evaluation;
pub mod kept;
pub mod staged;
pub mod store;
pub mod variables;

pub use variables::Provided;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::agent::protocol::Budget;
use crate::container::spec::Mount;
use crate::policy::effective::Said;
use crate::policy::provider::Provider;
use crate::project::private_directory;

use evaluation::{Evaluation, Surroundings};
use kept::Kept;
use staged::Staged;
use store::{STORE, Store};

/// One project's wish.
#[derive(Debug)]
pub struct Wish<'a> {
    /// Riff or Nix, and who says so.
    pub provider: &'a Said<Provider>,
    /// The project's root.
    pub root: &'a Path,
    /// Where final artifacts land, which is no part of what is read.
    pub target_dir: &'a Path,
    /// Where the project keeps what belongs to this; no job sees it but the store in it.
    pub directory: &'a Path,
    /// The user's `PATH`.
    pub path: Option<&'a std::ffi::OsStr>,
    /// The toolchain, whose cargo riff asks about dependencies.
    pub sysroot: &'a Path,
    /// cargo's own directory.
    pub cargo_home: &'a Path,
    /// What an evaluation may use up.
    pub budget: Budget,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Say nothing where nothing is wrong.
    pub quiet: bool,
}

/// What jobs get, and the store that it is in, which containers show read-only.
#[derive(Debug)]
pub struct Given {
    /// Variables and directories of programs.
    pub provided: Provided,
    /// The store.
    pub store: Mount,
}

/// Finds out what a project's jobs get: what is remembered where nothing has changed, else by an evaluation.
///
/// # Errors
/// When the program is not installed, the project has no expression, or it cannot be evaluated as promised.
pub fn provide(
    wish: &Wish<'_>,
    surroundings: impl FnOnce() -> anyhow::Result<Surroundings>,
) -> anyhow::Result<Given> {
    let provider = wish.provider.value;
    let expression = expression(wish)?;
    let program = program(provider.name(), wish)?;
    let nix = match provider {
        Provider::Nix => program.clone(),
        _ => self::program("nix", wish)?,
    };
    let store = Store::find(wish.directory, &nix)?;
    if matches!(store, Store::Own(_)) && wish.sysroot.starts_with(STORE) {
        bail!(
            "the toolchain `{}` is in Nix's store, which no daemon serves here, so that the project's jobs would see another \
             store in its place\n\nhint: install Nix with its daemon, or use a toolchain of rustup's",
            wish.sysroot.display()
        );
    }
    let failed = "failed to make the directories for riff and Nix";
    private_directory(wish.directory).context(failed)?;
    store.create().context(failed)?;
    // Another command of this project waits, and finds what this one has found out.
    let lock = std::fs::File::create(wish.directory.join("lock")).context(failed)?;
    lock.lock().context(failed)?;
    let staged = Staged::read(wish.root, wish.target_dir, provider)
        .context("failed to read the project's files for riff and Nix")?;
    let kept = Kept::at(wish.directory, kept::key(&staged, provider, &[&program, &nix], &store)?);
    let mount = store.mount();
    if let Some(provided) = kept.read().filter(|provided| provided.is_in(&mount.source)) {
        return Ok(Given { provided, store: mount });
    }
    if !wish.quiet {
        eprintln!("{:>12} {} ({provider})", "Evaluating", expression.display());
    }
    let directory = wish.directory.join("staged");
    staged.write(&directory).context("failed to copy the project's files for riff and Nix")?;
    let evaluation = Evaluation {
        wish,
        expression: &expression,
        program: &program,
        nix: &nix,
        store: &store,
        staged: &directory,
        home: wish.directory.join("home"),
        budget: wish.budget,
    };
    let output = evaluation.run(&surroundings()?)?;
    let provided = Provided::parse(&output)
        .with_context(|| format!("what {provider} says of the environment is not understood"))?;
    if !provided.is_in(&mount.source) {
        bail!("{provider} names paths in `{STORE}` that are not there");
    }
    kept.write(&provided).context("failed to keep what riff or Nix gives")?;
    if let (Some(note), false) = (provided.note(provider), wish.quiet) {
        eprintln!("{note}");
    }
    Ok(Given { provided, store: mount })
}

/// What is evaluated.
fn expression(wish: &Wish<'_>) -> anyhow::Result<PathBuf> {
    let names: &[&str] = match wish.provider.value {
        Provider::Nix => &["flake.nix", "shell.nix"],
        _ => &["Cargo.toml"],
    };
    let is_file = |path: &PathBuf| path.symlink_metadata().is_ok_and(|file| file.is_file());
    let found = names.iter().map(|name| wish.root.join(name)).find(is_file);
    found.with_context(|| {
        format!(
            "the project has neither a `flake.nix` nor a `shell.nix` in `{}`, and {} wants its environment from Nix\n\nhint: \
             write one of them, or take `provider` out there",
            wish.root.display(),
            wish.provider.by
        )
    })
}

/// A program of the user's. Never one in the project, whatever `PATH` says.
fn program(name: &str, wish: &Wish<'_>) -> anyhow::Result<PathBuf> {
    let own = |path: &Path| {
        let real = path.canonicalize().ok()?;
        let outside = |place: &Path| !path.starts_with(place) && !real.starts_with(place);
        (outside(wish.root) && outside(wish.target_dir)).then_some(real)
    };
    let directories = std::env::split_paths(wish.path.unwrap_or_default()).filter(|path| path.is_absolute());
    let search = std::env::join_paths(directories).unwrap_or_default();
    let mut found = which::which_in_global(name, Some(search)).into_iter().flatten();
    found.find_map(|path| own(&path)).with_context(|| {
        let hint = match name {
            "riff" => "`nix profile install github:DeterminateSystems/riff`, or see https://github.com/DeterminateSystems/riff",
            _ => "`apt-get install nix-bin` on Debian and Ubuntu; https://nixos.org/download says how elsewhere",
        };
        format!(
            "`{name}` is not installed, which {} needs\n\nhint: install it: {hint}; or take `provider` out there",
            wish.provider.by
        )
    })
}
