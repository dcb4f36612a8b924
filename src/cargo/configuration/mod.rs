//! cargo's configuration files, as far as they bear on what cargo does on the host.
//!
//! cargo reads `.cargo/config.toml` from the current directory upwards and then from `CARGO_HOME` (the cargo
//! book, "Configuration"). What a repository's files may decide is in [`keys`], and judged in `vet`; what this
//! tool decides by environment variables (compiler, wrappers, runners, build directory) wins over every file.

mod alias;
pub mod keys;
mod tokens;
mod vet;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use toml::{Table, Value};

use crate::project::planted::resolve;

use super::domain::repository::work_tree;

pub use alias::Expansion;
pub use tokens::without_tokens;
pub use vet::Aliases;
pub(super) use vet::{key_of, line_of};

/// How deep `include` may nest.
const MAX_INCLUDE_DEPTH: usize = 8;

/// Largest configuration file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Keys that this tool decides, and that `--config` could take back.
const DECIDED: &[&str] = &["target.*.runner", "build.build-dir"];

/// Where a command looks for its configuration.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory that cargo works from.
    pub directory: &'a Path,
    /// cargo's own directory.
    pub cargo_home: &'a Path,
    /// The project's root, canonical, if there is a project.
    pub root: Option<&'a Path>,
}

/// All configuration files that count, nearest first, and then what `--config` said.
#[derive(Debug, Default)]
pub struct Configuration {
    /// From `--config`, the last one first.
    command_line: Vec<Source>,
    files: Vec<Source>,
    /// The directories that belong to the repository: the project's root, and the top of its work tree.
    repository: Vec<PathBuf>,
    cargo_home: PathBuf,
}

#[derive(Debug)]
struct Source {
    /// The file, or nothing for `--config KEY=VALUE`.
    file: Option<PathBuf>,
    /// Relative paths in it are relative to this.
    base: PathBuf,
    text: String,
    table: Table,
    /// Whether it is the user's own: in `CARGO_HOME`, or given on the command line.
    users: bool,
    /// Somebody else's than the user's, root's or the project's owner's: their user id.
    stranger: Option<u32>,
    /// Whether a file of the repository includes it from somewhere else.
    elsewhere: bool,
}

/// How a file came to be read.
#[derive(Debug, Clone, Copy)]
struct Found {
    users: bool,
    elsewhere: bool,
    depth: usize,
}

impl Configuration {
    /// Reads what cargo would read. Nothing is judged yet.
    ///
    /// # Errors
    /// When a file cannot be read or is no TOML.
    pub fn read(place: Place<'_>, command_line: &[String]) -> anyhow::Result<Self> {
        Self::read_from(place.directory, place, command_line)
    }

