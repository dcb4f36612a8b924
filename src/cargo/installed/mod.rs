//! Subcommands that the user installed beside cargo (`cargo-nextest` and the like).
//!
//! cargo starts them on the host, in its own Landlock domain and environment, and they start cargo again, whose
//! compilers, tests and programs therefore go through the broker as ever. That holds for those of [`TOOLS`], of each
//! of which is known what it starts. Others run where the user's own configuration names them.

pub mod coverage;
pub mod nextest;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::CargoCommand;

/// What a subcommand needs of the host beyond what cargo needs to build.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name behind `cargo`.
    pub name: &'static str,
    /// Directories of its own in `CARGO_HOME`, which it writes; made where they are missing.
    pub keeps: &'static [&'static str],
    /// The same, where it takes an empty one for a broken one, and could not make it itself.
    pub updates: &'static [&'static str],
    /// What it reads of the user's own configuration, below the home directory.
    pub reads: &'static [&'static str],
    /// Whether it has the compiler write what macros make of the sources: to its own temporary files, and by an option
    /// that is not stable.
    pub expands: bool,
    /// Whether its arguments name a command of cargo's that it starts.
    pub passes_on: bool,
    /// Whether programs measure themselves for it, which it reads with LLVM's tools.
    pub measures: bool,
    /// Options of its own that it does not run with, each with the reason.
    pub refused: &'static [(&'static str, &'static str)],
}

impl Tool {
    const fn named(name: &'static str) -> Self {
        Self {
            name,
            keeps: &[],
            updates: &[],
            reads: &[],
            expands: false,
            passes_on: false,
            measures: false,
            refused: &[],
        }
    }
}

/// The subcommands that are known, each with what it does.
pub static TOOLS: &[Tool] = &[
    // `cargo metadata` and `cargo test --no-run`, and the test programs through the runner.
    Tool { reads: &[".config/nextest"], ..Tool::named("nextest") },
    // `cargo metadata`; a database of advisories, by git.
    Tool { keeps: &["advisory-dbs"], ..Tool::named("deny") },
    Tool { updates: &["advisory-db"], ..Tool::named("audit") },
    // Changes manifests for a while, and starts the command that it is given, once for each set of features.
    Tool { passes_on: true, ..Tool::named("hack") },
    // Resolves in a temporary directory, with a cargo that is part of it.
    Tool::named("outdated"),
    // Reads the sources, and `cargo metadata`.
    Tool::named("machete"),
    // `cargo rustc … -o` of a file.
    Tool { expands: true, ..Tool::named(EXPANDS) },
    // `cargo test`, `run` or `nextest`, with instrumented programs; LLVM's tools, by paths that this tool names.
    Tool {
        measures: true,
        passes_on: true,
        refused: &[(
            "--doctests",
            "rustdoc would leave programs in the target directory, where no job may write",
        )],
        ..Tool::named(MEASURES)
    },
];

/// Measures what tests execute.
const MEASURES: &str = "llvm-cov";

/// Shows what macros make.
const EXPANDS: &str = "expand";

/// They would stand before the compiler where another tool started them: see [`UNDER_NO_LOADER`].
const STARTED_BY_NO_OTHER: &[&str] = &[MEASURES, EXPANDS];

/// What keeps tools from being started with a library path that cargo or nextest has made: they have a loader, and that
/// path begins with a directory that compilers, and so macros, write. What lay there would be executed on this machine.
/// (What llvm-cov takes for that is an option.)
const UNDER_NO_LOADER: &[(&str, &str)] = &[
    // nextest would start itself before each test, to close a gap in which Ctrl-Z misses a test.
    ("NEXTEST_DOUBLE_SPAWN", "0"),
];

/// expand would have itself started in the place of the compiler, unless this variable has a value: to set it for one
/// compiler. The broker does that instead. To cargo and the compiler the value says that nothing unstable is allowed.
pub const NO_BOOTSTRAP: (&str, &str) = ("RUSTC_BOOTSTRAP", "-1");

/// Puts the variables that a tool needs into the environment that it is started with.
pub fn adapt(tool: &Tool, environment: &mut Vec<(OsString, OsString)>) {
    for (name, value) in UNDER_NO_LOADER {
        environment.retain(|(own, _)| own != name);
        environment.push((name.into(), value.into()));
    }
    let (name, value) = NO_BOOTSTRAP;
    if tool.expands && !environment.iter().any(|(own, given)| own == name && !given.is_empty()) {
        environment.retain(|(own, _)| own != name);
        environment.push((name.into(), value.into()));
    }
}

/// One that the user's configuration names.
static OTHER: Tool = Tool { passes_on: true, ..Tool::named("") };

/// Commands and options that are not confined where cargo is started by somebody else than this program.
const NOT_PASSED_ON: &[&str] =
    &["fix", "--fix", "install", "package", "publish", "login", "logout", "owner", "yank", "--open"];

