//! cargo's configuration files, as far as they bear on what cargo does on the host.
//!
//! cargo reads `.cargo/config.toml` from the current directory upwards and then from `CARGO_HOME` (the cargo
//! book, "Configuration"). What a repository's file may decide that would start a program on the host is
//! refused here; what this tool decides by environment variables (compiler, wrappers, runners, build
//! directory) wins over every file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use toml::{Table, Value};

use super::command_line::is_built_in;

/// How deep `include` may nest.
const MAX_INCLUDE_DEPTH: usize = 8;

/// How often one alias may stand for another.
const MAX_ALIAS_DEPTH: usize = 8;

/// Keys by which a file names a program that cargo starts on the host, and that no environment variable
/// overrides. `*` stands for any one part of a key.
const HOST_PROGRAMS: &[&str] = &[
    "registry.credential-provider",
    "registry.global-credential-providers",
    "registries.*.credential-provider",
    "credential-alias",
    "host",
];

/// Keys that this tool decides, and that `--config` could take back.
const DECIDED: &[&str] = &["target.*.runner", "build.build-dir"];

/// All configuration files that count, nearest first, and then what `--config` said.
#[derive(Debug, Default)]
pub struct Configuration {
    /// From `--config`, the last one first.
    command_line: Vec<Source>,
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    /// The file, or nothing for `--config KEY=VALUE`.
    file: Option<PathBuf>,
    /// Relative paths in it are relative to this.
    base: PathBuf,
    table: Table,
    /// Whether it is the user's own: below `CARGO_HOME`, or given on the command line.
    users: bool,
}

impl Configuration {
    /// Reads what cargo would read.
    ///
    /// # Errors
    /// When a file cannot be read or is no TOML, or a repository's file names a program for the host.
    pub fn read(cwd: &Path, cargo_home: &Path, command_line: &[String]) -> anyhow::Result<Self> {
        let mut configuration = Self::default();
        let home = cargo_home.canonicalize().unwrap_or_else(|_| cargo_home.to_owned());
        for directory in cwd.ancestors() {
            let directory = directory.join(".cargo");
            if directory.canonicalize().is_ok_and(|directory| directory == home) {
                continue;
            }
            configuration.read_directory(&directory, false)?;
        }
        configuration.read_directory(cargo_home, true)?;
        for text in command_line.iter().rev() {
            configuration.read_argument(cwd, text)?;
        }
        for source in configuration.files.iter().filter(|source| !source.users) {
            source.refuse_host_programs()?;
        }
        for source in &configuration.command_line {
            source.refuse_decided()?;
        }
        Ok(configuration)
    }

    fn read_directory(&mut self, directory: &Path, users: bool) -> anyhow::Result<()> {
        // cargo prefers the name without extension where both are there.
        let found = ["config", "config.toml"]
            .map(|name| directory.join(name))
            .into_iter()
            .find(|path| path.is_file());
        found.map_or(Ok(()), |file| self.read_file(&file, users, 0))
    }

    fn read_file(&mut self, file: &Path, users: bool, depth: usize) -> anyhow::Result<()> {
        if depth > MAX_INCLUDE_DEPTH {
            bail!("`include` nests too deeply at `{}`", file.display());
        }
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("failed to read configuration file `{}`", file.display()))?;
        let table: Table = toml::from_str(&text)
            .with_context(|| format!("could not parse TOML configuration in `{}`", file.display()))?;
        let parent = file.parent().unwrap_or(Path::new("/"));
        let includes = match table.get("include") {
            Some(Value::String(path)) => vec![path.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(include_path).collect(),
            _ => Vec::new(),
        };
        let base = parent.parent().unwrap_or(Path::new("/")).to_owned();
        self.files.push(Source { file: Some(file.to_owned()), base, table, users });
        for include in includes {
            let path = parent.join(include);
            if path.is_file() {
                self.read_file(&path, users, depth + 1)?;
            }
        }
        Ok(())
    }

    fn read_argument(&mut self, cwd: &Path, text: &str) -> anyhow::Result<()> {
        if let Ok(table) = toml::from_str::<Table>(text) {
            self.command_line.push(Source { file: None, base: cwd.to_owned(), table, users: true });
        } else if cwd.join(text).is_file() {
            let before = self.files.len();
            self.read_file(&cwd.join(text), true, 0)?;
            self.command_line.extend(self.files.drain(before..));
        }
        // Anything else is for cargo to refuse.
        Ok(())
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.command_line.iter().chain(&self.files)
    }

    /// Every file that was read, includes among them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources().filter_map(|source| source.file.as_deref())
    }

    /// A setting as the user has it: below `CARGO_HOME` or on the command line, whatever a repository says.
    pub fn users(&self, key: &str) -> Option<&Value> {
        self.sources().filter(|source| source.users).find_map(|source| source.get(key))
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

    /// The arguments with aliases written out, as cargo would do it for the word at `position`.
    ///
    /// # Errors
    /// When a repository's alias carries `--config`, which would win over what this tool decides, or aliases
    /// go round in circles.
    pub fn expand_alias(
        &self,
        arguments: &[OsString],
        position: usize,
    ) -> anyhow::Result<Option<Vec<OsString>>> {
        let mut arguments = arguments.to_vec();
        let mut expanded = false;
        for _ in 0..MAX_ALIAS_DEPTH {
            let Some(name) = arguments.get(position).and_then(|word| word.to_str()) else { break };
            let Some((source, words)) = self.alias(name) else {
                return Ok(expanded.then_some(arguments));
            };
            if !source.users
                && words.iter().any(|word| word.starts_with("--config") || word.starts_with("-C"))
            {
                bail!(
                    "alias `{name}` in `{}` carries `--config` or `-C`, by which a repository could choose what runs \
                     on this machine",
                    source.name()
                );
            }
            let own = words.first().is_some_and(|word| word == name);
            arguments.splice(position..=position, words.into_iter().map(OsString::from));
            expanded = true;
            if own {
                return Ok(Some(arguments));
            }
        }
        bail!("aliases in the configuration go round in circles")
    }

    fn alias(&self, name: &str) -> Option<(&Source, Vec<String>)> {
        if is_built_in(name) {
            return None;
        }
        self.sources().find_map(|source| {
            let words = match source.table.get("alias")?.get(name)? {
                Value::String(line) => line.split_whitespace().map(str::to_owned).collect(),
                Value::Array(words) => {
                    words.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
                }
                _ => return None,
            };
            Some((source, words))
        })
    }
}

