//! A macro that plants.

/// The source of a macro, `plant`, that puts the library `planted.so` beside what its own compiler writes, under a name.
pub fn planter(name: &str) -> String {
    format!(
        r#"
#[proc_macro]
pub fn plant(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{
    let mut arguments = std::env::args().skip_while(|word| word != "--out-dir");
    let deps = std::path::PathBuf::from(arguments.nth(1).unwrap());
    std::fs::write(deps.join("{name}"), include_bytes!("planted.so")).unwrap();
    proc_macro::TokenStream::new()
}}
"#
    )
}
