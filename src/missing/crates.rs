//! What the crates of a dependency graph are known to need of the system: by the table `crates.toml`, or because they say
//! so themselves.
//!
//! Nothing that a crate says is taken for the name of a package. It is looked for among what `packages.toml` lists, so that
//! a hostile crate has no more from it than one of those packages, shown to the jobs of its own project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use super::packages;
use super::recognise::Missing;

/// An entry of the table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    links: Option<String>,
    #[serde(default)]
    pkg_config: Vec<String>,
    #[serde(default)]
    libraries: Vec<String>,
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the table"))]
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "crate")]
    entries: Vec<Entry>,
}

const TEXT: &str = include_str!("crates.toml");

fn table() -> &'static [Entry] {
    static TABLE: OnceLock<Vec<Entry>> = OnceLock::new();
    // It is part of the program; a unit test reads it.
    TABLE.get_or_init(|| toml::from_str::<Table>(TEXT).map_or(Vec::new(), |table| table.entries))
}

/// What `cargo metadata` says of a workspace and its dependencies.
#[derive(Debug, Deserialize)]
pub struct Graph {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    links: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
    #[serde(default)]
    metadata: Value,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    features: Vec<String>,
}

impl Graph {
    /// The manifests of packages that can change without `Cargo.lock`: those of no registry and no git repository.
    pub fn local_manifests(&self) -> Vec<PathBuf> {
        let local = self.packages.iter().filter(|package| package.source.is_none());
        local.map(|package| package.manifest_path.clone()).collect()
    }

    /// What its packages need, with the features that they are built with.
    pub fn needs(&self) -> BTreeSet<Missing> {
        let features: BTreeMap<&str, &[String]> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node.features.as_slice())).collect();
        let mut needs = BTreeSet::new();
        for package in &self.packages {
            // One that is for other platforms only has no node.
            let Some(features) = features.get(package.id.as_str()) else { continue };
            needs.extend(by_table(&package.name, package.links.as_deref(), Some(features)));
            needs.extend(by_system_deps(&package.metadata["system-deps"], features));
            needs.extend(by_riff(&package.metadata["riff"]));
        }
        finished(needs)
    }
}

/// What packages of these names need, where nothing else is known of them.
pub fn needs_by_name<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<Missing> {
    finished(names.flat_map(|name| by_table(name, None, None)).collect())
}

/// Whoever asks for a library by `pkg-config` needs that as well.
fn finished(mut needs: BTreeSet<Missing>) -> BTreeSet<Missing> {
    if needs.iter().any(|need| matches!(need, Missing::PkgConfig(_))) {
        needs.insert(Missing::Program("pkg-config".into()));
    }
    needs
}

fn by_table(name: &str, links: Option<&str>, features: Option<&[String]>) -> BTreeSet<Missing> {
    let meant = |entry: &&Entry| entry.name == name || (links.is_some() && entry.links.as_deref() == links);
    let has =
        |wanted: &[String]| features.is_some_and(|features| wanted.iter().any(|one| features.contains(one)));
    let entries = table().iter().filter(meant);
    let entries = entries.filter(|entry| (entry.only.is_empty() || has(&entry.only)) && !has(&entry.unless));
    entries
        .flat_map(|entry| {
            let pkg_config = entry.pkg_config.iter().cloned().map(Missing::PkgConfig);
            let libraries = entry.libraries.iter().cloned().map(Missing::Library);
            pkg_config.chain(libraries).chain(entry.programs.iter().cloned().map(Missing::Program))
        })
        .collect()
}

/// `[package.metadata.system-deps]` of the crate system-deps: keys, or their `name`, are names of `pkg-config`.
fn by_system_deps(table: &Value, features: &[String]) -> BTreeSet<Missing> {
    let mut needs = BTreeSet::new();
    for (key, value) in table.as_object().into_iter().flatten() {
        if key.starts_with("cfg(") {
            let elsewhere = ["windows", "macos", "ios", "android"].iter().any(|system| key.contains(system));
            if !elsewhere {
                needs.extend(by_system_deps(value, features));
            }
            continue;
        }
        let wanted =
            value["feature"].as_str().is_none_or(|feature| features.iter().any(|own| own == feature));
        let name = value["name"].as_str().unwrap_or(key);
        let need = Missing::PkgConfig(name.to_owned());
        if wanted && value["optional"] != Value::Bool(true) && packages::providing(&need).is_some() {
            needs.insert(need);
        }
    }
    needs
}

