//! What there is to write in a policy: one table, from which the reference page and the JSON schema are made.

use std::fmt::Write as _;

use clap::ValueEnum as _;
use serde_json::{Value, json};

use crate::broker::directives::LIBRARY_PATHS;
use crate::container::engines::Selection;

use super::bar::Weakness;
use super::calls::SystemCall;
use super::file::{BuildScripts, JOB_LIMITS};
use super::kind::Kind;
use super::limits::LimitName;
use super::native;
use super::network;
use super::provider::Provider;

/// Where the schema is published.
pub const SCHEMA: &str = "cargo-sandbox.schema.json";

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it takes, in words.
    pub takes: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Whether it narrows or widens.
    pub trust: &'static str,
    /// A value for the page and the tests.
    pub example: &'static str,
}

impl Key {
    /// The only kind of job whose tables can have it; none: all.
    pub fn only(&self) -> Option<Kind> {
        only(self.name).map(|(kind, _)| kind)
    }
}

/// The only kind of job whose tables can have a key, and why; none: all can.
pub(super) fn only(key: &str) -> Option<(Kind, &'static str)> {
    match key {
        "ports" => Some((Kind::Run, "only programs of `run` have ports that are published")),
        "generates-source" => Some((Kind::BuildScript, "only build scripts generate source")),
        "sets-env" => Some((Kind::BuildScript, "only build scripts set variables for their package")),
        _ => None,
    }
}

/// Every key that a table of rules can have, in the order of the page.
pub const KEYS: &[Key] = &[
    Key {
        name: "network",
        takes: "`\"none\"`, `\"loopback\"`, `\"host\"`, or a list of `\"host:port\"`",
        does: "What the job reaches. `none`: a loopback that it shares with no other job. `loopback`, the default: the \
               container's, which the jobs of a project share. A list: these names and ports by TCP, and nothing else; \
               what a name stands for is looked up outside, and must be of the network at large. `host`: what you reach \
               from this machine.",
        trust: "a list and `host` widen; `loopback` where you said `none`",
        example: "[\"crates.example.org:443\", \"127.0.0.1:5432\"]",
    },
    Key {
        name: "sockets",
        takes: "a list of paths",
        does: "Unix sockets of this machine that the job connects to, by the very path: of a database, for instance. \
               Absolute, through no symbolic link (`/var/run` is `/run`), and none of those that no policy grants. It need \
               not be there yet.",
        trust: "widens",
        example: "[\"/run/postgresql/.s.PGSQL.5432\"]",
    },
    Key {
        name: "read",
        takes: "a list of paths",
        does: "Files and directories that the job reads. Relative paths are relative to the project's root.",
        trust: "widens",
        example: "[\"/opt/models\", \"proto\"]",
    },
    Key {
        name: "write",
        takes: "a list of paths",
        does: "Files and directories that the job reads and writes, on this machine: plain files and directories, no \
               links. A directory in the project is created if it is not there.",
        trust: "widens",
        example: "[\"tests/snapshots\"]",
    },
    Key {
        name: "execute",
        takes: "a list of paths",
        does: "Programs, or directories with programs, that the job reads and executes.",
        trust: "widens",
        example: "[\"/opt/cuda/bin\"]",
    },
    Key {
        name: "env",
        takes: "a list of names",
        does: "Variables of your environment that the job gets. cargo does not see them, and so does not build again when \
               one changes. None that the loader, the toolchain or this tool obeys; in a repository's file none with a \
               secret's name.",
        trust: "widens",
        example: "[\"DATABASE_URL\"]",
    },
    Key {
        name: "limits",
        takes: "a table",
        does: "What the job may use up: see below.",
        trust: "lower ones narrow; `wall-time` and `disk-writes` above yours widen, the others have no effect there",
        example: "{ memory = \"2G\", wall-time = \"10min\" }",
    },
    Key {
        name: "seccomp",
        takes: "a list of system calls",
        does: "Calls that the filter refuses to other jobs: see below. Where jobs have no process namespaces of their own, \
               or the kernel no Landlock, such a job does not start.",
        trust: "widens",
        example: "[\"ptrace\"]",
    },
    Key {
        name: "ports",
        takes: "a list of `\"port\"` or `\"port:port\"`",
        does: "In tables of the kind `run` alone: ports of the program that 127.0.0.1 of this machine leads to, the \
               machine's first.",
        trust: "widens",
        example: "[\"8080\", \"8081:80\"]",
    },
    Key {
        name: "generates-source",
        takes: "`true` or `false`",
        does: "In tables of the kind `build-script` alone: what the script writes into the directory of its own package, which \
               else is gone with it, is kept for the compilers of that package in this project. No other project and no \
               other package sees it. cargo does not run the script again by itself: `cargo-sandbox clean -p <package>` has \
               it do so.",
        trust: "widens",
        example: "true",
    },
    Key {
        name: "sets-env",
        takes: "a list of names",
        does: "In tables of the kind `build-script` alone: variables that the script may set by `cargo::rustc-env` for the \
               compilers and programs of its own package, though the loader takes libraries from the directories that they \
               name: `LD_LIBRARY_PATH`, `DYLD_LIBRARY_PATH` and `DYLD_FALLBACK_LIBRARY_PATH`. They hold within the jobs of \
               that package: cargo and the wrapper obey no such variable.",
        trust: "widens",
        example: "[\"LD_LIBRARY_PATH\"]",
    },
    Key {
        name: "deny",
        takes: "`true` or `false`",
        does: "Such jobs do not run; cargo sees a failure that names the package, the kind of job and the line. `false` is \
               `allow = true`.",
        trust: "`true` narrows",
        example: "true",
    },
    Key {
        name: "allow",
        takes: "`true` or `false`",
        does: "Such jobs run, though a table that is less exact says `deny`, or `build-scripts` wants a list.",
        trust: "widens where your own configuration denies anything",
        example: "true",
    },
];

