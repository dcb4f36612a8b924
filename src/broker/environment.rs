//! The environment of a job.
//!
//! cargo's own environment was scrubbed at the front end (`crate::cargo::environment`); what comes here is that
//! and what cargo, a configuration file or a build script added. A job may have all of it: it runs confined,
//! and by then a variable reaches nothing but that job. What this tool had to set for cargo is put back to what
//! plain cargo would have given. The environment of a cargo that this tool did not start is the user's own: what
//! does not pass of it is taken out here.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::agent::protocol::JOB_HOME;
use crate::cargo::environment::passes;
use crate::cargo::installed::NO_BOOTSTRAP;
use crate::cargo::toolchain::Toolchain;

use super::identify::JobKind;
use super::request::Request;
use super::session::{Purpose, Session};

/// Variables that this tool sets for cargo, or that name places of the host which no job has.
const DROPPED: &[&str] = &[
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_CACHE_RUSTC_INFO",
    "HOME",
    "CARGO_HOME",
    "LLVM_COV",
    "LLVM_PROFDATA",
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

/// Names that cargo sets for what it starts (the cargo book, "Environment variables"), and cargo's own tools for
/// cargo. A cargo that was started by another one has them from there, with values that may be the same.
const OF_CARGO: &[&str] = &[
    "CARGO",
    "CLIPPY_ARGS",
    "CLIPPY_TERMINAL_WIDTH",
    "OUT_DIR",
    "TARGET",
    "HOST",
    "NUM_JOBS",
    "OPT_LEVEL",
    "PROFILE",
];

/// Beginnings of such names.
const OF_CARGO_PREFIXES: &[&str] = &[
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_FEATURE_",
    "CARGO_CFG_",
    "CARGO_PRIMARY_",
];

/// What of a cargo's own environment no job gets: what would not have passed to cargo itself, with the values that
/// are withheld. A variable of the same name and another value was set by somebody who does not know that one.
pub fn withheld(environment: impl Iterator<Item = (OsString, OsString)>) -> HashSet<OsString> {
    let of_cargo = |name: &str| {
        OF_CARGO.contains(&name) || OF_CARGO_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    environment
        .filter(|(name, _)| !passes(name, &[]) && !name.to_str().is_some_and(of_cargo))
        .map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            variable
        })
        .collect()
}

/// Whether no job gets a variable of this name from outside, since it names a place of the host or is this tool's to set.
pub fn is_dropped(name: &str) -> bool {
    DROPPED.contains(&name)
}

/// The environment of a job, each variable as `NAME=value`.
pub fn for_job(session: &Session, request: &Request, kind: JobKind) -> Vec<Vec<u8>> {
    // The tool's own, and not the user's.
    let of_tool = session.expands.then(|| [NO_BOOTSTRAP.0, NO_BOOTSTRAP.1].join("="));
    let mut environment: Vec<Vec<u8>> = request
        .env
        .iter()
        .filter(|variable| keeps(variable.as_bytes()))
        .filter(|variable| {
            !matches!(kind, JobKind::Cargo | JobKind::LanguageServer)
                || !is_one_of(variable.as_bytes(), SET_FOR_CARGO)
        })
        .filter(|variable| of_tool.as_ref().is_none_or(|set| *variable != set.as_str()))
        .filter(|variable| session.plain.as_ref().is_none_or(|plain| !plain.withheld.contains(*variable)))
        .map(|variable| variable.as_bytes().to_vec())
        .collect();
    if kind == JobKind::Program && !session.provided.libraries.is_empty() {
        // Behind cargo's own: rustc's libraries and those of build scripts.
        let own = request.variable(LIBRARIES).map(Path::new);
        let all = own.into_iter().chain(session.provided.libraries.iter().map(PathBuf::as_path));
        let all: Vec<&[u8]> =
            all.map(|path| path.as_os_str().as_bytes()).filter(|part| !part.is_empty()).collect();
        environment.retain(|variable| name(variable) != LIBRARIES.as_bytes());
        environment.push([LIBRARIES.as_bytes(), b"=", &all.join(&b':')].concat());
    }
    let mut set = |name: &str, value: OsString| {
        environment.push([name.as_bytes(), b"=", &value.into_vec()].concat());
    };
    let given = request.variable("PATH").unwrap_or_default();
    let given = match &session.path {
        // What cargo looks for its own subcommands by is not for jobs: logs of `configure` hold it.
        Some((of_cargo, users)) if of_cargo == given => users,
        _ => given,
    };
    let path = path(&session.toolchain.sysroot.join("bin"), &session.provided.programs, given);
    set("PATH", path.clone());
    set("HOME", JOB_HOME.into());
    for (name, value) in &session.provided.variables {
        // What cargo, or a package, has set counts.
        if request.variable(name).is_none() {
            set(name, value.into());
        }
    }
    set("CARGO_HOME", session.cargo_home.clone().into());
    if kind == JobKind::BuildScript {
        for (variable, program) in [("RUSTC", "rustc"), ("RUSTDOC", "rustdoc")] {
            set(variable, called(&session.toolchain, program, &path).into());
        }
    }
    if matches!(kind, JobKind::BuildScript | JobKind::Program)
        && request.variable("CARGO_NET_OFFLINE").is_none()
    {
        // There is no network. A cargo below fails at once by this, and build scripts that would download
        // (ort-sys, for one) say what else they need.
        set("CARGO_NET_OFFLINE", "true".into());
    }
    let git = "GIT_DISCOVERY_ACROSS_FILESYSTEM";
    if matches!(kind, JobKind::BuildScript | JobKind::Crate) && request.variable(git).is_none() {
        // Scripts and macros ask git for a revision. Where a mount begins it would stop looking for a repository, and say so.
        set(git, "1".into());
    }
    if session.expands && kind == JobKind::Crate && request.argv.iter().any(|word| word == EXPANDED) {
        set("RUSTC_BOOTSTRAP", "1".into());
    }
    if let Purpose::Inside(inside) = &session.purpose {
        for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
            set(name, inside.build.clone().into());
        }
        set("RUSTC", session.toolchain.program("rustc").into());
        set("RUSTDOC", session.toolchain.program("rustdoc").into());
        // Empty it keeps the configuration's from being used.
        set("RUSTC_WRAPPER", OsString::new());
        set("CARGO_NET_OFFLINE", "true".into());
        if request.variable("RUSTC_WORKSPACE_WRAPPER").is_some() {
            set("RUSTC_WORKSPACE_WRAPPER", OsString::new());
        }
    }
    environment
}

