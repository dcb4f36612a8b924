//! What a build script says to cargo, line by line, before cargo hears it.
//!
//! cargo sets any variable that a script names in the process of every compiler and program of that package,
//! puts library directories of the script's choice into loader paths, and prints warnings as they come. A line
//! is understood here exactly as cargo's `BuildOutput::parse` does it; everything that is not objected to passes
//! byte for byte.

use std::path::PathBuf;

use super::escapes::{Keep, made_visible};
use super::session::normalized;

/// What is to be done with a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to cargo as it is.
    Pass,
    /// This goes to cargo in its place.
    Replace(Vec<u8>),
    /// The job fails.
    Refuse(Objection),
}

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// A variable that is not for a package to set.
    #[error("sets `{name}` by `cargo::rustc-env`, which {why}\n\nhint: {}", hint(name))]
    Variable {
        /// Which.
        name: String,
        /// What obeys it.
        why: &'static str,
    },
    /// A library directory outside of everything that the package may use.
    #[error(
        "names the library directory `{}`, which is neither the system's nor the package's nor in the build \
         directory\n\nhint: if you trust what is there, let jobs read it: `cargo-sandbox --sandbox-read {} …`",
        .0.display(), .0.display()
    )]
    Library(PathBuf),
    /// A message that is cargo's own to write.
    #[error(
        "printed a `{0}` message as if it were cargo's: tools that read cargo's messages would act on it\n\nhint: a \
         macro of the package, or of one that it uses, does this"
    )]
    Message(String),
    /// A suggestion to change a file of somebody else.
    #[error(
        "suggested to change `{}`, which it cannot read: tools that apply suggestions would do so\n\nhint: a macro of \
         the package, or of one that it uses, does this",
        .0.display()
    )]
    Suggestion(PathBuf),
    /// Longer than anything that cargo takes.
    #[error("wrote a line of more than {} MiB", MAX_LINE >> 20)]
    Length,
}

/// Longest line that is held back, in bytes.
pub const MAX_LINE: usize = 16 << 20;

