//! What a cargo that runs inside is shown of the host's: what the host's own has fetched, and how it is configured.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cargo::configuration::without_tokens;
use crate::container::spec::Mount;

use super::vetted::Vetted;

/// Directories of `CARGO_HOME` with the registry's index and archives, and git's databases, without which cargo resolves
/// nothing.
pub const CACHES: [&str; 2] = ["registry", "git"];

/// What is shown, and what of it cargo reads.
pub struct Needed {
    /// Mounts, read-only.
    pub mounts: Vec<Mount>,
    /// Places of them.
    pub reads: Vec<PathBuf>,
}

/// What cargo needs that works on the project at `root`. Copies of configuration files, without tokens, are written into
/// `copies`, which no job may write.
///
/// # Errors
/// When a configuration file cannot be read, or a copy not written.
pub fn needed(vetted: &Vetted<'_>, root: &Path, copies: &Path) -> anyhow::Result<Needed> {
    let mut needed = Needed { mounts: Vec::new(), reads: Vec::new() };
    for path in CACHES.map(|name| vetted.cargo_home.join(name)) {
        if path.is_dir() {
            needed.mounts.push(Mount::read_only(&path));
            needed.reads.push(path);
        }
    }
    let files = vetted.configuration.files().filter(|file| !file.starts_with(root));
    for (number, file) in files.enumerate() {
        let failed = || format!("failed to read `{}`", file.display());
        let text = std::fs::read_to_string(file).with_context(failed)?;
        let copy = copies.join(format!("configuration-{number}.toml"));
        std::fs::write(&copy, without_tokens(&text).with_context(failed)?)?;
        needed.mounts.push(Mount { source: copy, target: file.to_owned(), writable: false });
        needed.reads.push(file.to_owned());
    }
    Ok(needed)
}
