//! What programs that measure themselves write, and what LLVM's tools make of it (`cargo llvm-cov`).
//!
//! A program writes its profile when it ends, to the place that a variable names: in the target directory, where no job
//! may write. So each job gets a directory of its own instead, and when every process of it is dead the host copies out
//! of it plain files only, under names that it makes up. What is in them is read by LLVM's tools, which are jobs too.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};

use crate::agent::protocol::{Access, Rights};

use super::identify::{Job, JobKind};
use super::outputs;
use super::session::Session;

/// The variable that says where a profile goes.
const VARIABLE: &str = "LLVM_PROFILE_FILE";

/// How the names of profiles end; what is named otherwise stays.
const ENDING: &str = ".profraw";

/// What one job may leave: many more than a large test suite's processes.
const MOST: Bounds = Bounds { files: 20_000, bytes: 2 << 30 };

/// How deep directories of a report are.
const MOST_DEEP: usize = 64;

/// How much is taken out of a job's directory.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Files and directories.
    files: usize,
    /// Their content, in bytes.
    bytes: u64,
}

/// Why what a job left is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// More than a job has a reason for.
    #[error("a job left more than {} files or {} MiB to report on", MOST.files, MOST.bytes >> 20)]
    TooMuch,
    /// A place that no report is written to.
    #[error(
        "`{}` is not in the project or its target directory, and reports are written there only\n\nhint: name a directory \
         of the project's", .0.display()
    )]
    Place(PathBuf),
    /// A step failed.
    #[error("failed to take what a job left to report on to `{}`: {source}", path.display())]
    Io {
        /// Where it was to go.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A directory that one job writes, and what is to come of it.
#[derive(Debug)]
pub struct Kept {
    directory: tempfile::TempDir,
    goes: Goes,
}

/// Where it goes.
#[derive(Debug, PartialEq, Eq)]
enum Goes {
    /// Profiles of the programs of a job.
    Profiles,
    /// What a tool writes: a file or a directory, and where it was told to.
    Output(PathBuf),
    /// Nothing is expected.
    Nowhere,
}

impl Kept {
    /// Gives a job its directory, where one is needed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn give(session: &Session, job: &mut Job) -> io::Result<Option<Self>> {
        if session.coverage.is_none() || job.kind == JobKind::Query {
            return Ok(None);
        }
        let all = session.directories.profiles();
        let directory = tempfile::Builder::new().prefix("job-").tempdir_in(all)?;
        let goes = match job.kind {
            JobKind::Coverage => redirect(job, directory.path()),
            _ => {
                let assignment = [VARIABLE.as_bytes(), b"="].concat();
                job.spec.env.retain(|variable| !variable.starts_with(&assignment));
                let place = directory.path().join(format!("%p-%m{ENDING}"));
                job.spec.env.push([&assignment, place.as_os_str().as_encoded_bytes()].concat());
                Goes::Profiles
            }
        };
        let path = directory.path().as_os_str().as_encoded_bytes().to_vec();
        job.spec.access.push(Access { path, rights: Rights::WritePlain });
        Ok(Some(Self { directory, goes }))
    }

    /// Takes what was left, when every process of the job is dead. `succeeded` is whether the job did: what a tool that
    /// failed has written is nothing.
    ///
    /// # Errors
    /// When it is too much, or cannot be written.
    pub fn take(self, session: &Session, succeeded: bool) -> Result<(), ProfileError> {
        let Some(coverage) = &session.coverage else { return Ok(()) };
        match &self.goes {
            Goes::Profiles => self.profiles(session, &coverage.place),
            Goes::Output(to) if succeeded => self.output(session, to),
            Goes::Output(_) | Goes::Nowhere => Ok(()),
        }
    }

    fn profiles(&self, session: &Session, place: &Path) -> Result<(), ProfileError> {
        let failed = |source| ProfileError::Io { path: place.to_owned(), source };
        let from = outputs::open_directory(self.directory.path(), Path::new("")).map_err(failed)?;
        let names = names(&from, &mut MOST.to_owned())?;
        let profiles: Vec<_> = names.into_iter().filter(|name| name.ends_with(ENDING.as_bytes())).collect();
        if profiles.is_empty() {
            return Ok(());
        }
        let to = open_below(session, place).map_err(failed)?;
        let project = crate::project::file_name(&session.project.root);
        let job = crate::project::file_name(self.directory.path());
        let mut left = MOST;
        for (number, name) in profiles.iter().enumerate() {
            // The name that a job chose is nothing that the host goes on with.
            let new = format!("{project}-{job}-{number}{ENDING}");
            copy(&from, name, &to, new.as_bytes(), &mut left)?;
        }
        Ok(())
    }

    fn output(&self, session: &Session, to: &Path) -> Result<(), ProfileError> {
        let failed = |source| ProfileError::Io { path: to.to_owned(), source };
        let refused = || ProfileError::Place(to.to_owned());
        let from = outputs::open_directory(self.directory.path(), Path::new("")).map_err(failed)?;
        let (parent, name) = (to.parent().ok_or_else(refused)?, to.file_name().ok_or_else(refused)?);
        let written = outputs::metadata_at(&from, Path::new(OUTPUT)).map_err(failed)?;
        let mut left = MOST;
        match written {
            Some(written) if written.is_file() => {
                let to = open_below(session, parent).map_err(failed)?;
                copy(&from, OUTPUT.as_bytes(), &to, name.as_encoded_bytes(), &mut left)
            }
            Some(written) if written.is_dir() => {
                let to = open_below(session, to).map_err(failed)?;
                let from = open_at(&from, OUTPUT.as_bytes(), OFlags::DIRECTORY).map_err(failed)?;
                copy_all(&from, &to, &mut left, MOST_DEEP)
            }
            _ => Ok(()),
        }
    }
}

