//! What `cargo llvm-cov` needs: LLVM's own tools, and not to be what cargo starts in the place of the compiler.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::cargo::{CargoCommand, Toolchain};

/// The directory below the target directory, and below the build directory, that cargo-llvm-cov builds in.
pub const PLACE: &str = "llvm-cov-target";

/// Keeps cargo-llvm-cov from naming itself as `RUSTC_WRAPPER`. It has a loader, to which cargo names a directory first
/// that compilers, and with them macros, write: what lay there would be executed on this machine.
const WITHOUT_WRAPPER: &str = "--no-rustc-wrapper";

/// Its commands that compile nothing, and know no such option.
const COMPILES_NOTHING: &[&str] = &["report", "clean"];

/// What it would give the wrapper, and gives the compiler by `RUSTFLAGS` instead: for the packages of the project only.
const FLAGS: &[&str] =
    &["--cfg=coverage", "--cfg=coverage_nightly", "--cfg=trybuild_no_target", "instrument-coverage"];

/// What one command measures with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Where cargo-llvm-cov looks for profiles and keeps what it makes of them.
    pub place: PathBuf,
    /// `llvm-cov`.
    pub cov: PathBuf,
    /// `llvm-profdata`.
    pub profdata: PathBuf,
    /// cargo-llvm-cov itself, which `llvm-cov` starts to have names in a readable form.
    pub demangler: PathBuf,
}

impl Coverage {
    /// Finds the tools. `named` are what the user names (`LLVM_COV`, `LLVM_PROFDATA`).
    ///
    /// # Errors
    /// When none of this compiler's version is there.
    pub fn find(
        toolchain: &Toolchain,
        target_dir: &Path,
        demangler: PathBuf,
        named: [Option<&OsStr>; 2],
    ) -> anyhow::Result<Self> {
        let [cov, profdata] = named;
        let place = target_dir.join(PLACE);
        let (cov, profdata) = match (cov, profdata) {
            (Some(cov), Some(profdata)) => (PathBuf::from(cov), PathBuf::from(profdata)),
            _ => of_compiler(&version(toolchain)?, toolchain)?,
        };
        for tool in [&cov, &profdata] {
            if !tool.is_absolute() || !tool.is_file() {
                bail!(
                    "`{}` is no program of LLVM's\n\nhint: LLVM_COV and LLVM_PROFDATA name both by their whole paths, or leave \
                     them out",
                    tool.display()
                );
            }
        }
        Ok(Self { place, cov, profdata, demangler })
    }

    /// The arguments of a compiler for a package that is not the project's: as if it had been left out.
    pub fn without_flags(arguments: Vec<OsString>) -> Vec<OsString> {
        let mut kept: Vec<OsString> = Vec::with_capacity(arguments.len());
        for word in arguments {
            if !FLAGS.iter().any(|flag| word == *flag) {
                kept.push(word);
            } else if word == "instrument-coverage" && kept.last().is_some_and(|before| before == "-C") {
                kept.pop();
            }
        }
        kept
    }
}

/// Has cargo-llvm-cov leave the place of the compiler alone. Only its first word tells for certain what it is to do; where
/// this guesses wrong it says that it knows no such option, and stops.
pub fn keep_out_of_the_wrapper(command: &mut CargoCommand) {
    let own = command.own_arguments();
    let compiles_nothing = own.first().is_some_and(|word| COMPILES_NOTHING.iter().any(|name| word == name));
    if !compiles_nothing && !command.flag(&[WITHOUT_WRAPPER]) {
        command.insert([WITHOUT_WRAPPER.into()]);
    }
}

