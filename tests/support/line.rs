//! Command lines as people write them, with spaces between the words.

use std::path::Path;
use std::process::Command;

use super::tool::Engine;
use super::world::World;

/// `cargo-sandbox` in a project.
pub fn sandbox(world: &World, engine: Engine, project: &Path, line: &str) -> Command {
    let mut command = world.sandbox(engine, project);
    command.args(line.split_whitespace());
    command
}

/// cargo itself, with a target directory of its own: what it leaves is not in the way of the other.
pub fn plain(world: &World, project: &Path, line: &str) -> Command {
    let mut command = world.plain(project);
    command.args(line.split_whitespace()).env("CARGO_TARGET_DIR", world.home.join("plain"));
    command
}
