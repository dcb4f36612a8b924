//! Words in which an editor finds links and pictures.
//!
//! VS Code obeys `[text](command:name?arguments)` in a notification, in the tooltip of a server's state, and in the titles of
//! actions: any command of the editor's, with any arguments, on a click.

use serde_json::{Map, Value};

/// Makes text in which no link can be.
pub fn without_links(text: &mut Value) {
    if let Value::String(text) = text
        && text.contains(['[', ']', '<'])
    {
        *text = text.replace('[', "(").replace(']', ")").replace('<', "\u{2039}");
    }
}

/// Members that hold Markdown: of what is shown beside the pointer, and of documentation.
const MARKDOWN: &[&str] = &["contents", "documentation", "tooltip", "value"];

/// Tags of what a page loads by itself.
const LOADING: &[&str] =
    &["audio", "embed", "iframe", "image", "img", "object", "picture", "source", "track", "video"];

/// Takes pictures out of the Markdown in an object. An editor loads them as soon as it shows the text, and their address can
/// carry whatever a macro has read.
pub fn without_pictures(object: &mut Map<String, Value>) {
    for name in MARKDOWN {
        match object.get_mut(*name) {
            Some(Value::String(text)) => without_picture(text),
            Some(Value::Array(all)) => {
                for one in all {
                    if let Value::String(text) = one {
                        without_picture(text);
                    }
                }
            }
            _ => {}
        }
    }
}

fn without_picture(text: &mut String) {
    // What is left of a picture is a link; what of code (`vec![]`) it is as good as before.
    if text.contains("![") && text.contains("//") {
        *text = text.replace("![", "! [");
    }
    let lower = text.to_ascii_lowercase();
    if !lower.contains("src") {
        return;
    }
    let opens = |at: &usize| LOADING.iter().any(|tag| lower[at + 1..].starts_with(tag));
    let tags: Vec<usize> = lower.match_indices('<').map(|(at, _)| at).filter(opens).collect();
    for at in tags.into_iter().rev() {
        text.replace_range(at..=at, "\u{2039}");
    }
}

/// What people are shown of a message that is not a document's: by the method, and where it is below `params`.
pub fn shown<'a>(method: &str, params: &'a mut Value) -> Vec<&'a mut Value> {
    let places: &[&str] = match method {
        "window/showMessage" | "window/showMessageRequest" | "experimental/serverStatus" => &["message"],
        "$/progress" => &["title", "message"],
        _ => return Vec::new(),
    };
    let object = if method == "$/progress" { params.get_mut("value") } else { Some(params) };
    let members = object.and_then(Value::as_object_mut).into_iter().flatten();
    members.filter(|(name, _)| places.contains(&name.as_str())).map(|(_, text)| text).collect()
}

/// Whether an address may be opened on a click: `command:` and `file:` are addresses as well.
pub fn is_web(address: &Value) -> bool {
    address.as_str().is_some_and(|address| address.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_picture_is_loaded() {
        let without = |given: Value| {
            let mut object = given.as_object().unwrap().clone();
            without_pictures(&mut object);
            Value::Object(object)
        };
        let given = json!({
            "value": "a ![x](https://e/?secret) <IMG\nsrc='//e'>",
            "contents": ["![x][y]\n\n[y]: //e", {"value": "x"}],
            "newText": "![x](https://e) <img src=x>",
        });
        let expected = json!({
            "value": "a ! [x](https://e/?secret) \u{2039}IMG\nsrc='//e'>",
            "contents": ["! [x][y]\n\n[y]: //e", {"value": "x"}],
            "newText": "![x](https://e) <img src=x>",
        });
        assert_eq!(without(given), expected);
        let code = json!({"value": "```rust\n#![no_std] vec![0] Vec<Source>\n```", "documentation": null});
        assert_eq!(without(code.clone()), code);
    }

    #[test]
    fn no_link_is_left_in_what_people_are_shown() {
        for (method, mut params) in [
            ("window/showMessage", json!({"type": 1, "message": "[a](command:x)"})),
            ("experimental/serverStatus", json!({"health": "ok", "message": "[a](command:x)"})),
            ("$/progress", json!({"value": {"kind": "report", "message": "[a](command:x)"}})),
        ] {
            shown(method, &mut params).into_iter().for_each(without_links);
            assert!(params.to_string().contains("(a)(command:x)"), "{params}");
        }
        let mut text = json!("[x]: command:y\n<command:z> Vec<T>");
        without_links(&mut text);
        assert_eq!(text, "(x): command:y\n\u{2039}command:z> Vec\u{2039}T>");
        let mut diagnostics = json!({"message": "expected `[u8]`"});
        assert!(shown("textDocument/publishDiagnostics", &mut diagnostics).is_empty());
        assert!(is_web(&json!("https://doc.rust-lang.org")));
        for address in [json!("command:x"), json!("file:///x"), json!("http://x"), json!(1)] {
            assert!(!is_web(&address));
        }
    }
}
