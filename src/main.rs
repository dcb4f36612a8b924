//! `cargo-sandbox`.

fn main() {}
