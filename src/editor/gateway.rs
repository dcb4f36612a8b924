//! Which messages pass between the editor and the server.
//!
//! What comes from the server may have been said by a macro: only known requests and notifications pass, answers only
//! to what was asked, and of each what `super::result` lets stay. What comes from the editor passes as it is, but for
//! what says where things are.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::markup::{shown, without_links};
use super::places::names_manifest;
use super::registration;
use super::result::Judge;
use super::settings::{SECTION, changed, initialize, settle};

/// What the server may ask the editor for. Not `workspace/applyEdit`, which editors obey without a question, and not
/// `window/showDocument`, which opens what it is given in other programs.
const REQUESTS: &[&str] = &[
    "client/registerCapability",
    "client/unregisterCapability",
    "window/showMessageRequest",
    "window/workDoneProgress/create",
    "workspace/codeLens/refresh",
    "workspace/configuration",
    "workspace/diagnostic/refresh",
    "workspace/inlayHint/refresh",
    "workspace/semanticTokens/refresh",
];

/// What it may tell.
const NOTIFICATIONS: &[&str] = &[
    "$/cancelRequest",
    "$/logTrace",
    "$/progress",
    "experimental/appendOutputToRunTest",
    "experimental/changeTestState",
    "experimental/discoveredTests",
    "experimental/endRunTest",
    "experimental/openServerLogs",
    "experimental/serverStatus",
    "textDocument/publishDiagnostics",
    "window/logMessage",
    "window/showMessage",
];

/// "Request failed" (Language Server Protocol 3.17), for the editor.
const FAILED: i32 = -32803;

/// With these the server begins to look at the project. With the first, and not before it: editors do not wait long for
/// the answer to `initialize`.
const LOOKS: &[&str] = &["initialized", "rust-analyzer/reloadWorkspace"];

/// Most requests for configuration that may wait for an answer.
const MOST_WAITING: usize = 64;

/// A message of the editor's, as the server gets it.
#[derive(Debug, PartialEq)]
pub struct FromEditor {
    /// The message.
    pub message: Value,
    /// Whether the project's crates must be there before the server hears of it: it may need other ones from now on, or
    /// begins to look at them.
    pub needs_crates: bool,
}

/// What becomes of a message of the server's.
#[derive(Debug, PartialEq)]
pub enum FromServer {
    /// The editor gets this.
    ToEditor(Value),
    /// Nobody gets it.
    Dropped,
}

/// The state of one session.
#[derive(Debug)]
pub struct Gateway {
    judge: Judge,
    /// What the editor waits for: methods, by the message's `id` as JSON.
    asked: Mutex<HashMap<String, String>>,
    /// Requests for configuration that the editor has not answered, by `id`.
    configuration: Mutex<HashSet<String>>,
}

impl Gateway {
    /// A session in the project at `root`, and what else the server reads of the user's, with this program at `tool`.
    pub fn new(root: PathBuf, reads: Vec<PathBuf>, tool: String) -> Self {
        Self { judge: Judge { root, reads, tool }, asked: Mutex::default(), configuration: Mutex::default() }
    }

    /// Judges a message of the editor's.
    pub fn from_editor(&self, mut message: Value) -> FromEditor {
        let id = message.get("id").filter(|id| !id.is_null()).map(Value::to_string);
        let method = message.get("method").and_then(Value::as_str).map(str::to_owned);
        let mut needs_crates = false;
        match (&method, id) {
            (None, Some(id)) => {
                if locked(&self.configuration).remove(&id)
                    && let Some(Value::Array(sections)) = message.get_mut("result")
                {
                    sections.iter_mut().for_each(settle);
                }
            }
            (Some(method), id) => {
                needs_crates = LOOKS.contains(&method.as_str()) || names_manifest(&message);
                if let Some(id) = id {
                    locked(&self.asked).insert(id, method.clone());
                }
                if let Some(params) = message.get_mut("params") {
                    match method.as_str() {
                        "initialize" => initialize(params),
                        "workspace/didChangeConfiguration" => changed(params),
                        _ => {}
                    }
                }
            }
            (None, None) => {}
        }
        FromEditor { message, needs_crates }
    }