/// `[package.metadata.riff]`: names of nixpkgs.
fn by_riff(table: &Value) -> BTreeSet<Missing> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let inputs = [table, &table["targets"][target]]
        .into_iter()
        .flat_map(|table| [&table["build-inputs"], &table["runtime-inputs"]]);
    let names = inputs.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    names.filter_map(packages::brought_by_nix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn graph(packages: &Value) -> Graph {
        let list: Vec<Value> = packages.as_array().unwrap().clone();
        let nodes: Vec<Value> = list
            .iter()
            .filter(|package| package["elsewhere"] != true)
            .map(|package| json!({ "id": package["name"], "features": package["features"].as_array().cloned().unwrap_or_default() }))
            .collect();
        let packages: Vec<Value> = list
            .into_iter()
            .map(|mut package| {
                package["id"] = package["name"].clone();
                package["manifest_path"] =
                    format!("/x/{}/Cargo.toml", package["name"].as_str().unwrap()).into();
                package
            })
            .collect();
        serde_json::from_value(json!({ "packages": packages, "resolve": { "nodes": nodes } })).unwrap()
    }

    fn names(packages: &Value) -> Vec<String> {
        graph(packages)
            .needs()
            .iter()
            .filter_map(packages::providing)
            .map(|package| package.debian.clone())
            .collect()
    }

    #[test]
    fn the_table_can_be_read_and_everything_in_it_is_packaged() {
        let table: Table = toml::from_str(TEXT).unwrap();
        for entry in &table.entries {
            let needs = by_table(&entry.name, None, Some(&entry.only));
            assert!(!needs.is_empty() && entry.source.len() > 5, "{}", entry.name);
            for need in needs {
                assert!(packages::providing(&need).is_some(), "{}: {need}", entry.name);
            }
        }
    }

    #[test]
    fn a_crate_is_known_by_its_name_or_its_key() {
        assert_eq!(names(&json!([{ "name": "openssl-sys", "features": [] }])), ["pkg-config", "libssl-dev"]);
        assert_eq!(names(&json!([{ "name": "fork", "links": "openssl" }])), ["pkg-config", "libssl-dev"]);
        assert!(names(&json!([{ "name": "openssl-sys", "features": ["vendored"] }])).is_empty());
        assert!(names(&json!([{ "name": "openssl-sys", "elsewhere": true }])).is_empty());
        assert!(names(&json!([{ "name": "rdkafka-sys" }])).is_empty());
        let dynamic = json!([{ "name": "rdkafka-sys", "features": ["dynamic-linking"] }]);
        assert_eq!(names(&dynamic), ["pkg-config", "librdkafka-dev"]);
        let by_name: Vec<_> = needs_by_name(["serde", "prost-build"].into_iter()).into_iter().collect();
        assert_eq!(by_name, [Missing::Program("protoc".into())]);
    }

    #[test]
    fn what_a_crate_says_itself_is_heard() {
        let system_deps = json!({
            "libpng": "1.5",
            "gtk_four": { "name": "gtk4", "version": "4.0", "v4_2": { "version": "4.2" } },
            "zlib": { "version": "1", "feature": "compressed" },
            "liblz4": { "version": "1", "optional": true },
            "cfg(target_os = \"linux\")": { "alsa": "1" },
            "cfg(windows)": { "libxml-2.0": "2" },
        });
        let package = |features: Value| json!([{ "name": "x", "features": features, "metadata": { "system-deps": system_deps } }]);
        let plain = names(&package(json!([])));
        assert_eq!(plain, ["pkg-config", "libasound2-dev", "libgtk-4-dev", "libpng-dev"]);
        assert_eq!(names(&package(json!(["compressed"]))).last().unwrap(), "zlib1g-dev");
        let riff = json!({
            "build-inputs": ["protobuf", "openssl", "nothing-known"],
            "targets": { format!("{}-unknown-linux-gnu", std::env::consts::ARCH): { "runtime-inputs": ["zlib"] } },
        });
        let said = names(&json!([{ "name": "x", "metadata": { "riff": riff } }]));
        for name in ["protobuf-compiler", "libssl-dev", "zlib1g-dev"] {
            assert!(said.iter().any(|said| said == name), "{name} is not in {said:?}");
        }
    }

    /// What a hostile crate gets by its own words: one of the packages that are listed, and nothing else.
    #[test]
    fn no_crate_names_a_package_of_its_own_choice() {
        for name in
            ["openssh-server", "-oX=y", "../x", "libssl-dev", "sudo", "systemd", "linux-image-amd64", ""]
        {
            for metadata in [
                json!({ "system-deps": { name: "1" } }),
                json!({ "system-deps": { "x": { "name": name } } }),
                json!({ "riff": { "build-inputs": [name], "runtime-inputs": name } }),
                json!({ "riff": name, "system-deps": [name] }),
            ] {
                let needs = graph(&json!([{ "name": name, "links": name, "metadata": metadata }])).needs();
                let got: Vec<_> =
                    needs.iter().filter_map(packages::providing).map(|package| &package.debian).collect();
                // `systemd` is what the links key and nixpkgs call libsystemd.
                let allowed = |got: &&&String| {
                    name == "systemd"
                        && ["libsystemd-dev", "pkg-config", "libudev-dev"].contains(&got.as_str())
                };
                assert!(got.iter().all(|one| allowed(&one)), "{name}: {got:?}");
            }
        }
    }
}
