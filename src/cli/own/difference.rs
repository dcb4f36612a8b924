//! What differs between two texts, line by line, for people.

/// The lines that are only in one of them, `-` and `+` before them, with one line around each.
pub fn lines(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    // Longest common subsequences of all endings.
    let mut common = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for (one, line) in before.iter().enumerate().rev() {
        for (other, found) in after.iter().enumerate().rev() {
            common[one][other] = if line == found {
                common[one + 1][other + 1] + 1
            } else {
                common[one + 1][other].max(common[one][other + 1])
            };
        }
    }
    let mut all: Vec<(char, &str)> = Vec::new();
    let (mut one, mut other) = (0, 0);
    while one < before.len() || other < after.len() {
        let same = one < before.len() && other < after.len() && before[one] == after[other];
        if same {
            all.push((' ', before[one]));
            one += 1;
            other += 1;
        } else if other == after.len()
            || one < before.len() && common[one + 1][other] >= common[one][other + 1]
        {
            all.push(('-', before[one]));
            one += 1;
        } else {
            all.push(('+', after[other]));
            other += 1;
        }
    }
    let changed = |at: usize| all.get(at).is_some_and(|(mark, _)| *mark != ' ');
    let near = |at: usize| changed(at) || changed(at + 1) || at > 0 && changed(at - 1);
    let shown = all.iter().enumerate().filter(|(at, _)| near(*at));
    shown.map(|(_, (mark, line))| format!("{mark} {line}").trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_a_line_around() {
        assert_eq!(lines("a\nb\nc\nd\n", "a\nb\nx\nd\n"), "  b\n- c\n+ x\n  d\n");
        assert_eq!(lines("", "new\n"), "+ new\n");
        assert_eq!(lines("old\n", ""), "- old\n");
        assert_eq!(lines("a\n", "a\n"), "");
    }
}