/// How a name is compared.
enum Name {
    Is(&'static str),
    Starts(&'static str),
    Between(&'static str, &'static str),
}

/// Variables that no package sets, and what obeys them. Only exact names where real packages use their
/// neighbours: `RUSTC_VERSION`, `CARGO_PKG_VERSION` and `CARGO_BUILD_TIME` are set by many. Not in the list, since
/// nothing but a job can obey them: `MALLOC_*`, `RUSTFLAGS`, `CARGO_ENCODED_RUSTFLAGS` (av-scenechange, which `image` is built
/// with, passes on its own), `TMPDIR`, `PYTHON*`; `RUSTC_BOOTSTRAP` is cargo's to judge.
const VARIABLES: &[(Name, &str)] = &[
    (Name::Starts("LD_"), "the dynamic loader obeys"),
    (Name::Starts("DYLD_"), "the dynamic loader obeys"),
    (Name::Is("GLIBC_TUNABLES"), "the dynamic loader obeys"),
    (Name::Is("GCONV_PATH"), "has the C library load what lies there"),
    (Name::Is("LOCPATH"), "has the C library read what lies there"),
    (Name::Is("BASH_ENV"), "shells execute"),
    (Name::Is("ENV"), "shells execute"),
    (Name::Is("PATH"), "decides which programs run"),
    (Name::Is("HOME"), "decides whose settings programs read"),
    (Name::Is("XDG_CONFIG_HOME"), "decides whose settings programs read"),
    (Name::Is("CARGO"), "names the cargo that programs start"),
    (Name::Is("CARGO_HOME"), "decides whose settings cargo reads"),
    (Name::Is("CARGO_BUILD_RUSTC"), "names a compiler"),
    (Name::Is("CARGO_BUILD_RUSTC_WRAPPER"), "names a compiler"),
    (Name::Is("CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER"), "names a compiler"),
    (Name::Is("CARGO_BUILD_RUSTDOC"), "names a compiler"),
    (Name::Is("CARGO_BUILD_BUILD_DIR"), "decides where cargo writes"),
    (Name::Is("CARGO_BUILD_TARGET_DIR"), "decides where cargo writes"),
    (Name::Is("CARGO_TARGET_DIR"), "decides where cargo writes"),
    (Name::Between("CARGO_TARGET_", "_RUNNER"), "names a program that cargo starts"),
    (Name::Between("CARGO_TARGET_", "_LINKER"), "names a program that the compiler starts"),
    (Name::Starts("CARGO_ALIAS_"), "cargo takes for a command"),
    (Name::Starts("CARGO_SANDBOX"), "belongs to cargo-sandbox"),
    (Name::Is("RUSTC"), "names a compiler"),
    (Name::Is("RUSTC_WRAPPER"), "names a compiler"),
    (Name::Is("RUSTC_WORKSPACE_WRAPPER"), "names a compiler"),
    (Name::Is("RUSTC_LINKER"), "names a program that the compiler starts"),
    (Name::Is("RUSTDOC"), "names a compiler"),
    (Name::Starts("RUSTUP_"), "decides which toolchain runs"),
    (Name::Is("DOCKER_HOST"), "names the daemon that makes containers"),
    (Name::Is("CONTAINER_HOST"), "names the daemon that makes containers"),
];

/// Variables that nothing but dynamically linked programs obeys, and so nothing but jobs: what cargo starts on this machine is a static
/// wrapper. A policy may let a package's build script set them, by which some have programs find a library that they have built.
pub const LIBRARY_PATHS: [&str; 3] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];

/// Directories that hold the system's and vendors' libraries and nothing of the user's. Whether one is there
/// makes no difference: packages name those of other systems too.
const SYSTEM: &[&str] =
    &["/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/nix/store", "/gnu/store", "/opt"];

/// Kinds of `rustc-link-search`.
const KINDS: &[&str] = &["native=", "dependency=", "crate=", "framework=", "all="];

/// What a build script may name.
#[derive(Debug, Clone)]
pub struct Grants {
    /// The package's directory, which relative paths are relative to.
    pub package: PathBuf,
    /// The build directory, the toolchain, the package's source and the like, canonical.
    pub directories: Vec<PathBuf>,
    /// Those of [`LIBRARY_PATHS`] that a policy lets it set.
    pub variables: Vec<String>,
}

impl Grants {
    fn allow(&self, path: &str) -> bool {
        let Some(path) = normalized(&self.package.join(path)) else { return false };
        let system = SYSTEM.iter().any(|system| path.starts_with(system));
        system || self.directories.iter().any(|allowed| path.starts_with(allowed))
    }
}

/// Judges a line of a script's standard output, which is given without its end.
pub fn filter(line: &[u8], grants: &Grants) -> Verdict {
    // cargo prints all of it where the script fails, or when it is asked to say much.
    let visible = |keep| shown(line, if is_message(line) { Keep::Text } else { keep });
    // cargo ignores a line that is no UTF-8, but for showing a message in it.
    let Ok(text) = std::str::from_utf8(line) else { return visible(Keep::Colours) };
    let Some((key, value)) = directive(text) else { return visible(Keep::Colours) };
    let objection = match key {
        "rustc-env" => value.split_once('=').and_then(|(name, _)| variable(grants, name)),
        "rustc-link-search" => library(grants, value),
        "rustc-flags" => flags(value).into_iter().find_map(|path| library(grants, path)),
        _ => None,
    };
    objection.map_or_else(|| visible(Keep::Values), Verdict::Refuse)
}

/// Judges a line of a script's standard error, which cargo prints as it prints the other.
pub fn complaint(line: &[u8]) -> Verdict {
    shown(line, Keep::Colours)
}

/// Key and value of a directive; both spellings.
pub(super) fn directive(text: &str) -> Option<(&str, &str)> {
    let data = text.trim().strip_prefix("cargo:")?;
    let (key, value) = data.strip_prefix(':').unwrap_or(data).split_once('=')?;
    Some((key, value.trim_end()))
}

fn variable(grants: &Grants, name: &str) -> Option<Objection> {
    if LIBRARY_PATHS.contains(&name) && grants.variables.iter().any(|granted| granted == name) {
        return None;
    }
    obeyed_variable(name).map(|why| Objection::Variable { name: name.to_owned(), why })
}

/// What to do where a package needs a variable that is refused.
fn hint(name: &str) -> String {
    match LIBRARY_PATHS.contains(&name) {
        true => format!(
            "if you trust the package with this, let a table `[packages.<name>.build-script]` of your configuration, or of the \
             repository's cargo-sandbox.toml, say `sets-env = [\"{name}\"]`"
        ),
        false => {
            "if the package needs this, set the variable yourself for the command that needs it".to_owned()
        }
    }
}

/// What obeys a variable, if it is one that neither a package nor a repository sets.
pub fn obeyed_variable(name: &str) -> Option<&'static str> {
    let known = VARIABLES.iter().find(|(pattern, _)| match pattern {
        Name::Is(known) => name == *known,
        Name::Starts(start) => name.starts_with(start),
        Name::Between(start, end) => name.starts_with(start) && name.ends_with(end),
    });
    known.map(|(_, why)| *why)
}