/// Every key at the top of a repository's file, beside the tables.
pub const TOP: &[Key] = &[
    Key {
        name: "engine",
        takes: "`\"auto\"`, `\"docker\"` or `\"native\"`",
        does: "What makes the project's Build containers, where you have not chosen it: by `--engine`, \
               `CARGO_SANDBOX_ENGINE` or in your own configuration. `docker` means no other, also where no daemon \
               answers.",
        trust: "`native` needs trust; `docker` only takes the other one away",
        example: "\"docker\"",
    },
    Key {
        name: "image",
        takes: "the name of an image that the docker engine has or can pull (`debian:13`, `debian@sha256:…`), or the path of \
                a directory or an archive in the OCI layout, or of a Dockerfile, with its digest (`./image@sha256:…`)",
        does: "What they are made from instead of this machine's own system, where you have not chosen it: by \
               `--sandbox-image` or in your own configuration. All jobs use its programs and libraries. One in the \
               OCI layout is taken by both engines, from the repository; what it says of owners and of its own start is left out.",
        trust: "needs trust",
        example: "\"debian:13\"",
    },
    Key {
        name: "native",
        takes: "a table with the keys `packages`: `\"auto\"`, or a list of names of packages of your distribution; and `provider`: \
                `\"host\"`, `\"image\"`, `\"riff\"` or `\"nix\"`",
        does: "`packages`: packages that jobs see as if they were installed, beside those that you choose yourself. What this \
               machine does not have is fetched by its own package manager (Debian, Ubuntu), and unpacked below this tool's own \
               directory: nothing is installed, and nothing of them is run for that. `\"auto\"`: those that crates of the dependency \
               graph are known to need (`docs/compatibility.md`). With an image: one is derived that has them. `provider`: who \
               gives jobs compilers and libraries that are not Rust, where you have not chosen it: what the containers are \
               made from (`host`, the default), the same but only where an image is chosen (`image`), or on top of it what \
               `riff print-dev-env`, or the project's `flake.nix` or `shell.nix`, makes (`docs/nix.md`).",
        trust: "`packages`, `riff` and `nix` need trust",
        example: "{ packages = [\"libssl-dev\", \"protobuf-compiler\"], provider = \"host\" }",
    },
    Key {
        name: "limits",
        takes: "a table",
        does: "What they, and all jobs in them, may use up: each limit of `docs/limits.md`. None is wider than what \
               `--sandbox-limit` says.",
        trust: "stricter ones than those in force narrow, wider ones widen",
        example: "{ memory = \"8G\", wall-time = \"1h\" }",
    },
    Key {
        name: "build-scripts",
        takes: "`\"allow\"`, `\"allow-listed\"` or `\"deny\"`",
        does: "Which build scripts run at all: see below.",
        trust: "less than your own configuration says narrows, more widens",
        example: "\"allow-listed\"",
    },
];

