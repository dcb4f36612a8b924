//! Looks useful.

/// Helps.
pub fn help() -> &'static str {
    "the program works all the same"
}