fn library(grants: &Grants, value: &str) -> Option<Objection> {
    let path = KINDS.iter().find_map(|kind| value.strip_prefix(kind)).unwrap_or(value);
    // An empty one is the package's directory.
    (!grants.allow(path)).then(|| {
        let path = grants.package.join(path);
        Objection::Library(normalized(&path).unwrap_or(path))
    })
}

/// The directories in `rustc-flags`, which takes `-L` and `-l` with and without a space.
fn flags(value: &str) -> Vec<&str> {
    let mut words = value.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix("-L") {
            Some("") => found.extend(words.next()),
            Some(path) => found.push(path),
            None if word == "-l" => drop(words.next()),
            None => {}
        }
    }
    found
}

/// Whether cargo shows the line as a message, which it tells by the beginning.
fn is_message(line: &[u8]) -> bool {
    let start = line.trim_ascii_start();
    [b"cargo:warning=".as_slice(), b"cargo::warning=", b"cargo::error=", b"cargo:error="]
        .iter()
        .any(|prefix| start.starts_with(prefix))
}

/// The line with everything that a terminal would obey made visible.
fn shown(line: &[u8], keep: Keep) -> Verdict {
    // The carriage return of a line's end is not shown.
    let (text, end) = line.strip_suffix(b"\r").map_or((line, b"".as_slice()), |text| (text, b"\r"));
    made_visible(text, keep).map_or(Verdict::Pass, |mut visible| {
        visible.extend_from_slice(end);
        Verdict::Replace(visible)
    })
}

