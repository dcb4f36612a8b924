//! What somebody may have meant who wrote an unknown word.

/// The known word that is most like `word`, if one is like it at all.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(word, known);
    let (distance, best) = known.into_iter().map(|known| (distance(known), known)).min()?;
    // Half of it right: with fewer letters in common any word would do.
    (distance <= word.len().max(best.len()) / 2).then_some(best)
}

/// The hint for an unknown word: the one that was meant, or all that there are.
pub fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("hint: did you mean `{meant}`?"),
        None => format!("hint: known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_through_and_another_word_is_not() {
        assert_eq!(nearest("memry", ["memory", "processes"]), Some("memory"));
        assert_eq!(nearest("colour", ["memory", "processes"]), None);
        assert!(hint("colour", &["memory", "processes"]).ends_with("memory, processes"));
    }
}
