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
    /// A file's bytes as [`digests`] puts them, otherwise empty.
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
            let metadata =
                fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
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

/// An archive, but for one thing: rustc gives every object in it a name with a part that is drawn by lot in
/// each invocation (`x.<hash>.09wd6hg.rcgu.o`). The objects themselves and their order count.
const ARCHIVE: &str = r#"for path; do
    digest=$(LC_ALL=C sed -E 's/\.[0-9a-z]{7}\.rcgu\.o/.[DRAWN].rcgu.o/g' "$path" | sha256sum)
    printf '%s  %s\0' "${digest%% *}" "$path"
done"#;

/// What depends on the order of cargo's hash tables, without it. `None` for every other file.
///
/// - `lib<name>.d` beside final artifacts is written once for each of `.rlib`, `.so` and `.a` under the same
///   name; which is the last to stay is left to chance. The output's extension is taken out.
/// - A fingerprint's `dep-…` lists environment variables in any order: how often each byte occurs.
fn unordered(root: &Path, path: &Path) -> Option<String> {
    let read = || fs::read(root.join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let in_fingerprint = path.components().any(|part| part.as_os_str() == ".fingerprint");
    let in_deps = path.parent().is_some_and(|dir| dir.ends_with("deps"));
    if path.extension().is_some_and(|kind| kind == "d") && !in_deps {
        let text = String::from_utf8_lossy(&read()).into_owned();
        let (output, inputs) = text.split_once(": ").unwrap_or((&text, ""));
        Some(format!("{}: {inputs}", Path::new(output).with_extension("").display()))
    } else if in_fingerprint && path.file_name()?.to_str()?.starts_with("dep-") {
        let mut counts = BTreeMap::<u8, u32>::new();
        read().into_iter().for_each(|byte| *counts.entry(byte).or_default() += 1);
        Some(format!("{counts:?}"))
    } else {
        None
    }
}

/// coreutils' sha256sum: an unoptimised test binary would take minutes for what rustc writes.
fn digests(root: &Path, files: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let mut digests = Vec::new();
    let mut files = files.to_vec();
    files.retain(|path| {
        let text = unordered(root, path);
        digests.extend(text.iter().map(|text| (path.clone(), text.clone())));
        text.is_none()
    });
    let is_archive = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "rlib" || kind == "a");
    let (archives, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_archive(&path));
    let calls = archives.chunks(500).map(|some| (["sh", "-c", ARCHIVE].as_slice(), "sh", some));
    let calls = calls.chain(others.chunks(500).map(|some| (["sha256sum", "--zero"].as_slice(), "--", some)));
    for (program, zeroth, some) in calls {
        let mut command = Command::new(program[0]);
        let output = run(command.args(&program[1..]).arg(zeroth).args(some).current_dir(root));
        for line in output.success("sha256sum").stdout.split_terminator('\0') {
            let (digest, path) = line.split_once("  ").expect("sha256sum's format");
            digests.push((path.into(), digest.into()));
        }
    }
    digests
}
