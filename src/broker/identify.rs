//! What a request means: the kind of job, the program that really runs, and what is to be done afterwards.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::agent::protocol::{Access, Budget, JOB_FILES, JobSpec, Layer, Layered};

use crate::cargo::installed::coverage::Coverage;
use crate::policy::kind::Kind;
use crate::policy::layers::Place;
use crate::policy::limits::LimitName;
use crate::policy::network::{Network, PublishedPort};

use super::access;
use super::environment;
use super::generated;
use super::grants;
use super::packages::{Linked, Subject};
use super::request::Request;
use super::rustc_arguments::RustcArguments;
use super::session::{Inside, Origin, Purpose, Session, normalized};

/// The names under which the wrapper is installed, one per role.
pub mod role {
    /// `RUSTC_WRAPPER`: the program to run is the first argument.
    pub const RUSTC_WRAPPER: &str = "rustc-wrapper";
    /// `RUSTC`.
    pub const RUSTC: &str = "rustc";
    /// `RUSTDOC`.
    pub const RUSTDOC: &str = "rustdoc";
    /// `CARGO_TARGET_<TRIPLE>_RUNNER`: the program to run is the first argument.
    pub const RUNNER: &str = "runner";
    /// cargo itself, where all of a command runs inside.
    pub const CARGO: &str = "cargo";
    /// cargo's credential provider, where tokens are elsewhere than cargo finds them.
    pub const CREDENTIAL: &str = "credential";
    /// `LLVM_COV`, for `cargo llvm-cov`.
    pub const LLVM_COV: &str = "llvm-cov";
    /// `LLVM_PROFDATA`, for the same.
    pub const LLVM_PROFDATA: &str = "llvm-profdata";
    /// All of them.
    pub const ALL: [&str; 8] =
        [RUSTC_WRAPPER, RUSTC, RUSTDOC, RUNNER, CARGO, CREDENTIAL, LLVM_COV, LLVM_PROFDATA];
}

/// Longest argument file that is read, in bytes.
const MAX_ARGUMENT_FILE: u64 = 8 << 20;

/// The kinds of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// The compiler is asked about itself.
    Query,
    /// rustc, or clippy in its place, on a crate that is no build script.
    Crate,
    /// rustc on a build script.
    BuildScriptCrate,
    /// A build script runs.
    BuildScript,
    /// rustdoc: documentation, or doctests.
    Rustdoc,
    /// A program of the project: `run`, `test`, `bench`.
    Program,
    /// cargo with all that it starts, in a copy of the project.
    Cargo,
    /// A tool of LLVM's reads what programs measured.
    Coverage,
    /// An editor's language server with all that it starts.
    LanguageServer,
}

impl JobKind {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "compiler query",
            Self::Crate => "rustc",
            Self::BuildScriptCrate => "rustc of the build script",
            Self::BuildScript => "build script",
            Self::Rustdoc => "rustdoc",
            Self::Program => "program",
            Self::Cargo => "cargo",
            Self::Coverage => "LLVM's tool",
            Self::LanguageServer => "language server",
        }
    }
}

/// A request, understood.
#[derive(Debug)]
pub struct Job {
    /// What it is.
    pub kind: JobKind,
    /// Whose it is: a package's directory name, for messages.
    pub package: String,
    /// What the agent is to run; descriptors are the broker's business.
    pub spec: JobSpec,
    /// What is to be done when it has succeeded.
    pub after: After,
    /// Whom a policy is asked about; nobody for what is no package's.
    pub subject: Option<Subject>,
    /// What it reaches.
    pub network: Network,
    /// Unix sockets of this machine that it connects to.
    pub sockets: Vec<PathBuf>,
    /// Ports of it that this machine gets.
    pub ports: Vec<PublishedPort>,
    /// Variables of the loader's that it may set for its package ([`LIBRARY_PATHS`](super::directives::LIBRARY_PATHS)).
    pub sets: Vec<String>,
    /// Limits that a policy sets for it, and where.
    pub limited: Vec<(LimitName, Option<u64>, Place)>,
}