/// Where the loader looks for libraries first.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// The user's `PATH`, with the toolchain's programs and those of a provider: what is found there by the name of `rustc` may be
/// rustup's, which no job has. As it is, where the toolchain is in it, since logs of `configure` hold it.
fn path(toolchain: &Path, provided: &[PathBuf], given: &OsStr) -> OsString {
    let mut path = OsString::new();
    let mut add = |directory: &OsStr| {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(directory);
    };
    if !provided.is_empty() || !std::env::split_paths(given).any(|directory| directory == toolchain) {
        add(toolchain.as_os_str());
    }
    provided.iter().for_each(|directory| add(directory.as_os_str()));
    if !given.is_empty() {
        add(given);
    }
    path
}

/// What a build script is told that a program of the toolchain is called: what cargo would say, unless another one is found by that
/// name.
fn called(toolchain: &Toolchain, name: &str, path: &OsStr) -> PathBuf {
    let own = toolchain.program(name);
    let found = std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| file.is_file());
    let same = |file: &Path| *file == own || file.canonicalize().ok() == own.canonicalize().ok();
    if found.as_deref().is_none_or(same) { toolchain.called(name) } else { own }
}

/// What a compiler shows what macros made by.
const EXPANDED: &str = "-Zunpretty=expanded";

/// What cargo is told as a job, whatever it would be told outside.
const SET_FOR_CARGO: &[&str] = &["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_NET_OFFLINE"];

fn keeps(variable: &[u8]) -> bool {
    let name = name(variable);
    // Empty it is this tool's; cargo-clippy names its driver in it.
    if is_one_of(variable, DROPPED) || variable == b"RUSTC_WORKSPACE_WRAPPER=" {
        return false;
    }
    // Whether this tool, or the user: they are cargo's business.
    let provider = name.starts_with(b"CARGO_REGISTR")
        && (name.ends_with(b"_CREDENTIAL_PROVIDER") || name.ends_with(b"_CREDENTIAL_PROVIDERS"));
    !(provider || name.starts_with(b"CARGO_TARGET_") && name.ends_with(b"_RUNNER"))
}

fn name(variable: &[u8]) -> &[u8] {
    let end = variable.iter().position(|byte| *byte == b'=').unwrap_or(variable.len());
    &variable[..end]
}

