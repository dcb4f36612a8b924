//! What a compiler says to cargo, line by line, before cargo hears it.
//!
//! Macros run in the compiler's own process and write to its output what they like. cargo passes on its standard
//! output as it is, also in the midst of `--message-format json`, where tools start the programs that cargo names
//! (a test runner) or rewrite files as the compiler suggests (`cargo fix`, editors). On standard error, cargo takes
//! each line that is JSON for the compiler's and prints all others to the user's terminal.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::directives::{Objection, Verdict};
use super::escapes::{Keep, made_visible};
use super::session::normalized;

/// Judges a line of a compiler's standard output: cargo's own messages are cargo's to write.
pub fn printed(line: &[u8]) -> Verdict {
    match object(line) {
        Object::Is(message) if message.get("reason").is_some() => {
            let reason = message.get("reason").and_then(Value::as_str).unwrap_or("?");
            Verdict::Refuse(Objection::Message(reason.chars().take(40).collect()))
        }
        Object::TooDeep => Verdict::Refuse(Objection::Message("?".to_owned())),
        _ => Verdict::Pass,
    }
}

/// What a compiler may suggest to change.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Where it runs, which paths are relative to.
    pub cwd: PathBuf,
    /// What it may read.
    pub readable: Vec<PathBuf>,
}

impl Sources {
    /// Judges a line of a compiler's standard error.
    pub fn said(&self, line: &[u8]) -> Verdict {
        match object(line) {
            Object::Is(mut message) => {
                if let Some(file) = self.foreign_suggestion(&message) {
                    return Verdict::Refuse(Objection::Suggestion(file));
                }
                let rendered = message.get("rendered").and_then(Value::as_str);
                match rendered.and_then(|text| made_visible(text.as_bytes(), Keep::Colours)) {
                    None => Verdict::Pass,
                    Some(visible) => {
                        message["rendered"] = String::from_utf8_lossy(&visible).into();
                        Verdict::Replace(message.to_string().into_bytes())
                    }
                }
            }
            Object::TooDeep => Verdict::Refuse(Objection::Message("?".to_owned())),
            Object::Not => match made_visible(line, Keep::Colours) {
                None => Verdict::Pass,
                // What was no message may have become one.
                Some(visible) => match self.said(&visible) {
                    Verdict::Pass => Verdict::Replace(visible),
                    judged => judged,
                },
            },
        }
    }

    /// A file that a diagnostic suggests to change and that the compiler cannot have read.
    fn foreign_suggestion(&self, diagnostic: &Value) -> Option<PathBuf> {
        let list = |key: &str| diagnostic.get(key).and_then(Value::as_array).into_iter().flatten();
        let suggests = |span: &&Value| span.get("suggested_replacement").is_some_and(|text| !text.is_null());
        let mut files =
            list("spans").filter(suggests).filter_map(|span| span.get("file_name").and_then(Value::as_str));
        files
            .find_map(|file| self.is_foreign(Path::new(file)))
            .or_else(|| list("children").find_map(|child| self.foreign_suggestion(child)))
    }

    fn is_foreign(&self, file: &Path) -> Option<PathBuf> {
        let path = normalized(&self.cwd.join(file)).unwrap_or_else(|| file.to_owned());
        let known = self.readable.iter().any(|readable| path.starts_with(readable));
        // Names that stand for no file, such as those of the standard library's sources, can change none.
        (!known && path.symlink_metadata().is_ok()).then_some(path)
    }
}

/// A line as those understand it who take it for a message.
enum Object {
    Is(Value),
    /// Some readers know no limit, others one that differs from ours.
    TooDeep,
    Not,
}

fn object(line: &[u8]) -> Object {
    if !line.trim_ascii_start().starts_with(b"{") {
        return Object::Not;
    }
    match serde_json::from_slice(line) {
        Ok(value) => Object::Is(value),
        Err(error) if error.to_string().contains("recursion limit") => Object::TooDeep,
        Err(_) => Object::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Refuse(_))
    }

    #[test]
    fn cargos_messages_are_cargos_to_print() {
        for line in [
            r#"{"reason":"compiler-artifact","executable":"/bin/evil"}"#,
            r#"  {"x":1,"reason":"build-finished"}"#,
            r#"{"\u0072eason":"compiler-artifact"}"#,
            r#"{"reason":1}"#,
        ] {
            assert!(refused(printed(line.as_bytes())), "{line}");
        }
        let deep =
            format!("{{\"reason\":\"compiler-artifact\",\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(refused(printed(deep.as_bytes())));
        for line in ["", "text", "{", "{}", r#"{"no":"reason"}"#, r#"["reason"]"#, r#"{"reason":"cut"#] {
            assert_eq!(printed(line.as_bytes()), Verdict::Pass, "{line}");
        }
    }

    fn sources() -> Sources {
        Sources { cwd: "/w".into(), readable: vec!["/w".into()] }
    }

    fn suggestion(file: &str) -> String {
        let span = format!(r#"{{"file_name":"{file}","suggested_replacement":"x"}}"#);
        format!(
            r#"{{"$message_type":"diagnostic","rendered":"r","spans":[],"children":[{{"spans":[{span}],"children":[]}}]}}"#
        )
    }

    #[test]
    fn suggestions_stay_in_what_the_compiler_reads() {
        for file in ["src/lib.rs", "/w/src/lib.rs", "/rustc/abc/library/core/src/lib.rs", "<anon>"] {
            assert_eq!(sources().said(suggestion(file).as_bytes()), Verdict::Pass, "{file}");
        }
        for file in ["/etc/passwd", "../etc/passwd", "src/../../etc/passwd"] {
            assert!(refused(sources().said(suggestion(file).as_bytes())), "{file}");
        }
        // A span without a suggestion shows a place and changes nothing.
        let span = suggestion("/etc/passwd").replace("\"x\"", "null");
        assert_eq!(sources().said(span.as_bytes()), Verdict::Pass);
    }

    #[test]
    fn neither_text_nor_diagnostics_move_the_cursor() {
        assert_eq!(sources().said(b"\x1b[2Jx"), Verdict::Replace(b"\\x1b[2Jx".to_vec()));
        assert_eq!(sources().said(b"\x1b[31mred\x1b[0m"), Verdict::Pass);
        // A control character in a string is no JSON; what stands for it is.
        let forged = suggestion("/etc/passwd").replace("diagnostic", "\\\0diagnostic");
        assert!(refused(sources().said(forged.as_bytes())));
        let rendered = |text: &str| format!(r#"{{"$message_type":"diagnostic","rendered":"{text}"}}"#);
        assert_eq!(sources().said(rendered(r"\u001b[1mbold\u001b[0m\n").as_bytes()), Verdict::Pass);
        let Verdict::Replace(line) = sources().said(rendered(r"\u001b]0;x\u0007").as_bytes()) else {
            panic!("passed")
        };
        let message: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(message["rendered"], "\\x1b]0;x\\x07");
    }
}
