//! What a rustc (or rustdoc) command line asks for, as far as the broker must know.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A rustc command line, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RustcArguments {
    /// `--crate-name`.
    pub crate_name: String,
    /// Every `--crate-type`.
    pub crate_types: Vec<String>,
    /// `--out-dir`.
    pub out_dir: Option<PathBuf>,
    /// `-o`: a file of rustc's, a directory of rustdoc's.
    pub output: Option<PathBuf>,
    /// `-C extra-filename=`.
    pub extra_filename: String,
    /// `-C incremental=`.
    pub incremental: Option<PathBuf>,
    /// The crate's root file, or `-`.
    pub input: Option<PathBuf>,
    /// The directories of `-L` and of the files that `--extern` names.
    pub search: Vec<PathBuf>,
    /// The files of `--extern`: libraries and macros of the crate's own dependencies.
    pub externs: Vec<PathBuf>,
    /// Whether the compiler is asked about itself only (`-vV`, `--print`).
    pub query: bool,
    /// Whether rustdoc shall run tests (`--test`).
    pub test: bool,
}

/// Options of rustc and rustdoc that take a value as the next word (`rustc --help -v`, `rustdoc --help`).
const WITH_VALUE: &[&str] = &[
    "-A",
    "-C",
    "-D",
    "-F",
    "-L",
    "-W",
    "-Z",
    "-l",
    "-o",
    "--allow",
    "--cap-lints",
    "--cfg",
    "--check-cfg",
    "--codegen",
    "--color",
    "--crate-name",
    "--crate-type",
    "--crate-version",
    "--deny",
    "--diagnostic-width",
    "--edition",
    "--emit",
    "--env-set",
    "--error-format",
    "--explain",
    "--extern",
    "--extern-html-root-url",
    "--forbid",
    "--force-warn",
    "--json",
    "--out-dir",
    "--output",
    "--print",
    "--remap-path-prefix",
    "--sysroot",
    "--target",
    "--test-args",
    "--test-builder",
    "--test-run-directory",
    "--test-runtool",
    "--test-runtool-arg",
    "--theme",
    "--warn",
    "--index-page",
    "--markdown-css",
    "--html-in-header",
    "--scrape-examples-output-path",
    "--scrape-examples-target-crate",
    "--with-examples",
    "--resource-suffix",
    "--static-root-path",
];

impl RustcArguments {
    /// Reads a command line, without the program and with argument files written out.
    pub fn parse(arguments: &[OsString]) -> Self {
        let mut parsed = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if !bytes.starts_with(b"-") || bytes == b"-" {
                parsed.input.get_or_insert_with(|| PathBuf::from(word));
                continue;
            }
            let (name, value) = split(word);
            let value = match value {
                Some(value) => Some(value.to_owned()),
                None if WITH_VALUE.contains(&name) => words.next().cloned(),
                None => None,
            };
            parsed.option(name, value.as_deref().unwrap_or_default());
        }
        parsed
    }

    fn option(&mut self, name: &str, value: &OsStr) {
        let text = || value.to_string_lossy().into_owned();
        match name {
            "--crate-name" => self.crate_name = text(),
            "--crate-type" => self.crate_types.extend(text().split(',').map(str::to_owned)),
            "--out-dir" | "--output" => self.out_dir = Some(value.into()),
            "-o" => self.output = Some(value.into()),
            "--print" | "-vV" | "-V" | "--version" => self.query = true,
            "--test" => self.test = true,
            "-C" | "--codegen" => {
                if let Some(suffix) = value.as_bytes().strip_prefix(b"extra-filename=") {
                    self.extra_filename = String::from_utf8_lossy(suffix).into_owned();
                } else if let Some(path) = value.as_bytes().strip_prefix(b"incremental=") {
                    self.incremental = Some(OsStr::from_bytes(path).into());
                }
            }
            // `-L [KIND=]PATH`
            "-L" => {
                let path = value.as_bytes();
                let kind = path.iter().position(|byte| *byte == b'=').map_or(0, |equals| equals + 1);
                self.search.push(OsStr::from_bytes(&path[kind..]).into());
            }
            // `--extern [OPTIONS:]NAME[=PATH]`
            "--extern" => {
                let bytes = value.as_bytes();
                if let Some(equals) = bytes.iter().position(|byte| *byte == b'=') {
                    let path = Path::new(OsStr::from_bytes(&bytes[equals + 1..]));
                    self.search.extend(path.parent().map(Path::to_owned));
                    self.externs.push(path.to_owned());
                }
            }
            _ => {}
        }
    }

    /// Whether this compiles a build script: a program whose place is below `build/` in the build directory,
    /// in the layout of today (`build/<pkg>-<hash>`) or the one to come (`build/<pkg>/<hash>/out`), in which
    /// every unit is there and the crate's name tells (`build_script_…`, `metabuild_…`).
    pub fn is_build_script(&self, build_dir: &Path) -> bool {
        if !self.is_program() {
            return false;
        }
        let Some(relative) = self.out_dir.as_deref().and_then(|path| path.strip_prefix(build_dir).ok())
        else {
            return false;
        };
        let parts: Vec<&OsStr> = relative.iter().collect();
        match parts.as_slice() {
            [.., place, _] if *place == "build" => true,
            [.., place, _, _, out] if *place == "build" && *out == "out" => {
                self.crate_name.starts_with("build_script_") || self.crate_name.starts_with("metabuild")
            }
            _ => false,
        }
    }

    /// Whether a program is the result.
    pub fn is_program(&self) -> bool {
        self.crate_types.iter().any(|kind| kind == "bin")
    }
}

