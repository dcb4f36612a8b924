//! What is said, and written down, of a command's jobs when cargo is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::broker::Session;
use crate::cargo::CargoCommand;
use crate::policy::kind::Kind;
use crate::project::private_directory;
use crate::report::explain::{self, shown};
use crate::report::files::{self, AUDIT_JSON, AUDIT_PAGE, PROPOSED};
use crate::report::page;
use crate::report::pin::{self, FILE, Pins};
use crate::report::record::{Audit, SCHEMA};
use crate::report::remedy::Remedy;
use crate::report::{Mode, Recorder};

/// What is recorded, and what is made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// What is recorded.
    pub mode: Mode,
    /// Fail where something is new.
    pub locked: bool,
}

impl ReportOptions {
    /// By the options of the command line.
    pub fn of(audit: bool, learn: bool, locked: bool) -> Self {
        let mode = match () {
            () if learn => Mode::Learn,
            () if audit || locked => Mode::Audit,
            () => Mode::Failures,
        };
        Self { mode, locked }
    }
}

/// A command whose jobs are looked at.
pub struct Report {
    options: ReportOptions,
    recorder: Option<Arc<Recorder>>,
    root: PathBuf,
    /// This tool's own directory of the project.
    state: PathBuf,
    pins: Option<Pins>,
    audit: Audit,
}

impl Report {
    /// Before cargo starts: what must be readable for it is read.
    pub fn begin(options: &ReportOptions, session: &Session, command: &CargoCommand) -> anyhow::Result<Self> {
        let root = session.project.root.clone();
        let pins = if options.mode == Mode::Failures { None } else { Pins::read(&root)? };
        if options.locked && pins.is_none() {
            anyhow::bail!(
                "there is no `{FILE}` in `{}` to compare with\n\nhint: `cargo-sandbox --audit build`, look at what it \
                 shows, then `cargo-sandbox self report --pin`",
                root.display()
            );
        }
        let places = [
            ("{toolchain}", &session.toolchain.sysroot),
            ("{workspace}", &root),
            ("{target}", &session.target_dir),
            ("{build}", &session.directories.build()),
            ("{crates}", &session.registry_sources()),
            ("{git}", &session.git_checkouts()),
        ];
        let audit = Audit {
            schema: SCHEMA,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            project: crate::project::file_name(&root),
            command: command.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            places: places.map(|(name, path)| (name.to_owned(), path.display().to_string())).into(),
            records: Vec::new(),
        };
        let recorder = session.recorder.clone();
        let state = session.directories.path().to_owned();
        Ok(Self { options: *options, recorder, root, state, pins, audit })
    }

    /// Has what is written kept elsewhere than with the project, which goes away.
    #[must_use]
    pub fn kept_in(self, directory: PathBuf) -> Self {
        Self { state: directory, ..self }
    }

    /// When cargo is done: says and writes what there is. Returns whether all of it is accepted.
    pub fn finish(mut self) -> anyhow::Result<bool> {
        let Some(recorder) = self.recorder.take() else { return Ok(true) };
        for text in recorder.explained() {
            eprintln!("\n{text}");
        }
        if self.options.mode == Mode::Failures {
            return Ok(true);
        }
        self.audit.records = recorder.records();
        let news = self.pins.as_ref().map(|pins| pins.news(&self.audit.records));
        let page = page::html(&self.audit, news.as_deref()).context("failed to make the page")?;
        let json = serde_json::to_vec_pretty(&self.audit)?;
        let proposed = (self.options.mode == Mode::Learn).then(|| proposal(&recorder));
        let directory = files::directory(&self.state);
        let failed = || format!("failed to write the record to `{}`", directory.display());
        private_directory(&directory).with_context(failed)?;
        let mut written: Vec<(&str, &[u8])> = vec![(AUDIT_JSON, &json), (AUDIT_PAGE, page.as_bytes())];
        written.extend(proposed.as_ref().map(|text| (PROPOSED, text.as_bytes())));
        for (name, content) in written {
            files::replace(&directory.join(name), content).with_context(failed)?;
        }
        let jobs = self.audit.jobs();
        eprintln!(
            "note: what {jobs} jobs did: {} and {AUDIT_JSON} beside it",
            directory.join(AUDIT_PAGE).display()
        );
        if let Some(text) = proposed {
            eprintln!("\nnote: {}, for `{}`:\n{text}", PROPOSAL, self.root.join(PROPOSED).display());
        }
        let Some(news) = news.filter(|news| !news.is_empty()) else { return Ok(true) };
        eprint!("\n{}", pin::text(&news));
        eprintln!(
            "\nhint: look at it ({}); if it is right, `cargo-sandbox self report --pin`",
            directory.join(AUDIT_PAGE).display()
        );
        Ok(!self.options.locked)
    }
}

const PROPOSAL: &str = "proposed, and not applied";

/// A policy that would allow all that was refused.
fn proposal(recorder: &Recorder) -> String {
    let mut entries = BTreeMap::<(String, Kind), Vec<Remedy>>::new();
    let mut others = BTreeSet::new();
    for (subject, denials) in recorder.refused() {
        for denial in denials {
            let remedy = recorder.remedy(&denial);
            if remedy.line().is_none() {
                let why = remedy.why_not().map(|reason| format!(": {}", shown(reason))).unwrap_or_default();
                let (words, what) = (denial.words(), shown(&denial.what));
                others.insert(format!("# no policy allows {words}: {what} ({}){why}\n", subject.package));
            }
            entries.entry(subject.entry()).or_default().push(remedy);
        }
    }
    let tables: Vec<String> =
        entries.iter().filter_map(|(entry, remedies)| explain::suggestion(entry, remedies.iter())).collect();
    let mut text = "# Proposed by `cargo-sandbox --learn`: what was refused, and nothing else.\n".to_owned();
    if tables.is_empty() {
        text.push_str("# Nothing was refused that a policy could allow.\n");
    }
    text.extend(others);
    text.extend(tables.into_iter().map(|table| format!("\n{table}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_ask_for_what_they_need() {
        assert_eq!(ReportOptions::of(false, false, false).mode, Mode::Failures);
        assert_eq!(ReportOptions::of(true, false, false).mode, Mode::Audit);
        assert_eq!(ReportOptions::of(true, true, false).mode, Mode::Learn);
        assert_eq!(ReportOptions::of(false, false, true), ReportOptions { mode: Mode::Audit, locked: true });
    }
}
