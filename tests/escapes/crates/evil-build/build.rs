fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    attacks::run("build-script");
}