    /// The same where files that the command line names are relative to another directory: `cargo install` reads the
    /// configuration of what it installs.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_from(
        command_lines: &Path,
        place: Place<'_>,
        command_line: &[String],
    ) -> anyhow::Result<Self> {
        let Place { directory: cwd, cargo_home, root } = place;
        let home = cargo_home.canonicalize().unwrap_or_else(|_| cargo_home.to_owned());
        // Who keeps their home directory in a repository does not keep all of it in every project.
        let top = work_tree(root.unwrap_or(cwd)).filter(|top| !home.starts_with(top));
        let mut configuration = Self {
            repository: root.into_iter().chain(top).map(Path::to_owned).collect(),
            cargo_home: home.clone(),
            ..Self::default()
        };
        for directory in cwd.ancestors() {
            let directory = directory.join(".cargo");
            if directory.canonicalize().is_ok_and(|directory| directory == home) {
                continue;
            }
            configuration.read_directory(&directory, false, root)?;
        }
        // CI keeps CARGO_HOME in the project; then the repository may have put something there.
        let users = root.is_none_or(|root| !home.starts_with(root));
        configuration.read_directory(cargo_home, users, root)?;
        for text in command_line.iter().rev() {
            configuration.read_argument(command_lines, text)?;
        }
        Ok(configuration)
    }

    fn read_directory(&mut self, directory: &Path, users: bool, root: Option<&Path>) -> anyhow::Result<()> {
        // cargo prefers the name without extension where both are there.
        let found =
            ["config", "config.toml"].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
        let Some(file) = found else { return Ok(()) };
        self.read_file(&file, Found { users, elsewhere: false, depth: 0 }, root)
    }

    fn read_file(&mut self, file: &Path, found: Found, root: Option<&Path>) -> anyhow::Result<()> {
        if found.depth > MAX_INCLUDE_DEPTH {
            bail!("`include` nests too deeply at `{}`", file.display());
        }
        let failed = || format!("failed to read configuration file `{}`", file.display());
        let metadata = file.metadata().with_context(failed)?;
        // The user's own may be a link to /dev/null.
        if !(metadata.is_file() || found.users) || metadata.len() > MAX_FILE {
            bail!("the configuration file `{}` is no file of acceptable size", file.display());
        }
        let opened = File::open(file).with_context(failed)?;
        let owner = opened.metadata().with_context(failed)?.uid();
        let mut text = String::new();
        opened.take(MAX_FILE).read_to_string(&mut text).with_context(failed)?;
        let table = toml::from_str::<Table>(&text);
        let could_not = || format!("could not parse TOML configuration in `{}`", file.display());
        let table: Table = if found.elsewhere {
            // The error would show what is in it, perhaps in a log that others read.
            table.map_err(|_| anyhow::anyhow!(could_not()))?
        } else {
            table.with_context(could_not)?
        };
        let parent = file.parent().unwrap_or(Path::new("/"));
        let includes = match table.get("include") {
            Some(Value::String(path)) => vec![path.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(include_path).collect(),
            _ => Vec::new(),
        };
        let base = parent.parent().unwrap_or(Path::new("/")).to_owned();
        let stranger = is_strangers(owner, file, root).then_some(owner);
        let Found { users, elsewhere, depth } = found;
        self.files.push(Source {
            file: Some(file.to_owned()),
            base,
            text,
            table,
            users,
            stranger,
            elsewhere,
        });
        // Of included files the last one counts most.
        for include in includes.iter().rev() {
            let path = parent.join(include);
            if path.exists() {
                let elsewhere = !users && !self.is_inside(&path);
                self.read_file(&path, Found { users, elsewhere, depth: depth + 1 }, root)?;
            }
        }
        Ok(())
    }

    fn read_argument(&mut self, cwd: &Path, text: &str) -> anyhow::Result<()> {
        if let Ok(table) = toml::from_str::<Table>(text) {
            self.command_line.push(Source {
                file: None,
                base: cwd.to_owned(),
                text: text.to_owned(),
                table,
                users: true,
                stranger: None,
                elsewhere: false,
            });
        } else if cwd.join(text).is_file() {
            let before = self.files.len();
            self.read_file(&cwd.join(text), Found { users: true, elsewhere: false, depth: 0 }, None)?;
            self.command_line.extend(self.files.drain(before..));
        }
        // Anything else is for cargo to refuse.
        Ok(())
    }

    /// Refuses what `--config` says against this tool: it wins over the environment by which this tool decides.
    ///
    /// # Errors
    /// Names the key.
    pub fn refuse_decided(&self) -> anyhow::Result<()> {
        for source in &self.command_line {
            for key in DECIDED {
                let parts: Vec<&str> = key.split('.').collect();
                if let Some(found) = find(&Value::Table(source.table.clone()), &parts) {
                    bail!(
                        "`--config {found}` is decided by cargo-sandbox: it is how jobs come into the container"
                    );
                }
            }
        }
        Ok(())
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.command_line.iter().chain(&self.files)
    }

    /// Whether a path is in the repository, wherever links lead.
    fn is_inside(&self, path: &Path) -> bool {
        resolve(path).is_some_and(|path| self.repository.iter().any(|inside| path.starts_with(inside)))
    }

    /// Every file that was read, includes among them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources().filter_map(|source| source.file.as_deref())
    }

    /// A setting as cargo has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.sources().find_map(|source| source.get(key))
    }

    /// The names in a table, in all files.
    pub fn names_in(&self, table: &str) -> Vec<String> {
        let tables = self.sources().filter_map(|source| source.get(table)?.as_table());
        let mut names: Vec<String> = tables.flat_map(Table::keys).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// A setting that is a path, absolute.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.sources().find_map(|source| Some(source.base.join(source.get(key)?.as_str()?)))
    }

    /// `build.build-dir`, as it is written, and the directory that it is relative to.
    pub fn build_dir(&self) -> Option<(&Path, &str)> {
        self.sources()
            .find_map(|source| Some((source.base.as_path(), source.get("build.build-dir")?.as_str()?)))
    }

    /// `build.target-dir`, absolute, and whether it is the user's own setting.
    pub fn target_dir(&self) -> Option<(PathBuf, bool)> {
        self.sources().find_map(|source| {
            let path = source.get("build.target-dir")?.as_str()?;
            Some((source.base.join(path), source.users))
        })
    }

    /// The directories of vendored packages (`source.*.directory`).
    pub fn vendored(&self) -> Vec<PathBuf> {
        let directories = |source: &Source| {
            let sources = source.get("source").and_then(Value::as_table).into_iter().flat_map(Table::values);
            let paths = sources.filter_map(|value| value.get("directory")?.as_str());
            paths.map(|path| source.base.join(path)).collect::<Vec<_>>()
        };
        self.sources().flat_map(directories).collect()
    }

    /// Every triple that some file names: `build.target` and the keys of `[target]`.
    pub fn targets(&self) -> Vec<String> {
        let mut targets = Vec::new();
        for source in self.sources() {
            match source.get("build.target") {
                Some(Value::String(target)) => targets.push(target.clone()),
                Some(Value::Array(list)) => {
                    targets.extend(list.iter().filter_map(|target| Some(target.as_str()?.to_owned())));
                }
                _ => {}
            }
            let keys = source.get("target").and_then(Value::as_table).into_iter().flat_map(Table::keys);
            targets.extend(keys.filter(|key| !key.starts_with("cfg(")).cloned());
        }
        targets
    }
}

impl Source {
    fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }
}

