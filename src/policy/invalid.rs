//! What is wrong in a file, and where: every mistake is named with its line, its column and what may have been meant.

use super::nearest;

/// A mistake in a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong there, and behind an empty line what may have been meant.
    pub message: String,
}

impl Mistake {
    /// What a parser says of `text`.
    pub fn of(text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or_default();
        let message = match error.message() {
            unknown if unknown.starts_with("unknown field") => {
                let key = text.get(span.clone()).unwrap_or_default();
                format!("unknown key `{key}`\n\n{}", nearest::hint(key, &known(unknown)))
            }
            unknown if unknown.starts_with("unknown variant") => {
                let all: Vec<&str> = unknown.split('`').skip(1).step_by(2).collect();
                let (value, known) = all.split_first().unwrap_or((&"", &[]));
                match nearest::nearest(value, known.iter().copied()) {
                    Some(meant) => format!("{unknown}\n\nhint: did you mean `{meant}`?"),
                    None => unknown.to_owned(),
                }
            }
            message => message.to_owned(),
        };
        Self::at(text, span.start, message)
    }

    /// A mistake at a place, counted in bytes.
    pub fn at(text: &str, start: usize, message: String) -> Self {
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: line(text, start), column: before[line_start..].chars().count() + 1, message }
    }
}

/// The line, from 1, of a place in a text that is counted in bytes.
pub fn line(text: &str, start: usize) -> usize {
    text.get(..start).unwrap_or_default().matches('\n').count() + 1
}

/// The keys that serde lists behind the unknown one, each in backticks.
fn known(message: &str) -> Vec<&str> {
    message.split('`').skip(3).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serdes_list_of_keys_is_read() {
        assert_eq!(known("unknown field `x`, expected one of `a`, `b-c`"), ["a", "b-c"]);
        assert_eq!(known("unknown field `x`, expected `a`"), ["a"]);
        assert!(known("unknown field `x`, there are no fields").is_empty());
    }

    #[test]
    fn places_are_counted_in_characters() {
        let mistake = Mistake::at("a\n\u{fc}\u{fc}b", 6, "m".into());
        assert_eq!((mistake.line, mistake.column), (2, 3));
    }
}
