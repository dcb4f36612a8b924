//! Compiles the C half.

fn main() {
    println!("cargo::rerun-if-changed=c/crc32.c");
    cc::Build::new().file("c/crc32.c").compile("crc32");
}
