//! What a cargo command line asks for, as far as this tool must know. Nothing of it is changed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A cargo command line (without `cargo` and `+toolchain`) and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CargoCommand {
    /// The arguments as they were given.
    pub arguments: Vec<OsString>,
    /// The subcommand, aliases of cargo's own resolved (`b` is `build`); empty where there is none.
    pub subcommand: String,
    /// What is known of the subcommand.
    pub kind: CommandKind,
    /// `--manifest-path`.
    pub manifest_path: Option<PathBuf>,
    /// `--target-dir`.
    pub target_dir: Option<PathBuf>,
    /// Every `--target`.
    pub targets: Vec<String>,
    /// Every `--config`.
    pub config: Vec<String>,
    /// `-q` or `--quiet`.
    pub quiet: bool,
    /// `--offline` or `--frozen`.
    pub offline: bool,
    /// Where the subcommand stands among the arguments.
    pub position: Option<usize>,
}

/// What a subcommand does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Compiles or runs code of the project: through the Build container.
    Compile,
    /// Builds programs that are not the project's: `install` from a registry or git.
    Install,
    /// Applies what compilers suggest to the sources: `fix`, `clippy --fix`.
    Fix,
    /// Sends packages to a registry: `publish`.
    Publish,
    /// Uses a registry's token for something else: `owner`, `yank`, `login`, `logout`.
    Registry,
    /// Runs no foreign code beyond asking the compiler about itself.
    Host,
    /// Known, and not confined yet: refused, with the reason.
    Refused(&'static str),
    /// Not cargo's: an installed subcommand (see [`super::installed`]), or a mistake.
    Unknown,
}

/// Options before the subcommand that take a value (`cargo --help`).
const GLOBAL_WITH_VALUE: &[&str] = &["--color", "--config", "-Z", "-C", "--explain"];

/// One table for all subcommands.
const SUBCOMMANDS: &[(&[&str], CommandKind)] = &[
    (
        &["build", "check", "test", "bench", "run", "doc", "rustc", "rustdoc", "clippy", "package"],
        CommandKind::Compile,
    ),
    (
        &[
            "",
            "add",
            "clean",
            "config",
            "fetch",
            "fmt",
            "generate-lockfile",
            "help",
            "info",
            "init",
            "locate-project",
            "metadata",
            "new",
            "pkgid",
            "read-manifest",
            "remove",
            "report",
            "rm",
            "search",
            "tree",
            "uninstall",
            "update",
            "vendor",
            "verify-project",
            "version",
        ],
        CommandKind::Host,
    ),
    (&["fix"], CommandKind::Fix),
    (&["install"], CommandKind::Install),
    (&["publish"], CommandKind::Publish),
    (&["login", "logout", "owner", "yank"], CommandKind::Registry),
];

/// cargo's built-in aliases (`cargo --list`).
const ALIASES: &[(&str, &str)] = &[("b", "build"), ("c", "check"), ("d", "doc"), ("r", "run"), ("t", "test")];

/// Among them, what an alias may stand for: programs of their own, and a second name.
const NOT_BUILT_IN: &[&str] = &["", "clippy", "fmt", "rm"];

/// Whether a word is a subcommand that no alias can stand for (cargo refuses that). The short forms (`b`) are not.
pub fn is_built_in(name: &str) -> bool {
    !NOT_BUILT_IN.contains(&name) && SUBCOMMANDS.iter().any(|(names, _)| names.contains(&name))
}

