evil_macro::attack!(macro_script);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
