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
    fn what_an_earlier_run_wrote_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("debug/build/x-1");
        make_anew(&place).unwrap();
        std::fs::write(place.join("old"), "").unwrap();
        make_anew(&place).unwrap();
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
    }
}
