//! Real crates with difficult build scripts and macros: each is built by cargo and by `cargo-sandbox`, and everything that
//! comes of it is compared (exit code, output, all artifacts by bytes).
//!
//! `table.toml` is the list, `results.tsv` what was found. CI builds a sample ([`SAMPLE`]). For all of it, which takes
//! hours, and goes on where it was stopped:
//!
//! ```text
//! CSB_CORPUS=all cargo test --test parity the_rest
//! CSB_CORPUS=ring,cxx cargo test --test parity the_rest
//! CSB_TEST_LIMIT=3600 CSB_CORPUS=librocksdb-sys cargo test --test parity the_rest
//! ```

mod results;

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use self::results::{Found, Results};
use crate::compare::{Bench, Kind, Step, Tool};
use crate::projects::{Extent, Project, Source};
use crate::support::run::run;
use crate::support::tool::Engine;
use crate::support::world::{self, User, base};
use crate::support::{ci, need, note};

const TABLE: &str = include_str!("table.toml");

/// What CI builds: each stands for a class of habits, and takes seconds.
const SAMPLE: &[&str] = &["rustix", "anyhow", "libsqlite3-sys", "built", "linkme"];

/// One crate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    version: String,
    #[serde(default = "yes")]
    default_features: bool,
    #[serde(default)]
    features: Vec<String>,
    /// Debian packages without which it builds nowhere.
    #[serde(default)]
    debian: Vec<String>,
    /// What the program that depends on it has beside its manifest, where it does more than to depend on it.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// What makes it worth being here.
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "crate")]
    crates: Vec<Entry>,
}

fn yes() -> bool {
    true
}

fn table() -> Vec<Entry> {
    toml::from_str::<Table>(TABLE).expect("tests/corpus/table.toml").crates
}

const SEQUENCE: &[Step] = &[Step { name: "1 build", arguments: &["build"], touch: false, kind: Kind::Shown }];

impl Entry {
    /// A program that depends on it.
    fn project(&self) -> Project {
        let Self { name, version, default_features, features, files, .. } = self;
        let dependencies = format!(
            "{name} = {{ version = \"={version}\", default-features = {default_features}, features = {features:?} }}\n"
        );
        Project {
            name: self.name.clone().leak(),
            source: Source::Program {
                dependencies: dependencies.leak(),
                files: Vec::from_iter(files.clone()).leak(),
            },
            touched: "src/main.rs",
            exit: 0,
            extent: Extent::Short,
        }
    }

    /// Builds it both ways.
    fn compare(&self, user: &User, engine: Engine) -> Found {
        let missing = self.missing();
        if !missing.is_empty() {
            return self.found("missing", &format!("needs the Debian packages {}", missing.join(" ")));
        }
        let project = self.project();
        let bench = Bench::new(&project, user, "corpus", SEQUENCE);
        let mut bench = match bench {
            Ok(bench) => bench,
            Err(error) => return self.found("not fetched", error.lines().next().unwrap_or_default()),
        };
        let build_dir = bench.build_dir(engine);
        let sandbox = Tool::Sandbox(engine);
        let comparison = bench.compare_anyway(&sandbox, &build_dir);
        let seed = base().join("seed").join(project.name);
        world::remove(&seed);
        let verdict = match (comparison.differences.is_empty(), comparison.plain_exit.as_str()) {
            (true, "0") => "same",
            (true, _) => "same failure",
            (false, _) => "different",
        };
        if verdict == "different" {
            println!("{}: {comparison}", self.name);
        }
        let places: Vec<_> =
            comparison.differences.iter().map(|difference| difference.place.as_str()).collect();
        let summary = if places.is_empty() { comparison.summary.clone() } else { places.join(", ") };
        self.found(verdict, &summary.chars().take(200).collect::<String>())
    }

    fn missing(&self) -> Vec<&str> {
        let installed = |package: &str| {
            let mut query = Command::new("dpkg-query");
            run(query.args(["--show", "--showformat=${Status}", package])).stdout.ends_with(" installed")
        };
        self.debian.iter().map(String::as_str).filter(|package| !installed(package)).collect()
    }

    fn found(&self, verdict: &str, note: &str) -> Found {
        Found {
            name: self.name.clone(),
            version: self.version.clone(),
            verdict: verdict.into(),
            note: note.into(),
        }
    }
}

#[test]
fn a_sample_builds_as_under_cargo() {
    if !ci() && std::env::var_os("CSB_CORPUS").is_none() {
        return note("skipped: crates that take a minute; CSB_CORPUS=sample builds them too");
    }
    let Some(user) = need(User::ordinary()) else { return };
    let table = table();
    let mut failed = Vec::new();
    for (index, name) in SAMPLE.iter().enumerate() {
        let entry = table.iter().find(|entry| entry.name == *name).expect("of the table");
        let engine = Engine::ALL[index % Engine::ALL.len()];
        let Some(engine) = need(engine.here()) else { continue };
        let found = entry.compare(&user, engine);
        note(&format!("{name} {} on {engine}: {}: {}", entry.version, found.verdict, found.note));
        if found.verdict != "same" {
            failed.push(format!("{name}: {}: {}", found.verdict, found.note));
        }
    }
    assert!(failed.is_empty(), "not as under cargo: {failed:#?}");
}

/// Nothing without `CSB_CORPUS`; what has a result of its version is not built again.
#[test]
fn the_rest() {
    let wanted = std::env::var("CSB_CORPUS").unwrap_or_default();
    if wanted.is_empty() || wanted == "sample" {
        return;
    }
    let Some(user) = need(User::ordinary()) else { return };
    let mut results = Results::read();
    for entry in table() {
        let asked = wanted == "all" || wanted.split(',').any(|name| name == entry.name);
        if !asked || (wanted == "all" && results.has(&entry.name, &entry.version)) {
            continue;
        }
        let found = entry.compare(&user, Engine::Native);
        note(&format!("{} {}: {}: {}", entry.name, entry.version, found.verdict, found.note));
        results.add(found);
    }
}

#[test]
fn the_table_is_sound() {
    let table = table();
    assert!(table.len() >= 150, "{} crates", table.len());
    let mut names: Vec<_> = table.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a crate is there twice");
    assert!(table.iter().all(|entry| !entry.why.is_empty()));
}

/// What was found must be of the table, all of it, and nothing may stand there without an explanation.
#[test]
fn the_results_are_of_the_table() {
    let table = table();
    let results = Results::read();
    let missing: Vec<_> = table.iter().filter(|entry| !results.has(&entry.name, &entry.version)).collect();
    assert!(missing.is_empty(), "not built yet: {missing:?}");
    let same = results.all().iter().filter(|result| result.verdict == "same").count();
    assert!(same * 100 >= table.len() * 98, "{same} of {} are the same", table.len());
    for result in results.all() {
        assert!(
            table.iter().any(|entry| entry.name == result.name && entry.version == result.version),
            "{} {} is not in the table",
            result.name,
            result.version
        );
        assert!(!result.note.is_empty(), "{}", result.name);
    }
}
