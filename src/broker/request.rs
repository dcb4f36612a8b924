//! Receiving what a wrapper was given.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::passing::WithDescriptors;
use crate::wire::{HEADER_LENGTH, Header};

/// What a wrapper was given by cargo.
#[derive(Debug)]
pub struct Request {
    /// The wrapper's own executable: which role it plays.
    pub exe: PathBuf,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its arguments, `argv[0]` included.
    pub argv: Vec<OsString>,
    /// Its environment, each `NAME=value`. Not to be believed.
    pub env: Vec<OsString>,
    /// Its descriptors with the numbers that they have there.
    pub descriptors: Vec<(i32, OwnedFd)>,
}

impl Request {
    /// The descriptor with this number.
    pub fn descriptor(&self, number: i32) -> Option<&OwnedFd> {
        self.descriptors.iter().find(|(own, _)| *own == number).map(|(_, descriptor)| descriptor)
    }

    /// The value of a variable. For things that only matter to the job itself.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.env.iter().find_map(|variable| {
            let value = variable.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(OsStr::from_bytes(value))
        })
    }

    /// Reads one request.
    ///
    /// # Errors
    /// When the wrapper is gone, or what it sent is no request.
    pub fn receive(stream: &UnixStream) -> io::Result<Self> {
        let mut bytes = [0; HEADER_LENGTH];
        let mut reader = WithDescriptors::of(stream);
        reader.read_exact(&mut bytes)?;
        let header = Header::decode(&bytes).map_err(|error| invalid(&format!("{error:?}")))?;
        if reader.descriptors.len() != header.descriptor_count as usize {
            return Err(invalid("not all descriptors came"));
        }
        let mut body = vec![0; usize::try_from(header.body()).map_err(io::Error::other)?];
        (&*stream).read_exact(&mut body)?;
        let (exe, rest) = body.split_at(header.exe as usize);
        let (cwd, rest) = rest.split_at(header.cwd as usize);
        let (argv, env) = rest.split_at(header.argv as usize);
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        Ok(Self {
            exe: path(exe),
            cwd: path(cwd),
            argv: strings(argv, header.argc)?,
            env: strings(env, header.envc)?,
            descriptors: header.descriptors.into_iter().zip(reader.descriptors).collect(),
        })
    }
}

/// The strings of a block in which each ends in NUL.
fn strings(block: &[u8], count: u32) -> io::Result<Vec<OsString>> {
    let strings: Vec<OsString> = match block.strip_suffix(b"\0") {
        Some(block) => block.split(|byte| *byte == 0).map(|one| OsString::from_vec(one.to_owned())).collect(),
        None if block.is_empty() => Vec::new(),
        None => return Err(invalid("a string without end")),
    };
    if strings.len() != count as usize {
        return Err(invalid("the number of strings is not what was said"));
    }
    Ok(strings)
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a wrapper's request: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn strings_are_counted() {
        assert_eq!(strings(b"a\0\0b\0", 3).unwrap(), ["a", "", "b"]);
        assert_eq!(strings(b"", 0).unwrap(), Vec::<OsString>::new());
        assert!(strings(b"a\0b", 2).is_err());
        assert!(strings(b"a\0", 2).is_err());
    }

    #[test]
    fn a_request_without_descriptors_is_read_whole() {
        let (mut wrapper, broker) = UnixStream::pair().unwrap();
        let header = Header { exe: 4, cwd: 1, argc: 1, argv: 2, envc: 1, env: 4, ..Header::default() };
        wrapper.write_all(&header.encode()).unwrap();
        wrapper.write_all(b"/exe/x\0A=b\0").unwrap();
        let request = Request::receive(&broker).unwrap();
        assert_eq!((request.exe.as_path(), request.cwd.as_path()), ("/exe".as_ref(), "/".as_ref()));
        assert_eq!(request.argv, ["x"]);
        assert_eq!(request.variable("A"), Some(OsStr::new("b")));
        assert_eq!(request.variable("B"), None);
    }

    #[test]
    fn a_wrapper_that_is_gone_is_an_end_of_file() {
        let (mut wrapper, broker) = UnixStream::pair().unwrap();
        wrapper.write_all(&Header { exe: 9, ..Header::default() }.encode()).unwrap();
        drop(wrapper);
        assert_eq!(Request::receive(&broker).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn descriptors_that_did_not_come_are_missed() {
        let (mut wrapper, broker) = UnixStream::pair().unwrap();
        wrapper.write_all(&Header { descriptor_count: 1, ..Header::default() }.encode()).unwrap();
        assert_eq!(Request::receive(&broker).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