impl Job {
    /// A job that nothing is to be done after, and that no policy is asked about.
    pub(super) fn new(kind: JobKind, package: String, spec: JobSpec) -> Self {
        let (after, network) = (After::Nothing, Network::Loopback);
        Self {
            kind,
            package,
            spec,
            after,
            subject: None,
            network,
            sockets: Vec::new(),
            ports: Vec::new(),
            sets: Vec::new(),
            limited: Vec::new(),
        }
    }
}

/// What is to be done when a job has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// Look at the files whose names start with `stem`: cargo links and copies them.
    CheckOutputs {
        /// Where they are.
        directory: PathBuf,
        /// How their names start (an optional `lib` before it).
        stem: String,
    },
    /// Take the build script away, and put a shim in its place.
    TakeScript {
        /// Where the compiler put it.
        executable: PathBuf,
    },
}

/// Why a request is refused: nothing runs, and cargo sees a failure.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A wrapper of an unknown name.
    #[error("`{}` plays no role that is known here", .0.display())]
    Role(PathBuf),
    /// cargo names a compiler that is not the toolchain's.
    #[error(
        "cargo was told to start `{}` in place of the compiler\n\nhint: remove `rustc-workspace-wrapper` or the like \
         from the configuration; only the toolchain's own rustc and clippy-driver are run",
        .0.display()
    )]
    Compiler(PathBuf),
    /// An argument file that cannot be read.
    #[error("failed to read the argument file `{}`: {reason}", path.display())]
    ArgumentFile {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Source outside of everything that jobs may read.
    #[error(
        "`{}` is outside of the project `{}`, and jobs must not read there\n\nhint: if you trust what is there, let \
         jobs read it: `cargo-sandbox --sandbox-read {} …`",
        path.display(), root.display(), directory.display()
    )]
    Outside {
        /// The source file or directory.
        path: PathBuf,
        /// The project's root.
        root: PathBuf,
        /// What to allow.
        directory: PathBuf,
    },
    /// A build script that was not compiled here.
    #[error(
        "the build script `{}` was not compiled by this tool, so that it is not known what it is\n\nhint: \
         `cargo-sandbox clean`, then build again",
        .0.display()
    )]
    UnknownScript(PathBuf),
    /// A build script's output directory that is not where cargo puts it.
    #[error("`OUT_DIR` of `{}` is not in the build directory", .0.display())]
    OutDir(PathBuf),
    /// No place for what a build script writes into its own package.
    #[error(
        "failed to make a directory for the source code that the build script of `{package}` writes: {source}"
    )]
    Generated {
        /// Whose.
        package: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program that is no artifact of this project.
    #[error("`{}` is not in the target or build directory of this project, and is not run", .0.display())]
    Program(PathBuf),
    /// A policy keeps the job from running: which, what says so, and what would let it run.
    #[error("{0}")]
    Denied(String),
    /// A path that cannot be where it is said to be.
    #[error("`{}` is no path that can be used", .0.display())]
    Path(PathBuf),
}

/// Understands a request.
///
/// # Errors
/// When it must not run.
pub fn identify(session: &Session, request: &Request) -> Result<Job, Refusal> {
    let mut job = understand(session, request)?;
    grants::apply(session, request, &mut job)?;
    Ok(job)
}

/// What a request means where no policy says anything.
fn understand(session: &Session, request: &Request) -> Result<Job, Refusal> {
    let directories = &session.directories;
    if let Ok(place) = request.exe.strip_prefix(directories.shims()) {
        return build_script(session, request, place);
    }
    let given = request.argv.get(1..).unwrap_or_default();
    match session.role(&request.exe) {
        Some(role::RUSTC_WRAPPER) => wrapped(session, request, given),
        Some(role::RUSTC) => compile(session, request, session.toolchain.program("rustc"), &[], given),
        Some(role::RUSTDOC) => rustdoc(session, request, given),
        Some(role::RUNNER) => program(session, request, given),
        Some(role::CARGO) => cargo(session, request),
        Some(role @ (role::LLVM_COV | role::LLVM_PROFDATA)) => coverage_tool(session, request, role, given),
        _ => Err(Refusal::Role(request.exe.clone())),
    }
}

