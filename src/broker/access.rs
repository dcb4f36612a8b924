//! What each kind of job may touch: the table "A job's world" of docs/architecture.md, as Landlock rules.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::agent::protocol::{Access, Rights};
use crate::cargo::installed::coverage::{self, Coverage};

use super::identify::Refusal;
use super::nested::Nested;
use super::packages::{self, Linked};
use super::request::Request;
use super::rustc_arguments::RustcArguments;
use super::session::{Inside, Origin, Session, normalized};

/// Collects the rules of one job.
struct Rules(Vec<Access>);

impl Rules {
    /// What every job may read and run: the system, as the container shows it, and the toolchain.
    fn common(session: &Session) -> Self {
        let mut rules = Self(Vec::new());
        for path in session.containers.common_directories(session) {
            rules.add(&path, Rights::ReadExecute);
        }
        rules
    }

    /// What a compiler reads: its package, and what other crates left for it.
    fn compiler(session: &Session, origin: &Origin, parsed: &RustcArguments) -> Self {
        let mut rules = Self::common(session);
        rules.source(session, origin);
        rules.unpacked_sources(session);
        rules.artifacts(session, parsed);
        rules
    }

    fn add(&mut self, path: &Path, rights: Rights) {
        let path = path.as_os_str().as_bytes().to_vec();
        let access = Access { path, rights };
        if !self.0.contains(&access) {
            self.0.push(access);
        }
    }

    /// A package's own source; a member of the workspace reads all of it.
    fn source(&mut self, session: &Session, origin: &Origin) {
        match origin {
            Origin::Package(directory) | Origin::Packed(directory) | Origin::Extra(directory) => {
                self.add(directory, Rights::ReadExecute);
            }
            Origin::Workspace => {
                self.add(&session.project.root, Rights::ReadExecute);
                for extra in &session.extra_reads {
                    self.add(extra, Rights::ReadExecute);
                }
            }
        }
    }

    /// The unpacked sources of all crates. The compiler reads those of a crate's dependencies where a macro of
    /// theirs is used: to show lines of them in its messages, and for what it writes about them into the crate's
    /// metadata, which is not the same without.
    fn unpacked_sources(&mut self, session: &Session) {
        self.add(&session.registry_sources(), Rights::ReadExecute);
        self.add(&session.git_checkouts(), Rights::ReadExecute);
        for vendored in session.vendored_packages() {
            self.add(vendored, Rights::ReadExecute);
        }
    }

    /// What compilers and build scripts made for any profile. Not all of the build directory: among cargo's own records
    /// are values of its environment.
    fn programs(&mut self, session: &Session) {
        for profile in build_directories(session).iter().flat_map(|build| profiles(build)) {
            for name in ["deps", "build", "examples"] {
                self.add(&profile.join(name), Rights::ReadExecute);
            }
        }
    }

    /// What other crates left for the compiler: `deps` and the output of build scripts, in every part of the
    /// build directory that the command line names.
    fn artifacts(&mut self, session: &Session, parsed: &RustcArguments) {
        let build = session.directories.build();
        for path in parsed.search.iter().chain(&parsed.out_dir) {
            let Some(path) = normalized(path) else { continue };
            let Some(root) = artifact_root(&build, &path) else { continue };
            for name in ["deps", "build", "examples"] {
                self.add(&root.join(name), Rights::ReadExecute);
            }
        }
    }
}

/// The directory of a profile in the build directory (`debug`, `<triple>/release`) that a path is in.
fn artifact_root(build: &Path, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(build).ok()?;
    let known =
        |part: &Path| ["deps", "build", "examples", "incremental"].iter().any(|name| part.ends_with(name));
    // The part nearest to the build directory: a package may be named `deps`.
    let ancestors: Vec<&Path> = below.ancestors().collect();
    let place = ancestors.iter().rev().skip(2).find(|part| known(part))?;
    Some(build.join(place.parent()?))
}

/// The compiler is asked about itself.
pub fn query(session: &Session) -> Vec<Access> {
    let mut rules = Rules::common(session);
    // Target descriptions and the like; the workspace is what the user works on.
    rules.add(&session.project.root, Rights::Read);
    rules.0
}

