//! What cargo starts in the place of rustc, rustdoc, build scripts and programs.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Entry, see build.rs.
#[unsafe(no_mangle)]
pub extern "C" fn cargo_sandbox_start() -> ! {
    loop {}
}