/// The name of what a tool writes in its directory.
const OUTPUT: &str = "output";

/// Has a tool write to its own directory what it was told to write elsewhere.
fn redirect(job: &mut Job, directory: &Path) -> Goes {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    const DIRECTORY: &[u8] = b"-output-dir=";
    let own = directory.join(OUTPUT).into_os_string().into_encoded_bytes();
    let cwd = PathBuf::from(OsStr::from_bytes(&job.spec.cwd));
    let place = |path: &[u8]| Goes::Output(cwd.join(OsStr::from_bytes(path)));
    let mut words = job.spec.argv.iter_mut();
    while let Some(word) = words.next() {
        if let Some(path) = word.strip_prefix(DIRECTORY) {
            let goes = place(path);
            *word = [DIRECTORY, &own].concat();
            return goes;
        }
        if word == b"-o"
            && let Some(path) = words.next()
        {
            let goes = place(path);
            *path = own;
            return goes;
        }
    }
    Goes::Nowhere
}

/// Opens a directory of the project or its target directory, made where it is missing, through no link.
fn open_below(session: &Session, path: &Path) -> io::Result<OwnedFd> {
    let clean = super::session::normalized(path).unwrap_or_default();
    let bases = [&session.target_dir, &session.project.root];
    let found = bases.into_iter().find_map(|base| Some((base, clean.strip_prefix(base).ok()?)));
    let Some((base, below)) = found else {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, ProfileError::Place(path.to_owned())));
    };
    let mut opened = outputs::open_directory(base, Path::new(""))?;
    for part in below {
        opened = directory_in(&opened, part.as_encoded_bytes())?;
    }
    Ok(opened)
}

fn directory_in(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open_at(parent, name, OFlags::DIRECTORY)
}

/// Opens what has a name, and follows no link.
fn open_at(directory: &OwnedFd, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    // Nonblocking, so that no fifo's other end is waited for.
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// What is in a directory, in order.
fn names(directory: &OwnedFd, left: &mut Bounds) -> Result<Vec<Vec<u8>>, ProfileError> {
    let failed = |error: rustix::io::Errno| ProfileError::Io { path: PathBuf::new(), source: error.into() };
    let mut names = Vec::new();
    for entry in Dir::read_from(directory.as_fd()).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        left.files = left.files.checked_sub(1).ok_or(ProfileError::TooMuch)?;
        names.push(name);
    }
    names.sort();
    Ok(names)
}

