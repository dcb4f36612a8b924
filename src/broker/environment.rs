//! The environment of a job.
//!
//! cargo's own environment was scrubbed at the front end (`crate::cargo::environment`); what comes here is that
//! and what cargo, a configuration file or a build script added. A job may have all of it: it runs confined,
//! and by then a variable reaches nothing but that job. What this tool had to set for cargo is put back to what
//! plain cargo would have given.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::agent::protocol::JOB_HOME;

use super::identify::JobKind;
use super::request::Request;
use super::session::Session;

/// Variables that this tool sets for cargo, or that name places of the host which no job has.
const DROPPED: &[&str] = &[
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_CACHE_RUSTC_INFO",
    "HOME",
    "CARGO_HOME",
    "PATH",
    "RUSTC",
    "RUSTDOC",
    "RUSTC_WRAPPER",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_TOOLCHAIN",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    // They are for cargo's downloads, may hold a password, and lead nowhere from a job.
    "ALL_PROXY",
    "CARGO_HTTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The environment of a job, each variable as `NAME=value`.
pub fn for_job(session: &Session, request: &Request, kind: JobKind) -> Vec<Vec<u8>> {
    let mut environment: Vec<Vec<u8>> = request
        .env
        .iter()
        .filter(|variable| keeps(variable.as_bytes()))
        .map(|variable| variable.as_bytes().to_vec())
        .collect();
    let mut set = |name: &str, value: OsString| {
        environment.push([name.as_bytes(), b"=", &value.into_vec()].concat());
    };
    let mut path = session.toolchain.sysroot.join("bin").into_os_string();
    if let Some(given) = request.variable("PATH") {
        path.push(":");
        path.push(given);
    }
    set("PATH", path);
    set("HOME", JOB_HOME.into());
    set("CARGO_HOME", session.cargo_home.clone().into());
    if kind == JobKind::BuildScript {
        set("RUSTC", session.toolchain.program("rustc").into());
        set("RUSTDOC", session.toolchain.program("rustdoc").into());
    }
    environment
}

fn keeps(variable: &[u8]) -> bool {
    let end = variable.iter().position(|byte| *byte == b'=').unwrap_or(variable.len());
    let name = &variable[..end];
    if DROPPED.iter().any(|dropped| dropped.as_bytes() == name) {
        return false;
    }
    !(name.starts_with(b"CARGO_TARGET_") && name.ends_with(b"_RUNNER"))
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;

    fn of(kind: JobKind) -> Vec<String> {
        let session = session();
        let given = [
            "PATH=/usr/bin",
            "HOME=/home/me",
            "RUSTC_WRAPPER=/w",
            "RUSTC=/shim",
            "OUT_DIR=/o",
            "CARGO_TARGET_X_RUNNER=/r",
            "HTTPS_PROXY=http://me:password@proxy",
            "MINE=1",
            "CARGO_TARGET_TMPDIR=/t",
        ];
        let request = Request {
            exe: "/x".into(),
            cwd: "/".into(),
            argv: Vec::new(),
            env: given.iter().map(OsString::from).collect(),
            descriptors: Vec::new(),
        };
        for_job(&session, &request, kind).into_iter().map(|one| String::from_utf8(one).unwrap()).collect()
    }

    #[test]
    fn a_build_script_gets_the_real_compiler_and_no_wrapper() {
        let expected = [
            "OUT_DIR=/o",
            "MINE=1",
            "CARGO_TARGET_TMPDIR=/t",
            "PATH=/t/bin:/usr/bin",
            "HOME=/tmp/.home",
            "CARGO_HOME=/c",
            "RUSTC=/t/bin/rustc",
            "RUSTDOC=/t/bin/rustdoc",
        ];
        assert_eq!(of(JobKind::BuildScript), expected);
    }

    #[test]
    fn nothing_else_gets_a_compiler_in_its_environment() {
        assert!(!of(JobKind::Crate).iter().any(|variable| variable.starts_with("RUSTC")));
    }
}
