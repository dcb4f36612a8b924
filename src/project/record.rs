//! What a project's directory says about itself.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Project, ProjectDirectories};

/// The record of a project. Fields that an older version did not write are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The root that the directory is for.
    pub root: PathBuf,
    /// Which cargo was found to be new enough.
    #[serde(default)]
    pub cargo_stamp: Option<String>,
    /// Whether somebody has been told what protects this project's builds.
    #[serde(default)]
    pub introduced: bool,
}

/// Reads the record; `None` where there is none, or none that can be read.
pub fn read(directories: &ProjectDirectories) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(directories.record()).ok()?).ok()
}

/// Writes the record, if it says something new.
///
/// # Errors
/// When it cannot be written.
pub fn write(directories: &ProjectDirectories, project: &Project, cargo_stamp: String) -> io::Result<()> {
    let old = read(directories);
    let introduced = old.as_ref().is_some_and(|record| record.introduced);
    let record = Record { root: project.root.clone(), cargo_stamp: Some(cargo_stamp), introduced };
    if old.as_ref() == Some(&record) { Ok(()) } else { put(directories, &record) }
}

/// Writes down that somebody has been told; whether nobody had been.
///
/// # Errors
/// When it cannot be written.
pub fn introduce(directories: &ProjectDirectories) -> io::Result<bool> {
    match read(directories) {
        Some(record) if !record.introduced => {
            put(directories, &Record { introduced: true, ..record }).map(|()| true)
        }
        _ => Ok(false),
    }
}

fn put(directories: &ProjectDirectories, record: &Record) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directories.path())?;
    serde_json::to_writer_pretty(&mut file, record)?;
    file.persist(directories.record())?;
    Ok(())
}
