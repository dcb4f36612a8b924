//! `self report`: the last record of this project, in short; and what of it is pinned.

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::report::explain::shown;
use crate::report::files::{AUDIT_JSON, AUDIT_PAGE, directory, replace};
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

    /// How to say it
    #[arg(long, value_enum, default_value_t, conflicts_with = "pin")]
    format: ReportFormat,
}

/// How a record is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// In short, for people
    #[default]
    Text,
    /// The record itself, one JSON object
    Json,
    /// The page
    Html,
}

pub fn run(context: &Context, arguments: &ReportArguments) -> anyhow::Result<u8> {
    let project = context.needed_project("")?;
    let directory = directory(context.state.project(&project.id).path());
    let path = directory.join(AUDIT_JSON);
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
    match arguments.format {
        ReportFormat::Text => {}
        ReportFormat::Json => {
            println!("{}", String::from_utf8_lossy(&text));
            return Ok(0);
        }
        ReportFormat::Html => {
            let page = directory.join(AUDIT_PAGE);
            let text = std::fs::read_to_string(&page)
                .with_context(|| format!("failed to read `{}`", page.display()))?;
            print!("{text}");
            return Ok(0);
        }
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
    println!("{}", directory.join(AUDIT_PAGE).display());
    print!("{}", pin::text(&news));
    Ok(0)
}
