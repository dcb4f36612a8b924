//! Remembered trust: which content of which files the user has said yes to, per project.
//!
//! One file per project, outside of every repository, in the user's data directory: the cache may be emptied at
//! any time. A file counts as trusted only with the very content that was shown; the content is kept, so that
//! the next question can show what changed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::project::{Project, private_directory};

use super::question::{Item, Question};

/// The version of the format.
const VERSION: u32 = 1;

/// What the user trusts in one project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    version: u32,
    /// The project's root.
    pub root: PathBuf,
    /// The files.
    pub files: Vec<TrustedFile>,
}

/// A file, as it was when it was trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedFile {
    /// Which.
    pub path: PathBuf,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
    /// The content.
    pub text: String,
    /// What the user was told that it asks for. For lists alone: what counts is the content.
    #[serde(default)]
    pub items: Vec<Item>,
}

impl Trusted {
    /// Whether a file is trusted with its present content.
    pub fn covers(&self, question: &Question) -> bool {
        self.before(question).is_some_and(|file| file.sha256 == sha256(&question.text))
    }

    /// The file as it was trusted, whatever is in it now.
    pub fn before(&self, question: &Question) -> Option<&TrustedFile> {
        self.files.iter().find(|file| file.path == question.file)
    }
}

/// Where trust is kept.
#[derive(Debug, Clone)]
pub struct TrustStore(PathBuf);

impl TrustStore {
    /// The store in `directory`, which is made when something is trusted.
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// What is trusted in a project.
    ///
    /// # Errors
    /// When the store is not the user's alone, or cannot be read.
    pub fn of(&self, root: &Path) -> io::Result<Trusted> {
        let none = Trusted { version: VERSION, root: root.to_owned(), files: Vec::new() };
        self.outside_of(root)?;
        if !self.0.exists() {
            return Ok(none);
        }
        private_directory(&self.0)?;
        let found = read(&self.file(root))?;
        // Two roots of one identity do not share trust.
        Ok(found.filter(|found| found.root == root).unwrap_or(none))
    }

    /// Trusts the present content of files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn grant(&self, root: &Path, questions: &[Question]) -> io::Result<()> {
        self.outside_of(root)?;
        // The data directory is there already, or made for everybody; what is in it is the user's alone.
        let own = self.0.parent().unwrap_or(&self.0);
        std::fs::create_dir_all(own.parent().unwrap_or(own))?;
        private_directory(own)?;
        private_directory(&self.0)?;
        let mut trusted = self.of(root)?;
        for question in questions {
            trusted.files.retain(|file| file.path != question.file);
            trusted.files.push(TrustedFile {
                path: question.file.clone(),
                sha256: sha256(&question.text),
                text: question.text.clone(),
                items: question.items.clone(),
            });
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        serde_json::to_writer_pretty(&mut file, &trusted)?;
        file.flush()?;
        file.persist(self.file(root))?;
        Ok(())
    }

    /// Forgets all trust in a project; says whether there was any.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn revoke(&self, root: &Path) -> io::Result<bool> {
        match std::fs::remove_file(self.file(root)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All trust.
    ///
    /// # Errors
    /// When the store is not the user's alone, or cannot be read.
    pub fn list(&self) -> io::Result<Vec<Trusted>> {
        if !self.0.exists() {
            return Ok(Vec::new());
        }
        private_directory(&self.0)?;
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.extend(read(&path)?);
            }
        }
        all.sort_by(|one, other| one.root.cmp(&other.root));
        Ok(all)
    }

    /// A repository must not bring its own trust along.
    fn outside_of(&self, root: &Path) -> io::Result<()> {
        let existing = self.0.ancestors().find_map(|path| path.canonicalize().ok());
        if existing.is_some_and(|existing| existing.starts_with(root)) {
            return Err(io::Error::other(format!(
                "`{}`, where trust is kept, is inside the project `{}`",
                self.0.display(),
                root.display()
            )));
        }
        Ok(())
    }

    fn file(&self, root: &Path) -> PathBuf {
        self.0.join(format!("{}.json", Project::new(root).id))
    }
}

