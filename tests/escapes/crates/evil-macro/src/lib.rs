//! Attacks from within a compiler, or rustdoc.

use proc_macro::TokenStream;

/// Expands to nothing. The argument is the kind of job for a compiler; rustdoc's is `rustdoc-` and that.
#[proc_macro]
pub fn attack(kind: TokenStream) -> TokenStream {
    let kind = kind.to_string().replace('_', "-");
    let program = std::env::args().next().unwrap_or_default();
    let is_rustdoc = program.ends_with("rustdoc");
    attacks::run(&if is_rustdoc { format!("rustdoc-{kind}") } else { kind });
    TokenStream::new()
}
