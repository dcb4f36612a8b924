//! Whose a job is, and which macros it loads: from where its source lies, and from what was written down when a
//! compiler made what it is given. Nothing comes from the job's environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::policy::kind::Kind;
use crate::policy::package::{Package, Provenance};

use super::request::Request;
use super::rustc_arguments::RustcArguments;
use super::session::{Origin, Session, normalized};

/// Longest manifest that is read, in bytes.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// The directories that cargo gives to the index of crates.io: by its sparse protocol, and by git with the hashes of
/// cargo before and since 1.85. A repository's configuration can add other registries, which call anything anything.
const CRATES_IO: [&str; 2] = ["github.com-1ecc6299db9ec823", "github.com-25cdd57fae9f0462"];
const CRATES_IO_SPARSE: &str = "index.crates.io-";

/// Whom a policy is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The package.
    pub package: Package,
    /// The kind of job.
    pub kind: Kind,
    /// The packages whose macros the job loads.
    pub macros: Vec<Package>,
}

/// What is remembered of a compiler's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    package: Package,
    /// Packages of macros that whoever uses it loads.
    macros: Vec<Package>,
    /// The directory of its package, where that is not the workspace.
    #[serde(default)]
    source: Option<PathBuf>,
    /// The keys of what is linked into it.
    #[serde(default)]
    links: Vec<String>,
}

impl Subject {
    /// A compiler's, rustdoc's included. Writes down what is being compiled: who uses it may start before it is
    /// finished.
    pub fn of_compiler(
        session: &Session,
        request: &Request,
        origin: &Origin,
        parsed: &RustcArguments,
        kind: Kind,
    ) -> Self {
        let input = parsed.input.clone().unwrap_or_default();
        let package = of_source(session, origin, &request.cwd.join(input));
        let store = session.directories.packages();
        let mut macros = BTreeMap::new();
        let links: Vec<String> =
            parsed.externs.iter().map(|file| key_of_library(&request.cwd.join(file))).collect();
        for file in &links {
            let record = read(&store, file);
            for package in record.into_iter().flat_map(|record| record.macros) {
                macros.entry(package.to_string()).or_insert(package);
            }
        }
        let macros: Vec<Package> = macros.into_values().collect();
        if let (Kind::Compile, Some(out_dir)) = (kind, &parsed.out_dir) {
            let is_macro = parsed.crate_types.iter().any(|kind| kind == "proc-macro");
            let users = if is_macro { vec![package.clone()] } else { macros.clone() };
            // Whoever uses a macro is not linked with it.
            let (source, links) = if is_macro { (None, Vec::new()) } else { (source_of(origin), links) };
            let record = Record { package: package.clone(), macros: users, source, links };
            let stem = format!("{}{}", parsed.crate_name, parsed.extra_filename);
            // What cannot be written down is not granted anything later.
            let _without = write(&store, &key(&request.cwd.join(out_dir).join(stem)), &record);
            if parsed.is_program() && !parsed.test && *origin == Origin::Workspace {
                let _without = write(&store, &key_of_program(&parsed.crate_name), &record);
            }
        }
        Self { package, kind, macros }
    }

    /// A build script's, which runs in its package's directory. Writes down whose its output is.
    pub fn of_script(session: &Session, request: &Request, origin: &Origin) -> Self {
        let package = of_source(session, origin, &request.cwd.join("Cargo.toml"));
        if let (Some(source), Some(out)) = (source_of(origin), request.variable("OUT_DIR")) {
            let record = Record {
                package: package.clone(),
                macros: Vec::new(),
                source: Some(source),
                links: Vec::new(),
            };
            // What cannot be written down is not granted anything later.
            let _without = write(&session.directories.packages(), &key(Path::new(out)), &record);
        }
        Self { package, kind: Kind::BuildScript, macros: Vec::new() }
    }

    /// A program's, by what was written down when it was compiled.
    pub fn of_program(session: &Session, path: &Path) -> Self {
        let store = session.directories.packages();
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
        let record = read(&store, &key(path)).or_else(|| read(&store, &key_of_program(&name)));
        let package = record.map_or_else(Package::unknown, |record| record.package);
        Self { package, kind: session.programs, macros: Vec::new() }
    }
}

