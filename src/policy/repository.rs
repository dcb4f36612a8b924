//! The repository's own policy, `cargo-sandbox.toml` in the project's root.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::cargo::environment::is_secret;

use super::asks;
use super::containers::Own;
use super::file::PolicyFile;
use super::invalid::Mistake;
use super::layers::{Policy, Source, Written};
use super::question::Question;

/// The file's name in the project's root.
pub const FILE: &str = "cargo-sandbox.toml";

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Why a repository's policy cannot be used; nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryPolicyError {
    /// It is there and cannot be read.
    #[error("failed to read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is not understood.
    #[error("`{}` is not valid, {mistake}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What, and where.
        mistake: Mistake,
    },
}

/// A repository's policy, with what of it needs trust.
#[derive(Debug, Clone)]
pub struct RepositoryPolicy {
    /// The file; not trusted yet.
    pub written: Written,
    /// What needs trust; none where nothing does.
    pub question: Option<Question>,
}

impl RepositoryPolicy {
    /// Whether a project may have one: only a file that is certainly not there counts as none.
    pub fn may_be_in(root: &Path) -> bool {
        let found = root.join(FILE).symlink_metadata();
        !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Reads the policy of a project; `users` and `own` are what holds without it. Nothing where there is none.
    ///
    /// # Errors
    /// When it is no plain file, too long, or not understood.
    pub fn read(root: &Path, users: &Policy, own: &Own) -> Result<Option<Self>, RepositoryPolicyError> {
        let path = root.join(FILE);
        match read(&path) {
            Ok(text) => Self::parse(path, text, users, own).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RepositoryPolicyError::Read { path, source }),
        }
    }

    /// Reads a text as the policy of a project.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn parse(
        path: PathBuf,
        text: String,
        users: &Policy,
        own: &Own,
    ) -> Result<Self, RepositoryPolicyError> {
        let file = PolicyFile::parse(&text).and_then(|file| refuse_secrets(&text, &file).map(|()| file));
        let file = file.map_err(|mistake| RepositoryPolicyError::Invalid { path: path.clone(), mistake })?;
        let items = asks::items(&text, &file, users, own);
        let asks = !items.is_empty();
        let question = asks.then(|| Question { file: path.clone(), text: text.clone(), items });
        // What takes nothing away and gives nothing may as well be trusted.
        let written = Written { source: Source::Repository, path, text, file, trusted: !asks };
        Ok(Self { written, question })
    }
}

/// Through no link, which could have any file of the user's shown in an error, and never waiting for a fifo's writer.
fn read(path: &Path) -> io::Result<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(io::Error::other("it is no plain file of acceptable size"));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// A secret's name in a repository's file is a request for it that is one careless yes away.
fn refuse_secrets(text: &str, file: &PolicyFile) -> Result<(), Mistake> {
    for table in file.tables() {
        let Some(env) = &table.rules.env else { continue };
        if let Some(name) = env.get_ref().iter().find(|name| is_secret(name.get_ref().name())) {
            let message = format!(
                "`{}` has the name of a secret, which no repository can ask for\n\nhint: what has to have it gets it from \
                 your own configuration",
                name.get_ref().name()
            );
            return Err(Mistake::at(text, name.span().start, message));
        }
    }
    Ok(())
}