/// Why a subcommand does not run.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// An option that makes it do what is not confined.
    #[error("`cargo-sandbox {name} {option}` is not there yet: {reason}")]
    Refused {
        /// The subcommand.
        name: String,
        /// Its option.
        option: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Installed, and what it does is not known.
    #[error(
        "`{}` is no subcommand that is known here: how it runs code of others is not known\n\nhint: if you trust it to \
         start that through cargo only, write `subcommands = [\"{name}\"]` in `{}`; it then runs as the known ones do",
        program.display(), config.display()
    )]
    Unknown {
        /// The subcommand.
        name: String,
        /// Its executable.
        program: PathBuf,
        /// The user's configuration.
        config: PathBuf,
    },
    /// Neither cargo's nor installed.
    #[error(
        "no such command: `{0}`\n\nhint: `cargo-sandbox --list` shows all; what you install is found in `PATH` and in \
         the `bin` of CARGO_HOME"
    )]
    Missing(String),
    /// Installed where the repository could have put it.
    #[error(
        "`{}` is in the project `{}`: no program of a project is executed on this machine\n\nhint: install it \
         elsewhere (`cargo install cargo-{name}`), or take that directory out of your `PATH`",
        program.display(), root.display()
    )]
    Inside {
        /// The subcommand.
        name: String,
        /// Its executable.
        program: PathBuf,
        /// The project's root or target directory.
        root: PathBuf,
    },
    /// It was asked to start what is not confined below it.
    #[error(
        "`cargo-sandbox {name}` does not start `{word}`, which is confined only where cargo-sandbox itself starts it\n\n\
         hint: run `cargo-sandbox {word}` by itself; where `{word}` is the value of an option, write `--option={word}`"
    )]
    NotPassedOn {
        /// The subcommand.
        name: String,
        /// The word of its arguments.
        word: String,
    },
}

/// What is known of a subcommand that is not cargo's own. `allowed` are the names in the user's configuration.
///
/// # Errors
/// When it must not run.
pub fn admit(
    command: &CargoCommand,
    allowed: &[String],
    search: &[PathBuf],
    config: &Path,
) -> Result<&'static Tool, InstalledError> {
    let name = &command.subcommand;
    let tool = match TOOLS.iter().find(|tool| tool.name == name) {
        Some(tool) => tool,
        None if allowed.contains(name) => &OTHER,
        None => {
            return Err(match program(name, search) {
                Some(program) => {
                    InstalledError::Unknown { name: name.clone(), program, config: config.to_owned() }
                }
                None => InstalledError::Missing(name.clone()),
            });
        }
    };
    if program(name, search).is_none() {
        return Err(InstalledError::Missing(name.clone()));
    }
    let own = command.own_arguments();
    if let Some((option, reason)) =
        tool.refused.iter().find(|(option, _)| own.iter().any(|word| word == option))
    {
        return Err(InstalledError::Refused { name: name.clone(), option, reason });
    }
    if tool.passes_on {
        let names = || NOT_PASSED_ON.iter().chain(STARTED_BY_NO_OTHER);
        let word = own.iter().find(|word| names().any(|name| word == name));
        if let Some(word) = word {
            let word = word.to_string_lossy().into_owned();
            return Err(InstalledError::NotPassedOn { name: name.clone(), word });
        }
    }
    Ok(tool)
}

/// `help nextest` is `nextest --help`, which cargo starts the same program for.
pub fn help_as_option(words: &[OsString]) -> Vec<OsString> {
    let command = CargoCommand::parse(words.to_vec());
    let asked = command.own_arguments().first();
    match (command.subcommand.as_str(), command.position, asked) {
        ("help", Some(position), Some(name)) if TOOLS.iter().any(|tool| name == tool.name) => {
            [&words[..position], &[name.clone(), "--help".into()]].concat()
        }
        _ => words.to_vec(),
    }
}

/// Whether a command comes to run nextest.
pub fn runs_nextest(command: &CargoCommand) -> bool {
    command.subcommand == "nextest" || command.own_arguments().iter().any(|word| word == "nextest")
}

/// The executables of all subcommands that may run, since one may start another (`cargo hack nextest`), without those
/// in `inside`: nothing is both written and executed.
///
/// # Errors
/// When that of the command itself is in there.
pub fn programs(
    command: &CargoCommand,
    allowed: &[String],
    search: &[PathBuf],
    inside: &[&Path],
) -> Result<Vec<PathBuf>, InstalledError> {
    let known = TOOLS.iter().map(|tool| tool.name);
    let mut programs = Vec::new();
    for name in known.chain(allowed.iter().map(String::as_str)) {
        if name != command.subcommand && STARTED_BY_NO_OTHER.contains(&name) {
            continue;
        }
        let Some(program) = program(name, search) else { continue };
        let file = program.canonicalize().unwrap_or_else(|_| program.clone());
        match inside.iter().find(|inside| program.starts_with(inside) || file.starts_with(inside)) {
            None => programs.push(file),
            Some(root) if name == command.subcommand => {
                let name = name.to_owned();
                return Err(InstalledError::Inside { name, program, root: (*root).to_owned() });
            }
            Some(_) => {}
        }
    }
    Ok(programs)
}

