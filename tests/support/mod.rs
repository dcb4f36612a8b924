//! What the integration tests share: who runs a command, in which directories, with which tool.
//!
//! - [`run`]: a command with a time limit and its whole output.
//! - [`world`]: a user, the home directory made for a test, the toolchain, the projects in it.
//! - [`tool`]: plain cargo and `cargo-sandbox`, in the same environment.
//! - [`line`]: their command lines, as people write them.
//! - [`image`]: an image of the docker engine, made of this machine's files; [`debian`]: one of its packages.
//! - [`checkout`]: a copy of this checkout.
//! - [`planter`]: a macro that puts a library where a loader looks.
//! - [`figures`]: what benchmarks measure.
//! - [`session`]: a session that stays open.
//! - [`terminal`]: a pseudo-terminal, and who is controlled by it.
//! - [`tree`]: what a directory holds, by bytes.
//!
//! A component that is not there (Docker, strace, an ordinary user …) is named in one line and its test
//! ends; with `CI=true` it is a failure, so that CI cannot pass by leaving things out.
#![allow(dead_code, reason = "each test binary uses a part of this")]

pub mod checkout;
pub mod debian;
pub mod elf;
pub mod figures;
pub mod image;
pub mod line;
pub mod planter;
pub mod run;
pub mod session;
pub mod terminal;
pub mod tool;
pub mod tree;
pub mod world;

use std::io::Write;

/// Whether this is CI, where nothing may be skipped.
pub fn ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// Prints a line that libtest does not capture: it only takes what goes through the print macros.
pub fn note(line: &str) {
    let _ = std::io::stderr().write_all(format!("note: {line}\n").as_bytes());
}

/// The value, or a one-line note and `None`. Fails in CI.
pub fn need<T>(found: Result<T, String>) -> Option<T> {
    match found {
        Ok(value) => Some(value),
        Err(missing) => {
            assert!(!ci(), "missing in CI: {missing}");
            note(&format!("skipped: {missing}"));
            None
        }
    }
}

/// The absolute path of a system program.
pub fn program(name: &str) -> Result<std::path::PathBuf, String> {
    which::which_in(name, Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "/")
        .map_err(|_| format!("`{name}` is not installed"))
}
