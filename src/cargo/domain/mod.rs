//! The Landlock domain of cargo and of everything that it starts on the host.
//!
//! cargo is trusted and its input is not: it executes what it finds in the place of a build script, and it
//! writes where a link leads. Under this domain it executes the toolchain, the wrapper and the system's
//! programs, and nothing that it, a job or a repository wrote; it writes the project, its directories, and
//! `CARGO_HOME`. **No directory can be both written and executed.**
//!
//! [`grants`] says what a command needs, [`kernel`] has it enforced, [`repository`] finds the files of git.

pub mod grants;
pub mod kernel;
pub mod repository;

use std::path::{Path, PathBuf};

/// What may be done with a file, or with a directory and everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// List directories; read no file.
    List,
    /// Read and list.
    Read,
    /// Execute, and read.
    Execute,
    /// Read, create, change and remove files, directories and links; never execute.
    Write,
    /// Remove empty directories.
    RemoveDirectories,
    /// Read, write and control a device or terminal.
    Device,
    /// Connect to Unix sockets, where the kernel has a say in that (Landlock ABI 9).
    Connect,
}

/// A right to a path; a path that does not exist grants nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Links in it are followed once, when the domain is made.
    pub path: PathBuf,
    /// What may be done there.
    pub rights: Rights,
}

/// The grants of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domain(Vec<Grant>);

impl Domain {
    /// Grants something.
    pub fn add(&mut self, path: impl AsRef<Path>, rights: Rights) {
        let grant = Grant { path: path.as_ref().to_owned(), rights };
        if !self.0.contains(&grant) {
            self.0.push(grant);
        }
    }

    /// Everything that is granted.
    pub fn grants(&self) -> &[Grant] {
        &self.0
    }

    /// What may be written.
    fn writable(&self) -> Vec<PathBuf> {
        let writable = self.0.iter().filter(|grant| grant.rights == Rights::Write);
        writable.filter_map(|grant| grant.path.canonicalize().ok()).collect()
    }

    /// Grants the execution of everything below these directories that is not writable: a project may lie in
    /// `/usr/src`, `CARGO_HOME` in `/usr/local`. Everything that is writable must have been granted before.
    pub fn add_executables<'a>(&mut self, directories: impl IntoIterator<Item = &'a Path>) {
        let writable = self.writable();
        for directory in directories {
            self.add_executable(directory, &writable);
        }
    }

    fn add_executable(&mut self, directory: &Path, writable: &[PathBuf]) {
        let Ok(directory) = directory.canonicalize() else { return };
        let mut open = vec![directory];
        while let Some(path) = open.pop() {
            let covered = |grant: &Grant| grant.rights == Rights::Execute && path.starts_with(&grant.path);
            if writable.iter().any(|writable| path.starts_with(writable)) || self.0.iter().any(covered) {
                continue;
            }
            if !writable.iter().any(|writable| writable.starts_with(&path)) {
                self.add(&path, Rights::Execute);
                continue;
            }
            self.add(&path, Rights::Read);
            for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                // What a link leads to is granted where it lies.
                if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
                    open.push(entry.path());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_writable_is_left_out_of_what_can_be_executed() {
        let usr = tempfile::tempdir().unwrap();
        let usr = usr.path().canonicalize().unwrap();
        for path in ["bin", "src/app/target", "src/other", "local/cargo/registry"] {
            std::fs::create_dir_all(usr.join(path)).unwrap();
        }
        let mut domain = Domain::default();
        domain.add(usr.join("src/app"), Rights::Write);
        domain.add(usr.join("local/cargo"), Rights::Write);
        domain.add_executables([usr.as_path()]);
        let mut executable: Vec<_> = domain
            .grants()
            .iter()
            .filter(|grant| grant.rights == Rights::Execute)
            .map(|grant| grant.path.strip_prefix(&usr).unwrap().to_str().unwrap())
            .collect();
        executable.sort_unstable();
        assert_eq!(executable, ["bin", "src/other"]);
    }

    #[test]
    fn a_directory_with_nothing_writable_in_it_is_one_rule() {
        let usr = tempfile::tempdir().unwrap();
        std::fs::create_dir(usr.path().join("bin")).unwrap();
        let mut domain = Domain::default();
        domain.add_executables([usr.path()]);
        assert_eq!(domain.grants().len(), 1);
        domain.add_executables([usr.path().join("none").as_path()]);
        assert_eq!(domain.grants().len(), 1);
    }
}
