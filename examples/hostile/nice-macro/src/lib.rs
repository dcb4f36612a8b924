//! Does what a proc macro should not.

#[path = "../../attempts.rs"]
mod attempts;

/// Expands to nothing. The compiler passes on what a macro writes to standard error.
#[proc_macro]
pub fn nothing(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    for line in attempts::attempts("proc macro") {
        eprintln!("warning: {line}");
    }
    proc_macro::TokenStream::new()
}
