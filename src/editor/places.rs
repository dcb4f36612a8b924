//! What messages of the editor's say of files and directories.

use std::path::Path;

use serde_json::Value;

use super::edit::local;

/// Files by which it is decided what a project consists of.
const MANIFESTS: &[&str] = &["Cargo.toml", "Cargo.lock"];

/// Whether a message says that a manifest or the lock file was written.
pub fn names_manifest(message: &Value) -> bool {
    let Some(params) = message.get("params") else { return false };
    let is_manifest = |uri: Option<&Value>| {
        let path = uri.and_then(Value::as_str).and_then(local);
        let name = path.as_deref().and_then(Path::file_name);
        name.is_some_and(|name| MANIFESTS.iter().any(|manifest| name == *manifest))
    };
    match message.get("method").and_then(Value::as_str) {
        Some("textDocument/didSave") => {
            is_manifest(params.get("textDocument").and_then(|document| document.get("uri")))
        }
        Some("workspace/didChangeWatchedFiles") => {
            let changes = params.get("changes").and_then(Value::as_array).into_iter().flatten();
            changes.into_iter().any(|change| is_manifest(change.get("uri")))
        }
        _ => false,
    }
}

/// Directories that the editor has opened and the server does not see, since they are not in the project.
pub fn unseen(message: &Value, root: &Path) -> Vec<String> {
    if message.get("method").and_then(Value::as_str) != Some("initialize") {
        return Vec::new();
    }
    let params = &message["params"];
    let folders = params["workspaceFolders"].as_array().into_iter().flatten().map(|folder| &folder["uri"]);
    let mut all: Vec<&str> = folders.filter_map(Value::as_str).collect();
    if all.is_empty() {
        all.extend(params["rootUri"].as_str());
    }
    // Their parents may have been opened; the server finds the project below.
    let seen = |uri: &&str| local(uri).is_some_and(|path| path.starts_with(root) || root.starts_with(path));
    all.into_iter().filter(|uri| !seen(uri)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_opened_and_not_seen_is_named() {
        let root = Path::new("/w/app");
        let of = |uris: &[&str]| {
            let folders: Vec<Value> = uris.iter().map(|uri| json!({"uri": uri, "name": "x"})).collect();
            unseen(&json!({"method": "initialize", "params": {"workspaceFolders": folders}}), root)
        };
        assert!(of(&["file:///w/app", "file:///w/app/sub", "file:///w"]).is_empty());
        assert_eq!(of(&["file:///w/app", "file:///link/app"]), ["file:///link/app"]);
        let by_root = json!({"method": "initialize", "params": {"rootUri": "file:///other"}});
        assert_eq!(unseen(&by_root, root), ["file:///other"]);
    }
}
