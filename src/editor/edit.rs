//! A change of files that the server proposes, which the editor makes on this machine.
//!
//! As with `fix`: Rust sources of the project, by their real places, and nothing else. A macro may have proposed it.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use url::Url;

/// Whether all of a `WorkspaceEdit` may be made; the first place that may not be changed.
pub fn check(edit: &Value, root: &Path) -> Result<(), String> {
    let given = |name: &str| edit.get(name).filter(|changes| !changes.is_null());
    let by_uri = given("changes").map(|changes| changes.as_object().ok_or("no changes by their files"));
    for uri in by_uri.transpose()?.into_iter().flat_map(serde_json::Map::keys) {
        source(uri, root)?;
    }
    let changes = given("documentChanges").map(|changes| match changes.as_array() {
        Some(changes) => Ok(changes.as_slice()),
        None => Err("no list of changes".to_owned()),
    });
    for change in changes.transpose()?.unwrap_or_default() {
        let uri = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or_default();
        match change.get("kind").map(|kind| kind.as_str().unwrap_or_default()) {
            None => {
                let document = change.get("textDocument").and_then(|document| document.get("uri"));
                source(document.and_then(Value::as_str).unwrap_or_default(), root)?;
            }
            Some("create") => source(uri("uri"), root)?,
            Some("rename") => {
                // A module's directory is renamed with it.
                let (old, new) = (uri("oldUri"), uri("newUri"));
                if place(old, root)?.is_dir() {
                    place(new, root)?;
                } else {
                    source(old, root)?;
                    source(new, root)?;
                }
            }
            Some(_) => return Err(uri("uri").to_owned()),
        }
    }
    Ok(())
}

/// A Rust source of the project.
fn source(uri: &str, root: &Path) -> Result<(), String> {
    match place(uri, root)?.extension() {
        Some(extension) if extension == "rs" => Ok(()),
        _ => Err(uri.to_owned()),
    }
}

/// A place in the project, none of whose parts is hidden (`.git`, `.cargo`, `.vscode`), and to which no link leads.
fn place(uri: &str, root: &Path) -> Result<PathBuf, String> {
    let path = local(uri).ok_or_else(|| uri.to_owned())?;
    let Ok(below) = path.strip_prefix(root) else { return Err(uri.to_owned()) };
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    };
    if below.as_os_str().is_empty() || !below.components().all(plain) {
        return Err(uri.to_owned());
    }
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    match there.map(|there| (there, there.canonicalize())) {
        Some((there, Ok(real))) if there == real => Ok(path),
        _ => Err(uri.to_owned()),
    }
}

/// The path that a `file:` URI names.
pub fn local(uri: &str) -> Option<PathBuf> {
    let url = Url::parse(uri).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn project() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("root");
        for path in ["src/module", ".git/hooks", "../outside"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["src/main.rs", "Cargo.toml", "../outside/lib.rs"] {
            fs::write(root.join(path), "").unwrap();
        }
        symlink("../outside", root.join("link")).unwrap();
        symlink("../../outside/lib.rs", root.join("src/link.rs")).unwrap();
        (directory, root)
    }

    fn uri(root: &Path, path: &str) -> String {
        format!("file://{}/{path}", root.display())
    }

    #[test]
    fn sources_of_the_project_may_be_changed_and_made() {
        let (_directory, root) = project();
        let of = |path: &str| uri(&root, path);
        let changes = json!([
            {"textDocument": {"uri": of("src/main.rs"), "version": 1}, "edits": []},
            {"kind": "create", "uri": of("src/new/name%20x.rs")},
            {"kind": "rename", "oldUri": of("src/main.rs"), "newUri": of("src/other.rs")},
            {"kind": "rename", "oldUri": of("src/module"), "newUri": of("src/renamed")},
        ]);
        assert_eq!(check(&json!({"documentChanges": changes}), &root), Ok(()));
        let by_uri = json!({"changes": {of("src/main.rs"): []}, "documentChanges": null});
        assert_eq!(check(&by_uri, &root), Ok(()));
    }

    #[test]
    fn nothing_else_is() {
        let (_directory, root) = project();
        for path in [
            "Cargo.toml",
            ".git/hooks/x.rs",
            "%2egit/hooks/x.rs",
            "../outside/lib.rs",
            "src/../../outside/lib.rs",
            "%2e%2e/outside/lib.rs",
            "link/lib.rs",
            "link/new.rs",
            "src/link.rs",
            "src",
            "",
        ] {
            let uri = uri(&root, path);
            assert!(check(&json!({"changes": {uri.clone(): []}}), &root).is_err(), "{path}");
            let edit = json!({"documentChanges": [{"textDocument": {"uri": uri}, "edits": []}]});
            assert!(check(&edit, &root).is_err(), "{path}");
        }
        let inside = uri(&root, "src/main.rs");
        for change in [
            json!({"kind": "delete", "uri": inside}),
            json!({"kind": "create", "uri": uri(&root, "x.sh")}),
            json!({"kind": "rename", "oldUri": inside, "newUri": uri(&root, "x.sh")}),
            json!({"kind": "rename", "oldUri": uri(&root, "src/module"), "newUri": uri(&root, ".git/x")}),
            json!({"kind": "rename", "oldUri": uri(&root, "../outside"), "newUri": uri(&root, "src/x")}),
            json!({"kind": 1, "uri": inside}),
            json!({}),
            json!("x"),
        ] {
            assert!(check(&json!({"documentChanges": [change]}), &root).is_err(), "{change}");
        }
        for uri in ["untitled:x.rs", "/x.rs", "https://x/y.rs", "file://host/x.rs"] {
            assert!(check(&json!({"changes": {uri: []}}), &root).is_err(), "{uri}");
        }
        assert!(check(&json!({"documentChanges": {}}), &root).is_err());
        assert!(check(&json!({"changes": ["file:///x.rs"]}), &root).is_err());
    }
}
