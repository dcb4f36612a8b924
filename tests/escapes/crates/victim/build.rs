//! Leaves a file in its output directory, as any honest build script.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(format!("{out}/generated.rs"), "pub const ANSWER: u32 = 42;\n").expect("own directory");
}