impl CargoCommand {
    /// Reads a command line. What cargo would refuse is left to cargo.
    pub fn parse(arguments: Vec<OsString>) -> Self {
        let at = subcommand_position(&arguments);
        let given = at.map_or(String::new(), |at| arguments[at].to_string_lossy().into_owned());
        let subcommand =
            ALIASES.iter().find(|(alias, _)| *alias == given).map_or(given, |(_, name)| (*name).to_owned());
        // What follows `--` belongs to a program or to rustc.
        let own = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
        let own = &arguments[..own];
        let flag = |names: &[&str]| own.iter().any(|word| names.iter().any(|name| word == name));
        let quiet = flag(&["-q", "--quiet"]);
        let mut kind = SUBCOMMANDS
            .iter()
            .find(|(names, _)| names.contains(&subcommand.as_str()))
            .map_or(CommandKind::Unknown, |(_, kind)| *kind);
        kind = match (subcommand.as_str(), kind) {
            ("clippy", _) if flag(&["--fix"]) => CommandKind::Fix,
            ("doc" | "rustdoc", _) if flag(&["--open"]) => CommandKind::Refused(
                "`--open` starts a browser that the repository's configuration may name; leave it out",
            ),
            ("package", _) if flag(&["--no-verify", "-l", "--list"]) => CommandKind::Host,
            ("help", _)
            | (
                _,
                CommandKind::Refused(_)
                | CommandKind::Install
                | CommandKind::Fix
                | CommandKind::Publish
                | CommandKind::Registry,
            ) if flag(&["--help", "-h"]) => CommandKind::Host,
            ("install", _) if flag(&["--list"]) => CommandKind::Host,
            // A project like any other, whose programs are copied; without a crate it is the one that cargo is in.
            ("install", _)
                if !values(own, "--path").is_empty()
                    || values(own, "--git").is_empty() && install_crates(&arguments, at).is_empty() =>
            {
                CommandKind::Compile
            }
            (_, kind) => kind,
        };
        Self {
            kind,
            manifest_path: match subcommand.as_str() {
                "install" => values(own, "--path").pop().map(|path| Path::new(&path).join("Cargo.toml")),
                _ => values(own, "--manifest-path").pop().map(PathBuf::from),
            },
            target_dir: values(own, "--target-dir").pop().map(PathBuf::from),
            targets: strings(values(own, "--target")),
            config: strings(values(own, "--config")),
            quiet,
            offline: flag(&["--offline", "--frozen"]),
            position: at,
            subcommand,
            arguments,
        }
    }

    /// The arguments behind the subcommand. What follows `--` belongs to a program or to rustc.
    pub fn own_arguments(&self) -> &[OsString] {
        let own = self.arguments.iter().position(|word| word == "--").unwrap_or(self.arguments.len());
        self.arguments[..own].get(self.position.map_or(0, |at| at + 1)..).unwrap_or_default()
    }

    /// Directories that the command writes whatever project it is in, as they were given.
    pub fn writes_beside_project(&self) -> Vec<PathBuf> {
        let behind = self.own_arguments();
        match self.subcommand.as_str() {
            "new" | "init" => vec![positional(behind, NEW_WITH_VALUE).unwrap_or_default().into()],
            "vendor" => vec![positional(behind, VENDOR_WITH_VALUE).unwrap_or_else(|| "vendor".into()).into()],
            // Unstable; `--out-dir` is its older name.
            _ => [values(behind, "--artifact-dir"), values(behind, "--out-dir")]
                .concat()
                .into_iter()
                .map(PathBuf::from)
                .collect(),
        }
    }

    /// The values of an option of cargo's own, both forms.
    pub fn option(&self, name: &str) -> Vec<OsString> {
        values(&self.arguments[..self.end()], name)
    }

    /// Whether one of these words is among cargo's own.
    pub fn flag(&self, names: &[&str]) -> bool {
        self.arguments[..self.end()].iter().any(|word| names.iter().any(|name| word == name))
    }

    /// Where cargo's own arguments end: what follows `--` belongs to a program or to rustc.
    pub fn end(&self) -> usize {
        self.arguments.iter().position(|word| word == "--").unwrap_or(self.arguments.len())
    }

    /// The arguments without an option that takes a value.
    pub fn without_option(&self, name: &str) -> Vec<OsString> {
        let (own, rest) = self.arguments.split_at(self.end());
        let mut kept = Vec::with_capacity(self.arguments.len());
        let mut words = own.iter();
        while let Some(word) = words.next() {
            let value = word.as_bytes().strip_prefix(name.as_bytes());
            if value == Some(b"") {
                words.next();
            } else if value.is_none_or(|value| !value.starts_with(b"=")) {
                kept.push(word.clone());
            }
        }
        kept.extend_from_slice(rest);
        kept
    }

