//! `self report`: the last record of this project, in short; and what of it is pinned.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use crate::report::denial::shown;
use crate::report::files::{AUDIT_JSON, AUDIT_PAGE, DIRECTORY, replace};
use crate::report::package::Locked;
use crate::report::pin::{self, FILE, Pins};
use crate::report::record::{Audit, SCHEMA};

use super::Context;

/// Options of `self report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Write what dependencies did to cargo-sandbox.lock
    #[arg(long)]
    pin: bool,
}

pub fn run(context: &Context, arguments: &ReportArguments) -> anyhow::Result<u8> {
    let project = context.needed_project("")?;
    // Not from the target directory, which may have come with the repository.
    let path = context.state.project(&project.id).path().join(AUDIT_JSON);
    let text = std::fs::read(&path).with_context(|| {
        format!("there is no record at `{}`\n\nhint: make one: `cargo-sandbox --audit build`", path.display())
    })?;
    let audit: Audit = serde_json::from_slice(&text)
        .with_context(|| format!("`{}` is no record of this tool's", path.display()))?;
    if audit.schema > SCHEMA {
        anyhow::bail!(
            "`{}` was written by a newer cargo-sandbox\n\nhint: update cargo-sandbox",
            path.display()
        );
    }
    let pins = Pins::read(&project.root)?;
    let news = pins.as_ref().map(|pins| pins.news(&audit.records)).unwrap_or_default();
    if arguments.pin {
        let updated = Pins::updated(pins, &audit.records, &Locked::read(&project.root));
        let file = project.root.join(FILE);
        replace(&file, updated.text()?.as_bytes())
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        print!("{}", pin::text(&news));
        println!("{}: {} jobs of dependencies", file.display(), updated.len());
        return Ok(0);
    }
    println!("cargo {}", shown(&audit.command.join(" ")));
    let mut rows: Vec<_> = audit.records.iter().map(|record| (record.unusual(), record)).collect();
    rows.sort_by(|((_, one), _), ((_, other), _)| other.cmp(one));
    let unusual = rows.iter().filter(|((_, score), _)| *score > 0);
    for ((words, _), record) in unusual {
        let package = shown(&record.package.to_string());
        println!("  {package}, {}: {}", record.kind.name(), words.join(", "));
    }
    let quiet = rows.iter().filter(|((_, score), _)| *score == 0).count();
    println!("  {quiet} packages and kinds of job with nothing unusual");
    if let Some(target) = audit.places.get("{target}") {
        println!("{}", Path::new(target).join(DIRECTORY).join(AUDIT_PAGE).display());
    }
    print!("{}", pin::text(&news));
    Ok(0)
}
