//! What a repository asks for, in words.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::broker::directives::visible;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is, from 1.
    pub line: Option<usize>,
    /// The key.
    pub key: String,
    /// The value; none where the file itself is in question, or lies where its content is nobody's business.
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
