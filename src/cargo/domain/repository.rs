//! Where git keeps what cargo reads: a project may lie deep in a repository, in a linked work tree, or in a
//! submodule.

use std::path::{Path, PathBuf};

/// How many files of git's configuration may include each other.
const MAX_INCLUDED: usize = 16;

/// The top of the work tree that a directory is in.
pub fn work_tree(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|path| path.join(".git").exists())
}

/// The repository's own files for a directory: `.git` in it or in the nearest directory above that has one.
///
/// A `.git` that is a file names another directory. That one counts where it names this work tree too, or lies
/// in the `.git` of a directory above: nothing in an unpacked archive opens another repository.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let Some(work_tree) = work_tree(directory) else { return Vec::new() };
    let dot_git = work_tree.join(".git");
    let mut files = vec![dot_git.clone()];
    let Some(named) = first_line(&dot_git).and_then(|line| {
        let path = line.strip_prefix("gitdir:")?.trim();
        work_tree.join(path).canonicalize().ok()
    }) else {
        return files;
    };
    let names_this = first_line(&named.join("gitdir"))
        .and_then(|line| named.join(line.trim()).canonicalize().ok())
        .is_some_and(|back| dot_git.canonicalize().is_ok_and(|own| own == back));
    let in_outer = work_tree.ancestors().skip(1).any(|path| named.starts_with(path.join(".git")));
    if !names_this && !in_outer {
        return files;
    }
    if let Some(common) = first_line(&named.join("commondir"))
        && names_this
    {
        files.extend(named.join(common.trim()).canonicalize());
    }
    files.push(named);
    files
}

/// Files that the user's own configuration of git names: includes, and lists of what is ignored.
pub fn named_in_configuration(home: &Path) -> Vec<PathBuf> {
    let mut open = vec![home.join(".gitconfig"), home.join(".config/git/config")];
    let mut found = Vec::new();
    let mut read = 0;
    while let Some(file) = open.pop() {
        read += 1;
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if read > MAX_INCLUDED {
            break;
        }
        let parent = file.parent().unwrap_or(home);
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                section = header.split([' ', ']']).next().unwrap_or_default().to_ascii_lowercase();
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            let path = value.strip_prefix("~/").map_or_else(|| parent.join(value), |rest| home.join(rest));
            match (section.as_str(), key.trim().to_ascii_lowercase().as_str()) {
                ("include" | "includeif", "path") => {
                    found.push(path.clone());
                    open.push(path);
                }
                ("core", "excludesfile" | "attributesfile") => found.push(path),
                _ => {}
            }
        }
    }
    found
}

fn first_line(path: &Path) -> Option<String> {
    // Some hundred bytes; a directory or a fifo in its place is not read.
    if !path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() < 1 << 16) {
        return None;
    }
    Some(std::fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("ROOT", root.to_str().unwrap())).unwrap();
        }
        (directory, root)
    }

    #[test]
    fn the_repository_around_a_project_is_found() {
        let (_tree, root) = tree(&[("r/.git/HEAD", ""), ("r/a/b/Cargo.toml", "")]);
        assert_eq!(files(&root.join("r/a/b")), [root.join("r/.git")]);
        assert_eq!(files(Path::new("/")), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_linked_work_tree_leads_to_its_repository() {
        let (_tree, root) = tree(&[
            ("w/.git", "gitdir: ROOT/main/.git/worktrees/w\n"),
            ("main/.git/worktrees/w/gitdir", "ROOT/w/.git\n"),
            ("main/.git/worktrees/w/commondir", "../..\n"),
        ]);
        let expected = ["w/.git", "main/.git", "main/.git/worktrees/w"].map(|path| root.join(path));
        assert_eq!(files(&root.join("w")), expected);
    }

    #[test]
    fn a_submodule_lies_in_the_repository_around_it() {
        let (_tree, root) =
            tree(&[("r/sub/.git", "gitdir: ../.git/modules/sub\n"), ("r/.git/modules/sub/HEAD", "")]);
        assert_eq!(files(&root.join("r/sub")), [root.join("r/sub/.git"), root.join("r/.git/modules/sub")]);
    }

    #[test]
    fn a_file_that_names_somebody_elses_repository_opens_nothing() {
        let (_tree, root) =
            tree(&[("w/.git", "gitdir: ROOT/private/.git\n"), ("private/.git/HEAD", "secret")]);
        assert_eq!(files(&root.join("w")), [root.join("w/.git")]);
    }

    #[test]
    fn what_the_users_configuration_names_is_found() {
        let (_tree, root) = tree(&[
            (
                ".gitconfig",
                "[user]\npath = no\n[include]\n\tpath = ~/more\n[core]\nexcludesFile = \"~/ignored\"\n",
            ),
            ("more", "[includeIf \"gitdir:~/x\"]\npath = sub/last\n"),
        ]);
        let expected = ["more", "ignored", "sub/last"].map(|path| root.join(path));
        assert_eq!(named_in_configuration(&root), expected);
    }
}
