//! What a repository asks for, in words.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::broker::escapes::visible;

/// A file of the repository's, and what in it needs trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The file.
    pub file: PathBuf,
    /// All of it, as it was read when it was judged.
    pub text: String,
    /// What needs trust, in the order of the file.
    pub items: Vec<Item>,
}

/// One thing that needs trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Where it is, from 1.
    pub line: Option<usize>,
    /// The key.
    pub key: String,
    /// The value; none where the file itself is in question, or the value is nobody's business.
    pub value: Option<String>,
    /// What trust lets happen.
    pub effect: String,
}

impl Item {
    /// The item in its file, on two lines. What a terminal would obey is made visible.
    pub fn show<'a>(&'a self, file: &'a Path) -> impl fmt::Display + 'a {
        ShownItem { item: self, file }
    }
}

/// Whether a key is for a token. CI writes such files, and its logs have readers.
pub fn is_secret(key: &str) -> bool {
    ["token", "secret-key"].contains(&key)
}

/// A line of a configuration file, without a token that may be in it.
pub fn show_line(line: &str) -> String {
    let key = line.split('=').next().unwrap_or_default();
    let last = key.rsplit('.').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    if is_secret(last) || line.contains("token") && line.contains('{') {
        return format!("{}= \u{2026}", visible(key));
    }
    visible(line)
}

struct ShownItem<'a> {
    item: &'a Item,
    file: &'a Path,
}

impl fmt::Display for ShownItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, file } = self;
        write!(f, "{}", visible(&file.display().to_string()))?;
        if let Some(line) = item.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", visible(&item.key))?;
        if let Some(value) = &item.value {
            write!(f, " = {}", visible(value))?;
        }
        write!(f, "\n    {}", visible(&item.effect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_no_token() {
        assert_eq!(show_line("token = \"x\""), "token = \u{2026}");
        assert_eq!(show_line("registries.a.\"token\"=\"x\""), "registries.a.\"token\"= \u{2026}");
        assert_eq!(show_line("a = { index = 'y', token = 'x' }"), "a = \u{2026}");
        assert_eq!(show_line("proxy = 'token'"), "proxy = 'token'");
    }

    #[test]
    fn an_item_says_where_what_and_what_for_and_moves_no_cursor() {
        let item = Item {
            line: Some(3),
            key: "http.proxy".into(),
            value: Some("\"a\u{1b}[2Kb\u{202e}\"".into()),
            effect: "downloads go there".into(),
        };
        assert_eq!(
            item.show("/p/config.toml".as_ref()).to_string(),
            "/p/config.toml:3: http.proxy = \"a\\x1b[2Kb\\u{202e}\"\n    downloads go there"
        );
    }
}