/// `RUSTC_WRAPPER [workspace wrapper] RUSTC arguments…`
fn wrapped(session: &Session, request: &Request, given: &[OsString]) -> Result<Job, Refusal> {
    let real = session.toolchain.program("rustc");
    let is_rustc = |word: &OsString| session.is_rustc(Path::new(word));
    match given {
        [first, rest @ ..] if is_rustc(first) => compile(session, request, real, &[], rest),
        [first, second, rest @ ..] if is_rustc(second) => {
            let clippy = session.toolchain.program("clippy-driver");
            if Path::new(first) != clippy {
                return Err(Refusal::Compiler(first.into()));
            }
            compile(session, request, clippy, &[real.into_os_string()], rest)
        }
        [first, ..] => Err(Refusal::Compiler(first.into())),
        [] => Err(Refusal::Role(request.exe.clone())),
    }
}

/// rustc, or clippy-driver with the path of rustc before rustc's own arguments.
fn compile(
    session: &Session,
    request: &Request,
    program: PathBuf,
    before: &[OsString],
    given: &[OsString],
) -> Result<Job, Refusal> {
    let arguments = ArgumentFile::expand(&request.cwd, given)?;
    let parsed = RustcArguments::parse(&arguments.expanded);
    let build = session.directories.build();
    let mut argv = vec![program.clone().into_os_string()];
    argv.extend_from_slice(before);
    argv.extend(arguments.given);
    let mut subject = None;
    let mut layered = None;
    let mut measured = session.coverage.is_some();
    let (kind, package, access, after) =
        if parsed.query && parsed.out_dir.is_none() && parsed.output.is_none() {
            (JobKind::Query, "the toolchain".to_owned(), access::query(session), After::Nothing)
        } else {
            let origin = source_origin(session, request, &parsed)?;
            measured &= !matches!(origin, Origin::Package(_));
            let package = package_name(session, request, &origin);
            let stem = format!("{}{}", parsed.crate_name, parsed.extra_filename);
            // A repository's `rustflags` may say anything here, and files of this name are looked at afterwards.
            if stem.contains('/') {
                return Err(Refusal::Path(stem.into()));
            }
            let access = access::rustc(session, &origin, &parsed, request)?;
            let compiled = Subject::of_compiler(session, request, &origin, &parsed, Kind::Compile);
            layered = generated::layer_of_compiler(session, &compiled.package, &origin, request);
            subject = Some(compiled);
            if parsed.is_build_script(&build) {
                let directory = parsed.out_dir.clone().unwrap_or_default();
                (
                    JobKind::BuildScriptCrate,
                    package,
                    access,
                    After::TakeScript { executable: directory.join(stem) },
                )
            } else {
                let after = match &parsed.out_dir {
                    Some(directory) => After::CheckOutputs { directory: directory.clone(), stem },
                    None => After::Nothing,
                };
                (JobKind::Crate, package, access, after)
            }
        };
    if session.coverage.is_some() && !measured {
        argv = Coverage::without_flags(argv);
    }
    let mut spec = spec(session, request, kind, program, argv, access);
    // cargo asks where the user is, which the container need not show: `--manifest-path`, `install`.
    if kind == JobKind::Query && session.origin(&request.cwd).is_none() {
        spec.cwd = session.project.root.as_os_str().as_bytes().to_vec();
    }
    let layered = layered.into_iter().collect();
    let spec = JobSpec { files: arguments.files, layered, ..spec };
    Ok(Job { after, subject, ..Job::new(kind, package, spec) })
}

