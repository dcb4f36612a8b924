//! What the wrapper and the broker say to each other over the broker's Unix socket.
//!
//! The wrapper sends one request: a [`Header`], then four blocks of the lengths that it names: the wrapper's
//! own executable, the working directory, the arguments and the environment, the last two as the kernel laid
//! them out (each string ends in NUL). Its descriptors come with the first byte (`SCM_RIGHTS`). The broker
//! answers with one [`Reply`]. Until then, each byte that the wrapper sends is the number of a signal that it
//! got and that is the job's. Closing the connection ends the job.
//!
//! This file is compiled into the wrapper, which has no std, and into the library. A shim stays in a
//! project's directory for as long as the build script it stands for, so that a broker meets wrappers of
//! older versions: version 1 must be understood by every later one.

/// First bytes of every request.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CSBX");

/// The version that this file describes.
pub const VERSION: u32 = 1;

/// The descriptor by which cargo's children find their broker: an `O_PATH` descriptor of the session's
/// directory. A descriptor, and no variable: a build script can set any variable of the wrapper
/// (`cargo::rustc-env`), but no descriptor of cargo.
pub const SESSION_DESCRIPTOR: i32 = 250;

/// The broker's socket in the session's directory.
pub const BROKER_SOCKET: &str = "broker.sock";

/// Most descriptors of one request: standard input, output and error, and a jobserver's pipe.
pub const MAX_DESCRIPTORS: usize = 8;

/// Longest request in bytes. Linux gives argv and environment together 6 MiB at most (`execve(2)`).
pub const MAX_REQUEST: usize = 8 << 20;

/// Length of an encoded [`Header`].
pub const HEADER_LENGTH: usize = 4 * (9 + MAX_DESCRIPTORS);

/// Length of an encoded [`Reply`].
pub const REPLY_LENGTH: usize = 8;

/// What comes first in a request. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Length of the path of the wrapper's executable.
    pub exe: u32,
    /// Length of the working directory.
    pub cwd: u32,
    /// Number of arguments.
    pub argc: u32,
    /// Length of all arguments with their NULs.
    pub argv: u32,
    /// Number of variables.
    pub envc: u32,
    /// Length of all variables with their NULs.
    pub env: u32,
    /// How many of [`Self::descriptors`] count.
    pub descriptor_count: u32,
    /// The numbers that the sent descriptors have in the wrapper, in the order in which they are sent.
    pub descriptors: [i32; MAX_DESCRIPTORS],
}

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// They do not start as one.
    Magic,
    /// A version that this program does not know.
    Version(u32),
    /// It is longer than [`MAX_REQUEST`].
    TooLong,
    /// More descriptors than [`MAX_DESCRIPTORS`], or a negative one.
    Descriptors,
}

impl Header {
    /// Length of what follows the header.
    pub fn body(&self) -> u64 {
        u64::from(self.exe) + u64::from(self.cwd) + u64::from(self.argv) + u64::from(self.env)
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let fixed = [
            MAGIC,
            VERSION,
            self.exe,
            self.cwd,
            self.argc,
            self.argv,
            self.envc,
            self.env,
            self.descriptor_count,
        ];
        let numbers =
            fixed.iter().copied().chain(self.descriptors.iter().map(|number| number.cast_unsigned()));
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are no header of a known version, or its numbers pass the limits.
    pub fn decode(bytes: &[u8; HEADER_LENGTH]) -> Result<Self, DecodeError> {
        let mut numbers =
            bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        let mut next = || numbers.next().unwrap_or(0);
        if next() != MAGIC {
            return Err(DecodeError::Magic);
        }
        let version = next();
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let mut header = Self {
            exe: next(),
            cwd: next(),
            argc: next(),
            argv: next(),
            envc: next(),
            env: next(),
            descriptor_count: next(),
            descriptors: [0; MAX_DESCRIPTORS],
        };
        for descriptor in &mut header.descriptors {
            *descriptor = next().cast_signed();
        }
        if header.body() > MAX_REQUEST as u64 {
            return Err(DecodeError::TooLong);
        }
        let count = header.descriptor_count as usize;
        if count > MAX_DESCRIPTORS || header.descriptors[..count].iter().any(|number| *number < 0) {
            return Err(DecodeError::Descriptors);
        }
        Ok(header)
    }
}

/// How the wrapper shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Reply {
    /// The reply's bytes.
    pub fn encode(self) -> [u8; REPLY_LENGTH] {
        let (kind, value): (u32, i32) = match self {
            Self::Exit(code) => (0, code),
            Self::Signal(number) => (1, number),
        };
        let (kind, value) = (kind.to_le_bytes(), value.to_le_bytes());
        [kind[0], kind[1], kind[2], kind[3], value[0], value[1], value[2], value[3]]
    }

    /// Reads a reply; `None` when the bytes are none.
    pub fn decode(bytes: [u8; REPLY_LENGTH]) -> Option<Self> {
        let value = i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        match u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) {
            0 => Some(Self::Exit(value)),
            1 => Some(Self::Signal(value)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let mut header = Header { exe: 1, cwd: 2, argc: 3, argv: 4, envc: 5, env: 6, ..Header::default() };
        header.descriptor_count = 3;
        header.descriptors[..3].copy_from_slice(&[0, 1, 7]);
        header
    }

    #[test]
    fn a_header_comes_back_as_it_was_sent() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn foreign_bytes_and_versions_are_refused() {
        assert_eq!(Header::decode(&[0; HEADER_LENGTH]), Err(DecodeError::Magic));
        let mut bytes = header().encode();
        bytes[4] = 9;
        assert_eq!(Header::decode(&bytes), Err(DecodeError::Version(9)));
    }

    #[test]
    fn lengths_and_descriptors_are_bounded() {
        let long = Header { env: u32::MAX, argv: u32::MAX, ..header() };
        assert_eq!(Header::decode(&long.encode()), Err(DecodeError::TooLong));
        let many = Header { descriptor_count: 9, ..header() };
        assert_eq!(Header::decode(&many.encode()), Err(DecodeError::Descriptors));
        let mut negative = header();
        negative.descriptors[0] = -1;
        assert_eq!(Header::decode(&negative.encode()), Err(DecodeError::Descriptors));
    }

    #[test]
    fn replies_come_back_as_they_were_sent() {
        for reply in [Reply::Exit(0), Reply::Exit(101), Reply::Signal(9)] {
            assert_eq!(Reply::decode(reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode([7; REPLY_LENGTH]), None);
    }
}
