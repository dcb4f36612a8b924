//! What the server may have the editor tell it: of documents, and of files that change.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::broker::session::normalized;

use super::edit::local;

/// What it may register for, as beginnings of methods.
const KNOWN: &[&str] = &["textDocument/did", "workspace/didChangeConfiguration"];

/// Files that change.
const WATCHED: &str = "workspace/didChangeWatchedFiles";

/// Leaves of a registration what is about files in `places`: an editor that has to watch a whole disk does nothing else.
///
/// # Errors
/// When it is for something else.
pub fn confine(params: &mut Value, places: &[&Path]) -> Result<(), String> {
    let all = params.get_mut("registrations").and_then(Value::as_array_mut);
    let Some(all) = all else { return Err("a registration for nothing is not passed on".to_owned()) };
    for one in all {
        let method = one.get("method").and_then(Value::as_str).unwrap_or_default();
        if method == WATCHED {
            let watchers = one.get_mut("registerOptions").and_then(|options| options.get_mut("watchers"));
            let Some(Value::Array(watchers)) = watchers else {
                return Err("a registration for files that are not named is not passed on".to_owned());
            };
            watchers.retain(|watcher| {
                let place = watcher.get("globPattern").and_then(place);
                place.is_some_and(|place| places.iter().any(|known| place.starts_with(known)))
            });
        } else if !KNOWN.iter().any(|known| method.starts_with(known)) {
            return Err(format!("a registration for `{method}` is not passed on"));
        }
    }
    Ok(())
}

/// The directory that all files of a pattern are below, or the file.
fn place(pattern: &Value) -> Option<PathBuf> {
    if let Some(pattern) = pattern.as_str() {
        let plain = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
        return normalized(Path::new(&pattern[..plain]));
    }
    let below = pattern.get("pattern").and_then(Value::as_str)?;
    let base = pattern.get("baseUri")?;
    let uri = base.get("uri").unwrap_or(base).as_str()?;
    // What leads out again.
    (!below.contains("..")).then(|| local(uri))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_of_the_project_are_watched_and_no_others() {
        let watcher = |pattern: Value| json!({ "globPattern": pattern });
        let relative = |base: Value, pattern: &str| watcher(json!({"baseUri": base, "pattern": pattern}));
        let inside = [
            watcher(json!("/w/app/**/*.rs")),
            watcher(json!("/w/app/Cargo.toml")),
            relative(json!("file:///w/app/part"), "**/*.rs"),
            relative(json!({"uri": "file:///w/shared", "name": "x"}), "*"),
        ];
        let outside = [
            watcher(json!("/**/*")),
            watcher(json!("**/*")),
            watcher(json!("/w/app/../**")),
            watcher(json!("/w/{app,other}/**")),
            watcher(json!("/w/application/x")),
            relative(json!("file:///"), "**"),
            relative(json!("file:///w/app"), "../**"),
            watcher(json!(1)),
            json!({}),
        ];
        let places = [Path::new("/w/app"), Path::new("/w/shared")];
        let all = [inside.as_slice(), &outside].concat();
        let mut params = json!({"registrations": [
            {"id": "1", "method": WATCHED, "registerOptions": {"watchers": all}},
            {"id": "2", "method": "textDocument/didSave"},
        ]});
        confine(&mut params, &places).unwrap();
        assert_eq!(params["registrations"][0]["registerOptions"]["watchers"], json!(inside));
    }

    #[test]
    fn nothing_else_is_registered_for() {
        for one in [
            json!({"id": "x", "method": "workspace/executeCommand"}),
            json!({"id": "x", "method": WATCHED}),
            json!({"id": "x"}),
        ] {
            assert!(confine(&mut json!({"registrations": [one.clone()]}), &[]).is_err(), "{one}");
        }
        assert!(confine(&mut json!({}), &[]).is_err());
    }
}
