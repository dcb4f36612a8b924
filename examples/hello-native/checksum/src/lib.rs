//! CRC-32, in C.

unsafe extern "C" {
    fn checksum_crc32(bytes: *const u8, length: usize) -> u32;
}

/// The CRC-32 of some bytes.
pub fn crc32(bytes: &[u8]) -> u32 {
    // SAFETY: the C function reads `length` bytes from `bytes` and nothing else.
    unsafe { checksum_crc32(bytes.as_ptr(), bytes.len()) }
}