/// What `build-scripts` can be.
const BUILD_SCRIPTS: [(BuildScripts, &str); 3] = [
    (BuildScripts::Allow, "all build scripts run, confined: the default"),
    (
        BuildScripts::AllowListed,
        "those run whose package an entry names that has a table `build-script` or says `allow = true`",
    ),
    (BuildScripts::Deny, "none runs"),
];

/// The reference, as `docs/policy.md` has it.
pub fn page() -> String {
    let mut text = String::from(
        "At the top of a repository's file, beside the tables, can stand:\n\n| key | takes | what it does | trust |\n\
         |---|---|---|---|\n",
    );
    for Key { name, takes, does, trust, .. } in TOP {
        let _infallible = writeln!(text, "| `{name}` | {takes} | {does} | {trust} |");
    }
    text.push_str(
        "\n`[limits]` of a repository can have:\n\n| limit | takes | narrower is |\n|---|---|---|\n",
    );
    for name in LimitName::all() {
        let narrower = if name.is_wider(Some(0), Some(1)) { "more" } else { "less" };
        let _infallible = writeln!(text, "| `{name}` | {} | {narrower} |", name.form());
    }
    text.push_str("\n`build-scripts` is one of:\n\n| value | what runs |\n|---|---|\n");
    for (mode, words) in BUILD_SCRIPTS {
        let _infallible = writeln!(text, "| `\"{}\"` | {words} |", mode.name());
    }
    text.push_str("\nA kind of job (`[defaults.<kind>]`, `[packages.\"name\".<kind>]`) is one of:\n\n| kind | jobs |\n|---|---|\n");
    for kind in Kind::ALL {
        let _infallible = writeln!(text, "| `{kind}` | {} |", kind.words());
    }
    text.push_str("\nA table of rules can have these keys:\n\n| key | takes | what it does | trust |\n|---|---|---|---|\n");
    for Key { name, takes, does, trust, .. } in KEYS {
        let _infallible = writeln!(text, "| `{name}` | {takes} | {does} | {trust} |");
    }
    text.push_str("\nLimits of a job, beside those of `docs/limits.md` that hold for all:\n\n| limit | takes |\n|---|---|\n");
    for name in JOB_LIMITS {
        let _infallible = writeln!(text, "| `{name}` | {} |", name.form());
    }
    let calls: Vec<String> = SystemCall::ALL.iter().map(|call| format!("`{call}`")).collect();
    let _infallible = writeln!(text, "\nSystem calls that can be granted: {}.", calls.join(", "));
    text
}

/// The JSON schema of `cargo-sandbox.toml` (JSON Schema, draft 2020-12), for editors.
pub fn schema() -> Value {
    document(
        "cargo-sandbox.toml",
        "What a project's containers are, and what packages may do in its jobs",
        top(),
    )
}

/// The JSON schema of the user's own configuration.
pub fn user_schema() -> Value {
    let mut keys = top();
    let mut set = |key: &str, value: Value| keys.insert(key.to_owned(), value);
    set("idle-seconds", json!({ "type": "integer", "minimum": 0, "description": "As --sandbox-idle" }));
    let strings = |items: Value| json!({ "type": "array", "items": items, "uniqueItems": true });
    set("subcommands", strings(json!({ "type": "string" })));
    let missing = Weakness::ALL.map(Weakness::name);
    set("allow-weaker-confinement", strings(json!({ "enum": missing })));
    document("cargo-sandbox/config.toml", "What you choose in every project", keys)
}

