//! What of a development environment reaches jobs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::broker::directives::obeyed_variable;
use crate::broker::environment::is_dropped;
use crate::cargo::environment::{is_decided, is_secret};
use crate::policy::provider::Provider;

use super::store::STORE;

/// What only makes sense while Nix builds, or says where and as whom it does (`nix develop` leaves the most of it out, too):
/// left out without a word.
const OF_THE_BUILD: &[&str] = &[
    "BASHOPTS",
    "IN_NIX_SHELL",
    "NIX_BUILD_TOP",
    "NIX_ENFORCE_PURITY",
    "NIX_LOG_FD",
    "NIX_REMOTE",
    "NIX_SSL_CERT_FILE",
    "NIX_STORE",
    "OLDPWD",
    "PPID",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SSL_CERT_FILE",
    "TEMP",
    "TEMPDIR",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "UID",
    "args",
    "builder",
    "dontAddDisableDepTrack",
    "name",
    "out",
    "outputs",
    "shellHook",
    "system",
];

/// What jobs get of a development environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provided {
    /// Variables, by name.
    pub variables: BTreeMap<String, String>,
    /// Directories of programs in the store, which are looked into before the system's.
    pub programs: Vec<PathBuf>,
    /// Directories of libraries in the store, which programs of the project are started with (`LD_LIBRARY_PATH`).
    pub libraries: Vec<PathBuf>,
    /// Variables that no job gets, and that somebody may miss.
    pub withheld: Vec<String>,
}

/// What `nix print-dev-env --json` writes, as far as it matters: only exported variables reach what a shell starts.
#[derive(Deserialize)]
struct Written {
    variables: BTreeMap<String, WrittenVariable>,
}

#[derive(Deserialize)]
struct WrittenVariable {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    value: serde_json::Value,
}

impl Provided {
    /// Judges what `nix print-dev-env --json`, or `riff print-dev-env --json`, has written.
    ///
    /// # Errors
    /// When that is something else.
    pub fn parse(output: &[u8]) -> anyhow::Result<Self> {
        let written: Written =
            serde_json::from_slice(output).context("it is no description of variables in JSON")?;
        let mut provided = Self::default();
        for (name, WrittenVariable { kind, value }) in written.variables {
            let (true, Some(value)) = (kind == "exported", value.as_str()) else { continue };
            match name.as_str() {
                "PATH" => provided.programs = in_store(value),
                "LD_LIBRARY_PATH" => provided.libraries = in_store(value),
                "HOME" => {}
                name if OF_THE_BUILD.contains(&name) => {}
                name if may_pass(name) && !value.contains('\0') => {
                    provided.variables.insert(name.to_owned(), value.to_owned());
                }
                name => provided.withheld.push(name.to_owned()),
            }
        }
        Ok(provided)
    }

    /// Whether everything that is named of the store is in the one that is kept at `store`.
    pub fn is_in(&self, store: &Path) -> bool {
        let texts = self.variables.values().map(String::as_str);
        let paths = self.programs.iter().chain(&self.libraries).filter_map(|path| path.to_str());
        texts.chain(paths).flat_map(store_names).all(|name| store.join(name).symlink_metadata().is_ok())
    }

    /// What somebody may miss, in a sentence.
    pub fn note(&self, provider: Provider) -> Option<String> {
        let names: Vec<String> =
            self.withheld.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
        (!names.is_empty()).then(|| {
            format!(
                "note: no job gets these variables of the environment that {provider} gives, which the loader, the \
                 toolchain, cargo or this tool obeys, or which have the name of a secret: {}",
                names.join(", ")
            )
        })
    }

    /// Variables that compilers and what finds libraries for them use: cargo may know these as well, so that it builds again
    /// what looked at one that has changed.
    pub fn of_compilers(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| crate::cargo::environment::is_of_compilers(name))
    }
}

/// Whether jobs get a variable: none that the loader, the toolchain, cargo or this tool obeys, whoever says it.
fn may_pass(name: &str) -> bool {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let is_name = first && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    // The toolchain's and cargo's own, whatever they are called next.
    let of_toolchain = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP", "CSB_"]
        .iter()
        .any(|start| name.starts_with(start));
    is_name
        && !of_toolchain
        && obeyed_variable(name).is_none()
        && !is_decided(name)
        && !is_secret(name)
        && !is_dropped(name)
}

