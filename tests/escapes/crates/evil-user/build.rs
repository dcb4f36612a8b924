evil_macro::attack!(macro_script);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The library's compiler is told that it compiles the workspace's own package.
    println!("cargo::rustc-env=CARGO_PKG_NAME=app");
    println!("cargo::rustc-env=CARGO_MANIFEST_DIR={}", attacks::PROJECT);
}
