//! cargo on the host, for what it does of publishing there: describe, pack, have built, ask the index.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::cargo_command::{Prepared, prepare, start_broker};
use super::super::vetted::Vetted;
use crate::cargo::CargoCommand;
use crate::cargo::run::exit_code;
use crate::project::{Project, StateDirectory, planted};
use crate::publish::contents::Archive;

/// A project, and cargo in it.
pub struct Host<'a> {
    vetted: &'a Vetted<'a>,
    project: Project,
    state: StateDirectory,
    target_dir: PathBuf,
    build: PathBuf,
    directory: PathBuf,
}

impl<'a> Host<'a> {
    /// Looks at the project.
    pub fn new(vetted: &'a Vetted<'a>, project: Project) -> anyhow::Result<Self> {
        let state = vetted.front_end.state()?;
        let prepared = prepared(vetted, &state, &project, &vetted.command)?;
        let target_dir = prepared.session.target_dir.clone();
        planted::check(&project.root, &target_dir)?;
        let build = prepared.session.directories.build();
        let directory = prepared.session.directories.path().to_owned();
        Ok(Self { vetted, project, state, target_dir, build, directory })
    }

    /// This tool's own directory.
    pub fn state(&self) -> &StateDirectory {
        &self.state
    }

    /// Where final artifacts are.
    pub fn target_dir(&self) -> &Path {
        &self.target_dir
    }

    /// The project's own directory, which no job sees.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What changes with the toolchain.
    pub fn toolchain_stamp(&self) -> String {
        let cargo = self.vetted.toolchain.program("cargo");
        let changed = cargo.metadata().and_then(|metadata| metadata.modified()).ok();
        format!("{} {changed:?}", self.vetted.toolchain.sysroot.display())
    }

    /// Runs cargo, heard by the user.
    pub fn run(&self, command: &CargoCommand) -> anyhow::Result<u8> {
        let prepared = prepared(self.vetted, &self.state, &self.project, command)?;
        let directories = prepared.session.directories.clone();
        let cargo = self.vetted.cargo(command, Some((&self.project.root, &self.target_dir)))?;
        let session = start_broker(prepared.session)?;
        Ok(exit_code(cargo.with_broker(&directories, &session, &prepared.triples)?))
    }

    /// Runs cargo, and keeps what it says: exit code, standard output, standard error.
    pub fn unheard(&self, command: &CargoCommand) -> anyhow::Result<(u8, Vec<u8>, Vec<u8>)> {
        let prepared = prepared(self.vetted, &self.state, &self.project, command)?;
        let directories = prepared.session.directories.clone();
        let cargo = self.vetted.cargo(command, Some((&self.project.root, &self.target_dir)))?;
        let session = start_broker(prepared.session)?;
        let kept = || tempfile::tempfile().context("failed to make a temporary file");
        let (mut stdout, mut stderr) = (kept()?, kept()?);
        let status = cargo.unheard(&directories, &session, &prepared.triples, [&stdout, &stderr])?;
        Ok((exit_code(status), content(&mut stdout)?, content(&mut stderr)?))
    }

    /// The same; what it said is passed on where it failed, and given back with its exit code.
    pub fn heard_if_failed(&self, command: &CargoCommand) -> anyhow::Result<Option<(u8, String)>> {
        let (code, stdout, stderr) = self.unheard(command)?;
        if code == 0 {
            return Ok(None);
        }
        std::io::stdout().write_all(&stdout)?;
        std::io::stderr().write_all(&stderr)?;
        Ok(Some((code, String::from_utf8_lossy(&stderr).into_owned())))
    }

    /// Removes archives that an earlier command left where cargo packs.
    pub fn forget_packed(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.place()).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_archive(&path) {
                std::fs::remove_file(&path)
                    .with_context(|| format!("failed to remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    /// The archives that cargo has packed. Where it packs no job can write.
    pub fn packed(&self) -> anyhow::Result<Vec<Archive>> {
        Archive::all_in(&self.place())
    }

    fn place(&self) -> PathBuf {
        self.build.join("package/tmp-crate")
    }
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "crate")
}

fn prepared(
    vetted: &Vetted<'_>,
    state: &StateDirectory,
    project: &Project,
    command: &CargoCommand,
) -> anyhow::Result<Prepared> {
    prepare(vetted.front_end, vetted.options, &vetted.known(command), state, project.clone())
}

fn content(file: &mut File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
