//! What an evaluation came to, remembered by the content of all that it read.

use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::container::image::digest::Hashing;
use crate::policy::provider::Provider;

use super::staged::Staged;
use super::store::Store;
use super::variables::Provided;

/// Raised whenever what is made of an evaluation changes.
const VERSION: u32 = 1;

/// Where the last result is kept, in the project's directory for riff and Nix.
const FILE: &str = "environment.json";

/// One result.
#[derive(Debug)]
pub struct Kept {
    file: PathBuf,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    provided: Provided,
}

impl Kept {
    /// The result for `key` in a project's directory.
    pub fn at(directory: &Path, key: String) -> Self {
        Self { file: directory.join(FILE), key }
    }

    /// What is kept of the same evaluation, if anything is.
    pub fn read(&self) -> Option<Provided> {
        let record: Record = serde_json::from_slice(&std::fs::read(&self.file).ok()?).ok()?;
        (record.key == self.key).then_some(record.provided)
    }

    /// Keeps it, in the place of what was kept before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, provided: &Provided) -> io::Result<()> {
        let record = Record { key: self.key.clone(), provided: provided.clone() };
        let temporary = self.file.with_extension("new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(&record)?)?;
        std::fs::rename(&temporary, &self.file)
    }
}

/// What is kept of a project, whatever it was made of.
pub fn last(directory: &Path) -> Option<Provided> {
    let record: Record = serde_json::from_slice(&std::fs::read(directory.join(FILE)).ok()?).ok()?;
    Some(record.provided)
}

/// Names an evaluation: what it reads of the project, by whom it is made, with which programs.
///
/// # Errors
/// When a program is not there any more.
pub fn key(staged: &Staged, provider: Provider, programs: &[&Path], store: &Store) -> anyhow::Result<String> {
    let mut hashing = Hashing::default();
    let own = matches!(store, Store::Own(_));
    write!(hashing, "{VERSION} {provider} {own} ")?;
    for program in programs {
        let file =
            program.metadata().with_context(|| format!("failed to look at `{}`", program.display()))?;
        hashing.write_all(program.as_os_str().as_bytes())?;
        write!(hashing, " {}.{}.{} ", file.mtime(), file.mtime_nsec(), file.len())?;
    }
    staged.hash(&mut hashing)?;
    Ok(hashing.finish())
}