/// rustc on any crate.
///
/// # Errors
/// When the places for its output are not in the build directory.
pub fn rustc(
    session: &Session,
    origin: &Origin,
    parsed: &RustcArguments,
    request: &Request,
) -> Result<Vec<Access>, Refusal> {
    let mut rules = Rules::compiler(session, origin, parsed);
    for output in [&parsed.out_dir, &parsed.incremental].into_iter().flatten() {
        let output = in_build_dir(session, &request.cwd.join(output))?;
        // Of both, since the compiler executes what it finds in `deps`: the kernel refuses a link to where a file would
        // have more rights, and rustc would copy each object of an incremental build.
        rules.add(&output, Rights::ReadExecute);
        rules.add(&output, Rights::WritePlain);
    }
    if let Some(file) = &parsed.output {
        let file = request.cwd.join(file);
        let outputs = session.directories.outputs();
        let directory = normalized(&file).and_then(|clean| Some(clean.parent()?.to_owned()));
        // Below it: each tool makes a directory of its own.
        let below = |directory: &PathBuf| directory.starts_with(&outputs) && *directory != outputs;
        let directory = directory.filter(below).ok_or(Refusal::Path(file))?;
        rules.add(&directory, Rights::WritePlain);
    }
    Ok(rules.0)
}

/// rustdoc. Documentation is final output and lands in the target directory.
///
/// # Errors
/// When the place for its output is elsewhere.
pub fn rustdoc(
    session: &Session,
    origin: &Origin,
    parsed: &RustcArguments,
    request: &Request,
) -> Result<Vec<Access>, Refusal> {
    let mut rules = Rules::compiler(session, origin, parsed);
    if let Some(output) = &parsed.out_dir {
        let output = request.cwd.join(output);
        let path = normalized(&output).ok_or_else(|| Refusal::Path(output.clone()))?;
        if !path.starts_with(&session.target_dir) && !path.starts_with(session.directories.build()) {
            return Err(Refusal::Path(path));
        }
        rules.add(&path, Rights::WritePlain);
    }
    Ok(rules.0)
}

/// The directory of the profile that a build script at `place` below the build directory is in.
///
/// # Errors
/// When it is in none.
pub fn root_of_script(session: &Session, place: &Path) -> Result<PathBuf, Refusal> {
    let build = session.directories.build();
    artifact_root(&build, &build.join(place)).ok_or_else(|| Refusal::UnknownScript(place.to_owned()))
}

/// A build script at `place` below the build directory.
///
/// # Errors
/// When its `OUT_DIR` is not a package's own directory in the build directory. cargo sets that variable last,
/// but what it grants is checked all the same.
pub fn build_script(
    session: &Session,
    origin: &Origin,
    place: &Path,
    linked: &Linked,
    request: &Request,
) -> Result<Vec<Access>, Refusal> {
    let mut rules = Rules::common(session);
    match origin {
        // In a layer that is gone with the job; the container itself shows it read-only. Scripts keep temporary
        // files there, and the compilers that they try things with do.
        Origin::Package(directory) => rules.add(directory, Rights::WriteAll),
        Origin::Workspace | Origin::Packed(_) | Origin::Extra(_) => rules.source(session, origin),
    }
    let build = session.directories.build();
    let root = root_of_script(session, place)?;
    let out = PathBuf::from(request.variable("OUT_DIR").unwrap_or_default());
    let out = in_build_dir(session, &out).map_err(|_| Refusal::OutDir(place.to_owned()))?;
    // For a foreign target the script's own place is in the host's part, its output in the target's.
    let out_root = artifact_root(&build, &out).ok_or_else(|| Refusal::OutDir(place.to_owned()))?;
    if out.file_name().is_none_or(|name| name != "out") || !out.starts_with(out_root.join("build")) {
        return Err(Refusal::OutDir(place.to_owned()));
    }
    for root in [root, out_root] {
        for name in ["deps", "build"] {
            rules.add(&root.join(name), Rights::ReadExecute);
        }
    }
    for directory in linked.sources.iter().chain(&said_by_dependencies(session, request)) {
        rules.add(directory, Rights::ReadExecute);
    }
    // In a layer as well: what one script leaves there is nothing that another one must find.
    for directory in &linked.shared {
        rules.add(directory, Rights::WriteAll);
    }
    rules.add(&session.directories.scripts().join(place), Rights::ReadExecute);
    rules.add(&out, Rights::WriteAll);
    Ok(rules.0)
}

/// The directories of packages that dependencies speak of to a build script (`DEP_<LINKS>_<KEY>`): headers of a C library are
/// where that is unpacked, or are links to there in the output of its script. Whatever a dependency says, these are sources that
/// the compiler reads as well.
fn said_by_dependencies(session: &Session, request: &Request) -> Vec<PathBuf> {
    let ends = |character: char| character.is_whitespace() || ",;:\"'".contains(character);
    let mut found = Vec::new();
    for variable in &request.env {
        let Some((name, value)) = variable.to_str().and_then(|variable| variable.split_once('=')) else {
            continue;
        };
        if !name.starts_with("DEP_") {
            continue;
        }
        // A list, or a flag such as `-I/path`.
        for word in value.split(ends) {
            let Some(path) = word.find('/').map(|start| Path::new(&word[start..])) else { continue };
            match session.origin(path) {
                Some(Origin::Package(directory)) => found.push(directory),
                _ => found.extend(packages::source_of_output(session, path)),
            }
        }
    }
    found
}

