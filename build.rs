//! Link arguments of the wrapper: a static executable without libc and with an entry of its own, so
//! that neither a loader nor any variable has a say in it (`LD_PRELOAD`, `LD_LIBRARY_PATH`,
//! `GLIBC_TUNABLES`). cargo gives these arguments to that one binary only.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let entry = "-Wl,--entry=cargo_sandbox_start";
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", entry] {
        println!("cargo::rustc-link-arg-bin=cargo-sandbox-rustc={arg}");
    }
}
