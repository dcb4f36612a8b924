//! What of a message of the server's passes: whatever lies in it that an editor acts on is found by its form, wherever
//! it is.

use std::path::Path;

use serde_json::Value;

use super::markup::{is_web, without_links, without_pictures};
use super::{edit, runnable};

/// Commands of the editor that a message may name. Any other could type into a terminal, install an extension, or send
/// a file away.
const COMMANDS: &[&str] = &[
    "rust-analyzer.gotoLocation",
    "rust-analyzer.rename",
    "rust-analyzer.showReferences",
    "rust-analyzer.triggerParameterHints",
];

/// Those whose argument is a program to start.
const STARTING: &[&str] = &["rust-analyzer.debugSingle", "rust-analyzer.runSingle"];

/// What is needed to judge.
#[derive(Debug, Clone)]
pub struct Judge {
    /// The project's canonical root.
    pub root: std::path::PathBuf,
    /// Directories beside it that the server reads as if they were the project's.
    pub reads: Vec<std::path::PathBuf>,
    /// This program's path.
    pub tool: String,
}

/// What became of a part.
enum Part {
    Stays,
    /// It is taken out.
    Goes,
}

impl Judge {
    /// Takes out of a message, or a part of one, what must not be acted on; each with a note for people.
    ///
    /// # Errors
    /// When it changes files that it must not: then nothing of it passes.
    pub fn clean(&self, value: &mut Value, notes: &mut Vec<String>) -> Result<(), String> {
        match self.part(value, notes)? {
            Part::Stays => {}
            Part::Goes => *value = Value::Null,
        }
        Ok(())
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn part(&self, value: &mut Value, notes: &mut Vec<String>) -> Result<Part, String> {
        match value {
            Value::Array(all) => {
                let mut kept = Vec::with_capacity(all.len());
                for mut one in std::mem::take(all) {
                    if matches!(self.part(&mut one, notes)?, Part::Stays) {
                        kept.push(one);
                    }
                }
                *all = kept;
                Ok(Part::Stays)
            }
            Value::Object(_) => self.object(value, notes),
            _ => Ok(Part::Stays),
        }
    }

    fn object(&self, value: &mut Value, notes: &mut Vec<String>) -> Result<Part, String> {
        if value.get("changes").is_some() || value.get("documentChanges").is_some() {
            edit::check(value, self.root())?;
        }
        let Some(object) = value.as_object_mut() else { return Ok(Part::Stays) };
        if runnable::is_one(object)
            && let Err(why) = runnable::confine(object, self.root(), &self.tool)
        {
            notes.push(format!("a program to start was left out: {why}"));
            return Ok(Part::Goes);
        }
        if let Some(Value::String(command)) = object.get("command") {
            let starts = STARTING.contains(&command.as_str());
            let one = |arguments: &Value| match arguments.as_array().map(Vec::as_slice) {
                Some([one]) => one.as_object().is_some_and(runnable::is_one),
                _ => false,
            };
            // What has another form is taken for a program of a shell's.
            let starts = starts && object.get("arguments").is_some_and(one);
            if !starts && !COMMANDS.contains(&command.as_str()) {
                notes.push(format!("the editor's command `{command}` was left out"));
                return Ok(Part::Goes);
            }
        }
        if object
            .get("runnable")
            .is_some_and(|given| !given.is_null() && !given.as_object().is_some_and(runnable::is_one))
        {
            notes.push("a program to start was left out: it has no known form".to_owned());
            return Ok(Part::Goes);
        }
        let elsewhere = |address: &Value| address.is_string() && !is_web(address);
        // Where an error's number leads to: without it, it is just a number.
        if object.get("href").is_some_and(elsewhere) {
            notes.push("an address that is not of the web was left out".to_owned());
            return Ok(Part::Goes);
        }
        // A link of a document's.
        if object.contains_key("range") && object.get("target").is_some_and(elsewhere) {
            object.remove("target");
        }
        without_pictures(object);
        if object.contains_key("commands") || object.get("command").is_some_and(Value::is_string) {
            for name in ["title", "tooltip"] {
                object.get_mut(name).into_iter().for_each(without_links);
            }
        }
        let mut gone = Vec::new();
        let starts = object.contains_key("command") && object.contains_key("arguments");
        for (name, part) in object.iter_mut() {
            let before = part.as_array().map(Vec::len);
            if matches!(self.part(part, notes)?, Part::Goes) {
                gone.push(name.clone());
            }
            // A command without what it was to start.
            if starts && name == "arguments" && part.as_array().map(Vec::len) != before {
                return Ok(Part::Goes);
            }
        }
        for name in gone {
            object.remove(&name);
        }
        Ok(Part::Stays)
    }

    /// A list of programs to start: what has another form does not pass.
    pub fn only_runnables(list: &mut Value, notes: &mut Vec<String>) {
        if let Some(all) = list.as_array_mut() {
            let before = all.len();
            all.retain(|one| one.as_object().is_some_and(runnable::is_one));
            if all.len() < before {
                notes.push("a program to start was left out: it has no known form".to_owned());
            }
        } else {
            *list = Value::Array(Vec::new());
        }
    }

    /// Addresses of documentation, which the editor opens in a browser.
    pub fn only_web_addresses(result: &mut Value, notes: &mut Vec<String>) {
        let web = |value: &Value| value.is_null() || is_web(value);
        match result {
            // Of two the local one is in a directory that jobs write.
            Value::Object(both) => both.retain(|_, value| web(value)),
            one if web(one) => {}
            other => {
                notes.push("an address that is not of the web was left out".to_owned());
                *other = Value::Null;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn clean(root: &Path, value: Value) -> (Result<Value, String>, Vec<String>) {
        let judge = Judge { root: root.to_owned(), reads: Vec::new(), tool: "/t/cargo-sandbox".into() };
        let mut notes = Vec::new();
        let mut value = value;
        let result = judge.clean(&mut value, &mut notes);
        (result.map(|()| value), notes)
    }

    fn runnable(root: &Path) -> Value {
        json!({"label": "x", "kind": "cargo", "args": {"cwd": root, "cargoArgs": ["run"], "executableArgs": []}})
    }

    #[test]
    fn commands_of_the_editor_are_those_that_are_known() {
        let root = tempfile::tempdir().unwrap().path().canonicalize().unwrap();
        std::fs::create_dir_all(&root).unwrap();
        let lens = |command: &str, arguments: Value| json!({"range": {}, "command": {"title": "t", "command": command, "arguments": arguments}});
        let shell = json!({"kind": "shell", "args": {"program": "sh", "args": [], "cwd": root}});
        let lenses = json!([
            lens("rust-analyzer.runSingle", json!([runnable(&root)])),
            lens("rust-analyzer.showReferences", json!(["file:///x", {}, []])),
            lens("rust-analyzer.runSingle", json!([shell])),
            lens("rust-analyzer.runSingle", json!([{"args": {"program": "sh"}}])),
            lens("rust-analyzer.debugSingle", json!([])),
            lens("workbench.action.terminal.sendSequence", json!([{"text": "x"}])),
        ]);
        let (cleaned, notes) = clean(&root, lenses);
        let cleaned = cleaned.unwrap();
        let of: Vec<bool> =
            cleaned.as_array().unwrap().iter().map(|lens| lens.get("command").is_some()).collect();
        assert_eq!(of, [true, true, false, false, false, false], "{notes:?}");
        let args = &cleaned[0]["command"]["arguments"][0]["args"];
        assert_eq!(args["overrideCargo"], "/t/cargo-sandbox");
        // At the top, and in a list.
        let bare = json!({"title": "t", "command": "x.y"});
        assert_eq!(clean(&root, bare.clone()).0.unwrap(), Value::Null);
        assert_eq!(clean(&root, json!([{"commands": [bare]}])).0.unwrap(), json!([{"commands": []}]));
    }

    #[test]
    fn links_lead_to_the_web_only() {
        let root = Path::new("/nonexistent-project");
        let given = json!([
            {"message": "[a](b)", "codeDescription": {"href": "command:x"}},
            {"codeDescription": {"href": "https://doc.rust-lang.org"}},
            {"range": {}, "target": "command:x"},
            {"title": "[a](command:x)", "commands": [{"title": "[a](command:x)", "tooltip": "<x>", "command": "rust-analyzer.rename"}]},
        ]);
        let expected = json!([
            {"message": "[a](b)"},
            {"codeDescription": {"href": "https://doc.rust-lang.org"}},
            {"range": {}},
            {"title": "(a)(command:x)", "commands": [{"title": "(a)(command:x)", "tooltip": "\u{2039}x>", "command": "rust-analyzer.rename"}]},
        ]);
        assert_eq!(clean(root, given).0.unwrap(), expected);
    }

    #[test]
    fn a_change_of_another_file_stops_all_of_it() {
        let root = Path::new("/nonexistent-project");
        let action = json!([{"title": "t", "edit": {"changes": {"file:///etc/passwd": []}}}]);
        assert!(clean(root, action).0.unwrap_err().contains("/etc/passwd"));
        let other = json!({"deep": [{"documentChanges": [{"kind": "create", "uri": "file:///x.rs"}]}]});
        assert!(clean(root, other).0.is_err());
    }

    #[test]
    fn programs_of_unknown_form_do_not_pass() {
        let root = std::env::temp_dir().canonicalize().unwrap();
        let test =
            json!({"tests": [{"id": "a", "runnable": {"program": "sh"}}, {"id": "b", "runnable": null}]});
        assert_eq!(clean(&root, test).0.unwrap(), json!({"tests": [{"id": "b", "runnable": null}]}));
        let mut list = json!([runnable(&root), {"program": "sh"}, 1]);
        let mut notes = Vec::new();
        Judge::only_runnables(&mut list, &mut notes);
        assert_eq!((list.as_array().unwrap().len(), notes.len()), (1, 1));
        for (given, expected) in [
            (json!("https://docs.rs/x"), json!("https://docs.rs/x")),
            (json!("file:///x"), Value::Null),
            (json!({"web": "https://x", "local": "file:///x"}), json!({"web": "https://x"})),
        ] {
            let mut result = given;
            Judge::only_web_addresses(&mut result, &mut notes);
            assert_eq!(result, expected);
        }
    }
}
