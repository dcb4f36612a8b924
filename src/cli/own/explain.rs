//! `self explain`: what the jobs of a package may do, and where each part of it is said.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::broker::escapes::visible;
use crate::policy::containers::Settings;
use crate::policy::effective::{Effective, Said};
use crate::policy::kind::Kind;
use crate::policy::layers::{Place, Policy};
use crate::policy::package::{Package, Provenance};
use crate::project::{find_manifest, workspace_root};

use super::super::policy::{Ground, of_project};
use super::super::provider;
use super::super::{FrontEnd, Options};

/// Which package.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The package: `name` for each version in Cargo.lock, or `name@version`
    package: String,
}

/// Where Cargo.lock says that a package of crates.io comes from.
const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// Prints what holds for a package.
pub fn run(front_end: &FrontEnd, options: &Options, arguments: &ExplainArguments) -> anyhow::Result<u8> {
    let root = workspace_root(&find_manifest(&front_end.cwd, None)?)?;
    let ground = Ground { root: &root, target_dir: None, sysroot: None, own: &options.own };
    let found = of_project(front_end, &ground)?;
    print!("{}", containers(&found.settings));
    print!("{}", provider::explained(&front_end.state()?, &root, &found.settings));
    for package in packages(&root, &arguments.package)? {
        print!("{}", explain(&found.policy, &package));
    }
    if let Some(question) = found.question.filter(|_| found.open) {
        println!(
            "\n{} asks for more, which you do not trust; only what it takes away holds\n\nhint: `cargo-sandbox self trust` \
             shows it",
            visible(&question.file.display().to_string())
        );
    }
    Ok(0)
}

/// The packages that a name stands for: those of Cargo.lock, or one of crates.io that is not there yet.
fn packages(root: &Path, text: &str) -> anyhow::Result<Vec<Package>> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => {
            let version = version.parse().with_context(|| format!("`{version}` is no version"))?;
            (name, Some(version))
        }
        None => (text, None),
    };
    if name.is_empty() {
        bail!("`{text}` names no package\n\nhint: `name` or `name@1.2.3`");
    }
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let lock: toml::Table = toml::from_str(&lock).unwrap_or_default();
    let listed = lock.get("package").and_then(|list| list.as_array()).cloned().unwrap_or_default();
    let mut all: Vec<Package> = listed
        .iter()
        .filter_map(|entry| {
            let field = |key: &str| entry.get(key).and_then(|value| value.as_str());
            let provenance = match field("source").is_some_and(|source| CRATES_IO.contains(&source)) {
                true => Provenance::Registry,
                false => Provenance::Repository,
            };
            let own: Option<semver::Version> = field("version").and_then(|version| version.parse().ok());
            let meant = field("name") == Some(name) && (version.is_none() || own == version);
            meant.then(|| Package { name: name.to_owned(), version: own, provenance })
        })
        .collect();
    if all.is_empty() {
        all.push(Package { name: name.to_owned(), version, provenance: Provenance::Registry });
    }
    Ok(all)
}

/// What holds for all jobs: what their containers are made by, from and to.
fn containers(settings: &Settings) -> String {
    let image = visible(&settings.image.value.to_string());
    let mut text = String::from("containers\n");
    let mut line = |key: &str, value: String, by: String| {
        let _infallible = writeln!(text, "    {key:<9} {value:<32} {}", visible(&by));
    };
    line("engine", settings.engine.value.name().into(), settings.engine.by.to_string());
    line("image", image, settings.image.by.to_string());
    line("provider", settings.provider.value.to_string(), settings.provider.by.to_string());
    for said in &settings.packages {
        line("packages", said.value.to_string(), said.by.to_string());
    }
    for (name, value) in settings.limits.list() {
        line("limits", format!("{name} = {value}"), origin(settings.origins.get(&name)));
    }
    text
}

/// Who says a limit that is no table's.
fn origin(place: Option<&Place>) -> String {
    place.map_or_else(|| Place::built_in().to_string(), ToString::to_string)
}

fn explain(policy: &Policy, package: &Package) -> String {
    let from = match package.provenance {
        Provenance::Registry => "from crates.io",
        Provenance::Repository => {
            "the repository's own, or not from crates.io: what you grant by name is not for it"
        }
    };
    let mut text = format!("{} ({from})\n", visible(&package.to_string()));
    for kind in Kind::ALL {
        let job = policy.effective(package, kind);
        let _infallible = writeln!(text, "  {kind}");
        for (key, value, by) in lines(policy, kind, &job) {
            let _infallible = writeln!(text, "    {key:<9} {value:<32} {}", visible(&by));
        }
    }
    text
}

/// Key, value and place of everything that is said of a job.
fn lines(policy: &Policy, kind: Kind, job: &Effective) -> Vec<(String, String, String)> {
    let line = |key: &str, value: String, by: &dyn std::fmt::Display| {
        (key.to_owned(), visible(&value), by.to_string())
    };
    let mut all = Vec::new();
    if let Some(denied) = &job.denied {
        all.push(line("denied", "does not run".into(), denied));
    }
    all.push(line("network", job.network.value.to_string(), &job.network.by));
    all.extend(job.sockets.iter().map(|said| line("sockets", said.value.display().to_string(), &said.by)));
    for Said { value: (right, path), by } in &job.paths {
        all.push(line(right.name(), path.display().to_string(), by));
    }
    all.extend(job.env.iter().map(|said| line("env", said.value.clone(), &said.by)));
    all.extend(job.calls.iter().map(|said| line("seccomp", said.value.to_string(), &said.by)));
    all.extend(job.ports.iter().map(|said| line("ports", said.value.to_string(), &said.by)));
    all.extend(job.sets_env.iter().map(|said| line("sets-env", said.value.clone(), &said.by)));
    all.extend(job.generates_source.iter().map(|by| line("generates-source", "true".into(), by)));
    for (name, said) in &job.limits {
        let value = format!("{name} = {}", name.show_optional(said.value));
        match said.by.source {
            Some(_) => all.push(line("limits", value, &said.by)),
            None => all.push(line("limits", value, &origin(policy.origin_for(kind, *name)))),
        }
    }
    let mut seen = BTreeSet::new();
    all.retain(|line| seen.insert(line.clone()));
    all
}
