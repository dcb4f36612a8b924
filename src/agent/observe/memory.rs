//! Reading what an observed process passes to the kernel: its memory, its working directory, its descriptors.
//!
//! By `/proc/<pid>/mem` and not `process_vm_readv(2)`, which the container's own filter refuses to everybody.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;

/// Longest path that the kernel takes.
const MAX_PATH: usize = 4096;

/// Most arguments of a program that are kept, and most bytes of one.
const MAX_ARGUMENTS: usize = 64;
const MAX_ARGUMENT: usize = 1024;

/// Open memory of threads, by their number.
#[derive(Debug, Default)]
pub struct Memories(HashMap<u32, File>);

impl Memories {
    /// Bytes at an address; fewer than asked for where there are no more.
    pub fn bytes(&mut self, thread: u32, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        for fresh in [false, true] {
            if fresh {
                self.0.remove(&thread);
            }
            let memory = match self.0.entry(thread) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(File::open(format!("/proc/{thread}/mem")).ok()?)
                }
            };
            match memory.read_at(&mut bytes, address) {
                Ok(count) if count > 0 => {
                    bytes.truncate(count);
                    return Some(bytes);
                }
                // A thread of this number that is gone, or has executed something since.
                _ => {}
            }
        }
        None
    }

    /// Forgets a thread whose memory is about to be another.
    pub fn forget(&mut self, thread: u32) {
        self.0.remove(&thread);
        // Of threads that are gone there may be many.
        if self.0.len() > 128 {
            self.0.clear();
        }
    }

    /// A string that ends with a zero byte.
    pub fn string(&mut self, thread: u32, address: u64) -> Option<Vec<u8>> {
        self.string_up_to(thread, address, MAX_PATH)
    }

    fn string_up_to(&mut self, thread: u32, address: u64, most: usize) -> Option<Vec<u8>> {
        // Nearly all are short.
        for length in [256.min(most), most] {
            let mut bytes = self.bytes(thread, address, length)?;
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                bytes.truncate(end);
                return Some(bytes);
            }
            if length == most {
                return Some(bytes);
            }
        }
        None
    }

    /// A list of strings that ends with a null pointer, as far as it is kept.
    pub fn strings(&mut self, thread: u32, address: u64) -> Vec<Vec<u8>> {
        let pointers = self.bytes(thread, address, 8 * MAX_ARGUMENTS).unwrap_or_default();
        pointers
            .chunks_exact(8)
            .map(number)
            .take_while(|pointer| *pointer != 0)
            .map_while(|pointer| self.string_up_to(thread, pointer, MAX_ARGUMENT))
            .collect()
    }
}

/// A little-endian number, as both architectures have them.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Where a path that is not absolute begins: at a descriptor, or at the working directory.
pub fn base(thread: u32, descriptor: i32) -> Option<Vec<u8>> {
    let link = if descriptor == libc::AT_FDCWD {
        format!("/proc/{thread}/cwd")
    } else {
        format!("/proc/{thread}/fd/{descriptor}")
    };
    let target = std::fs::read_link(link).ok()?.into_os_string().into_vec();
    target.starts_with(b"/").then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    #[test]
    fn strings_are_read_and_cut() {
        let own = std::process::id();
        let mut memories = Memories::default();
        let short = CString::new("short").unwrap();
        let long = CString::new(vec![b'x'; 3000]).unwrap();
        let list = [short.as_ptr() as u64, long.as_ptr() as u64, 0];
        assert_eq!(memories.string(own, short.as_ptr() as u64).unwrap(), b"short");
        assert_eq!(memories.string(own, long.as_ptr() as u64).unwrap().len(), 3000);
        let read = memories.strings(own, list.as_ptr() as u64);
        assert_eq!((read.len(), &*read[0], read[1].len()), (2, &b"short"[..], MAX_ARGUMENT));
        assert_eq!(memories.string(own, 8), None);
    }

    #[test]
    fn a_relative_path_begins_somewhere() {
        let own = std::process::id();
        let cwd = std::env::current_dir().unwrap().into_os_string().into_vec();
        assert_eq!(base(own, libc::AT_FDCWD), Some(cwd));
        assert_eq!(base(own, 1 << 20), None);
    }
}
