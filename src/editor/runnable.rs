//! A program that the server offers and the editor starts on this machine: `cargo run`, `cargo test` and the like.
//!
//! It becomes a command of this tool's, or it is not passed on.

use std::path::Path;

use serde_json::{Map, Value};

/// Commands of cargo's that are offered.
const COMMANDS: &[&str] = &["bench", "build", "check", "run", "test"];

/// Options that take no value.
const FLAGS: &[&str] = &[
    "--all-features",
    "--all-targets",
    "--benches",
    "--bins",
    "--doc",
    "--examples",
    "--lib",
    "--locked",
    "--no-default-features",
    "--no-fail-fast",
    "--no-run",
    "--offline",
    "--quiet",
    "--release",
    "--tests",
    "--verbose",
    "--workspace",
];

/// Options that take a value, in the next word.
const WITH_VALUE: &[&str] =
    &["--bench", "--bin", "--example", "--features", "--package", "--profile", "--target", "--test"];

/// Variables that it may have: how tests show and update what they expect. Everything else could say where this tool
/// keeps its own, or what the loader loads.
const VARIABLES: &[&str] =
    &["INSTA_FORCE_PASS", "INSTA_UPDATE", "RUST_BACKTRACE", "RUST_LOG", "SNAPSHOTS", "UPDATE_EXPECT"];

/// Why it is not passed on.
pub type Refused = String;

/// Whether an object is one.
pub fn is_one(object: &Map<String, Value>) -> bool {
    object.get("kind").is_some_and(Value::is_string) && object.get("args").is_some_and(Value::is_object)
}

/// Makes one a command of this tool's, which is at `tool`.
pub fn confine(runnable: &mut Map<String, Value>, root: &Path, tool: &str) -> Result<(), Refused> {
    if runnable.get("kind").and_then(Value::as_str) != Some("cargo") {
        return Err("it is no command of cargo's".to_owned());
    }
    let Some(given) = runnable.get("args").and_then(Value::as_object) else {
        return Err("it has no arguments".to_owned());
    };
    // Editors split it at spaces.
    if tool.chars().any(char::is_whitespace) {
        return Err(format!("editors start no program with a space in its path (`{tool}`)"));
    }
    let mut confined = Map::new();
    for name in ["workspaceRoot", "cwd"] {
        match given.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(path)) if is_inside(path, root) => {
                confined.insert(name.to_owned(), path.clone().into());
            }
            Some(_) => return Err(format!("its `{name}` is not in the project")),
        }
    }
    confined.insert("cargoArgs".to_owned(), words(given, "cargoArgs").and_then(of_cargo)?.into());
    confined.insert("executableArgs".to_owned(), words(given, "executableArgs")?.into());
    confined.insert("overrideCargo".to_owned(), tool.into());
    let mut environment: Map<String, Value> = given
        .get("environment")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(name, value)| VARIABLES.contains(&name.as_str()) && value.is_string())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // What VS Code builds with before it debugs.
    environment.insert("CARGO".to_owned(), tool.into());
    confined.insert("environment".to_owned(), environment.into());
    runnable.insert("args".to_owned(), confined.into());
    Ok(())
}

fn words(args: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refused> {
    let wrong = || format!("its `{name}` are no words");
    match args.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(words)) => {
            words.iter().map(|word| word.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// A command of cargo's with options that are known. `--config`, say, names programs that cargo starts.
fn of_cargo(words: Vec<String>) -> Result<Vec<String>, Refused> {
    let mut rest = words.iter();
    let command = rest.next().map(String::as_str).unwrap_or_default();
    if !COMMANDS.contains(&command) {
        return Err(format!("`{command}` is not what is offered"));
    }
    while let Some(word) = rest.next() {
        let (option, value) = word.split_once('=').map_or((word.as_str(), None), |(o, v)| (o, Some(v)));
        if value.is_none() && FLAGS.contains(&option) {
            continue;
        }
        let value = value.or_else(|| rest.next().map(String::as_str));
        let plain = value.is_some_and(|value| !value.starts_with('-'));
        if !WITH_VALUE.contains(&option) || !plain {
            return Err(format!("`{word}` is not an option that is passed on"));
        }
    }
    Ok(words)
}

/// Whether a directory is in the project, by its real place.
fn is_inside(path: &str, root: &Path) -> bool {
    Path::new(path).canonicalize().is_ok_and(|real| real.starts_with(root) && real.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn confined(runnable: &Value, root: &Path) -> Result<Value, Refused> {
        let mut runnable = runnable.as_object().unwrap().clone();
        assert!(is_one(&runnable));
        confine(&mut runnable, root, "/t/cargo-sandbox").map(|()| Value::Object(runnable))
    }

    #[test]
    fn it_is_a_command_of_this_tool_whatever_it_says() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let runnable = json!({"label": "run x", "kind": "cargo", "args": {
            "workspaceRoot": root, "cwd": root, "overrideCargo": "/bin/sh",
            "cargoArgs": ["test", "--package", "x", "--lib", "--features=a,b", "--all-features"],
            "executableArgs": ["tests::one", "--exact", "--config"], "unknown": 1,
            "environment": {"RUSTC_TOOLCHAIN": "/t", "LD_PRELOAD": "/x", "UPDATE_EXPECT": "1", "CARGO": "/evil"},
        }});
        assert_eq!(
            confined(&runnable, &root).unwrap()["args"],
            json!({
                "workspaceRoot": root, "cwd": root, "overrideCargo": "/t/cargo-sandbox",
                "cargoArgs": ["test", "--package", "x", "--lib", "--features=a,b", "--all-features"],
                "executableArgs": ["tests::one", "--exact", "--config"],
                "environment": {"UPDATE_EXPECT": "1", "CARGO": "/t/cargo-sandbox"},
            })
        );
    }

    #[test]
    fn what_starts_something_else_is_not_passed_on() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let with = |name: &str, value: Value| {
            let mut args = json!({"cwd": root, "cargoArgs": ["run"], "executableArgs": []});
            args[name] = value;
            confined(&json!({"kind": "cargo", "args": args}), &root)
        };
        assert!(with("cargoArgs", json!(["run", "--bin", "x"])).is_ok());
        for words in [
            json!([]),
            json!(["self", "stop"]),
            json!(["--sandbox-read", "/", "run"]),
            json!(["install", "x"]),
            json!(["run", "--config", "a=b"]),
            json!(["run", "--config=a=b"]),
            json!(["run", "--bin", "--config"]),
            json!(["run", "--bin"]),
            json!(["run", "x"]),
            json!(["run", "--manifest-path", "/x/Cargo.toml"]),
            json!(["run", "--", "x"]),
            json!(["run", 1]),
            json!("run"),
        ] {
            assert!(with("cargoArgs", words.clone()).is_err(), "{words}");
        }
        assert!(with("cwd", json!("/")).is_err());
        assert!(with("workspaceRoot", json!(root.join(".."))).is_err());
        assert!(with("executableArgs", json!([{}])).is_err());
        assert!(confined(&json!({"kind": "shell", "args": {"program": "sh", "args": []}}), &root).is_err());
        let mut spaced = json!({"kind": "cargo", "args": {"cargoArgs": ["run"]}});
        assert!(confine(spaced.as_object_mut().unwrap(), &root, "/a b/cargo-sandbox").is_err());
    }
}