/// The command of cargo's that one of this tool's runs programs as, or the command itself.
pub fn stands_for(command: &CargoCommand) -> &str {
    let mut words = command.own_arguments().iter().filter(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let mut runs = || words.next().is_some_and(|word| word == "run" || word == "r");
    if command.subcommand == super::MEASURES && runs() { "run" } else { &command.subcommand }
}

/// Whether a command measures or reports, and so needs LLVM's tools.
pub fn needs_tools(command: &CargoCommand) -> bool {
    let asks = command.flag(&["-h", "--help", "-V", "--version"]);
    !asks && command.own_arguments().first().is_none_or(|word| word != "clean")
}

/// The version of LLVM's that a compiler was built with, as it says itself: `22.1.2`.
fn version(toolchain: &Toolchain) -> anyhow::Result<String> {
    let rustc = toolchain.program("rustc");
    // The toolchain's own, from a directory without configuration, with nothing in its environment.
    let mut command = Command::new(&rustc);
    let output = command.arg("-vV").env_clear().current_dir("/").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("failed to run `{}`", rustc.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The tools of the toolchain (rustup's `llvm-tools`), else those that a distribution has for the same version of LLVM.
fn of_compiler(version: &str, toolchain: &Toolchain) -> anyhow::Result<(PathBuf, PathBuf)> {
    let said = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let host = said("host: ").unwrap_or_default();
    let llvm = said("LLVM version: ").unwrap_or_default();
    let major = llvm.split('.').next().unwrap_or_default();
    let own = toolchain.sysroot.join("lib/rustlib").join(host).join("bin");
    let places = [
        (own.clone(), String::new()),
        (PathBuf::from(format!("/usr/lib/llvm-{major}/bin")), String::new()),
        (PathBuf::from("/usr/bin"), format!("-{major}")),
    ];
    let pair = |(place, ending): &(PathBuf, String)| {
        let [cov, profdata] = ["llvm-cov", "llvm-profdata"].map(|name| place.join(format!("{name}{ending}")));
        (cov.is_file() && profdata.is_file()).then_some((cov, profdata))
    };
    places.iter().find_map(pair).with_context(|| {
        format!(
            "this compiler writes profiles of LLVM {llvm}, and there is no `llvm-cov` and `llvm-profdata` of that version to \
             read them\n\nhint: `rustup component add llvm-tools --toolchain {}`, or your distribution's LLVM {major} \
             (Debian: `apt install llvm-{major}`); LLVM_COV and LLVM_PROFDATA name them where they are elsewhere",
            toolchain.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> CargoCommand {
        CargoCommand::parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn it_never_takes_the_place_of_the_compiler() {
        for (line, expected) in [
            ("llvm-cov", "llvm-cov --no-rustc-wrapper"),
            ("-q llvm-cov nextest report", "-q llvm-cov --no-rustc-wrapper nextest report"),
            ("llvm-cov report --lcov", "llvm-cov report --lcov"),
            ("llvm-cov -p report", "llvm-cov --no-rustc-wrapper -p report"),
            ("llvm-cov --no-rustc-wrapper", "llvm-cov --no-rustc-wrapper"),
            ("llvm-cov -- --no-rustc-wrapper", "llvm-cov --no-rustc-wrapper -- --no-rustc-wrapper"),
        ] {
            let mut command = command(line);
            keep_out_of_the_wrapper(&mut command);
            assert_eq!(command.arguments.join(OsStr::new(" ")), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_the_projects_is_compiled_as_ever() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let given = "-C opt-level=1 -C instrument-coverage --cfg=coverage --cfg x -C debuginfo=2";
        assert_eq!(Coverage::without_flags(words(given)), words("-C opt-level=1 --cfg x -C debuginfo=2"));
    }

    #[test]
    fn the_tools_are_of_the_compilers_version() {
        let sysroot = tempfile::tempdir().unwrap();
        let toolchain = Toolchain { name: "stable".into(), sysroot: sysroot.path().into(), by_rustup: true };
        let text = "rustc 1.0.0\nhost: a-b-c\nLLVM version: 9876.1.2\n";
        let error = of_compiler(text, &toolchain).unwrap_err().to_string();
        for word in
            ["LLVM 9876.1.2", "rustup component add llvm-tools --toolchain stable", "apt install llvm-9876"]
        {
            assert!(error.contains(word), "{error}");
        }
        let bin = sysroot.path().join("lib/rustlib/a-b-c/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("llvm-cov"), "").unwrap();
        assert!(of_compiler(text, &toolchain).is_err(), "one of two");
        std::fs::write(bin.join("llvm-profdata"), "").unwrap();
        assert_eq!(of_compiler(text, &toolchain).unwrap(), (bin.join("llvm-cov"), bin.join("llvm-profdata")));
    }
}
