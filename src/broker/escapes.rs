//! Text for people, without anything that a terminal would obey.

use std::fmt::Write as _;

/// What may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Tabs.
    Text,
    /// Colours, and ends of lines: what compilers print.
    Colours,
    /// The same, and what no terminal does anything at: packages put numbers into values as single bytes (sasl2-sys).
    Values,
}

/// The same text with what a terminal would obey made visible; nothing where there is none of it.
pub fn made_visible(text: &[u8], keep: Keep) -> Option<Vec<u8>> {
    let mut visible = Vec::with_capacity(text.len());
    let mut changed = false;
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(character) = rest.chars().next() {
            let kept = if keep == Keep::Text { 0 } else { colour(rest) };
            if kept > 0 {
                visible.extend_from_slice(&rest.as_bytes()[..kept]);
                rest = &rest[kept..];
                continue;
            }
            rest = &rest[character.len_utf8()..];
            let stays = match keep {
                Keep::Text => false,
                Keep::Colours => character == '\n',
                Keep::Values => character == '\n' || is_ignored(character),
            };
            if is_obeyed(character) && !stays {
                changed = true;
                let code = u32::from(character);
                let mut shown = String::new();
                let _infallible = if code < 0x80 {
                    write!(shown, "\\x{code:02x}")
                } else {
                    write!(shown, "\\u{{{code:x}}}")
                };
                visible.extend_from_slice(shown.as_bytes());
            } else {
                visible.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        // Shown as replacement characters.
        visible.extend_from_slice(chunk.invalid());
    }
    changed.then_some(visible)
}

/// A name or a value of somebody else's, for a line of our own.
pub fn visible(text: &str) -> String {
    let visible = made_visible(text.as_bytes(), Keep::Text);
    visible.map_or_else(|| text.to_owned(), |visible| String::from_utf8_lossy(&visible).into_owned())
}

/// The length of the sequence that sets colours and the like (ECMA-48, SGR) with which a text starts, or 0.
fn colour(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':');
    match end {
        Some(end) if parameters.as_bytes()[end] == b'm' => end + 3,
        _ => 0,
    }
}

/// Control characters but for the tab, and what changes the direction of text.
fn is_obeyed(character: char) -> bool {
    let direction = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (character.is_control() && character != '\t') || direction
}

/// Control characters that stand for nothing on a screen. Without those that move the cursor, ring, ask for an answer (ENQ),
/// choose another set of characters (SO, SI), or begin or end a sequence (ESC, CAN, SUB, DEL) (ECMA-48).
fn is_ignored(character: char) -> bool {
    matches!(character, '\u{1}'..='\u{4}' | '\u{6}' | '\u{10}'..='\u{17}' | '\u{19}' | '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, keep: Keep) -> Option<String> {
        made_visible(text.as_bytes(), keep).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn colours_stay_where_compilers_speak() {
        let text = "\u{1b}[0m\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: x\n\ty";
        assert_eq!(shown(text, Keep::Colours), None);
        assert!(shown(text, Keep::Text).unwrap().starts_with("\\x1b[0m"));
    }

    #[test]
    fn what_moves_cursors_and_names_windows_is_shown() {
        for (text, expected) in [
            ("a\u{1b}[2Jb", "a\\x1b[2Jb"),
            ("\u{1b}]0;title\u{7}", "\\x1b]0;title\\x07"),
            ("\u{1b}[31", "\\x1b[31"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\r", "\\x0d"),
            ("\u{202e}abc", "\\u{202e}abc"),
        ] {
            assert_eq!(shown(text, Keep::Colours).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn numbers_as_bytes_stay_in_values_alone() {
        let bytes = "\u{1}\u{2}\u{1c}\u{1f}";
        assert_eq!(shown(bytes, Keep::Values), None);
        assert_eq!(shown(bytes, Keep::Text).unwrap(), "\\x01\\x02\\x1c\\x1f");
        assert_eq!(shown(bytes, Keep::Colours).unwrap(), "\\x01\\x02\\x1c\\x1f");
        for obeyed in
            ["\u{5}", "\u{7}", "\u{8}", "\r", "\u{e}", "\u{18}", "\u{1a}", "\u{1b}[2J", "\u{7f}", "\u{9b}2J"]
        {
            assert!(shown(obeyed, Keep::Values).is_some(), "{obeyed:?}");
        }
    }

    #[test]
    fn what_is_no_text_stays() {
        assert_eq!(made_visible(b"\xff\xfe plain", Keep::Text), None);
        assert_eq!(made_visible(b"\xff\x1b[2J", Keep::Text).unwrap(), b"\xff\\x1b[2J");
    }
}
