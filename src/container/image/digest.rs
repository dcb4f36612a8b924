//! The digest of what is written to it.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::policy::trust::hexadecimal;

/// SHA-256, as something to write to.
#[derive(Default)]
pub struct Hashing(Sha256);

impl Hashing {
    /// SHA-256 of all of it, in hexadecimal digits.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
