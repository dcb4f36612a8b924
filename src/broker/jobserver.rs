//! A jobserver that is a fifo: GNU make 4.4 and later name it by its path (`--jobserver-auth=fifo:PATH`), which no
//! job can see. It is opened here and handed over, and the job is told the numbers as for a pipe.
//!
//! The path comes from a variable, but from one that cargo sets last; and what is handed over is a fifo of the
//! user's own, in which a job can read and write single bytes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::request::Request;

/// Variables that name it: cargo's own, and the one of a make above cargo.
const VARIABLES: [&[u8]; 2] = [b"CARGO_MAKEFLAGS=", b"MAKEFLAGS="];

/// The words that name a fifo.
const WORDS: [&[u8]; 2] = [b"--jobserver-auth=fifo:", b"--jobserver-fds=fifo:"];

/// The numbers that it gets in the job; nothing else of a job is up there.
const NUMBERS: [i32; 2] = [240, 241];

/// A fifo, opened once for reading and once for writing.
#[derive(Debug)]
pub struct Fifo {
    /// With their numbers.
    pub descriptors: [(i32, OwnedFd); 2],
}

impl Fifo {
    /// Opens the fifo that a request names, if it names one, and rewrites the job's environment to its numbers.
    pub fn of(request: &Request, environment: &mut [Vec<u8>]) -> Option<Self> {
        let flags = request.variable("CARGO_MAKEFLAGS")?.as_bytes();
        let named = flags.split(|byte| *byte == b' ').filter_map(path_of).next_back()?;
        let path = Path::new(std::ffi::OsStr::from_bytes(named));
        // Opened for both, so that it does not wait for another end.
        let open = || File::options().read(true).write(true).open(path).ok();
        let metadata = path.symlink_metadata().ok()?;
        if !metadata.file_type().is_fifo() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return None;
        }
        let descriptors = [(NUMBERS[0], open()?.into()), (NUMBERS[1], open()?.into())];
        for variable in
            environment.iter_mut().filter(|one| VARIABLES.iter().any(|name| one.starts_with(name)))
        {
            *variable = rewritten(variable);
        }
        Some(Self { descriptors })
    }
}

fn path_of(word: &[u8]) -> Option<&[u8]> {
    WORDS.iter().find_map(|start| word.strip_prefix(*start))
}

/// The same words with numbers in the place of a path.
fn rewritten(variable: &[u8]) -> Vec<u8> {
    let words = variable.split(|byte| *byte == b' ').map(|word| {
        // The first word carries the variable's name.
        let at = WORDS.iter().find_map(|start| word.windows(start.len()).position(|part| part == *start));
        match at {
            Some(at) => {
                let equals = word[at..]
                    .iter()
                    .position(|byte| *byte == b'=')
                    .map_or(word.len(), |equals| at + equals + 1);
                [&word[..equals], format!("{},{}", NUMBERS[0], NUMBERS[1]).as_bytes()].concat()
            }
            None => word.to_vec(),
        }
    });
    words.collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(flags: &str) -> Request {
        let env = vec![format!("CARGO_MAKEFLAGS={flags}").into()];
        Request { exe: "/x".into(), cwd: "/".into(), argv: Vec::new(), env, descriptors: Vec::new() }
    }

    #[test]
    fn a_path_becomes_numbers() {
        for (given, expected) in [
            ("MAKEFLAGS=-j --jobserver-auth=fifo:/tmp/x -k", "MAKEFLAGS=-j --jobserver-auth=240,241 -k"),
            (
                "MAKEFLAGS=--jobserver-fds=fifo:/x --jobserver-auth=fifo:/x",
                "MAKEFLAGS=--jobserver-fds=240,241 --jobserver-auth=240,241",
            ),
            ("MAKEFLAGS=-j --jobserver-auth=3,4", "MAKEFLAGS=-j --jobserver-auth=3,4"),
        ] {
            assert_eq!(String::from_utf8(rewritten(given.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn only_a_fifo_is_handed_over() {
        let directory = tempfile::tempdir().unwrap();
        let (fifo, file) = (directory.path().join("fifo"), directory.path().join("file"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::fs::write(&file, "secret").unwrap();
        let of = |path: &Path| {
            Fifo::of(&request(&format!("-j --jobserver-auth=fifo:{}", path.display())), &mut [])
        };
        assert!(of(&fifo).is_some());
        assert!(of(&file).is_none() && of(&directory.path().join("none")).is_none());
        assert!(Fifo::of(&request("-j --jobserver-auth=3,4"), &mut []).is_none());
    }
}
