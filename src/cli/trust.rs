//! Before cargo starts: what a repository asks for, and whether the user trusts it.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cargo::configuration::{Aliases, Configuration, Place};
use crate::cargo::installed::nextest;
use crate::cargo::toolchain::ToolchainError;
use crate::policy::difference;
use crate::policy::question::Question;
use crate::policy::trust::{Trusted, hash_of};
use crate::project::{find_manifest, workspace_root};

use super::FrontEnd;

/// Longest value that an error shows; `self trust` shows all of it.
const MAX_SHOWN: usize = 160;

/// Where a command looks for what the repository asks for.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The directory that cargo works from.
    pub directory: &'a Path,
    /// `--manifest-path`, as it was given.
    pub manifest_path: Option<&'a Path>,
}

impl Scene<'_> {
    /// What trust is remembered for: the project's root, or where there is none the directory.
    pub fn root(&self) -> PathBuf {
        self.project_root()
            .unwrap_or_else(|| self.directory.canonicalize().unwrap_or_else(|_| self.directory.to_owned()))
    }

    fn project_root(&self) -> Option<PathBuf> {
        workspace_root(&find_manifest(self.directory, self.manifest_path).ok()?).ok()
    }

    /// Everything that any command here would need trust for.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn questions(&self, front_end: &FrontEnd) -> anyhow::Result<Vec<Question>> {
        let (root, cargo_home) = (self.project_root(), front_end.cargo_home()?);
        let place = Place { directory: self.directory, cargo_home: &cargo_home, root: root.as_deref() };
        let mut questions = Configuration::read(place, &[])?.questions(Aliases::All);
        if let Some(root) = &root {
            questions.extend(nextest::question(root)?);
        }
        if let Some(root) = &root {
            let own = &super::default_options(front_end)?.own;
            let ground = super::policy::Ground { root, target_dir: None, sysroot: None, own };
            questions.extend(super::policy::of_project(front_end, &ground)?.question);
        }
        if let Err(ToolchainError::PathToolchain(named)) = front_end.toolchain(None)?.resolve(self.directory)
        {
            questions.push(named.question());
        }
        Ok(questions)
    }

    /// The words that take `self trust` here.
    fn command(&self, front_end: &FrontEnd) -> String {
        let mut words = String::from("cargo-sandbox self trust");
        if let Some(path) = self.manifest_path {
            let _infallible = write!(words, " --manifest-path {}", path.display());
        }
        if front_end.variable("CI").is_some_and(|ci| !ci.is_empty()) && !std::io::stdin().is_terminal() {
            // What was looked at once, and nothing that a later change of the repository says.
            let hash = self.questions(front_end).map(|questions| hash_of(&self.root(), &questions));
            let _infallible = write!(words, " --hash {}", hash.unwrap_or_else(|_| "HASH".into()));
        }
        words
    }
}

/// Stops a command that would read what is not trusted.
///
/// # Errors
/// When something of it is not trusted, or the store cannot be read.
pub fn require(front_end: &FrontEnd, scene: &Scene<'_>, questions: &[Question]) -> anyhow::Result<()> {
    if questions.is_empty() {
        return Ok(());
    }
    let trusted = trusted(front_end, &scene.root())?;
    let open: Vec<&Question> = questions.iter().filter(|question| !trusted.covers(question)).collect();
    if open.is_empty() {
        return Ok(());
    }
    let mut text = String::from("this repository asks for what needs your trust\n");
    for question in open {
        for item in &question.items {
            let mut item = item.clone();
            item.value = item.value.map(shortened);
            let _infallible = write!(text, "\n{}", item.show(&question.file));
        }
        if let Some(change) = changed(&trusted, question) {
            let _infallible = write!(text, "\n    changed since you trusted it:\n{}", change.trim_end());
        }
    }
    let elsewhere = match scene.directory == front_end.cwd {
        true => String::new(),
        false => format!(" in `{}`", scene.directory.display()),
    };
    anyhow::bail!("{text}\n\nhint: if you want that{elsewhere}: `{}`", scene.command(front_end))
}

/// What the user trusts in a project.
///
/// # Errors
/// When the store cannot be read.
pub fn trusted(front_end: &FrontEnd, root: &Path) -> anyhow::Result<Trusted> {
    front_end.trust_store()?.of(root).context("failed to read what you trust")
}

/// The lines of a file that changed since it was trusted, if it was.
pub fn changed(trusted: &Trusted, question: &Question) -> Option<String> {
    let before = trusted.before(question)?;
    let changes = difference::lines(&before.text, &question.text, 0);
    let text: String = changes.lines().map(|line| format!("    {line}\n")).collect();
    // Ends of lines, for instance.
    Some(if text.is_empty() { "    only white space changed\n".into() } else { text })
}

fn shortened(value: String) -> String {
    match value.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}\u{2026}", &value[..end]),
        None => value,
    }
}