/// The directories of a search path that are in the store, as they are written: others are the container's own, or nobody's.
fn in_store(value: &str) -> Vec<PathBuf> {
    let parts = value.split(':').map(Path::new);
    let clean = |path: &&Path| {
        path.starts_with(STORE)
            && *path != Path::new(STORE)
            && path.components().all(|part| !matches!(part, std::path::Component::ParentDir))
    };
    parts.filter(clean).map(Path::to_owned).collect()
}

/// The names of what is in the store, of all paths in a text.
fn store_names(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("/nix/store/").skip(1);
    parts.map(|part| {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
        &part[..part.bytes().position(|byte| !of_name(byte)).unwrap_or(part.len())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Provided {
        let exported = |value: &str| serde_json::json!({ "type": "exported", "value": value });
        let mut all: serde_json::Map<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), exported(value))).collect();
        all.insert("IFS".into(), serde_json::json!({ "type": "var", "value": " " }));
        all.insert("list".into(), serde_json::json!({ "type": "array", "value": ["a"] }));
        all.insert("odd".into(), serde_json::json!({ "type": "unknown" }));
        let text = serde_json::json!({ "bashFunctions": { "f": "x" }, "variables": all }).to_string();
        Provided::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_something_obeys_is_withheld_and_named() {
        let given = [
            "CARGO_BUILD_RUSTC_WRAPPER",
            "CARGO_HOME",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
            "CSB_TEST",
            "LD_PRELOAD",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "CARGO_SANDBOX_ENGINE",
            "BASH_ENV",
            "DOCKER_HOST",
            "GITHUB_TOKEN",
            "HTTPS_PROXY",
            "SSH_AUTH_SOCK",
            "a b",
        ];
        let provided = parse(&given.map(|name| (name, "/nix/store/x")));
        let mut names = given.map(str::to_owned);
        names.sort();
        assert_eq!((provided.variables.len(), provided.withheld.as_slice()), (0, names.as_slice()));
        assert!(provided.note(Provider::Nix).unwrap().contains("`LD_PRELOAD`"));
    }

    #[test]
    fn what_compilers_use_and_ordinary_names_pass() {
        let given = [
            ("PKG_CONFIG_PATH", "/nix/store/a/lib/pkgconfig"),
            ("CC", "gcc"),
            ("NIX_CFLAGS_COMPILE", "-isystem /nix/store/a/include"),
            ("LIBCLANG_PATH", "/nix/store/c/lib"),
            ("OPENSSL_DIR", "/nix/store/o"),
            ("HI", "BYE"),
            ("RUST_LOG", "info"),
        ];
        let provided = parse(&given);
        for (name, value) in given {
            assert_eq!(provided.variables.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(provided.note(Provider::Riff).is_none());
        let cargos: Vec<_> = provided.of_compilers().map(|(name, _)| name).collect();
        assert_eq!(cargos, ["CC", "LIBCLANG_PATH", "PKG_CONFIG_PATH"]);
    }

    #[test]
    fn search_paths_keep_what_is_in_the_store() {
        let provided = parse(&[
            (
                "PATH",
                "/nix/store/a/bin:/usr/bin:/home/me/bin::bin:/nix/store/../x:/nix/store:/nix/store/b/bin",
            ),
            ("LD_LIBRARY_PATH", "/tmp:/nix/store/l/lib"),
            ("HOME", "/homeless-shelter"),
            ("TMPDIR", "/tmp/x"),
            ("out", "/nix/store/out"),
        ]);
        assert_eq!(provided.programs, [Path::new("/nix/store/a/bin"), Path::new("/nix/store/b/bin")]);
        assert_eq!(provided.libraries, [Path::new("/nix/store/l/lib")]);
        assert!(provided.variables.is_empty() && provided.withheld.is_empty());
    }

    #[test]
    fn what_was_collected_as_garbage_is_missed() {
        let store = tempfile::tempdir().unwrap();
        let provided = parse(&[
            ("CFLAGS", "-I/nix/store/a-1.0/include -L/nix/store/b/lib"),
            ("PATH", "/nix/store/c/bin"),
        ]);
        for name in ["a-1.0", "b", "c"] {
            assert!(!provided.is_in(store.path()), "{name}");
            std::fs::create_dir(store.path().join(name)).unwrap();
        }
        assert!(provided.is_in(store.path()));
    }

    #[test]
    fn anything_else_is_no_environment() {
        for text in ["", "export A=1", "{}", "[]", "{\"variables\": {\"A\": 1}}"] {
            assert!(Provided::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