/// A file of somebody who is neither the user nor root can change at any time. Root works on the files of others,
/// in containers above all: a file in the project is then as good as the project.
fn is_strangers(owner: u32, file: &Path, root: Option<&Path>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let projects = || {
        let root = root.filter(|root| own == 0 && file.starts_with(root));
        root.and_then(|root| root.metadata().ok()).is_some_and(|root| root.uid() == owner)
    };
    owner != own && owner != 0 && !projects()
}

/// The first key that a pattern fits.
fn find(value: &Value, pattern: &[&str]) -> Option<String> {
    let Some((first, rest)) = pattern.split_first() else { return Some(String::new()) };
    let table = value.as_table()?;
    table.iter().filter(|(key, _)| *first == "*" || key == first).find_map(|(key, value)| {
        let below = find(value, rest)?;
        Some(if below.is_empty() { key.clone() } else { format!("{key}.{below}") })
    })
}

fn include_path(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("path")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project's configuration, and nothing above it.
    pub(super) fn project(text: &str) -> (tempfile::TempDir, Configuration) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".cargo")).unwrap();
        std::fs::write(directory.path().join(".cargo/config.toml"), text).unwrap();
        let configuration = read(directory.path(), &[]).unwrap();
        (directory, configuration)
    }

    pub(super) fn read(root: &Path, command_line: &[String]) -> anyhow::Result<Configuration> {
        let root = root.canonicalize()?;
        let cargo_home = Path::new("/nonexistent/cargo-home");
        let place = Place { directory: &root, cargo_home, root: Some(&root) };
        Configuration::read(place, command_line)
    }

    #[test]
    fn the_target_directory_is_relative_to_the_parent_of_the_files_directory() {
        let (directory, configuration) = project("build.target-dir = 'out'");
        let expected = directory.path().canonicalize().unwrap().join("out");
        assert_eq!(configuration.target_dir(), Some((expected, false)));
    }

    #[test]
    fn vendored_directories_are_relative_to_the_same() {
        let (directory, configuration) =
            project("[source.crates-io]\nreplace-with = 'v'\n[source.v]\ndirectory = 'vendor'");
        assert_eq!(configuration.vendored(), [directory.path().join("vendor")]);
    }

    #[test]
    fn every_triple_that_is_named_is_found() {
        let (_directory, configuration) = project(
            "build.target = ['a', 'b.json']\n[target.c]\nrunner = 'x'\n[target.'cfg(unix)']\nrunner='y'",
        );
        assert_eq!(configuration.targets(), ["a", "b.json", "c"]);
    }

    #[test]
    fn the_nearest_file_counts_then_what_it_includes_last_then_first() {
        let (directory, _) =
            project("include = ['a.toml', { path = 'b.toml' }, { path = 'none.toml', optional = true }]");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(".cargo").join(name), text).unwrap();
        };
        write("a.toml", "build.jobs = 1\nbuild.target = 'a'");
        write("b.toml", "build.jobs = 2");
        let configuration = read(directory.path(), &[]).unwrap();
        assert_eq!(configuration.get("build.jobs").unwrap().as_integer(), Some(2));
        assert_eq!(configuration.get("build.target").unwrap().as_str(), Some("a"));
        let sub = directory.path().canonicalize().unwrap().join("sub");
        std::fs::create_dir_all(sub.join(".cargo")).unwrap();
        std::fs::write(sub.join(".cargo/config.toml"), "build.jobs = 3").unwrap();
        let place = Place { directory: &sub, cargo_home: Path::new("/nonexistent"), root: None };
        let argument = |argument: &[&str]| {
            let arguments: Vec<String> = argument.iter().map(|word| (*word).to_owned()).collect();
            Configuration::read(place, &arguments).unwrap().get("build.jobs").unwrap().as_integer()
        };
        assert_eq!(argument(&[]), Some(3));
        assert_eq!(argument(&["build.jobs = 4", "build.jobs = 5"]), Some(5));
    }

    #[test]
    fn what_this_tool_decides_cannot_be_taken_back() {
        let root = tempfile::tempdir().unwrap();
        for text in ["target.x.runner = 'x'", "target.'cfg(all())'.runner = ['x']", "build.build-dir = 'x'"] {
            assert!(read(root.path(), &[text.to_owned()]).unwrap().refuse_decided().is_err(), "{text}");
        }
        assert!(read(root.path(), &["build.jobs = 1".to_owned()]).unwrap().refuse_decided().is_ok());
    }

    #[test]
    fn a_fifo_or_a_huge_file_is_no_configuration() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(".cargo/config.toml");
        std::fs::create_dir(root.path().join(".cargo")).unwrap();
        std::fs::write(&file, "#".repeat(2 << 20)).unwrap();
        assert!(read(root.path(), &[]).is_err());
        std::fs::remove_file(&file).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(read(root.path(), &[]).is_err());
    }

    #[test]
    fn a_file_of_a_strangers_is_recognised() {
        let root = tempfile::tempdir().unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert!(!is_strangers(own, root.path(), None) && !is_strangers(0, root.path(), None));
        assert!(is_strangers(own + 4242, &root.path().join("x"), Some(root.path())));
    }
}
