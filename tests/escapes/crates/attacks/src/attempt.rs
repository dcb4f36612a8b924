//! One attack in one job, and what most of them do.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::lab;

/// Which attack, in which kind of job.
pub struct Attempt {
    pub name: &'static str,
    pub kind: String,
}

pub type Outcome = Result<String, String>;

impl Attempt {
    pub fn new(name: &'static str, kind: &str) -> Self {
        Self { name, kind: kind.into() }
    }

    /// What the suite looks for. Put together here, so that no compiled program contains it.
    pub fn token(&self) -> String {
        format!("{}-{}:{}:", "ESCAPED", self.name, self.kind)
    }

    /// A line that means nothing wherever it is written: a comment in shell, TOML and, here, Rust.
    fn line(&self, path: &Path) -> String {
        let rust = path.extension().is_some_and(|ending| ending == "rs");
        format!("\n{} {}\n", if rust { "//" } else { "#" }, self.token())
    }

    /// Makes a new file, with the directories above it.
    pub fn create(&self, path: impl AsRef<Path>) -> Outcome {
        let path = path.as_ref();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(said)?;
        }
        fs::write(path, self.line(path)).map_err(said)?;
        Ok(format!("wrote {}", path.display()))
    }

    /// Makes a new file in a directory that is there.
    pub fn create_in(&self, directory: impl AsRef<Path>) -> Outcome {
        let directory = directory.as_ref();
        fs::metadata(directory).map_err(said)?;
        self.create(directory.join(format!("planted-{}-{}", self.name, self.kind)))
    }

    /// Adds a line to a file that is there.
    pub fn append(&self, path: impl AsRef<Path>) -> Outcome {
        let path = path.as_ref();
        let mut file = open_append(path)?;
        file.write_all(self.line(path).as_bytes()).map_err(said)?;
        Ok(format!("added to {}", path.display()))
    }
}

pub fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// One line to standard error in one write, also where libtest or rustc takes what the macros print.
pub fn report(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

pub fn open_append(path: impl AsRef<Path>) -> Result<File, String> {
    OpenOptions::new().append(true).open(path).map_err(said)
}

/// Opens a file that must not be changed for writing: that it can be is enough.
pub fn writable(path: impl AsRef<Path>) -> Outcome {
    open_append(&path).map(|_| format!("could write {}", path.as_ref().display()))
}

pub fn read(path: impl AsRef<Path>) -> Outcome {
    let mut text = Vec::new();
    File::open(path).map_err(said)?.take(1 << 16).read_to_end(&mut text).map_err(said)?;
    if text.is_empty() { Err("empty".into()) } else { Ok(String::from_utf8_lossy(&text).into_owned()) }
}

/// The names in a directory; one that is empty is no gain.
pub fn list(path: impl AsRef<Path>) -> Outcome {
    let entries = fs::read_dir(path).map_err(said)?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().display().to_string()).collect();
    names.sort();
    if names.is_empty() { Err("empty".into()) } else { Ok(names.join(" ")) }
}

pub fn home(path: &str) -> PathBuf {
    Path::new(lab::HOME).join(path)
}

pub fn project(path: &str) -> PathBuf {
    Path::new(lab::PROJECT).join(path)
}

pub fn build_dir(path: &str) -> PathBuf {
    Path::new(lab::BUILD_DIR).join(path)
}

/// The unpacked source of a crate beside this one.
pub fn crate_beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(path)
}

/// The first directory in the build directory's `build/` that belongs to this package and has that in it.
pub fn built_package(name: &str, holds: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(build_dir("debug/build")).map_err(said)?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let start = format!("{name}-");
    let fits = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))
            && path.join(holds).exists()
    };
    paths.find(fits).ok_or_else(|| format!("no {name}-*/{holds}"))
}
