//! A server that says whatever would have an editor harm this machine: what any macro in it could say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::support::tool::{Engine, each_engine};
use super::support::world::World;
use super::{confined, macros, manifest};

/// Says what is in a file, when it has heard of a message that has this in it, and ends.
const SERVER: &str = "#!/bin/sh
while read -r line; do
    case $line in
    *test/last*) exec cat MESSAGES ;;
    esac
done
";

fn project(world: &World) -> std::path::PathBuf {
    let project = world.work().join("app");
    world.write(&project.join("Cargo.toml"), &manifest(""));
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    macros(world, &project, "");
    project
}

fn runnable(cwd: &Path) -> Value {
    json!({"label": "run", "kind": "cargo", "args": {
        "cwd": cwd, "cargoArgs": ["run"], "executableArgs": [], "overrideCargo": "/bin/evil",
        "environment": {"LD_PRELOAD": "/evil.so", "CARGO_SANDBOX_HOME": "/evil"},
    }})
}

/// What is said, and by which words each is recognised in what the editor hears.
fn said(world: &World, project: &Path) -> Vec<(Value, &'static str)> {
    let home = world.home.display();
    let edit = |path: &str, what: &str| json!({"changes": {format!("file://{path}"): [{"newText": what}]}});
    let lens = |command: &str, argument: Value| json!({"range": {}, "command": {"title": "Run", "command": command, "arguments": [argument]}});
    let shell =
        json!({"label": "x", "kind": "shell", "args": {"program": "evil-shell", "args": [], "cwd": project}});
    let with_config = json!({"label": "x", "kind": "cargo",
        "args": {"cwd": project, "cargoArgs": ["run", "--config", "evil-config"], "executableArgs": []}});
    vec![
        (
            json!({"id": 70, "method": "workspace/applyEdit", "params": {"edit": edit(&format!("{home}/.bashrc"), "evil-edit")}}),
            "evil-edit",
        ),
        (
            json!({"id": 71, "method": "window/showDocument", "params": {"uri": "https://evil-page", "external": true}}),
            "evil-page",
        ),
        (
            json!({"id": 72, "method": "workspace/configuration", "params": {"items": [{"section": "evil-section"}]}}),
            "evil-section",
        ),
        (
            json!({"id": 73, "method": "client/registerCapability", "params": {"registrations": [
            {"id": "x", "method": "workspace/executeCommand", "registerOptions": {"commands": ["evil-registered"]}}]}}),
            "evil-registered",
        ),
        (
            json!({"id": 74, "method": "client/registerCapability", "params": {"registrations": [
            {"id": "y", "method": "workspace/didChangeWatchedFiles", "registerOptions": {"watchers": [
                {"globPattern": "/evil-watched/**"}]}}]}}),
            "evil-watched",
        ),
        (json!({"method": "telemetry/event", "params": "evil-event"}), "evil-event"),
        (json!({"id": 99, "result": "evil-answer"}), "evil-answer"),
        (
            json!({"method": "window/showMessage", "params": {"type": 3, "message": "[see](command:evil-shown)"}}),
            "[see](command:evil-shown)",
        ),
        (
            json!({"method": "experimental/serverStatus", "params": {"health": "ok", "message": "[see](command:evil-status)"}}),
            "[see](command:evil-status)",
        ),
        (
            json!({"method": "textDocument/publishDiagnostics", "params": {"uri": "file:///x.rs", "diagnostics": [
            {"range": {}, "message": "m", "code": "E1", "codeDescription": {"href": "command:evil-href"}}]}}),
            "evil-href",
        ),
        (
            json!({"id": 1, "result": {"capabilities": {"executeCommandProvider": {"commands": ["evil-provided"]}}}}),
            "evil-provided",
        ),
        (
            json!({"id": 2, "result": [
                lens("workbench.action.terminal.sendSequence", json!({"text": "evil-typed\n"})),
                lens("rust-analyzer.runSingle", shell.clone()),
                lens("rust-analyzer.debugSingle", json!({"args": {"program": "evil-shapeless"}})),
                lens("rust-analyzer.runSingle", with_config),
                lens("rust-analyzer.runSingle", runnable(project)),
            ]}),
            "evil-typed",
        ),
        (json!({"id": 3, "result": edit(&format!("{home}/evil-renamed.rs"), "")}), "evil-renamed.rs\":"),
        (
            json!({"id": 4, "result": {"documentChanges": [
            {"kind": "create", "uri": format!("file://{}/.git/hooks/[x](command:evil)evil-hook", project.display())}]}}),
            "evil-hook\"}",
        ),
        (
            json!({"id": 5, "result": [shell, {"program": "evil-bare"}, runnable(Path::new("/")), runnable(project)]}),
            "evil-bare",
        ),
        (
            json!({"id": 7, "result": {"contents": {"kind": "markdown", "value": "![x](https://example.com/?evil-picture)"}}}),
            "![x](https",
        ),
        (
            json!({"id": 8, "method": "window/workDoneProgress/create", "params": {"token": "t"},
            "result": edit("/evil-second-kind.rs", "")}),
            "evil-second-kind",
        ),
        (json!({"id": 6, "result": "file:///evil-documentation"}), "evil-documentation"),
    ]
}