/// What can stand at the top of both files.
fn top() -> serde_json::Map<String, Value> {
    let engines = Selection::value_variants().iter().map(|engine| engine.name()).collect::<Vec<_>>();
    let modes: Vec<&str> = BUILD_SCRIPTS.iter().map(|(mode, _)| mode.name()).collect();
    let does = |name: &str| TOP.iter().find(|key| key.name == name).map_or("", |key| key.does);
    let keys = json!({
        "engine": { "enum": engines, "description": does("engine") },
        "image": { "type": "string", "pattern": "^([A-Za-z0-9][A-Za-z0-9._/:@-]*|[.]{0,2}/.*)$", "description": does("image") },
        "native": native(does("native")),
        "limits": limits(LimitName::all(), does("limits")),
        "build-scripts": { "enum": modes, "description": does("build-scripts") },
        "defaults": { "$ref": "#/$defs/defaults" },
        "packages": {
            "type": "object",
            "description": "By name, name@range, or pattern with *",
            "propertyNames": { "pattern": r"^[\p{L}\p{N}_*-]+(@.+)?$" },
            "additionalProperties": { "$ref": "#/$defs/package" },
        },
    });
    match keys {
        Value::Object(keys) => keys,
        _ => serde_json::Map::new(),
    }
}

fn document(title: &str, description: &str, keys: serde_json::Map<String, Value>) -> Value {
    let kinds = |keys: &mut serde_json::Map<String, Value>| {
        for kind in Kind::ALL {
            let rules = if KEYS.iter().any(|key| key.only() == Some(kind)) { kind.name() } else { "rules" };
            keys.insert(
                kind.name().into(),
                json!({ "$ref": format!("#/$defs/{rules}"), "description": kind.words() }),
            );
        }
    };
    let mut defaults = serde_json::Map::new();
    kinds(&mut defaults);
    let mut package = rules(None);
    kinds(&mut package);
    let table = |properties: serde_json::Map<String, Value>| json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let mut definitions = json!({
        "defaults": table(defaults),
        "package": table(package),
        "rules": table(rules(None)),
    });
    for kind in KEYS.iter().filter_map(Key::only) {
        definitions[kind.name()] = table(rules(Some(kind)));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "properties": keys,
        "$defs": definitions,
    })
}

/// The keys of a table of rules: those for all kinds of job, and those for one alone.
fn rules(kind: Option<Kind>) -> serde_json::Map<String, Value> {
    let keys = KEYS.iter().filter(|key| key.only().is_none_or(|only| kind == Some(only)));
    keys.map(|key| {
        let mut value = value(key.name);
        value["description"] = key.does.into();
        (key.name.to_owned(), value)
    })
    .collect()
}

/// The table `native`.
fn native(description: &str) -> Value {
    let name = json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$" });
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "properties": {
            "packages": {
                "anyOf": [{ "const": native::AUTO }, { "type": "array", "items": name, "uniqueItems": true }],
                "description": "Packages of the distribution that jobs see as if they were installed",
            },
            "provider": {
                "enum": Provider::ALL.map(Provider::name),
                "description": "Who gives jobs compilers and libraries that are not Rust",
            },
        },
    })
}

/// A table of limits.
fn limits(names: impl Iterator<Item = LimitName>, description: &str) -> Value {
    let limit = |name: LimitName| {
        (name.to_string(), json!({ "type": ["string", "integer"], "description": name.form() }))
    };
    let properties: serde_json::Map<String, Value> = names.map(limit).collect();
    json!({
        "type": "object", "properties": properties, "additionalProperties": false, "description": description
    })
}

