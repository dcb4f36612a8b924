//! Where the time of a job's start and end goes: one line of JSON for each, in the file of `--sandbox-trace`.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

use serde_json::json;

use crate::agent::moments::{Moments, now};

use super::identify::Job;

/// The file.
#[derive(Debug)]
pub struct Trace(Mutex<File>);

/// When one request came how far at the broker.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    arrived: u64,
    received: u64,
    sent: u64,
    answered: u64,
    /// Inside of the container.
    pub moments: Option<Moments>,
}

impl Timeline {
    /// Of a wrapper that has just connected.
    pub fn of_arrival() -> Self {
        Self { arrived: now(), received: 0, sent: 0, answered: 0, moments: None }
    }

    /// What it was given has been read.
    pub fn received(&mut self) {
        self.received = now();
    }

    /// It was handed to the agent.
    pub fn sent(&mut self) {
        self.sent = now();
    }

    /// The agent has said how it ended.
    pub fn answered(&mut self) {
        self.answered = now();
    }
}

impl Trace {
    /// Starts an empty one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new(File::create(path)?)))
    }

    /// Writes down a job that was done. One that never ran has no line.
    pub fn write(&self, job: &Job, timeline: &Timeline) {
        let Timeline { arrived, received, sent, answered, moments } = *timeline;
        let Some(Moments { taken, executed, ended }) = moments else { return };
        let points = [arrived, received, sent, taken, executed, ended, answered, now()];
        let stages = points.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) / 1000);
        let names = ["receive", "decide", "take", "confine", "run", "end", "conclude"];
        let microseconds: serde_json::Map<_, _> =
            names.iter().zip(stages).map(|(name, stage)| ((*name).to_owned(), stage.into())).collect();
        let line = json!({
            "job": job.kind.name(),
            "package": job.package.to_string(),
            "rules": job.spec.access.len(),
            "microseconds": microseconds,
        });
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A full disk is not the job's fault.
        let _ = writeln!(file, "{line}");
    }
}
