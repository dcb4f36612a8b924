//! `--version`: this program's, and what makes containers on this machine. `-V` is one line.

use std::ffi::OsString;
use std::time::Duration;

use crate::container::docker::DockerEngine;
use crate::container::native::NativeEngine;
use crate::container::{Engine as _, EngineError};

use super::FrontEnd;

/// How long a daemon may take to say its version.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the long form was asked for: of our own words, the first that says either is it.
pub fn is_long(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .skip(1)
        .find(|word| *word == "--version" || *word == "-V")
        .is_some_and(|word| word == "--version")
}

/// What each engine says of itself, or why it cannot be used.
pub fn engines(front_end: &FrontEnd) -> [(&'static str, Result<String, EngineError>); 2] {
    let docker = DockerEngine::connect(&front_end.docker_endpoints(), PATIENCE);
    // Nothing is kept where nothing is made.
    let native = NativeEngine::new(Default::default());
    [("docker", docker.and_then(|docker| docker.describe())), ("native", native.describe())]
}

/// A line for each engine.
pub fn print_engines(front_end: &FrontEnd) {
    for (name, described) in engines(front_end) {
        match described {
            Ok(text) => println!("{name}: {text}"),
            Err(error) => println!("{name}: not usable: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        let long = |line: &str| is_long(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(long("cargo-sandbox --sandbox-verbose --version"));
        assert!(!long("cargo-sandbox -V --version"));
        assert!(!long("--version -V"));
    }
}