/// Copies a plain file under a new name, in the place of what had it. Anything else is left out.
fn copy(
    from: &OwnedFd,
    name: &[u8],
    to: &OwnedFd,
    new: &[u8],
    left: &mut Bounds,
) -> Result<(), ProfileError> {
    let failed = |source| ProfileError::Io { path: String::from_utf8_lossy(new).into_owned().into(), source };
    let file = match open_at(from, name, OFlags::empty()) {
        Ok(file) => File::from(file),
        // A link, or a socket.
        Err(error) if [Some(libc::ELOOP), Some(libc::ENXIO)].contains(&error.raw_os_error()) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Ok(());
    }
    if metadata.len() > left.bytes {
        return Err(ProfileError::TooMuch);
    }
    match rustix::fs::unlinkat(to, new, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let written = rustix::fs::openat(to, new, flags, Mode::from_raw_mode(0o666));
    let mut written = File::from(written.map_err(|error| failed(error.into()))?);
    let copied = io::copy(&mut file.take(left.bytes), &mut written).map_err(failed)?;
    left.bytes -= copied;
    Ok(())
}

/// Copies plain files and directories, and nothing else.
fn copy_all(from: &OwnedFd, to: &OwnedFd, left: &mut Bounds, deep: usize) -> Result<(), ProfileError> {
    for name in names(from, left)? {
        let failed =
            |source| ProfileError::Io { path: String::from_utf8_lossy(&name).into_owned().into(), source };
        match open_at(from, &name, OFlags::DIRECTORY) {
            Ok(below) => {
                let deep = deep.checked_sub(1).ok_or(ProfileError::TooMuch)?;
                let to = directory_in(to, &name).map_err(failed)?;
                copy_all(&below, &to, left, deep)?;
            }
            Err(error) if [Some(libc::ENOTDIR), Some(libc::ELOOP)].contains(&error.raw_os_error()) => {
                copy(from, &name, to, &name, left)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;
    use crate::cargo::installed::coverage::Coverage;
    use std::os::unix::fs::symlink;

    fn scene() -> (tempfile::TempDir, Session, Kept) {
        let all = tempfile::tempdir().unwrap();
        let mut session = session();
        session.target_dir = all.path().join("target");
        std::fs::create_dir(&session.target_dir).unwrap();
        session.coverage = Some(Coverage {
            place: session.target_dir.join("llvm-cov-target"),
            cov: "/usr/bin/llvm-cov".into(),
            profdata: "/usr/bin/llvm-profdata".into(),
            demangler: "/c/bin/cargo-llvm-cov".into(),
        });
        std::fs::write(all.path().join("secret"), "secret").unwrap();
        let kept = Kept { directory: tempfile::tempdir_in(all.path()).unwrap(), goes: Goes::Profiles };
        (all, session, kept)
    }

    fn fifo(path: &Path) {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    }

    #[test]
    fn profiles_are_plain_files_under_new_names() {
        let (all, session, kept) = scene();
        let at = |name: &str| kept.directory.path().join(name);
        std::fs::write(at("1-2.profraw"), "one").unwrap();
        std::fs::write(at("\u{1b}[2J.profraw"), "two").unwrap();
        std::fs::write(at("other.txt"), "three").unwrap();
        std::fs::create_dir(at("directory.profraw")).unwrap();
        symlink(all.path().join("secret"), at("link.profraw")).unwrap();
        fifo(&at("fifo.profraw"));
        kept.take(&session, false).unwrap();
        let place = session.target_dir.join("llvm-cov-target");
        let mut found: Vec<_> = std::fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (crate::project::file_name(&path), std::fs::read_to_string(&path).unwrap()))
            .collect();
        found.sort();
        assert!(found.iter().all(|(name, _)| name.starts_with("app-") && name.ends_with(".profraw")));
        let mut contents: Vec<_> = found.into_iter().map(|(_, content)| content).collect();
        contents.sort();
        assert_eq!(contents, ["one", "two"]);
    }

    #[test]
    fn nothing_is_written_through_a_link_or_elsewhere() {
        let (all, session, kept) = scene();
        std::fs::write(kept.directory.path().join("1.profraw"), "one").unwrap();
        std::fs::create_dir(all.path().join("elsewhere")).unwrap();
        symlink(all.path().join("elsewhere"), session.target_dir.join("llvm-cov-target")).unwrap();
        assert!(kept.take(&session, true).is_err());
        assert!(std::fs::read_dir(all.path().join("elsewhere")).unwrap().next().is_none());

        let output = |to: PathBuf| {
            let directory = tempfile::tempdir_in(all.path()).unwrap();
            std::fs::write(directory.path().join(OUTPUT), "report").unwrap();
            Kept { directory, goes: Goes::Output(to) }.take(&session, true)
        };
        assert!(output(all.path().join("elsewhere/report")).is_err());
        assert!(output(session.target_dir.join("../secret")).is_err());
        output(session.target_dir.join("reports/report")).unwrap();
        // What was there under that name, a link of a repository's, is replaced and not followed.
        symlink(all.path().join("secret"), session.target_dir.join("reports/linked")).unwrap();
        output(session.target_dir.join("reports/linked")).unwrap();
        assert_eq!(std::fs::read_to_string(session.target_dir.join("reports/linked")).unwrap(), "report");
        assert_eq!(std::fs::read_to_string(all.path().join("secret")).unwrap(), "secret");
    }

    #[test]
    fn a_report_of_many_files_is_copied_without_what_is_strange() {
        let (all, session, kept) = scene();
        let own = kept.directory.path().join(OUTPUT);
        std::fs::create_dir_all(own.join("coverage/src")).unwrap();
        std::fs::write(own.join("coverage/src/lib.rs.html"), "page").unwrap();
        symlink(all.path().join("secret"), own.join("secret.html")).unwrap();
        symlink(all.path(), own.join("all")).unwrap();
        fifo(&own.join("fifo.html"));
        let to = session.target_dir.join("llvm-cov/html");
        Kept { goes: Goes::Output(to.clone()), ..kept }.take(&session, true).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("coverage/src/lib.rs.html")).unwrap(), "page");
        assert_eq!(std::fs::read_dir(&to).unwrap().count(), 1);
    }

    #[test]
    fn more_than_a_job_has_a_reason_for_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(directory.path().join(name), "content").unwrap();
        }
        let from = outputs::open_directory(directory.path(), Path::new("")).unwrap();
        let to = tempfile::tempdir().unwrap();
        let to = outputs::open_directory(to.path(), Path::new("")).unwrap();
        let copied = |files, bytes| copy_all(&from, &to, &mut Bounds { files, bytes }, 1);
        assert!(copied(3, 21).is_ok());
        assert!(matches!(copied(2, 21), Err(ProfileError::TooMuch)));
        assert!(matches!(copied(3, 20), Err(ProfileError::TooMuch)));
    }
}