/// rustdoc: documentation or doctests, which it compiles and runs itself.
fn rustdoc(session: &Session, request: &Request, given: &[OsString]) -> Result<Job, Refusal> {
    let program = session.toolchain.program("rustdoc");
    let arguments = ArgumentFile::expand(&request.cwd, given)?;
    let mut parsed = RustcArguments::parse(&arguments.expanded);
    parsed.out_dir = parsed.out_dir.or(parsed.output.take());
    let query = parsed.query && parsed.input.is_none();
    let mut subject = None;
    let mut layered = None;
    let (package, access) = if query {
        ("the toolchain".to_owned(), access::query(session))
    } else {
        let origin = source_origin(session, request, &parsed)?;
        let kind = if parsed.test { Kind::Doctest } else { Kind::Rustdoc };
        let read = Subject::of_compiler(session, request, &origin, &parsed, kind);
        layered = generated::layer_of_compiler(session, &read.package, &origin, request);
        subject = Some(read);
        (package_name(session, request, &origin), access::rustdoc(session, &origin, &parsed, request)?)
    };
    let mut argv = vec![program.clone().into_os_string()];
    argv.extend(without_runner(session, arguments.given));
    let kind = if query { JobKind::Query } else { JobKind::Rustdoc };
    let spec = spec(session, request, kind, program, argv, access);
    // Documentation tests are programs of the project.
    let budget = if parsed.test { session.budgets.program } else { spec.budget };
    let layered = layered.into_iter().collect();
    let spec = JobSpec { files: arguments.files, layered, local_sockets: parsed.test, budget, ..spec };
    Ok(Job { subject, ..Job::new(kind, package, spec) })
}