/// The file that cargo starts for a subcommand.
pub fn program(name: &str, search: &[PathBuf]) -> Option<PathBuf> {
    let file = format!("cargo-{name}");
    let found = search.iter().map(|directory| directory.join(&file));
    found.into_iter().find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The directories of `PATH` as cargo gets it: the toolchain's own programs first, so that no stand-in of rustup's is
/// found; the programs that the user installed last, where cargo would otherwise look first.
pub fn search_path(sysroot: &Path, cargo_home: &Path, given: Option<&OsStr>) -> Vec<PathBuf> {
    let installed = cargo_home.join("bin");
    let mut all = vec![sysroot.join("bin")];
    all.extend(std::env::split_paths(given.unwrap_or_default()));
    if !all.contains(&installed) {
        all.push(installed);
    }
    all
}

/// The `PATH` of a cargo that this tool starts: [`search_path`].
pub fn path_of_cargo(sysroot: &Path, cargo_home: &Path, given: Option<&OsStr>) -> OsString {
    let all = search_path(sysroot, cargo_home, given);
    // Only a part with a colon in it cannot be joined; then the user's own value stays as it was.
    std::env::join_paths(all).unwrap_or_else(|_| given.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> CargoCommand {
        CargoCommand::parse(line.split_whitespace().map(OsString::from).collect())
    }

    fn bin(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let file = directory.path().join(format!("cargo-{name}"));
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        directory
    }

    #[test]
    fn what_is_not_known_says_how_to_allow_it() {
        let bin = bin(&["mine", "nextest", "llvm-cov"]);
        let search = [bin.path().to_owned()];
        let admit = |line: &str, allowed: &[String]| {
            admit(&parse(line), allowed, &search, Path::new("/h/config.toml"))
                .map_err(|error| error.to_string())
        };
        let error = admit("mine", &[]).unwrap_err();
        assert!(error.contains("`subcommands = [\"mine\"]` in `/h/config.toml`"), "{error}");
        assert_eq!(admit("mine", &["mine".to_owned()]), Ok(&OTHER));
        assert_eq!(admit("nextest run", &[]).map(|tool| tool.name), Ok("nextest"));
        assert!(admit("chekc", &[]).unwrap_err().contains("no such command"));
        assert!(admit("hack", &[]).unwrap_err().contains("no such command"));
        assert!(
            admit("llvm-cov --doctests", &[])
                .unwrap_err()
                .contains("`cargo-sandbox llvm-cov --doctests` is not")
        );
    }

    #[test]
    fn what_is_not_confined_below_another_command_is_not_passed_on() {
        let bin = bin(&["hack", "nextest"]);
        let search = [bin.path().to_owned()];
        let admitted = |line: &str| admit(&parse(line), &[], &search, Path::new("/")).is_ok();
        for line in ["hack check", "hack test -- fix", "hack check --skip=install", "nextest run fix"] {
            assert!(admitted(line), "{line}");
        }
        for line in [
            "hack llvm-cov",
            "hack expand",
            "hack fix",
            "hack --each-feature publish",
            "hack clippy --fix",
            "hack doc --open",
        ] {
            assert!(!admitted(line), "{line}");
        }
    }

    #[test]
    fn no_program_of_the_project_is_executed() {
        let (inside, outside) = (bin(&["nextest", "deny"]), bin(&["deny", "hack"]));
        let search = [inside.path().to_owned(), outside.path().to_owned()];
        let found = |line: &str, inside: &Path| programs(&parse(line), &[], &search, &[inside]);
        assert!(matches!(found("nextest", inside.path()), Err(InstalledError::Inside { .. })));
        let hack = outside.path().canonicalize().unwrap().join("cargo-hack");
        assert_eq!(found("hack", inside.path()).unwrap(), [hack], "deny is found in the project first");
        assert_eq!(found("nextest", Path::new("/nonexistent")).unwrap().len(), 3);
    }

    #[test]
    fn what_would_stand_before_the_compiler_is_started_by_this_tool_only() {
        let bin = bin(&["nextest", "llvm-cov"]);
        let search = [bin.path().to_owned()];
        let found =
            |line: &str, allowed: &[String]| programs(&parse(line), allowed, &search, &[]).unwrap().len();
        assert_eq!(found("llvm-cov nextest", &[]), 2);
        assert_eq!(found("nextest run", &[MEASURES.to_owned()]), 1);
    }

    #[test]
    fn help_about_a_tool_is_the_tools_own() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(help_as_option(&words("-q help nextest")), words("-q nextest --help"));
        for line in ["help build", "help", "nextest help", "help mine"] {
            assert_eq!(help_as_option(&words(line)), words(line));
        }
    }

    #[test]
    fn programs_of_the_user_come_last() {
        let path = search_path(Path::new("/t"), Path::new("/h/.cargo"), Some(OsStr::new("/usr/bin:/bin")));
        assert_eq!(path, ["/t/bin", "/usr/bin", "/bin", "/h/.cargo/bin"].map(PathBuf::from));
        let path = search_path(Path::new("/t"), Path::new("/h/.cargo"), Some(OsStr::new("/h/.cargo/bin")));
        assert_eq!(path, ["/t/bin", "/h/.cargo/bin"].map(PathBuf::from));
    }
}