/// A package's directory and others; for tests of other modules.
#[cfg(test)]
pub fn grants(package: &str, directories: &[&std::path::Path]) -> Grants {
    let directories = directories.iter().map(|path| (*path).to_owned()).collect();
    Grants { package: package.into(), directories, variables: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(line: &[u8]) -> Verdict {
        filter(line, &grants("/c/src/p-1", &["/b".as_ref(), "/t".as_ref(), "/c/src/p-1".as_ref()]))
    }

    fn refused(line: &str) -> bool {
        matches!(judge(line.as_bytes()), Verdict::Refuse(_))
    }

    #[test]
    fn variables_that_others_obey_are_refused_in_every_spelling() {
        for name in [
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "PATH",
            "HOME",
            "CARGO",
            "RUSTC_WRAPPER",
            "RUSTUP_TOOLCHAIN",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
            "CARGO_SANDBOX_ENGINE",
            "GLIBC_TUNABLES",
        ] {
            for line in [
                format!("cargo:rustc-env={name}=x"),
                format!("cargo::rustc-env={name}=x"),
                format!(" \t cargo::rustc-env={name}=x \r"),
                format!("\u{a0}cargo:rustc-env={name}="),
            ] {
                let Verdict::Refuse(objection) = judge(line.as_bytes()) else { panic!("{line:?} passes") };
                assert!(objection.to_string().contains(name), "{objection}");
            }
        }
    }

    #[test]
    fn a_policy_grants_library_paths_alone() {
        let grants = Grants {
            variables: ["LD_LIBRARY_PATH", "LD_PRELOAD"].map(String::from).into(),
            ..grants("/p", &[])
        };
        let said = |name: &str| filter(format!("cargo::rustc-env={name}=x").as_bytes(), &grants);
        assert_eq!(said("LD_LIBRARY_PATH"), Verdict::Pass);
        for (name, hint) in
            [("LD_PRELOAD", "yourself"), ("DYLD_LIBRARY_PATH", "`sets-env = [\"DYLD_LIBRARY_PATH\"]`")]
        {
            let Verdict::Refuse(objection) = said(name) else { panic!("{name} passes") };
            assert!(objection.to_string().contains(hint), "{objection}");
        }
    }

    #[test]
    fn variables_of_real_packages_pass() {
        for name in [
            "RUSTC_VERSION",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_VERSION",
            "GIT_HASH",
            "VERGEN_RUSTC_SEMVER",
            "TARGET",
            "PROFILE",
            "BUILD_PATH",
            "CARGO_BUILD_TARGET",
            "OUT_DIR",
        ] {
            assert_eq!(judge(format!("cargo:rustc-env={name}=x").as_bytes()), Verdict::Pass, "{name}");
        }
    }

    #[test]
    fn what_is_no_such_directive_passes() {
        for line in [
            "",
            "LD_PRELOAD=x",
            "cargo:metadata=LD_PRELOAD=x",
            "cargo::metadata=PATH=x",
            "cargo:root=/home/me",
            "cargo:rustc-env=",
            "cargo:rustc-envLD_PRELOAD=x",
            "cargo:rustc-cfg=rustc-env=PATH=x",
            "text cargo:rustc-env=PATH=x",
            "\u{1b}[31m not a message",
        ] {
            assert_eq!(judge(line.as_bytes()), Verdict::Pass, "{line:?}");
        }
        assert_eq!(judge(b"cargo:rustc-env=PATH=\xff"), Verdict::Pass, "cargo ignores what is no UTF-8");
    }

    #[test]
    fn library_directories_are_the_systems_the_packages_or_in_the_build_directory() {
        for path in [
            "/usr/lib/x86_64-linux-gnu",
            "/opt/cuda/lib64",
            "native=/b/debug/build/p-1/out/lib",
            "/b/debug/build/p-1/out/../../../deps",
            "vendor/lib",
            "all=/c/src/p-1",
            "/t/lib",
        ] {
            assert!(!refused(&format!("cargo::rustc-link-search={path}")), "{path}");
        }
        for path in [
            "/home/me/lib",
            "native=/b/debug/build/p-1/out/../../../../../home/me",
            "../other-1/lib",
            "dependency=/c/src/other-1",
            "/buildings",
            "/usr/../home/me",
        ] {
            assert!(refused(&format!("cargo:rustc-link-search={path}")), "{path}");
        }
        assert!(
            refused("cargo:rustc-flags=-l z -L /home/me") && refused("cargo::rustc-flags=-lz -L/home/me")
        );
        assert!(!refused("cargo:rustc-flags=-l /home/me -L/usr/lib"));
    }

    #[test]
    fn what_a_terminal_obeys_is_made_visible_in_messages() {
        let replaced = |line: &str| match judge(line.as_bytes()) {
            Verdict::Replace(line) => String::from_utf8(line).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(replaced("cargo::warning=\u{1b}[2Jx\u{7}"), "cargo::warning=\\x1b[2Jx\\x07");
        assert_eq!(replaced("cargo:warning=a\rb\r"), "cargo:warning=a\\x0db\r");
        assert_eq!(replaced("cargo::error=\u{9b}1m\u{202e}"), "cargo::error=\\u{9b}1m\\u{202e}");
        assert_eq!(
            judge(b"cargo:warning=\xff\x1b[1m"),
            Verdict::Replace(b"cargo:warning=\xff\\x1b[1m".to_vec())
        );
        for plain in ["cargo::warning=t\u{e4}xt\twith tab", "cargo:warning=end\r", "\u{1b}[31mred\u{1b}[0m\r"]
        {
            assert_eq!(judge(plain.as_bytes()), Verdict::Pass);
            assert_eq!(complaint(b"\x1b[31mred\x1b[0m\r"), Verdict::Pass);
        }
        for line in ["\u{1b}[2J", "cargo:root=\u{1b}[2J", "cargo:rustc-env=A=\u{1b}[2J"] {
            assert_eq!(replaced(line), line.replace('\u{1b}', "\\x1b"));
        }
        assert_eq!(judge(b"cargo:rustc-env=STEP=\x1c"), Verdict::Pass, "the value is the byte");
        assert_eq!(replaced("\u{1c}"), "\\x1c");
        assert_eq!(replaced("cargo::warning=\u{1c}"), "cargo::warning=\\x1c");
        assert_eq!(complaint(b"\x1b[2J\r"), Verdict::Replace(b"\\x1b[2J\r".to_vec()));
    }
}