/// What a build script has of the packages that are linked into it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Their directories, without those of the workspace. A package of sources (`openssl-src`, say) is a library that knows
    /// where these are.
    pub sources: BTreeSet<PathBuf>,
    /// What they offer scripts to write in, beside their own output.
    pub shared: Vec<PathBuf>,
}

/// The package whose script's output directory `path` is in.
pub fn source_of_output(session: &Session, path: &Path) -> Option<PathBuf> {
    let path = normalized(path)?;
    let out = path.ancestors().find(|directory| directory.file_name().is_some_and(|name| name == "out"))?;
    read(&session.directories.packages(), &key(out))?.source
}

/// A package that is nothing but a directory for all build scripts that it is linked into (`cxx-build` is made with it).
const SHARED: &str = "scratch";

impl Linked {
    /// Of the script at `place` below the build directory, in the part of it that is `root`.
    pub fn of_script(session: &Session, place: &Path, root: &Path) -> Self {
        let sources = sources_of_script(session, place);
        let is_shared = |source: &PathBuf| {
            of_registry(session, source)
                .is_some_and(|package| package.name == SHARED && package.provenance == Provenance::Registry)
        };
        let shared =
            if sources.iter().any(is_shared) { outputs_of(&root.join("build"), SHARED) } else { Vec::new() };
        Self { sources, shared }
    }
}

/// The output directories of a package's build script: `build/<name>-<hash>/out`, or `build/<name>/<hash>/out`.
fn outputs_of(build: &Path, name: &str) -> Vec<PathBuf> {
    let below = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join("out")).collect::<Vec<_>>()
    };
    let of_package = |out: &PathBuf| {
        let directory = out.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        directory.strip_prefix(name).is_some_and(|rest| {
            rest.strip_prefix('-').is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        })
    };
    let mut outputs: Vec<_> = below(build).into_iter().filter(of_package).collect();
    outputs.extend(below(&build.join(name)));
    outputs.retain(|out| fs::symlink_metadata(out).is_ok_and(|metadata| metadata.is_dir()));
    outputs
}

fn sources_of_script(session: &Session, place: &Path) -> BTreeSet<PathBuf> {
    let store = session.directories.packages();
    let mut sources = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut left = vec![key(&session.directories.build().join(place))];
    while let Some(key) = left.pop() {
        if seen.contains(&key) {
            continue;
        }
        if let Some(record) = read(&store, &key) {
            sources.extend(record.source);
            left.extend(record.links);
        }
        seen.insert(key);
    }
    sources
}

/// The directory of a package that is not the workspace's.
fn source_of(origin: &Origin) -> Option<PathBuf> {
    match origin {
        Origin::Package(directory) => Some(directory.clone()),
        Origin::Workspace | Origin::Packed(_) | Origin::Extra(_) => None,
    }
}

/// The package that a source file belongs to.
fn of_source(session: &Session, origin: &Origin, path: &Path) -> Package {
    let top = match origin {
        Origin::Package(directory) => {
            if let Some(package) = of_registry(session, directory) {
                return package;
            }
            directory.clone()
        }
        Origin::Packed(directory) => {
            let name = crate::project::file_name(directory);
            return Package::of_directory(&name, Provenance::Repository).unwrap_or_else(Package::unknown);
        }
        Origin::Extra(directory) => directory.clone(),
        Origin::Workspace => session.project.root.clone(),
    };
    let Some(path) = normalized(path) else { return Package::unknown() };
    let directories = path.ancestors().skip(1).take_while(|directory| directory.starts_with(&top));
    directories.filter_map(of_manifest).next().unwrap_or_else(Package::unknown)
}

/// What cargo unpacked from crates.io is what its directory is named after: nobody else writes there.
fn of_registry(session: &Session, directory: &Path) -> Option<Package> {
    let mut below = directory.strip_prefix(session.registry_sources()).ok()?.iter();
    let index = below.next()?.to_str()?;
    let provenance = match index.starts_with(CRATES_IO_SPARSE) || CRATES_IO.contains(&index) {
        true => Provenance::Registry,
        false => Provenance::Repository,
    };
    Package::of_directory(below.next()?.to_str()?, provenance)
}