/// A program of the project: `run`, `test`, `bench`.
pub fn program(session: &Session, path: &Path) -> Vec<Access> {
    let mut rules = Rules::common(session);
    rules.source(session, &Origin::Workspace);
    rules.unpacked_sources(session);
    rules.programs(session);
    rules.add(&session.target_dir, Rights::ReadExecute);
    rules.add(path.parent().unwrap_or(path), Rights::ReadExecute);
    for build in build_directories(session) {
        // CARGO_TARGET_TMPDIR
        rules.add(&build.join("tmp"), Rights::WriteAll);
    }
    if let Some(nested) = Nested::of(session) {
        rules.add(&nested.place, Rights::WriteAll);
        for path in &nested.reads {
            rules.add(path, Rights::Read);
        }
    }
    rules.0
}

/// The build directory, and that of a command that measures, which is below it.
fn build_directories(session: &Session) -> Vec<PathBuf> {
    let build = session.directories.build();
    let measured = session.coverage.is_some().then(|| build.join(coverage::PLACE));
    std::iter::once(build).chain(measured).collect()
}

/// A tool of LLVM's: programs, what they measured, and the sources that a report shows.
pub fn coverage_tool(session: &Session, coverage: &Coverage) -> Vec<Access> {
    let mut rules = Rules::common(session);
    rules.source(session, &Origin::Workspace);
    rules.unpacked_sources(session);
    rules.programs(session);
    for path in [&session.target_dir, &session.directories.scripts()] {
        rules.add(path, Rights::Read);
    }
    rules.add(&coverage.demangler, Rights::ReadExecute);
    rules.0
}

/// The directories of profiles in the build directory: `debug`, `<triple>/release`.
fn profiles(build: &Path) -> Vec<PathBuf> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let (mut profiles, others): (Vec<_>, Vec<_>) =
        below(build).into_iter().partition(|path| path.join("deps").is_dir());
    profiles.extend(others.iter().flat_map(|path| below(path)).filter(|path| path.join("deps").is_dir()));
    profiles
}

/// cargo with all that it starts, in a copy of the project: what is written there is looked at before any of it counts.
pub fn inside(session: &Session, inside: &Inside) -> Vec<Access> {
    let mut rules = Rules::common(session);
    rules.unpacked_sources(session);
    for path in session.extra_reads.iter().chain(&inside.reads) {
        rules.add(path, Rights::Read);
    }
    rules.add(&session.project.root, Rights::WriteAll);
    rules.add(&inside.build, Rights::WriteAll);
    rules.0
}

/// A language server with all that it starts: as above, and the project stays as it is.
pub fn language_server(session: &Session, inside: &Inside, server: &Path) -> Vec<Access> {
    let mut rules = Rules::common(session);
    rules.source(session, &Origin::Workspace);
    rules.unpacked_sources(session);
    for path in &inside.reads {
        rules.add(path, Rights::Read);
    }
    rules.add(server, Rights::ReadExecute);
    rules.add(&inside.build, Rights::WriteAll);
    rules.0
}