fn read(path: &Path) -> io::Result<Option<Trusted>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // What a later version wrote, or nobody did, is no trust.
    let found = serde_json::from_str::<Trusted>(&text).ok();
    Ok(found.filter(|found| found.version == VERSION))
}

/// What `self trust --hash` takes: one figure for the files in question, the same wherever the project lies.
pub fn hash_of(root: &Path, questions: &[Question]) -> String {
    let mut parts: Vec<(&Path, &str)> = questions
        .iter()
        .map(|question| (question.file.strip_prefix(root).unwrap_or(&question.file), question.text.as_str()))
        .collect();
    parts.sort_unstable();
    let mut hasher = Sha256::new();
    for (path, text) in parts {
        for part in [path.as_os_str().as_encoded_bytes(), text.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hexadecimal(&hasher.finalize())
}

fn sha256(text: &str) -> String {
    hexadecimal(&Sha256::digest(text))
}

/// Each byte as two hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn question(file: &str, text: &str) -> Question {
        Question { file: file.into(), text: text.into(), items: Vec::new() }
    }

    #[test]
    fn trust_is_in_a_files_very_content_and_in_one_project() {
        let data = tempfile::tempdir().unwrap();
        let store = TrustStore::new(data.path().join("own/trust"));
        let (one, other) = (Path::new("/w/one"), Path::new("/w/other"));
        let asked = question("/w/one/.cargo/config.toml", "a = 1");
        assert!(!store.of(one).unwrap().covers(&asked));
        store.grant(one, std::slice::from_ref(&asked)).unwrap();
        store.grant(one, &[question("/w/one/sub/.cargo/config.toml", "b = 1")]).unwrap();
        assert!(store.of(one).unwrap().covers(&asked) && !store.of(other).unwrap().covers(&asked));
        let changed = question("/w/one/.cargo/config.toml", "a = 2");
        let trusted = store.of(one).unwrap();
        assert!(!trusted.covers(&changed));
        assert_eq!(trusted.before(&changed).unwrap().text, "a = 1");
        assert_eq!(store.list().unwrap().len(), 1);
        assert!(store.revoke(one).unwrap() && !store.revoke(one).unwrap());
        assert!(!store.of(one).unwrap().covers(&asked));
    }

    #[test]
    fn a_store_that_others_can_write_or_that_the_project_brings_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let root = data.path().canonicalize().unwrap();
        let store = TrustStore::new(root.join("trust"));
        store.grant("/w/one".as_ref(), &[]).unwrap();
        assert!(store.of(&root).is_err() && store.grant(&root, &[]).is_err());
        std::fs::set_permissions(root.join("trust"), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(store.of("/w/one".as_ref()).is_err());
    }

    #[test]
    fn what_is_no_record_is_no_trust() {
        let data = tempfile::tempdir().unwrap();
        let store = TrustStore::new(data.path().join("trust"));
        let asked = question("/w/one/x", "a");
        store.grant("/w/one".as_ref(), std::slice::from_ref(&asked)).unwrap();
        let file = store.file("/w/one".as_ref());
        let text = std::fs::read_to_string(&file).unwrap();
        for broken in ["", "{}", &text.replace("\"version\": 1", "\"version\": 2")] {
            std::fs::write(&file, broken).unwrap();
            assert!(!store.of("/w/one".as_ref()).unwrap().covers(&asked), "{broken}");
        }
    }

    #[test]
    fn the_hash_is_the_same_elsewhere_and_another_for_any_change() {
        let hash = |root: &str, text: &str| {
            let questions = [question(&format!("{root}/a"), "x"), question(&format!("{root}/b"), text)];
            hash_of(root.as_ref(), &questions)
        };
        assert_eq!(hash("/w/one", "y"), hash("/elsewhere", "y"));
        assert_ne!(hash("/w/one", "y"), hash("/w/one", "z"));
        let moved = [question("/w/one/a", "xy"), question("/w/one/b", "")];
        assert_ne!(hash_of("/w/one".as_ref(), &moved), hash("/w/one", "y"));
    }
}
