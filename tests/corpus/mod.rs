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
//! CSB_CORPUS_TOGETHER=12 CSB_CORPUS=all cargo test --test parity the_rest
//! ```
//!
//! The last builds twelve crates as the dependencies of one program, so that what they need themselves is built once, and halves
//! of them, down to each by itself, where that is not the same as under cargo.

mod results;

use std::collections::BTreeMap;
use std::fmt::Write as _;
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

/// Where exceptions are explained.
const PAGE: &str = include_str!("../../docs/compatibility.md");

/// `-sys` crates that are not in the table, each with its reason.
const LEFT_OUT: &str = include_str!("left-out.tsv");

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
    /// What the user's own policy has to say; without, it is not the same.
    #[serde(default)]
    policy: String,
    /// What makes it worth being here.
    why: String,
}

/// What is said of a crate that is the same with its policy.
const BY_POLICY: &str = "same by policy";

/// What is said of a crate that differs in nothing but what `cxx-build` leaves for editors, beside what it builds.
const BUT_FOR_EDITORS: &str = "same but for cxxbridge";

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

/// A program that depends on these.
fn program(entries: &[&Entry]) -> Project {
    let mut dependencies = String::new();
    let mut all = BTreeMap::new();
    for Entry { name, version, default_features, features, files, .. } in entries {
        let _infallible = writeln!(
            dependencies,
            "{name} = {{ version = \"={version}\", default-features = {default_features}, features = {features:?} }}"
        );
        all.extend(files.clone());
    }
    Project {
        name: entries[0].name.clone().leak(),
        source: Source::Program { dependencies: dependencies.leak(), files: Vec::from_iter(all).leak() },
        touched: "src/main.rs",
        exit: 0,
        extent: Extent::Short,
    }
}

/// Builds such a program both ways: what came of it, and more about that.
fn compare(entries: &[&Entry], user: &User, engine: Engine) -> (&'static str, String) {
    let project = program(entries);
    let bench = Bench::new(&project, user, "corpus", SEQUENCE);
    let mut bench = match bench {
        Ok(bench) => bench,
        Err(error) => return ("not fetched", error.lines().next().unwrap_or_default().to_owned()),
    };
    bench.configure(&entries.iter().map(|entry| entry.policy.as_str()).collect::<String>());
    let build_dir = bench.build_dir(engine);
    let comparison = bench.compare_anyway(&Tool::Sandbox(engine), &build_dir);
    world::remove(&base().join("seed").join(project.name));
    let places: Vec<_> = comparison.differences.iter().map(|difference| difference.place.as_str()).collect();
    let for_editors = |place: &&str| place.starts_with("after 1 build: build dir/cxxbridge");
    let verdict = match (places.is_empty(), comparison.plain_exit.as_str()) {
        (true, "0") => "same",
        (true, _) => "same failure",
        (false, "0") if places.iter().all(for_editors) => BUT_FOR_EDITORS,
        (false, _) => "different",
    };
    if verdict == "different" {
        println!("{}: {comparison}", project.name);
    }
    let summary = if places.is_empty() { comparison.summary.clone() } else { places.join(", ") };
    (verdict, summary.chars().take(200).collect())
}

impl Entry {
    /// Builds it both ways.
    fn compare(&self, user: &User, engine: Engine) -> Found {
        let missing = self.missing();
        if !missing.is_empty() {
            return self.found("missing", &format!("needs the Debian packages {}", missing.join(" ")));
        }
        match compare(&[self], user, engine) {
            ("same", note) if !self.policy.is_empty() => self.found(BY_POLICY, &note),
            (verdict, note) => self.found(verdict, &note),
        }
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
    let together = std::env::var("CSB_CORPUS_TOGETHER").map_or(1, |number| number.parse().expect("a number"));
    let mut results = Results::read();
    let asked = |entry: &&Entry| match wanted.as_str() {
        "all" => !results.has(&entry.name, &entry.version),
        names => names.split(',').any(|name| name == entry.name),
    };
    let table = table();
    let entries: Vec<&Entry> = table.iter().filter(asked).collect();
    for group in entries.chunks(together) {
        build(group, &user, &mut results);
    }
}

/// Builds these in one program, or halves of them where that is not the same as under cargo.
fn build(entries: &[&Entry], user: &User, results: &mut Results) {
    let mut add = |entry: &Entry, found: Found| {
        note(&format!("{} {}: {}: {}", entry.name, entry.version, found.verdict, found.note));
        results.add(found);
    };
    if let [entry] = entries {
        return add(entry, entry.compare(user, Engine::Native));
    }
    if entries.iter().all(|entry| entry.missing().is_empty() && entry.policy.is_empty()) {
        let (verdict, more) = compare(entries, user, Engine::Native);
        if verdict == "same" {
            let more = format!("{} together: {more}", entries.len());
            return entries.iter().for_each(|entry| add(entry, entry.found(verdict, &more)));
        }
    }
    let (one, other) = entries.split_at(entries.len() / 2);
    build(one, user, results);
    build(other, user, results);
}

#[test]
fn the_table_is_sound() {
    let table = table();
    assert!(table.len() >= 150, "{} crates", table.len());
    let mut names: Vec<_> = table.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a crate is there twice");
    assert!(table.iter().all(|entry| !entry.why.is_empty()));
    for line in LEFT_OUT.lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, version, reason] = fields[..] else { panic!("{line}") };
        assert!(!version.is_empty() && !reason.is_empty(), "{line}");
        assert!(names.binary_search(&name).is_err(), "{name} is in the table");
    }
    let number = format!("`tests/corpus/table.toml` has {} crates", table.len());
    assert!(PAGE.contains(&number), "docs/compatibility.md: {number}");
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
        let explained = PAGE.contains(&format!("`{}`", result.name));
        assert!(result.verdict == "same" || explained, "{}: nothing says why", result.name);
    }
    for entry in table.iter().filter(|entry| !entry.policy.is_empty()) {
        let found = results.all().iter().find(|result| result.name == entry.name).expect("built");
        assert_eq!(found.verdict, BY_POLICY, "{}", entry.name);
        assert!(PAGE.contains(entry.policy.trim()), "docs/compatibility.md: the policy of {}", entry.name);
    }
}
