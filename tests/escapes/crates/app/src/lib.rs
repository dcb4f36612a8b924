//! The member of the workspace that uses the hostile dependencies.

evil_macro::attack!(macro_member);

/// Runs a dependency's code in a doctest, which fails: rustdoc shows the output of no other.
///
/// ```
/// attacks::run("doctest");
/// panic!("on purpose");
/// ```
pub fn documented() {}
