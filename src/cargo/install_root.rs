//! Where `cargo install` puts programs, and what it writes there.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::broker::session::normalized;

use super::CargoCommand;
use super::configuration::Configuration;

/// Beside `bin`: what cargo remembers of what it has installed.
const LISTS: [&str; 2] = [".crates.toml", ".crates2.json"];

/// The directory below which a command installs or uninstalls (the cargo book, `cargo install`); nothing for other
/// commands. `variable` is CARGO_INSTALL_ROOT.
pub fn install_root(
    command: &CargoCommand,
    directory: &Path,
    variable: Option<&OsStr>,
    configuration: &Configuration,
    cargo_home: &Path,
) -> Option<PathBuf> {
    if !matches!(command.subcommand.as_str(), "install" | "uninstall") {
        return None;
    }
    let named = command.option("--root").pop().or_else(|| variable.map(OsStr::to_owned));
    let root = match named {
        Some(named) => directory.join(named),
        None => configuration.path("install.root").unwrap_or_else(|| cargo_home.to_owned()),
    };
    Some(normalized(&root).unwrap_or(root))
}

/// What is written below such a directory.
pub fn written(root: &Path) -> Vec<PathBuf> {
    LISTS.iter().chain(&["bin"]).map(|name| root.join(name)).collect()
}

/// Makes it as cargo would, since cargo itself may make nothing beside it.
///
/// # Errors
/// When something cannot be made.
pub fn create(root: &Path, tracked: bool) -> io::Result<()> {
    std::fs::create_dir_all(root.join("bin"))?;
    for name in LISTS.iter().filter(|_| tracked) {
        std::fs::File::options().create(true).append(true).open(root.join(name))?;
    }
    Ok(())
}
