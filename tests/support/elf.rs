//! The two questions about an executable that decide whether a loader has a say in it.

use std::path::Path;

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// What an ELF file asks of the system before its first instruction.
#[derive(Debug, PartialEq, Eq)]
pub struct Loading {
    /// A program header names an interpreter (`ld.so`).
    pub interpreter: bool,
    /// A dynamic section: the only place that could name libraries (`DT_NEEDED`).
    pub dynamic: bool,
}

/// Reads the program headers of a 64-bit little-endian ELF file.
pub fn loading(path: &Path) -> Loading {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "{} is no 64-bit little-endian ELF file", path.display());
    let number = |at: usize, width: usize| {
        bytes[at..at + width].iter().rev().fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte))
    };
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds: Vec<_> = (0..count).map(|index| number(start + index * size, 4)).collect();
    let has = |kind: u32| kinds.contains(&(kind as usize));
    Loading { interpreter: has(PT_INTERP), dynamic: has(PT_DYNAMIC) }
}
