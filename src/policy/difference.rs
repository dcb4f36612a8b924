//! What differs between two texts, line by line, for people.

use similar::{Change, ChangeTag, TextDiff};

use super::question::show_line;

/// The lines that are only in one of them, `-` or `+` before each, with `around` lines of what is the same; what a
/// terminal would obey in them is made visible.
pub fn lines(before: &str, after: &str, around: usize) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let difference = TextDiff::from_slices(&before, &after);
    let groups = difference.grouped_ops(around);
    let changes = groups.iter().flatten().flat_map(|group| difference.iter_changes(group));
    let sign = |change: &Change<&str>| match change.tag() {
        ChangeTag::Equal => ' ',
        ChangeTag::Delete => '-',
        ChangeTag::Insert => '+',
    };
    let line = |change: Change<&str>| {
        format!("{} {}", sign(&change), show_line(change.value())).trim_end().to_owned() + "\n"
    };
    changes.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_what_is_around() {
        assert_eq!(lines("a\nb\nc\nd\n", "a\nb\nx\nd\n", 1), "  b\n- c\n+ x\n  d\n");
        assert_eq!(lines("a\nb\nc\n", "a\nx\nc\nd\n", 0), "- b\n+ x\n+ d\n");
        assert_eq!(lines("", "new\n", 1), "+ new\n");
        assert_eq!(lines("old\n", "", 1), "- old\n");
        assert_eq!(lines("a\n", "a", 1), "");
        assert_eq!(lines("", "\u{1b}[2J", 0), "+ \\x1b[2J\n");
    }
}