impl Source {
    fn name(&self) -> String {
        self.file.as_ref().map_or("--config".to_owned(), |file| file.display().to_string())
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// `--config` wins over the environment by which this tool decides.
    fn refuse_decided(&self) -> anyhow::Result<()> {
        for key in DECIDED {
            let parts: Vec<&str> = key.split('.').collect();
            if let Some(found) = find(&Value::Table(self.table.clone()), &parts) {
                bail!(
                    "`--config {found}` is decided by cargo-sandbox: it is how jobs come into the container"
                );
            }
        }
        Ok(())
    }

    fn refuse_host_programs(&self) -> anyhow::Result<()> {
        for key in HOST_PROGRAMS {
            let parts: Vec<&str> = key.split('.').collect();
            if let Some(found) = find(&Value::Table(self.table.clone()), &parts) {
                bail!(
                    "`{found}` in `{}` names a program that cargo would start on this machine, outside the \
                     container\n\nhint: move it to the configuration in your own CARGO_HOME if you want it",
                    self.name()
                );
            }
        }
        Ok(())
    }
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

    fn read(text: &str) -> anyhow::Result<(tempfile::TempDir, Configuration)> {
        let directory = tempfile::tempdir()?;
        std::fs::create_dir(directory.path().join(".cargo"))?;
        std::fs::write(directory.path().join(".cargo/config.toml"), text)?;
        let configuration = Configuration::read(directory.path(), &directory.path().join("home"), &[])?;
        Ok((directory, configuration))
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_target_directory_is_relative_to_the_parent_of_the_files_directory() {
        let (directory, configuration) = read("build.target-dir = 'out'").unwrap();
        assert_eq!(configuration.target_dir(), Some((directory.path().join("out"), false)));
    }

    #[test]
    fn vendored_directories_are_relative_to_the_same() {
        let (directory, configuration) =
            read("[source.crates-io]\nreplace-with = 'v'\n[source.v]\ndirectory = 'vendor'").unwrap();
        assert_eq!(configuration.vendored(), [directory.path().join("vendor")]);
    }

    #[test]
    fn every_triple_that_is_named_is_found() {
        let (_directory, configuration) = read(
            "build.target = ['a', 'b.json']\n[target.c]\nrunner = 'x'\n[target.'cfg(unix)']\nrunner='y'",
        )
        .unwrap();
        assert_eq!(configuration.targets(), ["a", "b.json", "c"]);
    }

    #[test]
    fn programs_for_the_host_are_refused_in_a_repository() {
        for text in [
            "registry.credential-provider = 'x'",
            "[registries.mine]\ncredential-provider = ['x']",
            "[credential-alias]\na = ['x']",
            "[registry]\nglobal-credential-providers = ['x']",
            "[host]\nrunner = 'x'",
        ] {
            assert!(read(text).unwrap_err().to_string().contains("names a program"), "{text}");
        }
        assert!(read("[registries.mine]\nindex = 'sparse+x'").is_ok());
    }

    #[test]
    fn included_files_count() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".cargo")).unwrap();
        std::fs::write(directory.path().join(".cargo/config.toml"), "include = ['more.toml']").unwrap();
        std::fs::write(directory.path().join(".cargo/more.toml"), "registry.credential-provider = 'x'")
            .unwrap();
        assert!(Configuration::read(directory.path(), Path::new("/nowhere"), &[]).is_err());
    }

    #[test]
    fn what_this_tool_decides_cannot_be_taken_back() {
        for text in ["target.x.runner = 'x'", "target.'cfg(all())'.runner = ['x']", "build.build-dir = 'x'"] {
            assert!(
                Configuration::read(Path::new("/"), Path::new("/nowhere"), &[text.to_owned()]).is_err(),
                "{text}"
            );
        }
        assert!(
            Configuration::read(Path::new("/"), Path::new("/nowhere"), &["build.jobs = 1".to_owned()])
                .is_ok()
        );
    }

    #[test]
    fn aliases_are_written_out() {
        let (_directory, configuration) =
            read("[alias]\nb = 'build --release'\nbb = ['b', '-v']\nbuild = 'run'\nclippy = 'clippy --x'")
                .unwrap();
        let expand = |line: &str| configuration.expand_alias(&words(line), 0).unwrap();
        assert_eq!(expand("bb x"), Some(words("build --release -v x")));
        assert_eq!(expand("build"), None);
        assert_eq!(expand("clippy"), Some(words("clippy --x")));
    }

    #[test]
    fn an_alias_that_would_override_this_tool_is_refused() {
        let (_directory, configuration) =
            read("[alias]\nb = ['run', '--config', 'x']\na = 'c'\nc = 'a'").unwrap();
        assert!(configuration.expand_alias(&words("b"), 0).is_err());
        assert!(configuration.expand_alias(&words("a"), 0).is_err());
    }
}