    /// The words behind the subcommand that are neither options nor values of `with_value`.
    pub fn positionals(&self, with_value: &[&str]) -> Vec<OsString> {
        let mut found = Vec::new();
        let mut words = self.own_arguments().iter();
        while let Some(word) = words.next() {
            if with_value.iter().any(|option| word == option) {
                words.next();
            } else if !word.as_bytes().starts_with(b"-") {
                found.push(word.clone());
            }
        }
        found
    }

    /// Puts words right behind the subcommand.
    pub fn insert(&mut self, words: impl IntoIterator<Item = OsString>) {
        let at = self.position.map_or(0, |at| at + 1);
        self.arguments.splice(at..at, words);
    }

    /// The arguments without these options, which take no value.
    pub fn without_flags(&self, names: &[&str]) -> Vec<OsString> {
        let (own, rest) = self.arguments.split_at(self.end());
        let kept = own.iter().filter(|word| !names.iter().any(|name| word == name));
        kept.chain(rest).cloned().collect()
    }

    /// One command for each crate that `install` names, since each is built apart from the others; the name for people.
    pub fn one_per_crate(&self) -> Vec<(String, Self)> {
        let crates = install_crates(&self.arguments, self.position);
        let name = |at: usize| self.arguments[at].to_string_lossy().into_owned();
        if let [] | [_] = *crates {
            let named = crates.first().map(|at| name(*at));
            return vec![(named.unwrap_or_else(|| "git".to_owned()), self.clone())];
        }
        let one = |at: &usize| {
            let keep = |(position, _): &(usize, &OsString)| position == at || !crates.contains(position);
            let words = self.arguments.iter().enumerate().filter(keep).map(|(_, word)| word.clone());
            (name(*at), Self::parse(words.collect()))
        };
        crates.iter().map(one).collect()
    }

    /// The directory that cargo works from: `-C` before the subcommand, else the given one.
    pub fn working_directory(&self, cwd: &Path) -> PathBuf {
        let end = self.position.unwrap_or(self.arguments.len());
        values(&self.arguments[..end], "-C")
            .pop()
            .map_or_else(|| cwd.to_owned(), |directory| cwd.join(directory))
    }
}

/// Where the subcommand stands among the arguments.
fn subcommand_position(arguments: &[OsString]) -> Option<usize> {
    let mut at = 0;
    while at < arguments.len() {
        let word = arguments[at].as_bytes();
        if !word.starts_with(b"-") {
            return Some(at);
        }
        at += if GLOBAL_WITH_VALUE.iter().any(|option| option.as_bytes() == word) { 2 } else { 1 };
    }
    None
}

/// Options of `install` that take a value.
const INSTALL_WITH_VALUE: &[&str] = &[
    "--version",
    "--vers",
    "--index",
    "--registry",
    "--git",
    "--branch",
    "--tag",
    "--rev",
    "--path",
    "--root",
    "--message-format",
    "--bin",
    "--example",
    "--features",
    "-F",
    "--jobs",
    "-j",
    "--profile",
    "--target",
    "--target-dir",
    "--color",
    "--config",
    "-Z",
    "-C",
];

/// Where the crates that `install` names stand among the arguments, which have the subcommand at `position`.
fn install_crates(arguments: &[OsString], position: Option<usize>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = position.map_or(arguments.len(), |position| position + 1);
    let mut options = true;
    while let Some(word) = arguments.get(at) {
        if options && INSTALL_WITH_VALUE.iter().any(|option| word == option) {
            at += 1;
        } else if options && word == "--" {
            options = false;
        } else if !options || !word.as_bytes().starts_with(b"-") {
            found.push(at);
        }
        at += 1;
    }
    found
}

/// Options of `new` and `init` that take a value.
const NEW_WITH_VALUE: &[&str] =
    &["--vcs", "--edition", "--name", "--registry", "--color", "--config", "-Z", "-C"];

/// Options of `vendor` that take a value.
const VENDOR_WITH_VALUE: &[&str] =
    &["-s", "--sync", "--manifest-path", "--lockfile-path", "--color", "--config", "-Z", "-C"];

/// The first argument that is neither an option nor the value of one.
fn positional(arguments: &[OsString], with_value: &[&str]) -> Option<OsString> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if with_value.iter().any(|option| word == option) {
            words.next();
        } else if !word.as_bytes().starts_with(b"-") {
            return Some(word.clone());
        }
    }
    None
}

