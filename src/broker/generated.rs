//! Source code that a build script writes into its own package's directory, where a policy says `generates-source`.
//!
//! cargo has unpacked that directory for all projects, so that nothing is ever written there. What the script writes is in a
//! layer over it that is kept below this tool's own directory, one for each output directory of a script; the compilers of the
//! same package see the layer over the same directory. Nobody else does.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::agent::protocol::{Layer, Layered};
use crate::policy::kind::Kind;
use crate::policy::package::Package;

use super::request::Request;
use super::session::{Origin, Session, normalized};

/// What is over a package's directory while its build script runs; what an earlier run wrote is gone.
///
/// # Errors
/// When it cannot be made anew.
pub fn layer_of_script(session: &Session, package: &Package, request: &Request) -> io::Result<Layer> {
    match is_kept(session, package).then(|| place(session, request)).flatten() {
        Some(place) => {
            make_anew(&place)?;
            Ok(Layer::Kept(place.as_os_str().as_bytes().to_vec()))
        }
        None => Ok(Layer::Lost),
    }
}

/// What is over a package's directory while a compiler reads it, if its script has written anything.
pub fn layer_of_compiler(
    session: &Session,
    package: &Package,
    origin: &Origin,
    request: &Request,
) -> Option<Layered> {
    let Origin::Package(directory) = origin else { return None };
    let place = is_kept(session, package).then(|| place(session, request)).flatten()?;
    let layer = Layer::Shown(place.as_os_str().as_bytes().to_vec());
    place.is_dir().then(|| Layered::new(directory, layer))
}

/// What rustc says before the name of a source file that is not there: a module's, and what `include!` and its like read.
const MISSED: [&str; 2] = ["file not found for module `", "couldn't read `"];

/// How what a script writes is kept, where a compiler has failed for a source file that its package, which is not the
/// workspace's, came without.
pub fn advice(session: &Session, package: &Package, request: &Request, words: &[u8]) -> Option<String> {
    // cargo tells compilers where the output of the package's script is, if it has one.
    request.variable("OUT_DIR")?;
    let directory = normalized(Path::new(request.variable("CARGO_MANIFEST_DIR")?))?;
    let is_dependency = matches!(session.origin(&directory), Some(Origin::Package(_)));
    let words = String::from_utf8_lossy(words);
    let missed = MISSED.iter().flat_map(|before| words.split(before).skip(1)).any(|behind| {
        let name = behind.split('`').next().unwrap_or_default();
        directory.join(name).starts_with(&directory)
    });
    if !is_dependency || !missed || is_kept(session, package) {
        return None;
    }
    let name = &package.name;
    Some(format!(
        "hint: a build script that makes source code in the directory of its own package makes it in vain here: all your \
         projects are compiled with that. To keep it for this one, write\n\n    [packages.\"{name}\".build-script]\n    \
         generates-source = true\n\ninto `cargo-sandbox.toml` in the project's root, then `cargo-sandbox self trust` and \
         `cargo-sandbox clean -p {name}`"
    ))
}

fn is_kept(session: &Session, package: &Package) -> bool {
    session.policy.keeps_source()
        && session.policy.effective(package, Kind::BuildScript).generates_source.is_some()
}

/// Where the layer of a script with this output directory is kept.
fn place(session: &Session, request: &Request) -> Option<PathBuf> {
    let out = normalized(Path::new(request.variable("OUT_DIR")?))?;
    let below = out.strip_prefix(session.directories.build()).ok()?;
    let place = below.parent().filter(|place| !place.as_os_str().is_empty())?;
    below.ends_with("out").then(|| session.directories.generated().join(place))
}

/// An empty directory, for the user alone.
fn make_anew(place: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(place)
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;
    use crate::policy::package::Provenance;

    fn request(out: &Path) -> Request {
        let variable = [b"OUT_DIR=", out.as_os_str().as_bytes()].concat();
        Request {
            exe: PathBuf::new(),
            cwd: PathBuf::from("/"),
            argv: Vec::new(),
            env: vec![std::os::unix::ffi::OsStringExt::from_vec(variable)],
            descriptors: Vec::new(),
        }
    }

    #[test]
    fn a_place_belongs_to_one_output_directory() {
        let session = session();
        let build = session.directories.build();
        let of = |out: &str| place(&session, &request(&build.join(out)));
        let generated = session.directories.generated();
        assert_eq!(of("debug/build/x-1/out"), Some(generated.join("debug/build/x-1")));
        assert_ne!(of("debug/build/x-1/out"), of("debug/build/x-2/out"));
        assert_eq!(of("debug/build/x-1/out/../../../../../out"), None);
        assert_eq!(of("out"), None);
        assert_eq!(of("debug/build/x-1"), None);
        assert_eq!(place(&session, &request(Path::new("/elsewhere/build/x-1/out"))), None);
    }

    #[test]
    fn a_source_file_that_a_package_came_without_may_be_its_scripts() {
        let session = session();
        let dependency = session.registry_sources().join("i/x-1.0.0");
        let package = Package::of_directory("x-1.0.0", Provenance::Registry).unwrap();
        let out = session.directories.build().join("debug/build/x-1/out");
        let of = |directory: &Path, words: &str| {
            let mut request = request(&out);
            request.env.push(format!("CARGO_MANIFEST_DIR={}", directory.display()).into());
            advice(&session, &package, &request, words.as_bytes()).is_some()
        };
        let read = |path: &Path| format!("error: couldn't read `{}`: No such file", path.display());
        assert!(of(&dependency, r#"{"message":"file not found for module `made`"}"#));
        assert!(of(&dependency, &read(Path::new("src/made.rs"))));
        assert!(of(&dependency, &read(&dependency.join("src/made.rs"))));
        assert!(!of(&dependency, &read(&out.join("made.rs"))), "left out by the script");
        assert!(!of(&dependency, "error: mismatched types"));
        assert!(!of(&session.project.root, "file not found for module `made`"), "not written yet");
    }

    #[test]
    fn what_an_earlier_run_wrote_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("debug/build/x-1");
        make_anew(&place).unwrap();
        std::fs::write(place.join("old"), "").unwrap();
        make_anew(&place).unwrap();
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
    }
}
