//! Writes the greeting that the crate includes.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let code = "/// What the build script wrote.\npub const GREETING: &str = \"hello from a build script\";\n";
    fs::write(Path::new(&out).join("greeting.rs"), code).expect("OUT_DIR is writable");
}