/// Doctests run where rustdoc runs: inside. The runner, which cargo names for them, is for the host.
fn without_runner(session: &Session, given: Vec<OsString>) -> Vec<OsString> {
    let is_runner = |word: &OsString| session.role(Path::new(word)) == Some(role::RUNNER);
    let mut kept = Vec::with_capacity(given.len());
    let mut words = given.into_iter().peekable();
    while let Some(word) = words.next() {
        if word == "--test-runtool" && words.peek().is_some_and(is_runner) {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept
}

/// A shim: the build script that was compiled to the same place runs.
fn build_script(session: &Session, request: &Request, place: &Path) -> Result<Job, Refusal> {
    let program = session.directories.scripts().join(place);
    if !program.is_file() {
        return Err(Refusal::UnknownScript(place.to_owned()));
    }
    let origin = session.origin(&request.cwd).ok_or_else(|| outside(session, &request.cwd))?;
    let linked = Linked::of_script(session, place, &access::root_of_script(session, place)?);
    let access = access::build_script(session, &origin, place, &linked, request)?;
    let subject = Subject::of_script(session, request, &origin);
    let mut layered = match &origin {
        Origin::Package(directory) => {
            let layer = generated::layer_of_script(session, &subject.package, request);
            let failed = |source| Refusal::Generated { package: subject.package.to_string(), source };
            vec![Layered::new(directory, layer.map_err(failed)?)]
        }
        // What a member's script writes into the repository must not vanish without a word, and cargo refuses to
        // package what its own script changes.
        Origin::Workspace | Origin::Packed(_) | Origin::Extra(_) => Vec::new(),
    };
    layered.extend(linked.shared.iter().map(|directory| Layered::new(directory, Layer::Lost)));
    let spec = spec(session, request, JobKind::BuildScript, program, request.argv.clone(), access);
    let spec = JobSpec { layered, ..spec };
    let package = package_name(session, request, &origin);
    Ok(Job { subject: Some(subject), ..Job::new(JobKind::BuildScript, package, spec) })
}

/// The runner: a program that was built here.
fn program(session: &Session, request: &Request, given: &[OsString]) -> Result<Job, Refusal> {
    let named = given.first().ok_or_else(|| Refusal::Role(request.exe.clone()))?;
    let path = request.cwd.join(named);
    let path = normalized(&path).ok_or(Refusal::Path(path))?;
    if !path.starts_with(session.directories.build()) && !path.starts_with(&session.target_dir) {
        return Err(Refusal::Program(path));
    }
    let access = access::program(session, &path);
    let spec = spec(session, request, JobKind::Program, path.clone(), given.to_vec(), access);
    let package = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let subject = Some(Subject::of_program(session, &path));
    Ok(Job { subject, ..Job::new(JobKind::Program, package, spec) })
}

/// cargo itself. What it runs was said by the front end, and not by the wrapper.
fn cargo(session: &Session, request: &Request) -> Result<Job, Refusal> {
    let Purpose::Inside(inside) = &session.purpose else { return Err(Refusal::Role(request.exe.clone())) };
    let program = session.toolchain.program("cargo");
    let mut argv = vec![program.clone().into_os_string()];
    argv.extend_from_slice(&inside.arguments);
    let spec = spec(session, request, JobKind::Cargo, program, argv, access::inside(session, inside));
    let spec = JobSpec { cwd: inside.directory.as_os_str().as_bytes().to_vec(), ..spec };
    let package = crate::project::file_name(&session.project.root);
    Ok(Job::new(JobKind::Cargo, package, spec))
}

/// A language server, which is no request of cargo's: what it is was said by the front end. `environment` is the scrubbed one,
/// each `NAME=value`.
pub fn language_server(session: &Session, inside: &Inside, server: &Path, environment: Vec<OsString>) -> Job {
    let request = Request {
        exe: server.to_owned(),
        cwd: inside.directory.clone(),
        argv: Vec::new(),
        env: environment,
        descriptors: Vec::new(),
    };
    let mut argv = vec![server.as_os_str().to_owned()];
    argv.extend_from_slice(&inside.arguments);
    let access = access::language_server(session, inside, server);
    let spec = spec(session, &request, JobKind::LanguageServer, server.to_owned(), argv, access);
    let spec = JobSpec { descriptors: vec![0, 1, 2], ..spec };
    Job::new(JobKind::LanguageServer, crate::project::file_name(&session.project.root), spec)
}

/// A tool of LLVM's, on what the project's programs measured and on these programs.
fn coverage_tool(
    session: &Session,
    request: &Request,
    role: &str,
    given: &[OsString],
) -> Result<Job, Refusal> {
    let coverage = session.coverage.as_ref().ok_or_else(|| Refusal::Role(request.exe.clone()))?;
    let program = if role == role::LLVM_COV { &coverage.cov } else { &coverage.profdata };
    let mut argv = vec![program.clone().into_os_string()];
    argv.extend(given.iter().map(|word| script_behind(session, request, word)));
    let access = access::coverage_tool(session, coverage);
    let spec = spec(session, request, JobKind::Coverage, program.clone(), argv, access);
    Ok(Job::new(JobKind::Coverage, role.to_owned(), spec))
}

/// The build script that a shim stands for, where a word leads to one.
fn script_behind(session: &Session, request: &Request, word: &OsString) -> OsString {
    let path = request.cwd.join(word);
    let shim =
        path.starts_with(session.directories.build()).then(|| std::fs::read_link(&path).ok()).flatten();
    let place = shim.as_deref().and_then(|shim| shim.strip_prefix(session.directories.shims()).ok());
    place.map_or_else(|| word.clone(), |place| session.directories.scripts().join(place).into())
}

/// A job without files of its own; descriptors are the broker's business.
fn spec(
    session: &Session,
    request: &Request,
    kind: JobKind,
    program: PathBuf,
    argv: Vec<OsString>,
    access: Vec<Access>,
) -> JobSpec {
    JobSpec {
        program: program.into_os_string().into_vec(),
        argv: argv.into_iter().map(OsString::into_vec).collect(),
        env: environment::for_job(session, request, kind),
        cwd: request.cwd.as_os_str().as_bytes().to_vec(),
        descriptors: Vec::new(),
        files: Vec::new(),
        access,
        layered: Vec::new(),
        umask: session.umask,
        terminal: None,
        network: None,
        sockets: Vec::new(),
        system_calls: Vec::new(),
        local_sockets: kind == JobKind::Program,
        budget: budget(session, kind),
        observe: None,
        timed: false,
    }
}

/// What a job may use up.
fn budget(session: &Session, kind: JobKind) -> Budget {
    match kind {
        // All of a command, however long it takes.
        JobKind::Program | JobKind::Cargo | JobKind::Coverage => session.budgets.program,
        // It runs for as long as the editor does. Memory and processes are the container's.
        JobKind::LanguageServer => Budget::default(),
        JobKind::Query
        | JobKind::Crate
        | JobKind::BuildScriptCrate
        | JobKind::BuildScript
        | JobKind::Rustdoc => session.budgets.build,
    }
}

fn source_origin(session: &Session, request: &Request, parsed: &RustcArguments) -> Result<Origin, Refusal> {
    let input = parsed.input.clone().unwrap_or_default();
    let path = if input == Path::new("-") { request.cwd.clone() } else { request.cwd.join(input) };
    session.origin(&path).ok_or_else(|| outside(session, &path))
}

fn outside(session: &Session, path: &Path) -> Refusal {
    let manifest = path.ancestors().find(|directory| directory.join("Cargo.toml").is_file());
    Refusal::Outside {
        path: path.to_owned(),
        root: session.project.root.clone(),
        directory: manifest.unwrap_or(path).to_owned(),
    }
}

fn package_name(session: &Session, request: &Request, origin: &Origin) -> String {
    let directory = match origin {
        Origin::Package(directory) | Origin::Packed(directory) | Origin::Extra(directory) => directory,
        // Members are compiled in the workspace's root; their scripts run in their own directories.
        Origin::Workspace if request.cwd.starts_with(&session.project.root) => &request.cwd,
        Origin::Workspace => &session.project.root,
    };
    crate::project::file_name(directory)
}

/// `@file`: what cargo passes when the arguments are too many for the kernel. The file is the host's, so that
/// its content goes with the job.
struct ArgumentFile {
    /// The arguments that the file stands for.
    expanded: Vec<OsString>,
    /// What the job is given: the same, or the name of the job's own copy of the file.
    given: Vec<OsString>,
    /// That copy.
    files: Vec<(String, Vec<u8>)>,
}

impl ArgumentFile {
    fn expand(cwd: &Path, arguments: &[OsString]) -> Result<Self, Refusal> {
        let named = match arguments {
            [only] => only.as_bytes().strip_prefix(b"@"),
            _ => None,
        };
        let Some(named) = named else {
            return Ok(Self { expanded: arguments.to_vec(), given: arguments.to_vec(), files: Vec::new() });
        };
        let path = cwd.join(Path::new(std::ffi::OsStr::from_bytes(named)));
        let failed = |reason: String| Refusal::ArgumentFile { path: path.clone(), reason };
        let metadata = path.metadata().map_err(|error| failed(error.to_string()))?;
        if !metadata.is_file() || metadata.len() > MAX_ARGUMENT_FILE {
            return Err(failed("not a file of acceptable size".to_owned()));
        }
        let content = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let expanded = content
            .split(|byte| *byte == b'\n')
            .map(|line| OsString::from_vec(line.strip_suffix(b"\r").unwrap_or(line).to_owned()))
            .filter(|line| !line.is_empty())
            .collect();
        const NAME: &str = "arguments";
        Ok(Self {
            expanded,
            given: vec![format!("@{JOB_FILES}/{NAME}").into()],
            files: vec![(NAME.to_owned(), content)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::*;

    fn request(session: &Session, role: &str, line: &str) -> Request {
        let mut argv = vec![OsString::from(role)];
        argv.extend(line.split_whitespace().map(OsString::from));
        Request {
            exe: session.directories.bin().join(role),
            cwd: "/w/app".into(),
            argv,
            env: vec!["RUSTC_WRAPPER=/x".into(), "FOO=bar".into(), "HOME=/home/me".into()],
            descriptors: Vec::new(),
        }
    }

    fn argv(job: &Job) -> Vec<String> {
        job.spec.argv.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn the_toolchains_own_compiler_runs_whatever_the_wrapper_is_told() {
        let session = session();
        let rustc = session.directories.bin().join("rustc");
        let line = format!("{} -vV", rustc.display());
        let job = identify(&session, &request(&session, role::RUSTC_WRAPPER, &line)).unwrap();
        assert_eq!((job.kind, argv(&job)), (JobKind::Query, vec!["/t/bin/rustc".into(), "-vV".into()]));
        for line in ["/evil/rustc -vV", "/evil/wrapper /t/bin/rustc -vV", ""] {
            let refused = identify(&session, &request(&session, role::RUSTC_WRAPPER, line));
            assert!(refused.is_err(), "{line}");
        }
    }

    #[test]
    fn clippy_runs_in_the_place_of_rustc() {
        let session = session();
        let job = identify(
            &session,
            &request(&session, role::RUSTC_WRAPPER, "/t/bin/clippy-driver /t/bin/rustc -vV"),
        )
        .unwrap();
        assert_eq!(argv(&job), ["/t/bin/clippy-driver", "/t/bin/rustc", "-vV"]);
    }

    #[test]
    fn a_build_script_is_taken_away() {
        let session = session();
        let out = session.directories.build().join("debug/build/x-1");
        let line = format!(
            "--crate-name build_script_build build.rs --crate-type bin -C extra-filename=-9 --out-dir {}",
            out.display()
        );
        let job = identify(&session, &request(&session, role::RUSTC, &line)).unwrap();
        assert_eq!(job.kind, JobKind::BuildScriptCrate);
        assert_eq!(job.after, After::TakeScript { executable: out.join("build_script_build-9") });
    }

    #[test]
    fn a_build_script_in_an_argument_file_is_found() {
        let session = session();
        let out = session.directories.build().join("debug/build/x-1");
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "--crate-name\nbuild_script_build\nbuild.rs\n--crate-type\nbin\n--out-dir\n{}\n",
            out.display()
        );
        std::fs::write(file.path(), &text).unwrap();
        let line = format!("@{}", file.path().display());
        let job = identify(&session, &request(&session, role::RUSTC, &line)).unwrap();
        assert_eq!(job.kind, JobKind::BuildScriptCrate);
        assert_eq!(argv(&job), ["/t/bin/rustc", "@/tmp/.cargo-sandbox/arguments"]);
        assert_eq!(job.spec.files, [("arguments".to_owned(), text.into_bytes())]);
        let gone = identify(&session, &request(&session, role::RUSTC, "@/nowhere/file"));
        assert!(matches!(gone, Err(Refusal::ArgumentFile { .. })));
    }

    #[test]
    fn source_outside_of_the_project_is_refused_by_name() {
        let session = session();
        let line = "--crate-name x /w/other/lib.rs --crate-type lib --out-dir /x";
        let error = identify(&session, &request(&session, role::RUSTC, line)).unwrap_err().to_string();
        assert!(error.contains("--sandbox-read /w/other"), "{error}");
    }

    #[test]
    fn the_name_of_an_artifact_leads_nowhere() {
        let session = session();
        let out = session.directories.build().join("debug/deps");
        let line = format!(
            "--crate-name x /w/app/lib.rs --crate-type lib --out-dir {} -C extra-filename=/../../x",
            out.display()
        );
        let refused = identify(&session, &request(&session, role::RUSTC, &line));
        assert!(matches!(refused, Err(Refusal::Path(_))));
    }

    #[test]
    fn an_unknown_script_or_program_is_never_run() {
        let session = session();
        let mut shim = request(&session, role::RUSTC, "");
        shim.exe = session.directories.shims().join("debug/build/x-1/build_script_build-1");
        assert!(matches!(identify(&session, &shim), Err(Refusal::UnknownScript(_))));
        let line = "/w/app/target/debug/../../../evil";
        assert!(matches!(
            identify(&session, &request(&session, role::RUNNER, line)),
            Err(Refusal::Program(_))
        ));
        let mut other = request(&session, role::RUSTC, "");
        other.exe = "/usr/bin/evil".into();
        assert!(matches!(identify(&session, &other), Err(Refusal::Role(_))));
    }

    #[test]
    fn doctests_run_without_the_hosts_runner() {
        let session = session();
        let runner = session.directories.bin().join("runner");
        let line = format!(
            "--test /w/app/src/lib.rs --crate-name x --test-runtool {} --test-args q",
            runner.display()
        );
        let job = identify(&session, &request(&session, role::RUSTDOC, &line)).unwrap();
        assert_eq!(job.kind, JobKind::Rustdoc);
        assert_eq!(argv(&job)[1..], ["--test", "/w/app/src/lib.rs", "--crate-name", "x", "--test-args", "q"]);
    }
}
