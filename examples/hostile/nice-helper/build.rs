//! Does what a build script should not.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    for line in attempts::attempts("build script") {
        println!("cargo::warning={line}");
    }
}