/// The name of an option and its value where both are one word: `--name=value`, `-Cvalue`.
fn split(word: &OsStr) -> (&str, Option<&OsStr>) {
    let bytes = word.as_bytes();
    let equals = bytes.iter().position(|byte| *byte == b'=');
    let (name, value) = match equals {
        Some(equals) if bytes.starts_with(b"--") => (&bytes[..equals], Some(&bytes[equals + 1..])),
        _ if !bytes.starts_with(b"--") && bytes.len() > 2 && b"CLolAWDFZ".contains(&bytes[1]) => {
            (&bytes[..2], Some(&bytes[2..]))
        }
        _ => (bytes, None),
    };
    (std::str::from_utf8(name).unwrap_or_default(), value.map(OsStr::from_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> RustcArguments {
        RustcArguments::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn cargos_own_command_line_is_understood() {
        let parsed = parse(
            "--crate-name x --edition=2024 src/main.rs --error-format=json --crate-type bin --emit=dep-info,link \
             -C debuginfo=2 --cfg a -C extra-filename=-31 --out-dir /b/debug/deps -C incremental=/b/debug/incremental \
             -L dependency=/b/debug/deps --extern serde=/b/other/libserde.rmeta --extern proc_macro -L native=/b/build/z/out",
        );
        assert_eq!(parsed.crate_name, "x");
        assert_eq!(parsed.crate_types, ["bin"]);
        assert_eq!(parsed.out_dir, Some("/b/debug/deps".into()));
        assert_eq!(parsed.extra_filename, "-31");
        assert_eq!(parsed.incremental, Some("/b/debug/incremental".into()));
        assert_eq!(parsed.input, Some("src/main.rs".into()));
        assert_eq!(parsed.search, ["/b/debug/deps", "/b/other", "/b/build/z/out"].map(PathBuf::from));
        assert!(!parsed.query && !parsed.is_build_script(Path::new("/b")));
    }

    #[test]
    fn questions_about_the_compiler_are_queries() {
        assert!(parse("-vV").query);
        let print = parse("- --crate-name ___ --print=file-names --crate-type bin --print=cfg");
        assert!(print.query);
        assert_eq!(print.input, Some("-".into()));
    }

    #[test]
    fn build_scripts_are_known_by_their_place_in_either_layout() {
        let script = |name: &str, out: &str| {
            parse(&format!("--crate-name {name} --crate-type bin --out-dir {out}"))
                .is_build_script(Path::new("/b"))
        };
        for (name, out) in [
            ("build_script_build", "/b/debug/build/x-1"),
            ("build_script_my_build", "/b/x86_64-unknown-linux-gnu/release/build/x-1"),
            ("anything", "/b/debug/build/x-1"),
            ("build_script_a", "/b/debug/build/x/1/out"),
        ] {
            assert!(script(name, out), "{name} {out}");
        }
        for (name, out) in [
            ("build_script_build", "/b/debug/deps"),
            ("x", "/b/debug/build/x/1/out"),
            ("build_script_build", "/elsewhere/debug/build/x-1"),
        ] {
            assert!(!script(name, out), "{name} {out}");
        }
        let library = parse("--crate-name build_script_x --crate-type lib --out-dir /b/debug/build/x-1");
        assert!(!library.is_build_script(Path::new("/b")));
    }

    #[test]
    fn values_that_look_like_options_or_files_are_values() {
        let parsed = parse("--cfg --crate-name --crate-name y -l z -Lnative=/q -o out --test");
        assert_eq!(parsed.crate_name, "y");
        assert_eq!(parsed.input, None);
        assert_eq!(parsed.search, [PathBuf::from("/q")]);
        assert!(parsed.test);
        assert_eq!((parsed.output, parsed.out_dir), (Some("out".into()), None));
    }
}
