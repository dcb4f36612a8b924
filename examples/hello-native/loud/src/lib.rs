//! A proc macro: runs inside the compiler.

use proc_macro::TokenStream;

/// The string literal in capital letters.
#[proc_macro]
pub fn shout(literal: TokenStream) -> TokenStream {
    literal.to_string().to_uppercase().parse().expect("a literal stays a literal")
}
