//! One line for somebody who builds a project for the first time. Only at a terminal: what reads cargo's output reads the
//! same of this program.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use crate::cargo::{CargoCommand, CommandKind};
use crate::policy::repository::FILE;
use crate::project::{ProjectDirectories, record};

/// Says what protects this project's builds, once.
///
/// # Errors
/// When it cannot be written down that it was said.
pub fn introduce(directories: &ProjectDirectories, command: &CargoCommand, root: &Path) -> io::Result<()> {
    if command.kind != CommandKind::Compile || command.quiet || !io::stderr().is_terminal() {
        return Ok(());
    }
    if record::introduce(directories)? {
        let but = if root.join(FILE).exists() { ", but for what cargo-sandbox.toml gives them" } else { "" };
        eprintln!(
            "note: macros, build scripts, tests and programs of this project run in its container: no network, no secrets, \
             no files from elsewhere{but} (`cargo-sandbox self doctor`)"
        );
    }
    Ok(())
}