/// More words of what is said above, which no editor may hear.
const OTHERS: &[&str] = &[
    "[x](command:evil)",
    "evil-shell",
    "evil-shapeless",
    "evil-config",
    "/bin/evil",
    "evil.so",
    "CARGO_SANDBOX_HOME",
];

fn heard(command: &mut std::process::Command, world: &World, project: &Path) -> (Vec<Value>, String) {
    let mut client = Client::connect(command, world, project, json!({}));
    for (id, method) in [
        (1, "initialize"),
        (2, "textDocument/codeLens"),
        (3, "textDocument/rename"),
        (4, "textDocument/rename"),
        (5, "experimental/runnables"),
        (6, "experimental/externalDocs"),
        (7, "textDocument/hover"),
        (8, "textDocument/rename"),
    ] {
        client.send(json!({"id": id, "method": method, "params": {}}));
    }
    // A line ends with the header of the next message.
    client.send(json!({"method": "test/last"}));
    client.send(json!({"method": "test/over"}));
    let all = client.rest();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let errors = client.said();
    (all, errors)
}

fn check(world: &World, engine: Engine) {
    let project = project(world);
    let (server, messages) = (world.home.join("server"), project.join("messages"));
    let said = said(world, &project);
    let framed: String = said
        .iter()
        .map(|(message, _)| {
            let mut message = message.clone();
            message["jsonrpc"] = "2.0".into();
            let body = message.to_string();
            format!("Content-Length: {}\r\n\r\n{body}", body.len())
        })
        .collect();
    world.write(&messages, &framed);
    world.write(&server, &SERVER.replace("MESSAGES", messages.to_str().expect("UTF-8")));
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).expect("mode");
    let words = || said.iter().map(|(_, word)| *word).chain(OTHERS.iter().copied());

    let (control, _) = heard(&mut world.command(&server), world, &project);
    assert_eq!(control.len(), said.len(), "control: all of it is heard");
    let control = Value::from(control).to_string();
    for word in words() {
        assert!(control.contains(word), "control: `{word}` is not in {control}");
    }

    let (messages, errors) = heard(&mut confined(world, engine, &project, &server), world, &project);
    let text = Value::from(messages.clone()).to_string();
    for word in words() {
        assert!(!text.contains(word), "`{word}` is in {text}");
    }
    // What is harmless of it comes, and each question of the editor's has an answer.
    let answer = |id: i64| messages.iter().find(|message| message["id"] == id).expect("an answer");
    assert!(answer(1)["result"]["capabilities"].is_object());
    for list in [&answer(2)["result"], &answer(5)["result"]] {
        assert!(list.as_array().is_some_and(|list| !list.is_empty()), "{list}");
    }
    let started = &answer(2)["result"][4]["command"]["arguments"][0]["args"];
    assert_eq!(started["overrideCargo"], json!(super::support::tool::front_end()), "{text}");
    assert_eq!(answer(5)["result"].as_array().map(Vec::len), Some(1), "{text}");
    for id in [3, 4] {
        let why = answer(id)["error"]["message"].as_str().unwrap_or_default();
        assert!(why.contains("no Rust source of the project"), "{why}");
    }
    assert_eq!(answer(6)["result"], Value::Null);
    for word in
        ["`workspace/applyEdit` is not passed on", "sendSequence` was left out", "which is no Rust source"]
    {
        assert!(errors.contains(word), "`{word}` is not in:\n{errors}");
    }
    world.stop(engine, &project);
}

#[test]
fn an_editor_is_told_to_do_nothing_that_harms() {
    each_engine("forged", check);
}
