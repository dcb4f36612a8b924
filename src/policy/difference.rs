//! Which lines of a text changed.

/// A line that is in one of two texts only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// In the old text.
    Removed(&'a str),
    /// In the new one.
    Added(&'a str),
}

/// Longest text that is compared line by line.
const MAX_LINES: usize = 2000;

/// The changes from one text to another, by the longest common subsequence of their lines.
pub fn changes<'a>(old: &'a str, new: &'a str) -> Vec<Change<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let removed = old.into_iter().map(Change::Removed);
        return removed.chain(new.into_iter().map(Change::Added)).collect();
    }
    // common[i][j]: how many lines the rests from i and j have in common.
    let mut common = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for (i, before) in old.iter().enumerate().rev() {
        for (j, after) in new.iter().enumerate().rev() {
            common[i][j] = if before == after {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut changes = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            changes.push(Change::Removed(old[i]));
            i += 1;
        } else {
            changes.push(Change::Added(new[j]));
            j += 1;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Added, Removed};

    #[test]
    fn only_what_differs_is_named() {
        assert_eq!(changes("a\nb\nc", "a\nx\nc\nd"), [Removed("b"), Added("x"), Added("d")]);
        assert_eq!(changes("a\nb", "a\nb\n"), []);
        assert_eq!(changes("", "a"), [Added("a")]);
        assert_eq!(changes("a", ""), [Removed("a")]);
    }
}