/// A path that must be in the build directory.
fn in_build_dir(session: &Session, path: &Path) -> Result<PathBuf, Refusal> {
    let clean = normalized(path).ok_or_else(|| Refusal::Path(path.to_owned()))?;
    let build = session.directories.build();
    // What `cargo package` packs and unpacks is nobody's to write, whatever a repository's `rustflags` say.
    let packed = clean.starts_with(build.join("package"));
    if clean.starts_with(&build) && clean != build && !packed {
        Ok(clean)
    } else {
        Err(Refusal::Path(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;
    use std::ffi::OsString;

    fn writes(rules: &[Access]) -> Vec<String> {
        let writable = |access: &&Access| matches!(access.rights, Rights::WriteAll | Rights::WritePlain);
        rules
            .iter()
            .filter(writable)
            .map(|access| String::from_utf8_lossy(&access.path).into_owned())
            .collect()
    }

    fn readable(rules: &[Access], path: &str) -> bool {
        rules.iter().any(|access| Path::new(path).starts_with(std::ffi::OsStr::from_bytes(&access.path)))
    }

    fn request(env: &str) -> Request {
        let env = vec![OsString::from(env)];
        Request { exe: "/x".into(), cwd: "/w/app".into(), argv: Vec::new(), env, descriptors: Vec::new() }
    }

    #[test]
    fn the_root_of_a_profile_is_found() {
        let root = |path: &str| artifact_root(Path::new("/b"), Path::new(path));
        assert_eq!(root("/b/debug/deps"), Some("/b/debug".into()));
        assert_eq!(root("/b/triple/release/build/deps-1/out"), Some("/b/triple/release".into()));
        assert_eq!(root("/b/debug/build/deps/1/out/lib"), Some("/b/debug".into()));
        assert_eq!(root("/elsewhere/debug/deps"), None);
        assert_eq!(root("/b/debug"), None);
        assert_eq!(root("/b/deps"), None);
    }

    #[test]
    fn a_dependency_does_not_read_the_workspace() {
        let session = session();
        let build = session.directories.build();
        let parsed = RustcArguments { out_dir: Some(build.join("debug/deps")), ..RustcArguments::default() };
        let origin = Origin::Package("/c/registry/src/i/a-1".into());
        let rules = rustc(&session, &origin, &parsed, &request("")).unwrap();
        assert!(readable(&rules, "/c/registry/src/i/a-1/src/lib.rs"));
        assert!(!readable(&rules, "/w/app/.env") && !readable(&rules, "/c/credentials.toml"));
        assert!(!readable(&rules, build.join("debug/.fingerprint/x/y.json").to_str().unwrap()));
        assert_eq!(writes(&rules), [build.join("debug/deps").to_str().unwrap()]);
    }

    #[test]
    fn a_program_reads_no_records_of_cargos() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["debug/deps", "debug/.fingerprint", "triple/release/deps", "tmp/deps-less"] {
            std::fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        let mut found = profiles(directory.path());
        found.sort();
        assert_eq!(found, [directory.path().join("debug"), directory.path().join("triple/release")]);
        let session = session();
        let rules = program(&session, Path::new("/w/app/target/debug/app"));
        let build = session.directories.build();
        assert!(!readable(&rules, build.join("debug/.fingerprint/x/y.json").to_str().unwrap()));
        assert_eq!(writes(&rules), [build.join("tmp").to_str().unwrap()]);
    }

    #[test]
    fn output_outside_of_the_build_directory_is_refused() {
        let session = session();
        let build = session.directories.build();
        for out in ["/etc".into(), build.join("../x"), build.clone(), build.join("package/tmp-crate")] {
            let parsed = RustcArguments { out_dir: Some(out), ..RustcArguments::default() };
            assert!(rustc(&session, &Origin::Workspace, &parsed, &request("")).is_err());
        }
    }

    #[test]
    fn a_file_is_written_where_a_tools_compiler_may() {
        let session = session();
        let outputs = session.directories.outputs();
        let of = |file: PathBuf| {
            let parsed = RustcArguments { output: Some(file), ..RustcArguments::default() };
            rustc(&session, &Origin::Workspace, &parsed, &request("")).map(|rules| writes(&rules))
        };
        assert_eq!(of(outputs.join("x/expanded")).unwrap(), [outputs.join("x").to_str().unwrap()]);
        for bad in [
            "/etc/x".into(),
            "x".into(),
            outputs.join("x"),
            outputs.join("../build/x"),
            session.directories.temporary(),
        ] {
            assert!(of(bad).is_err());
        }
    }

    #[test]
    fn a_build_script_writes_its_own_output_directory_only() {
        let session = session();
        let build = session.directories.build();
        let place = Path::new("debug/build/x-1/build_script_build-1");
        let origin = Origin::Package("/c/registry/src/i/x-1".into());
        let out = build.join("triple/debug/build/x-2/out");
        let env = format!("OUT_DIR={}", out.display());
        let rules = build_script(&session, &origin, place, &Linked::default(), &request(&env)).unwrap();
        assert_eq!(writes(&rules), ["/c/registry/src/i/x-1", out.to_str().unwrap()]);
        assert!(readable(&rules, "/c/registry/src/i/x-1/build.rs") && !readable(&rules, "/w/app/.env"));
        assert!(!readable(&rules, "/c/registry/src/i/b-1/src/lib.rs"), "another package");
        let said = format!("DEP_B_INCLUDE=-I/c/registry/src/i/b-1/include:/w/app/include:{}", out.display());
        let mut spoken = request(&env);
        spoken.env.push(said.into());
        let rules = build_script(&session, &origin, place, &Linked::default(), &spoken).unwrap();
        assert!(readable(&rules, "/c/registry/src/i/b-1/include/b.h"), "a dependency's headers");
        assert!(!readable(&rules, "/c/registry/src/i/c-1/c.h") && !readable(&rules, "/w/app/include/x.h"));
        for bad in ["/etc", "", "debug/build/x-1", "debug/deps/out", "debug/build/../.fingerprint/out", "out"]
        {
            let env = format!("OUT_DIR={}", build.join(bad).display());
            assert!(
                build_script(&session, &origin, place, &Linked::default(), &request(&env)).is_err(),
                "{bad}"
            );
        }
    }
}