fn value(key: &str) -> Value {
    let strings = |item: Value| json!({ "type": "array", "items": item, "uniqueItems": true });
    match key {
        "network" => json!({ "anyOf": [
            { "enum": network::NAMES },
            strings(json!({ "type": "string", "pattern": r"^.+:[0-9]+$" })),
        ] }),
        "sockets" => strings(json!({ "type": "string", "pattern": "^/.*[^/]$" })),
        "read" | "write" | "execute" => strings(json!({ "type": "string", "minLength": 1 })),
        "env" => strings(json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })),
        "limits" => limits(JOB_LIMITS.into_iter(), ""),
        "seccomp" => strings(json!({ "enum": SystemCall::ALL.map(SystemCall::name) })),
        "ports" => strings(json!({ "type": "string", "pattern": "^[0-9]+(:[0-9]+)?$" })),
        "sets-env" => strings(json!({ "enum": LIBRARY_PATHS })),
        _ => json!({ "type": "boolean" }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::PolicyFile;
    use super::*;

    /// The parser's own list of keys, as it shows it for a word that is like none.
    fn known_to_the_parser(table: &str) -> Vec<String> {
        let error = PolicyFile::parse(&format!("{table}\nzzzzzzzzzzzzzzzz = 1\n")).unwrap_err().to_string();
        let list = error.rsplit("known are ").next().unwrap();
        list.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn the_table_has_every_key_and_no_other() {
        let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        let mut known = known_to_the_parser("[packages.x.run]");
        known.sort();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(known, sorted);
        let mut all = known_to_the_parser("[packages.x]");
        all.sort();
        let mut of_package: Vec<&str> = keys.into_iter().chain(Kind::ALL.map(Kind::name)).collect();
        of_package.sort_unstable();
        assert_eq!(all, of_package);
        let mut top = known_to_the_parser("");
        top.sort();
        let mut of_top: Vec<&str> = TOP.iter().map(|key| key.name).chain(["defaults", "packages"]).collect();
        of_top.sort_unstable();
        assert_eq!(top, of_top);
    }

    #[test]
    fn every_example_is_read() {
        for key in KEYS {
            let kind = key.only().unwrap_or(Kind::Run);
            let text = format!("[packages.x.{kind}]\n{} = {}\n", key.name, key.example);
            PolicyFile::parse(&text).unwrap_or_else(|mistake| panic!("{text}{mistake}"));
        }
        for key in TOP {
            let text = format!("{} = {}\n", key.name, key.example);
            PolicyFile::parse(&text).unwrap_or_else(|mistake| panic!("{text}{mistake}"));
        }
        for (mode, _) in BUILD_SCRIPTS {
            PolicyFile::parse(&format!("build-scripts = \"{}\"", mode.name())).unwrap();
        }
        let all: String = KEYS
            .iter()
            .filter(|key| key.name != "deny" && key.only().is_none_or(|kind| kind == Kind::Run))
            .map(|key| format!("{} = {}\n", key.name, key.example))
            .collect();
        PolicyFile::parse(&format!("[packages.x.run]\n{all}")).unwrap();
    }

    #[test]
    fn the_schema_knows_the_same_keys() {
        let schema = schema();
        let of_one_kind = KEYS.iter().filter(|key| key.only().is_some()).count();
        for (table, more) in [
            ("run", vec!["ports"]),
            ("build-script", vec!["generates-source", "sets-env"]),
            ("rules", vec![]),
        ] {
            let keys: Vec<&String> =
                schema["$defs"][table]["properties"].as_object().unwrap().keys().collect();
            assert_eq!(keys.len(), KEYS.len() - of_one_kind + more.len(), "{table}");
            assert!(more.iter().all(|more| keys.iter().any(|key| key == more)));
        }
        assert_eq!(schema["$defs"]["defaults"]["properties"].as_object().unwrap().len(), Kind::ALL.len());
        let mut top: Vec<&str> = TOP.iter().map(|key| key.name).chain(["defaults", "packages"]).collect();
        top.sort_unstable();
        let mut of_schema: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        of_schema.sort_unstable();
        assert_eq!(of_schema, top);
        let limits = schema["properties"]["limits"]["properties"].as_object().unwrap();
        assert!(LimitName::all().all(|name| limits.contains_key(&name.to_string())));
    }
}
