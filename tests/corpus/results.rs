//! What was found, a line a crate, kept in the repository.

use std::fmt::Write as _;
use std::fs;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/results.tsv");

const HEAD: &str = "crate\tversion\tresult\tnote\n";

/// What came of one crate.
#[derive(Debug, Clone)]
pub struct Found {
    pub name: String,
    pub version: String,
    /// `same`, `same by policy`, `same but for cxxbridge`, `same failure`, `different`, `missing` (a package of the system's),
    /// `not fetched`.
    pub verdict: String,
    pub note: String,
}

/// All of them, by name.
#[derive(Debug)]
pub struct Results(Vec<Found>);

impl Results {
    pub fn read() -> Self {
        let text = fs::read_to_string(FILE).unwrap_or_default();
        let all = text.lines().skip(1).map(|line| {
            let mut fields = line.splitn(4, '\t').map(String::from);
            let mut next = || fields.next().unwrap_or_default();
            Found { name: next(), version: next(), verdict: next(), note: next() }
        });
        Self(all.collect())
    }

    pub fn all(&self) -> &[Found] {
        &self.0
    }

    /// Whether there is one that building again would not better.
    pub fn has(&self, name: &str, version: &str) -> bool {
        let again = ["missing", "not fetched"];
        self.0
            .iter()
            .any(|own| own.name == name && own.version == version && !again.contains(&own.verdict.as_str()))
    }

    /// Adds one, in the place of an older one, and writes the file: a run may be stopped at any time.
    pub fn add(&mut self, result: Found) {
        self.0.retain(|own| own.name != result.name);
        self.0.push(result);
        self.0.sort_by(|one, other| one.name.cmp(&other.name));
        let mut text = HEAD.to_owned();
        for Found { name, version, verdict, note } in &self.0 {
            let _infallible =
                writeln!(text, "{name}\t{version}\t{verdict}\t{}", note.replace(['\t', '\n'], " "));
        }
        fs::write(FILE, text).expect("results.tsv");
    }
}