    /// Judges a message of the server's; `notes` get what did not pass, for people.
    pub fn from_server(&self, message: Value, notes: &mut Vec<String>) -> FromServer {
        let Some(mut message) = of_one_kind(message) else { return FromServer::Dropped };
        let id = message.get("id").filter(|id| !id.is_null()).cloned();
        let method = message.get("method").map(|method| method.as_str().unwrap_or_default().to_owned());
        match (method, id) {
            (Some(method), Some(id)) => match self.request(&method, &id, &mut message, notes) {
                Ok(()) => FromServer::ToEditor(message),
                // Without an answer: to one that it has not asked for, rust-analyzer ends. It waits for none.
                Err(why) => {
                    notes.push(why);
                    FromServer::Dropped
                }
            },
            (Some(method), None) => {
                if !NOTIFICATIONS.contains(&method.as_str()) {
                    notes.push(format!("`{method}` is not passed on"));
                    return FromServer::Dropped;
                }
                match self.params(&method, &mut message, notes) {
                    Ok(()) => FromServer::ToEditor(message),
                    Err(why) => {
                        notes.push(why);
                        FromServer::Dropped
                    }
                }
            }
            (None, Some(id)) => self.answer(&id, message, notes),
            (None, None) => FromServer::Dropped,
        }
    }

