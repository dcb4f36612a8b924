//! What the server is told of the editor's configuration.
//!
//! Whatever it says, the server obeys inside. A few settings name places that are not there.

use serde_json::{Map, Value, json};

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