/// What a directory's manifest calls its package. Whoever wrote it may call it anything.
fn of_manifest(directory: &Path) -> Option<Package> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(directory.join("Cargo.toml"));
    let file = file.ok().filter(|file| file.metadata().is_ok_and(|file| file.is_file()))?;
    let mut text = String::new();
    file.take(LONGEST_MANIFEST).read_to_string(&mut text).ok()?;
    let manifest: toml::Table = toml::from_str(&text).ok()?;
    let package = manifest.get("package")?;
    let version = package.get("version").and_then(|version| version.as_str());
    Some(Package {
        name: package.get("name")?.as_str()?.to_owned(),
        version: version.and_then(|version| version.parse().ok()),
        provenance: Provenance::Repository,
    })
}

/// A library's by any of its files: `libname-hash.rmeta`, `.rlib`, `.so`.
fn key_of_library(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().as_bytes();
    let stem = stem.strip_prefix(b"lib").unwrap_or(stem);
    key(&path.with_file_name(std::ffi::OsStr::from_bytes(stem)))
}

/// cargo gives a final program a name without a hash, where all profiles have the same.
fn key_of_program(crate_name: &str) -> String {
    format!("program-{}", key(Path::new(crate_name)))
}

fn key(path: &Path) -> String {
    let path = normalized(path).unwrap_or_else(|| PathBuf::from(path));
    Sha256::digest(path.as_os_str().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(store: &Path, key: &str) -> Option<Record> {
    serde_json::from_slice(&fs::read(store.join(key)).ok()?).ok()
}

fn write(store: &Path, key: &str, record: &Record) -> io::Result<()> {
    let bytes = serde_json::to_vec(record)?;
    let path = store.join(key);
    if fs::read(&path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(store)?;
    file.write_all(&bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;
    use std::ffi::OsString;

    fn request(session: &Session) -> Request {
        fs::create_dir_all(session.directories.packages()).unwrap();
        Request {
            exe: "/x".into(),
            cwd: "/w/app".into(),
            argv: Vec::new(),
            env: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    fn compile(session: &Session, package: &str, line: &str) -> Subject {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let parsed = RustcArguments::parse(&words);
        let origin = Origin::Package(session.registry_sources().join(package));
        Subject::of_compiler(session, &request(session), &origin, &parsed, Kind::Compile)
    }

    #[test]
    fn a_macro_is_known_to_whoever_loads_it_through_others_as_well() {
        let session = session();
        let build = session.directories.build().join("debug/deps").display().to_string();
        let index = "index.crates.io-1";
        compile(
            &session,
            &format!("{index}/derive-1.2.3"),
            &format!(
                "--crate-name derive x.rs --crate-type proc-macro --out-dir {build} -C extra-filename=-1"
            ),
        );
        let facade = compile(
            &session,
            &format!("{index}/facade-1.0.0"),
            &format!(
                "--crate-name facade x.rs --crate-type lib --out-dir {build} -C extra-filename=-2 --extern \
                 derive={build}/libderive-1.so"
            ),
        );
        let names = |subject: &Subject| subject.macros.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&facade), ["derive 1.2.3"]);
        let user = compile(
            &session,
            &format!("{index}/user-1.0.0"),
            &format!(
                "--crate-name user x.rs --crate-type proc-macro --out-dir {build} -C extra-filename=-3 --extern \
                 facade={build}/libfacade-2.rmeta"
            ),
        );
        assert_eq!(names(&user), ["derive 1.2.3"]);
        // Who uses that macro loads it, and not what it was made with.
        let last = compile(
            &session,
            &format!("{index}/last-1.0.0"),
            &format!(
                "--crate-name last x.rs --crate-type lib --out-dir {build} --extern user={build}/libuser-3.so"
            ),
        );
        assert_eq!(names(&last), ["user 1.0.0"]);
        fs::remove_dir_all(session.directories.packages()).unwrap();
    }

    #[test]
    fn a_script_is_made_of_what_is_linked_into_it_and_not_of_macros() {
        let session = session();
        let build = session.directories.build().join("debug/deps").display().to_string();
        let library = |package: &str, number: u8, externs: &str| {
            let name = package.split('-').next().unwrap();
            let line = format!(
                "--crate-name {name} x.rs --crate-type lib --out-dir {build} -C extra-filename=-{number} {externs}"
            );
            compile(&session, &format!("i/{package}-1.0.0"), &line);
        };
        library("sources", 1, "");
        library("helper", 2, &format!("--extern sources={build}/libsources-1.rmeta"));
        library("other", 3, "");
        let derive =
            format!("--crate-name d x.rs --crate-type proc-macro --out-dir {build} -C extra-filename=-4");
        compile(&session, "i/derive-1.0.0", &derive);
        let place = Path::new("debug/build/x-5/build_script_build-5");
        let script = format!(
            "--crate-name build_script_build x.rs --crate-type bin --out-dir {} -C extra-filename=-5 --extern \
             helper={build}/libhelper-2.rlib --extern d={build}/libd-4.so",
            session.directories.build().join("debug/build/x-5").display()
        );
        compile(&session, "i/x-1.0.0", &script);
        let sources = sources_of_script(&session, place);
        let names: Vec<_> = sources.iter().map(|path| crate::project::file_name(path)).collect();
        assert_eq!(names, ["helper-1.0.0", "sources-1.0.0", "x-1.0.0"]);
        assert!(sources_of_script(&session, Path::new("debug/build/y-1/build_script_build-1")).is_empty());
        fs::remove_dir_all(session.directories.packages()).unwrap();
    }

    #[test]
    fn the_shared_directory_is_that_of_the_package_of_this_name() {
        let directory = tempfile::tempdir().unwrap();
        for path in
            ["scratch-12ab/out", "scratch-34cd", "scratch-pad-12ab/out", "other-12ab/out", "scratch/56ef/out"]
        {
            fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        fs::create_dir_all(directory.path().join("scratch-78")).unwrap();
        std::os::unix::fs::symlink("/etc", directory.path().join("scratch-78/out")).unwrap();
        let mut found = outputs_of(directory.path(), "scratch");
        found.sort();
        assert_eq!(found, ["scratch/56ef/out", "scratch-12ab/out"].map(|path| directory.path().join(path)));
    }

    #[test]
    fn another_registry_vouches_for_nobody() {
        let session = session();
        let provenance = |index: &str| {
            let directory = session.registry_sources().join(index).join("ring-0.17.8");
            of_registry(&session, &directory).unwrap().provenance
        };
        assert_eq!(provenance("index.crates.io-1949cf8c6b5b557f"), Provenance::Registry);
        assert_eq!(provenance("github.com-1ecc6299db9ec823"), Provenance::Registry);
        for other in ["github.com-0000000000000000", "evil.example-1", "index.crates.io.evil.example-1"] {
            assert_eq!(provenance(other), Provenance::Repository, "{other}");
        }
        assert_eq!(of_registry(&session, Path::new("/w/app/vendor/ring-0.17.8")), None);
    }

    #[test]
    fn members_are_what_their_manifests_say() {
        let directory = tempfile::tempdir().unwrap();
        let mut session = session();
        session.project.root = directory.path().to_owned();
        let member = directory.path().join("member");
        fs::create_dir_all(member.join("src")).unwrap();
        fs::write(member.join("Cargo.toml"), "[package]\nname = \"ring\"\nversion = \"0.17.8\"\n").unwrap();
        let package = of_source(&session, &Origin::Workspace, &member.join("src/lib.rs"));
        assert_eq!(
            (package.to_string().as_str(), package.provenance),
            ("ring 0.17.8", Provenance::Repository)
        );
        let none = of_source(&session, &Origin::Workspace, &directory.path().join("lib.rs"));
        assert_eq!(none, Package::unknown());
    }
}