fn is_one_of(variable: &[u8], names: &[&str]) -> bool {
    names.iter().any(|known| known.as_bytes() == name(variable))
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;
    use crate::provider::Provided;

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
            "CARGO_NET_OFFLINE=true",
            "GIT_DISCOVERY_ACROSS_FILESYSTEM=1",
        ];
        assert_eq!(of(JobKind::BuildScript), expected);
    }

    #[test]
    fn the_toolchain_is_in_the_path_once() {
        let of = |given: &str| path(Path::new("/t/bin"), &[], OsStr::new(given)).into_string().unwrap();
        assert_eq!(of("/usr/bin"), "/t/bin:/usr/bin");
        assert_eq!(of("/usr/bin:/t/bin"), "/usr/bin:/t/bin");
        assert_eq!(of(""), "/t/bin");
    }

    #[test]
    fn a_job_has_the_users_path_and_not_that_of_cargo() {
        let mut session = session();
        session.path = Some(("/t/bin:/t/bin:/usr/bin:/h/.cargo/bin".into(), "/t/bin:/usr/bin".into()));
        let of = |path: &str| {
            let env = vec![OsString::from(format!("PATH={path}"))];
            let request =
                Request { exe: "/x".into(), cwd: "/".into(), argv: Vec::new(), env, descriptors: Vec::new() };
            let all = for_job(&session, &request, JobKind::BuildScript);
            String::from_utf8(all.into_iter().find(|one| one.starts_with(b"PATH=")).unwrap()).unwrap()
        };
        assert_eq!(of("/t/bin:/t/bin:/usr/bin:/h/.cargo/bin"), "PATH=/t/bin:/usr/bin");
        assert_eq!(of("/a/script/has/set:/t/bin"), "PATH=/a/script/has/set:/t/bin");
    }

    #[test]
    fn a_script_is_told_of_the_compiler_as_cargo_would() {
        let directory = tempfile::tempdir().unwrap();
        let bin = |name: &str| {
            let bin = directory.path().join(name).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("rustc"), name).unwrap();
            bin
        };
        let (own, other) = (bin("own"), bin("other"));
        let sysroot = directory.path().join("own");
        let chosen = Toolchain { name: "stable".into(), sysroot: sysroot.clone(), by_rustup: true };
        let found = Toolchain { by_rustup: false, ..chosen.clone() };
        let path = |order: [&PathBuf; 2]| std::env::join_paths(order).unwrap();
        assert_eq!(called(&chosen, "rustc", &path([&own, &other])), own.join("rustc"));
        assert_eq!(called(&found, "rustc", &path([&own, &other])), Path::new("rustc"));
        assert_eq!(
            called(&found, "rustc", &path([&other, &own])),
            own.join("rustc"),
            "the other would be found"
        );
    }

    #[test]
    fn nothing_else_gets_a_compiler_in_its_environment() {
        assert!(!of(JobKind::Crate).iter().any(|variable| variable.starts_with("RUSTC")));
    }

    #[test]
    fn what_riff_or_nix_gives_comes_after_what_cargo_says() {
        let mut session = session();
        session.provided = Provided {
            variables: [("MINE", "theirs"), ("MORE", "2")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            programs: vec!["/nix/store/p/bin".into()],
            libraries: vec!["/nix/store/l/lib".into()],
            withheld: Vec::new(),
        };
        let env = ["PATH=/usr/bin", "MINE=1", "LD_LIBRARY_PATH=/o"].map(OsString::from).into();
        let request =
            Request { exe: "/x".into(), cwd: "/".into(), argv: Vec::new(), env, descriptors: Vec::new() };
        let of = |kind| {
            let all = for_job(&session, &request, kind);
            all.into_iter().map(|one| String::from_utf8(one).unwrap()).collect::<Vec<_>>()
        };
        for (kind, libraries) in [(JobKind::Program, "/o:/nix/store/l/lib"), (JobKind::Crate, "/o")] {
            let all = of(kind);
            for variable in [
                "MINE=1",
                "MORE=2",
                "PATH=/t/bin:/nix/store/p/bin:/usr/bin",
                &format!("LD_LIBRARY_PATH={libraries}"),
            ] {
                assert!(all.iter().any(|own| own == variable), "{variable}: {all:?}");
            }
            assert_eq!(all.iter().filter(|own| own.starts_with("LD_LIBRARY_PATH=")).count(), 1);
            assert!(!all.iter().any(|own| own == "MINE=theirs"));
        }
    }

    #[test]
    fn what_does_not_pass_is_withheld_by_name_and_value() {
        let own = [
            ("GITHUB_TOKEN", "s"),
            ("CARGO_PKG_NAME", "x"),
            ("LANG", "C"),
            ("EDITOR", "vi"),
            ("CARGO", "/c"),
        ];
        let all = withheld(own.iter().map(|(name, value)| (name.into(), value.into())));
        assert_eq!(all, HashSet::from(["GITHUB_TOKEN=s".into(), "EDITOR=vi".into()]));
    }
}
