//! Which archives were verified: who runs a command again that was interrupted need not have all built again.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Most that is remembered per project.
const MOST: usize = 200;

/// A file of the project's own directory, which no job sees.
#[derive(Debug)]
pub struct Verified {
    path: PathBuf,
    known: Known,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// Each an archive's SHA-256 and what it was built by.
    builds: BTreeSet<String>,
}

impl Verified {
    /// What is known; nothing where the file is not there or not understood.
    pub fn read(directory: &Path) -> Self {
        let path = directory.join("verified.json");
        let text = std::fs::read(&path).unwrap_or_default();
        Self { path, known: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// Whether all of these archives were verified by the same toolchain, with the same options.
    pub fn knows<'a>(&self, mut checksums: impl Iterator<Item = &'a str>, built_by: &str) -> bool {
        checksums.all(|checksum| self.known.builds.contains(&line(checksum, built_by)))
    }

    /// Remembers these.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add<'a>(
        &mut self,
        checksums: impl Iterator<Item = &'a str>,
        built_by: &str,
    ) -> std::io::Result<()> {
        if self.known.builds.len() >= MOST {
            self.known.builds.clear();
        }
        self.known.builds.extend(checksums.map(|checksum| line(checksum, built_by)));
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(&self.known).map_err(std::io::Error::other)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn line(checksum: &str, built_by: &str) -> String {
    format!("{checksum} {built_by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_verified_is_known_again_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        Verified::read(directory.path()).add(["aa", "bb"].into_iter(), "1.95 --all-features").unwrap();
        let known = Verified::read(directory.path());
        assert!(known.knows(["bb", "aa"].into_iter(), "1.95 --all-features"));
        assert!(!known.knows(["aa"].into_iter(), "1.96 --all-features"));
        assert!(!known.knows(["aa", "cc"].into_iter(), "1.95 --all-features"));
    }
}