    fn request(
        &self,
        method: &str,
        id: &Value,
        message: &mut Value,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        if !REQUESTS.contains(&method) {
            return Err(format!("`{method}` is not passed on"));
        }
        match method {
            "client/registerCapability" => {
                let Judge { root, reads, .. } = &self.judge;
                let places: Vec<&Path> = reads.iter().chain([root]).map(PathBuf::as_path).collect();
                registration::confine(message.get_mut("params").unwrap_or(&mut Value::Null), &places)?;
            }
            "workspace/configuration" => {
                let known = |section: &String| {
                    section.strip_prefix(SECTION).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                let items = message.get("params").and_then(|params| params.get("items"));
                let items = items.and_then(Value::as_array).into_iter().flatten();
                let section = |item: &Value| item.get("section").and_then(Value::as_str).map(str::to_owned);
                let mut sections = items.map(|item| section(item).unwrap_or_default());
                if let Some(other) = sections.find(|section| !known(section)) {
                    return Err(format!(
                        "the section `{other}` of the editor's configuration is not passed on"
                    ));
                }
                let mut waiting = locked(&self.configuration);
                if waiting.len() >= MOST_WAITING {
                    return Err(
                        "too many questions for the editor's configuration are not passed on".to_owned()
                    );
                }
                waiting.insert(id.to_string());
            }
            _ => {}
        }
        self.params(method, message, notes)
    }

    fn params(&self, method: &str, message: &mut Value, notes: &mut Vec<String>) -> Result<(), String> {
        let Some(params) = message.get_mut("params") else { return Ok(()) };
        shown(method, params).into_iter().for_each(without_links);
        self.judge.clean(params, notes).map_err(|uri| elsewhere(&uri))
    }

    fn answer(&self, id: &Value, mut message: Value, notes: &mut Vec<String>) -> FromServer {
        let Some(method) = locked(&self.asked).remove(&id.to_string()) else {
            notes.push("an answer to nothing that was asked is not passed on".to_owned());
            return FromServer::Dropped;
        };
        // Editors show it.
        if let Some(error) = message.get_mut("error").and_then(|error| error.get_mut("message")) {
            without_links(error);
        }
        let Some(result) = message.get_mut("result") else { return FromServer::ToEditor(message) };
        match method.as_str() {
            "experimental/runnables" => Judge::only_runnables(result, notes),
            "experimental/externalDocs" => Judge::only_web_addresses(result, notes),
            "initialize" => {
                // Commands that the editor would make its own.
                if let Some(capabilities) = result.get_mut("capabilities").and_then(Value::as_object_mut) {
                    capabilities.remove("executeCommandProvider");
                }
                let info = result.get_mut("serverInfo").and_then(Value::as_object_mut);
                info.into_iter().flatten().for_each(|(_, text)| without_links(text));
            }
            _ => {}
        }
        match self.judge.clean(result, notes) {
            Ok(()) => FromServer::ToEditor(message),
            Err(uri) => {
                let why = elsewhere(&uri);
                notes.push(why.clone());
                FromServer::ToEditor(failure(id, &why))
            }
        }
    }
}

/// A message of the server's with the members that its kind has and no others: editors differ in which kind they take one for
/// that has those of two.
fn of_one_kind(mut message: Value) -> Option<Value> {
    let object = message.as_object_mut()?;
    let members: &[&str] = if object.contains_key("method") {
        &["id", "jsonrpc", "method", "params"]
    } else if object.get("error").is_some_and(|error| !error.is_null()) {
        &["error", "id", "jsonrpc"]
    } else {
        &["id", "jsonrpc", "result"]
    };
    object.retain(|name, _| members.contains(&name.as_str()));
    if let Some(error) = object.get_mut("error").and_then(Value::as_object_mut) {
        error.retain(|name, _| name == "code" || name == "message");
    }
    Some(message)
}

fn elsewhere(uri: &str) -> String {
    format!("a change of `{uri}`, which is no Rust source of the project, is not passed on")
}

fn failure(id: &Value, why: &str) -> Value {
    let mut message = format!("cargo-sandbox: {why}").into();
    without_links(&mut message);
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": FAILED, "message": message}})
}

/// A thread that panicked ends the program.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> Gateway {
        Gateway::new("/nonexistent-project".into(), Vec::new(), "/t/cargo-sandbox".into())
    }

    fn from_server(gateway: &Gateway, message: Value) -> (FromServer, Vec<String>) {
        let mut notes = Vec::new();
        (gateway.from_server(message, &mut notes), notes)
    }

    #[test]
    fn what_changes_the_machine_is_not_asked() {
        let gateway = gateway();
        let edit = json!({"jsonrpc": "2.0", "id": 7, "method": "workspace/applyEdit",
            "params": {"edit": {"changes": {"file:///home/me/.bashrc": []}}}});
        let (dropped, notes) = from_server(&gateway, edit);
        assert_eq!((dropped, notes.len()), (FromServer::Dropped, 1));
        for (method, params) in [
            ("window/showDocument", json!({"uri": "https://x", "external": true})),
            (
                "client/registerCapability",
                json!({"registrations": [{"id": "1", "method": "workspace/executeCommand"}]}),
            ),
            (
                "workspace/configuration",
                json!({"items": [{"section": "rust-analyzer"}, {"section": "http"}]}),
            ),
            ("workspace/configuration", json!({"items": [{"section": "rust-analyzerx"}]})),
            ("workspace/configuration", json!({"items": [{}]})),
            ("made/up", json!({})),
        ] {
            let message = json!({"id": "a", "method": method, "params": params});
            assert_eq!(from_server(&gateway, message).0, FromServer::Dropped, "{method}");
        }
        assert_eq!(from_server(&gateway, json!({"method": "telemetry/event"})).0, FromServer::Dropped);
        assert_eq!(from_server(&gateway, json!({"method": 1})).0, FromServer::Dropped);
        assert_eq!(from_server(&gateway, json!([1])).0, FromServer::Dropped);
        let link = json!({"method": "window/showMessage", "params": {"message": "[x](command:y)"}});
        let (FromServer::ToEditor(told), _) = from_server(&gateway, link) else { panic!("nothing") };
        assert_eq!(told["params"]["message"], "(x)(command:y)");
        let diagnostics = json!({"method": "textDocument/publishDiagnostics", "params": {"diagnostics": [{"message": "m"}]}});
        assert_eq!(from_server(&gateway, diagnostics.clone()).0, FromServer::ToEditor(diagnostics));
    }

    #[test]
    fn only_what_was_asked_is_answered_and_once() {
        let gateway = gateway();
        let answer = json!({"id": 1, "result": {"contents": "text"}});
        assert_eq!(from_server(&gateway, answer.clone()).0, FromServer::Dropped);
        gateway.from_editor(json!({"id": 1, "method": "textDocument/hover", "params": {}}));
        assert_eq!(from_server(&gateway, answer.clone()).0, FromServer::ToEditor(answer.clone()));
        assert_eq!(from_server(&gateway, answer).0, FromServer::Dropped);
        gateway.from_editor(json!({"id": "r", "method": "textDocument/rename"}));
        let rename = json!({"id": "r", "result": {"changes": {"file:///etc/x.rs": []}}});
        let (FromServer::ToEditor(refused), _) = from_server(&gateway, rename) else { panic!("nothing") };
        assert_eq!(refused["error"]["code"], FAILED);
        gateway.from_editor(json!({"id": 2, "method": "experimental/runnables"}));
        let (FromServer::ToEditor(list), _) =
            from_server(&gateway, json!({"id": 2, "result": [{"program": "sh"}]}))
        else {
            panic!("nothing")
        };
        assert_eq!(list["result"], json!([]));
    }

    #[test]
    fn the_server_is_told_what_holds_inside() {
        let gateway = gateway();
        let initialize = json!({"id": 1, "method": "initialize", "params": {"processId": 4, "initializationOptions": null}});
        let told = gateway.from_editor(initialize).message;
        assert_eq!(told["params"]["processId"], Value::Null);
        assert_eq!(told["params"]["initializationOptions"]["procMacro"], json!({"server": null}));
        let asks = json!({"id": 9, "method": "workspace/configuration", "params": {"items": [{"section": "rust-analyzer"}]}});
        assert!(matches!(from_server(&gateway, asks).0, FromServer::ToEditor(_)));
        let told = gateway.from_editor(json!({"id": 9, "result": [{"cargo": {"targetDir": true}}]})).message;
        assert_eq!(told["result"][0]["cargo"]["targetDir"], Value::Null);
        let other = json!({"id": 10, "result": [{"cargo": {"targetDir": true}}]});
        assert_eq!(gateway.from_editor(other.clone()).message, other);
        let changed = json!({"method": "workspace/didChangeConfiguration", "params": {"settings": {"rust-analyzer": {"cargo": {"targetDir": "x"}}}}});
        let told = gateway.from_editor(changed).message;
        assert_eq!(told["params"]["settings"]["rust-analyzer"]["cargo"]["targetDir"], Value::Null);
    }

    #[test]
    fn a_message_is_of_one_kind() {
        let gateway = gateway();
        gateway.from_editor(json!({"id": 1, "method": "textDocument/rename"}));
        let evil = json!({"changes": {"file:///etc/x.rs": []}});
        let create = "window/workDoneProgress/create";
        for (given, expected) in [
            (
                json!({"id": 1, "method": create, "params": {"token": 1}, "result": evil, "error": evil}),
                json!({"id": 1, "method": create, "params": {"token": 1}}),
            ),
            (
                json!({"id": null, "method": "$/progress", "params": {}, "result": evil}),
                json!({"id": null, "method": "$/progress", "params": {}}),
            ),
            (
                json!({"id": 1, "result": evil, "params": 1, "error": {"code": 1, "message": "m", "data": evil}}),
                json!({"id": 1, "error": {"code": 1, "message": "m"}}),
            ),
        ] {
            assert_eq!(from_server(&gateway, given).0, FromServer::ToEditor(expected));
        }
        for odd in [json!({"id": 1, "method": null, "result": evil}), json!([evil]), json!("x"), json!({})] {
            assert_eq!(from_server(&gateway, odd).0, FromServer::Dropped);
        }
    }

    #[test]
    fn questions_without_end_are_not_kept() {
        let gateway = gateway();
        let asks = |id: usize| {
            let params = json!({"items": [{"section": "rust-analyzer"}]});
            from_server(&gateway, json!({"id": id, "method": "workspace/configuration", "params": params})).0
        };
        assert!((0..MOST_WAITING).all(|id| matches!(asks(id), FromServer::ToEditor(_))));
        assert_eq!(asks(MOST_WAITING), FromServer::Dropped);
        gateway.from_editor(json!({"id": 0, "result": []}));
        assert!(matches!(asks(MOST_WAITING), FromServer::ToEditor(_)));
    }

    #[test]
    fn a_changed_manifest_is_noticed() {
        let gateway = gateway();
        let changed = |message: Value| gateway.from_editor(message).needs_crates;
        let saved =
            |uri: &str| json!({"method": "textDocument/didSave", "params": {"textDocument": {"uri": uri}}});
        assert!(changed(saved("file:///w/Cargo.toml")) && !changed(saved("file:///w/src/main.rs")));
        let watched = json!({"method": "workspace/didChangeWatchedFiles",
            "params": {"changes": [{"uri": "file:///w/x.rs"}, {"uri": "file:///w/Cargo.lock"}]}});
        assert!(changed(watched));
        assert!(changed(json!({"id": 1, "method": "rust-analyzer/reloadWorkspace"})));
        assert!(changed(json!({"method": "initialized", "params": {}})));
        assert!(!changed(json!({"id": 1, "method": "initialize", "params": {}})));
        assert!(!changed(json!({"id": 1, "result": null})));
    }
}
