//! Attacks from within a compiler, or rustdoc.

use proc_macro::TokenStream;

/// Expands to nothing. The argument is the kind of job for a compiler; rustdoc's has `rustdoc-` before that, or
/// `doctest-` where it runs tests.
#[proc_macro]
pub fn attack(kind: TokenStream) -> TokenStream {
    let kind = kind.to_string().replace('_', "-");
    let mut words = std::env::args();
    let is_rustdoc = words.next().is_some_and(|program| program.ends_with("rustdoc"));
    let tests = words.any(|word| word == "--test");
    let before = match (is_rustdoc, tests) {
        (true, true) => "doctest-",
        (true, false) => "rustdoc-",
        _ => "",
    };
    attacks::run(&format!("{before}{kind}"));
    TokenStream::new()
}
