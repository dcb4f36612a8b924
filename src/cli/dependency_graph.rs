//! `packages = "auto"`: which packages of the distribution the dependency graph of a project is known to need.
//!
//! The graph is what the host's cargo says of it (`cargo metadata`, confined as ever), with the features of the command. The
//! answer is kept in the project's directory until `Cargo.lock` or a manifest changes.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::cargo::CargoCommand;
use crate::cargo::run::exit_code;
use crate::container::image::Hashing;
use crate::missing::{Graph, Missing, needs_by_name};
use crate::project::{Project, planted};

use super::cargo_command::{prepare, start_broker};
use super::vetted::Vetted;

/// The answer, in the project's directory.
const FILE: &str = "needs.json";

/// Raised whenever the same graph gives another answer.
const FORMAT: u32 = 1;

/// An answer, and what it was made from.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    stamp: String,
    manifests: Vec<PathBuf>,
    needs: Vec<Missing>,
}

/// Asks about a project.
pub struct Question<'a> {
    /// Its root.
    pub root: &'a Path,
    /// Its own directory.
    pub directory: &'a Path,
    /// The command that needs the answer.
    pub command: &'a CargoCommand,
    /// Who can ask cargo; none where a cargo is running already.
    pub vetted: Option<&'a Vetted<'a>>,
    /// Whether the command has jobs.
    pub compiles: bool,
}

impl Question<'_> {
    /// What the graph needs; nothing where it is not known and the command has no use for it.
    ///
    /// # Errors
    /// When the answer cannot be kept.
    pub fn answer(&self) -> anyhow::Result<Vec<Missing>> {
        let file = self.directory.join(FILE);
        let known = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Answer>(&text).ok());
        if let Some(known) = known
            && (!self.compiles || known.stamp == self.stamp(&known.manifests))
        {
            return Ok(known.needs);
        }
        if !self.compiles {
            return Ok(Vec::new());
        }
        if !self.command.quiet && self.vetted.is_some() {
            // cargo may fetch all sources for it, unheard.
            eprintln!("{:>12} the dependency graph for system packages", "Examining");
        }
        let graph = match self.vetted.map(|vetted| self.graph(vetted)) {
            Some(Ok(graph)) => graph,
            // What is wrong with the project cargo says itself, when its turn comes.
            Some(Err(_)) | None => return Ok(self.by_name()),
        };
        let manifests = graph.local_manifests();
        let answer =
            Answer { stamp: self.stamp(&manifests), manifests, needs: graph.needs().into_iter().collect() };
        fs::write(&file, serde_json::to_vec(&answer)?)
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        Ok(answer.needs)
    }

    /// By the names in `Cargo.lock` alone.
    fn by_name(&self) -> Vec<Missing> {
        let lock = fs::read_to_string(self.root.join("Cargo.lock")).unwrap_or_default();
        let lock: toml::Table = toml::from_str(&lock).unwrap_or_default();
        let packages = lock.get("package").and_then(toml::Value::as_array);
        let names = packages.into_iter().flatten().filter_map(|package| package.get("name")?.as_str());
        needs_by_name(names).into_iter().collect()
    }

    /// The options of the command that features depend on.
    fn features(&self) -> Vec<OsString> {
        let flags = ["--all-features", "--no-default-features"];
        let flags = flags.iter().filter(|flag| self.command.flag(&[flag])).map(OsString::from);
        let values = ["--features", "-F"].into_iter().flat_map(|name| self.command.option(name));
        flags.chain(values.flat_map(|value| ["--features".into(), value])).collect()
    }

    /// Of all that the answer depends on.
    fn stamp(&self, manifests: &[PathBuf]) -> String {
        let mut hashing = Hashing::default();
        let mut note = |text: &[u8]| {
            let _infallible =
                hashing.write_all(&text.len().to_le_bytes()).and_then(|()| hashing.write_all(text));
        };
        note(&FORMAT.to_le_bytes());
        note(env!("CARGO_PKG_VERSION").as_bytes());
        note(&fs::read(self.root.join("Cargo.lock")).unwrap_or_default());
        for word in self.features() {
            note(word.as_encoded_bytes());
        }
        for path in manifests {
            note(path.as_os_str().as_encoded_bytes());
            let found = fs::metadata(path).map(|found| (found.mtime(), found.mtime_nsec(), found.len()));
            note(format!("{:?}", found.ok()).as_bytes());
        }
        hashing.finish()
    }

    /// What cargo says.
    fn graph(&self, vetted: &Vetted<'_>) -> anyhow::Result<Graph> {
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut words: Vec<OsString> = vec!["metadata".into(), "--format-version=1".into()];
        words.extend(["--filter-platform".into(), triple.into()]);
        words.extend(["--manifest-path".into(), self.root.join("Cargo.toml").into()]);
        let flags = ["--locked", "--offline", "--frozen"];
        words.extend(flags.iter().filter(|flag| self.command.flag(&[flag])).map(OsString::from));
        words.extend(self.command.config.iter().flat_map(|value| ["--config".into(), value.into()]));
        let with_features = [words.clone(), self.features()].concat();
        // A feature of one member is none of another's.
        let said =
            described(vetted, self.root, with_features).or_else(|_| described(vetted, self.root, words))?;
        serde_json::from_slice(&said)
            .context("cargo describes the dependency graph in a way that is not understood")
    }
}

/// Runs a command of cargo's that describes something.
fn described(vetted: &Vetted<'_>, root: &Path, words: Vec<OsString>) -> anyhow::Result<Vec<u8>> {
    let command = CargoCommand::parse(words);
    let state = vetted.front_end.state()?;
    let project = Project::new(root);
    let prepared = prepare(vetted.front_end, vetted.options, &vetted.known(&command), &state, project)?;
    let (root, target_dir) = (prepared.session.project.root.clone(), prepared.session.target_dir.clone());
    planted::check(&root, &target_dir)?;
    let directories = prepared.session.directories.clone();
    let cargo = vetted.cargo(&command, Some((&root, &target_dir)))?;
    let session = start_broker(prepared.session)?;
    let kept = || tempfile::tempfile().context("failed to make a temporary file");
    let (mut stdout, stderr) = (kept()?, kept()?);
    let status = cargo.unheard(&directories, &session, &prepared.triples, [&stdout, &stderr])?;
    if exit_code(status) != 0 {
        bail!("cargo does not describe the dependency graph");
    }
    let mut said = Vec::new();
    stdout.rewind()?;
    stdout.read_to_end(&mut said)?;
    Ok(said)
}
