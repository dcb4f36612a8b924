//! The record as one page: a table to sort, what is unusual first. It asks nothing of a network, and of what jobs have
//! written into it nothing is obeyed: text is escaped, and the page's policy lets nothing run but its own script, which
//! is named by a number that nobody could have known.

use std::fs::File;
use std::io::Read as _;

use askama::Template;

use super::pin::News;
use super::record::{Audit, Record};
use crate::policy::kind::Kind;

#[derive(Template)]
#[template(path = "audit.html")]
struct Page<'a> {
    audit: &'a Audit,
    command: String,
    when: String,
    nonce: String,
    rows: Vec<Row<'a>>,
    bars: Vec<Bar>,
    news: Option<String>,
    jobs: u32,
    unusual: usize,
}

struct Row<'a> {
    record: &'a Record,
    score: u64,
    words: Vec<&'static str>,
    network: Vec<String>,
    programs: Vec<String>,
    memory: String,
}

/// How much of the time a package took.
struct Bar {
    package: String,
    seconds: f64,
    width: u32,
}

impl Row<'_> {
    fn exits(&self) -> String {
        self.record.exits.iter().cloned().collect::<Vec<_>>().join(", ")
    }
}

/// Most packages that get a bar.
const MOST_BARS: usize = 30;

/// Width of the longest bar.
const WIDEST: f64 = 400.0;

/// The page; `news` is what is new in comparison with the pinned behaviour, where there is such.
///
/// # Errors
/// When there is no random number to be had.
pub fn html(audit: &Audit, news: Option<&[News]>) -> anyhow::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut rows: Vec<Row<'_>> = audit.records.iter().map(row).collect();
    rows.sort_by(|one, other| {
        other.score.cmp(&one.score).then_with(|| one.record.package.cmp(&other.record.package))
    });
    let page = Page {
        audit,
        command: audit.command.join(" "),
        when: utc(audit.started),
        nonce: random.iter().map(|byte| format!("{byte:02x}")).collect(),
        jobs: audit.jobs(),
        unusual: rows.iter().filter(|row| row.score > 0).count(),
        rows,
        bars: bars(&audit.records),
        news: news.filter(|news| !news.is_empty()).map(super::pin::text),
    };
    Ok(page.render()?)
}

fn row(record: &Record) -> Row<'_> {
    let (words, score) = record.unusual();
    let network = &record.network;
    let listens = network.listens.iter().map(|address| format!("listens on {address}"));
    let looks = network.names.iter().map(|name| format!("looks up {name}"));
    let programs = record.programs.iter().map(|program| {
        let arguments = program.arguments.join(" ");
        if arguments.is_empty() { program.path.clone() } else { format!("{} {arguments}", program.path) }
    });
    Row {
        record,
        score,
        words,
        network: network.connects.iter().cloned().chain(looks).chain(listens).collect(),
        programs: programs.collect(),
        memory: format!("{} MiB", record.peak_memory >> 20),
    }
}

fn bars(records: &[Record]) -> Vec<Bar> {
    let mut sums = std::collections::BTreeMap::<String, f64>::new();
    for record in records.iter().filter(|record| record.kind != Kind::Macro) {
        *sums.entry(record.package.to_string()).or_default() += record.seconds;
    }
    let mut all: Vec<(String, f64)> = sums.into_iter().collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1));
    all.truncate(MOST_BARS);
    let longest = all.first().map_or(1.0, |first| first.1.max(0.001));
    all.into_iter()
        .map(|(package, seconds)| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 400")]
            let width = (seconds / longest * WIDEST).clamp(1.0, WIDEST) as u32;
            Bar { package, seconds, width }
        })
        .collect()
}

/// A time in seconds since 1970 as people write it, in UTC.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // From the days since 1970-01-01 to a date (proleptic Gregorian), by eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carried) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + carried;
    format!("{year}-{month:02}-{day_of_month:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::super::package::PackageId;
    use super::super::record::Source;
    use super::*;

    #[test]
    fn dates_are_right() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_787_227_200), "2026-08-20 12:00 UTC");
    }

    #[test]
    fn what_jobs_wrote_is_text() {
        let id = PackageId { name: "<script>alert(1)</script>".into(), version: "1\"'".into() };
        let mut record = Record::new(id, Source::Dependency, Kind::BuildScript);
        record.reads.insert("</details><img src=x onerror=alert(1)>".into());
        record.network.names.insert("{{7*7}}".into());
        let audit =
            Audit { command: vec!["build".into(), "&<>".into()], records: vec![record], ..Audit::default() };
        let page = html(&audit, None).unwrap();
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(1)") && page.contains("{{7*7}}"), "{page}");
        for outside in ["http:", "https:", "src=", "url(", "@import", "onclick"] {
            assert!(!page.contains(outside) || outside == "src=", "{outside}");
        }
        assert!(html(&audit, None).unwrap() != page, "another number each time");
    }
}
