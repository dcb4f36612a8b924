//! What the server is told of the editor's configuration.
//!
//! Whatever it says, the server obeys inside. A few settings name places that are not there.

use serde_json::{Map, Value, json};

/// The section of the editor's configuration that is rust-analyzer's.
pub const SECTION: &str = "rust-analyzer";

/// Settings that get another value, by their path: where the server lets cargo build, and which program expands
/// macros. Nothing is where it is the job's own directory, and the one of the toolchain.
const DECIDED: &[[&str; 2]] = &[["cargo", "targetDir"], ["procMacro", "server"]];

/// Changes rust-analyzer's settings as the server gets them; nothing, or what is no object, becomes one.
pub fn settle(settings: &mut Value) {
    if !settings.is_object() {
        *settings = json!({});
    }
    for [section, name] in DECIDED {
        let Some(all) = settings.as_object_mut() else { return };
        let section = all.entry(*section).or_insert_with(|| Map::new().into());
        if !section.is_object() {
            *section = json!({});
        }
        if let Some(section) = section.as_object_mut() {
            section.insert((*name).to_owned(), Value::Null);
        }
    }
}

/// The parameters of `initialize`.
pub fn initialize(params: &mut Value) {
    if let Some(params) = params.as_object_mut() {
        // Nothing has this number inside.
        params.insert("processId".to_owned(), Value::Null);
        settle(params.entry("initializationOptions").or_insert(Value::Null));
    }
}

/// Those of `workspace/didChangeConfiguration`: editors send all of the configuration, or the section, or nothing.
pub fn changed(params: &mut Value) {
    let Some(settings) = params.get_mut("settings") else { return };
    if let Some(section) = settings.get_mut(SECTION) {
        settle(section);
    } else if settings.is_object() {
        settle(settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_places_is_decided_and_the_rest_stays() {
        let mut settings =
            json!({"cargo": {"targetDir": "/x", "features": ["a"]}, "check": {"command": "clippy"}});
        settle(&mut settings);
        assert_eq!(
            settings,
            json!({
                "cargo": {"targetDir": null, "features": ["a"]},
                "check": {"command": "clippy"},
                "procMacro": {"server": null},
            })
        );
        let mut none = Value::Null;
        settle(&mut none);
        assert_eq!(none["procMacro"], json!({"server": null}));
    }
}
