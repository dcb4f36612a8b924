//! What a directory holds, by bytes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run::run;

/// One file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `file`, `dir`, `link to …` or `special`.
    pub kind: String,
    /// Permission bits and owner.
    pub access: String,
    /// SHA-256 of a file's bytes, otherwise empty.
    pub digest: String,
}

/// Everything below `root` by its relative path; links are not followed. A directory that is not there is empty.
/// `keep` decides by the relative path what is looked at, and for a directory also what is in it.
pub fn read(root: &Path, keep: &dyn Fn(&Path) -> bool) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut files = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        let Ok(names) = fs::read_dir(&dir) else { continue };
        for path in names.map(|name| name.expect("readable directory").path()) {
            let relative = path.strip_prefix(root).expect("below the root").to_path_buf();
            if !keep(&relative) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let kind = if metadata.is_dir() {
                open.push(path.clone());
                "dir".into()
            } else if metadata.is_file() {
                files.push(relative.clone());
                "file".into()
            } else if metadata.is_symlink() {
                format!("link to {}", fs::read_link(&path).expect("a link").display())
            } else {
                "special".into()
            };
            let access = format!("{:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            entries.insert(relative, Entry { kind, access, digest: String::new() });
        }
    }
    for (path, digest) in digests(root, &files) {
        entries.get_mut(&path).expect("just listed").digest = digest;
    }
    entries
}

/// coreutils' sha256sum: an unoptimised test binary would take minutes for what rustc writes.
fn digests(root: &Path, files: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let mut digests = Vec::new();
    for some in files.chunks(500) {
        let output = run(Command::new("sha256sum").args(["--zero", "--"]).args(some).current_dir(root));
        for line in output.success("sha256sum").stdout.split_terminator('\0') {
            let (digest, path) = line.split_once("  ").expect("sha256sum's format");
            digests.push((path.into(), digest.into()));
        }
    }
    digests
}