/// The values of an option, given as `--name value` or `--name=value`.
fn values(arguments: &[OsString], name: &str) -> Vec<OsString> {
    let mut found = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == name {
            found.extend(words.next().cloned());
        } else if let Some(rest) = word.as_bytes().strip_prefix(name.as_bytes())
            && let Some(value) = rest.strip_prefix(b"=")
        {
            found.push(OsStr::from_bytes(value).to_owned());
        }
    }
    found
}

fn strings(values: Vec<OsString>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> CargoCommand {
        CargoCommand::parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_subcommand_is_found_behind_global_options() {
        for line in
            ["build", "-v build", "--color always build", "-Z unstable-options b", "--config a=1 -q b"]
        {
            assert_eq!(parse(line).subcommand, "build", "{line}");
            assert_eq!(parse(line).kind, CommandKind::Compile, "{line}");
        }
        assert_eq!(parse("--version").subcommand, "");
        assert_eq!(parse("").kind, CommandKind::Host);
    }

    #[test]
    fn options_are_read_in_both_forms_and_not_behind_the_dashes() {
        let command =
            parse("run --target=a --target b --target-dir t --manifest-path=m/Cargo.toml -- --target c -q");
        assert_eq!(command.targets, ["a", "b"]);
        assert_eq!(command.target_dir, Some("t".into()));
        assert_eq!(command.manifest_path, Some("m/Cargo.toml".into()));
        assert!(!command.quiet);
    }

    #[test]
    fn what_is_not_confined_is_refused() {
        assert!(matches!(parse("doc --open").kind, CommandKind::Refused(_)));
        for (line, kind) in [
            ("publish --workspace", CommandKind::Publish),
            ("publish --help", CommandKind::Host),
            ("owner --add x y", CommandKind::Registry),
            ("fix --lib", CommandKind::Fix),
            ("clippy --fix", CommandKind::Fix),
            ("clippy", CommandKind::Compile),
            ("package", CommandKind::Compile),
            ("install x", CommandKind::Install),
            ("install --git u", CommandKind::Install),
            ("install --path . x", CommandKind::Compile),
            ("install", CommandKind::Compile),
            ("install --list", CommandKind::Host),
        ] {
            assert_eq!(parse(line).kind, kind, "{line}");
        }
        for line in ["clippy", "doc", "package --no-verify", "package --list"] {
            assert!(!matches!(parse(line).kind, CommandKind::Refused(_)), "{line}");
        }
        assert_eq!(parse("nextest run").kind, CommandKind::Unknown);
    }

    #[test]
    fn crates_are_installed_one_by_one() {
        let lines = |line: &str| -> Vec<_> {
            let each = parse(line).one_per_crate().into_iter();
            each.map(|(name, command)| {
                let words: Vec<_> =
                    command.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
                (name, words.join(" "))
            })
            .collect()
        };
        let both = lines("-q install -F x a@1 --root r -j2 b --bin c -- d");
        let expected = ["a@1", "b", "d"].map(|name| match name {
            "a@1" => (name.into(), "-q install -F x a@1 --root r -j2 --bin c --".into()),
            "b" => (name.into(), "-q install -F x --root r -j2 b --bin c --".into()),
            _ => (name.into(), "-q install -F x --root r -j2 --bin c -- d".to_owned()),
        });
        assert_eq!(both, expected);
        assert_eq!(lines("install --git u --tag t"), [("git".into(), "install --git u --tag t".into())]);
    }

    #[test]
    fn an_option_is_taken_out_in_both_forms() {
        let command = parse("fix --target-dir a --target x --target-dir=b -- --target-dir c");
        let kept = command.without_option("--target-dir");
        assert_eq!(kept, ["fix", "--target", "x", "--", "--target-dir", "c"]);
    }

    #[test]
    fn the_working_directory_follows_the_option_before_the_subcommand() {
        assert_eq!(parse("-C sub build").working_directory(Path::new("/p")), Path::new("/p/sub"));
        assert_eq!(parse("build -C sub").working_directory(Path::new("/p")), Path::new("/p"));
    }
}
