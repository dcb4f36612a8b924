//! Link arguments of the wrapper: a static executable without libc and with an entry of its own, so
//! that neither a loader nor any variable has a say in it (`LD_PRELOAD`, `LD_LIBRARY_PATH`,
//! `GLIBC_TUNABLES`). cargo gives these arguments to that one binary only.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Without symbols and debugging information it has one size in every profile.
    for arg in
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,-s", "-Wl,--entry=cargo_sandbox_start"]
    {
        println!("cargo::rustc-link-arg-bin=cargo-sandbox-rustc={arg}");
    }
}
