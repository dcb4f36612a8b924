//! Which toolchain: found as rustup would, without running rustup.
//!
//! A repository's `rust-toolchain.toml` can name a directory whose `cargo` rustup would then run, or a channel
//! that it would install. Here the first needs trust and the second is an error; the binaries that are found
//! are called directly.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::policy::question::{Item, Question};

/// A toolchain on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The name for people: rustup's, or the directory.
    pub name: String,
    /// The directory with `bin` and `lib`, canonical.
    pub sysroot: PathBuf,
    /// Whether rustup has it by its name. By that cargo calls the other programs (see [`Self::called`]).
    pub by_rustup: bool,
}

impl Toolchain {
    /// One of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }

    /// Whether what a toolchain is asked for by is rustup's name of it, and no path.
    pub fn is_rustups(name: &OsStr) -> bool {
        !name.as_encoded_bytes().contains(&b'/')
    }

    /// What cargo itself calls one of them when it tells a build script of it (`RUSTC`, `RUSTDOC`): by its path where rustup has
    /// the toolchain by a name, and else by the bare name, for `PATH` to find (cargo's `GlobalContext::get_tool`). Scripts write
    /// it into what they make.
    pub fn called(&self, name: &str) -> PathBuf {
        if self.by_rustup { self.program(name) } else { name.into() }
    }

    /// The triples whose standard library is installed.
    pub fn installed_targets(&self) -> Vec<String> {
        let directory = self.sysroot.join("lib/rustlib");
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let targets = entries.filter(|entry| entry.path().join("lib").is_dir());
        targets.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// What the user says about toolchains, taken from the command line and the environment at the front end.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `+name` on the command line.
    pub argument: Option<String>,
    /// `RUSTUP_TOOLCHAIN`.
    pub variable: Option<String>,
    /// `RUSTUP_HOME`, or where rustup keeps it otherwise.
    pub rustup_home: PathBuf,
    /// `PATH`.
    pub path: OsString,
}

/// A toolchain that a repository names by its directory: for use only after `self trust`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathToolchain {
    /// The toolchain file.
    pub file: PathBuf,
    /// Its content.
    pub text: String,
    /// The directory that it names, absolute.
    pub path: PathBuf,
}

impl PathToolchain {
    /// The toolchain itself.
    ///
    /// # Errors
    /// When there is no cargo in that directory.
    pub fn trusted(&self) -> Result<Toolchain, ToolchainError> {
        let name = self.path.display().to_string();
        let sysroot = self.path.canonicalize().ok().filter(|path| path.join("bin/cargo").is_file());
        let missing = || ToolchainError::NoCargoThere { file: self.file.clone(), path: self.path.clone() };
        Ok(Toolchain { name, sysroot: sysroot.ok_or_else(missing)?, by_rustup: false })
    }

    /// What the user is asked.
    pub fn question(&self) -> Question {
        let line = self.text.lines().position(|line| line.trim_start().starts_with("path"));
        let item = Item {
            line: line.map(|at| at + 1),
            key: "toolchain.path".into(),
            value: Some(toml::Value::from(self.path.to_string_lossy().into_owned()).to_string()),
            effect:
                "its cargo runs on this machine, its compiler in the container, and jobs read all of that \
                     directory"
                    .into(),
        };
        Question { file: self.file.clone(), text: self.text.clone(), items: vec![item] }
    }
}

/// Why there is no toolchain.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// Nothing is installed.
    #[error(
        "no cargo was found in PATH\n\nhint: install Rust (https://rustup.rs), or put the directory of your cargo on PATH"
    )]
    NoCargo,
    /// rustup is there and has no default.
    #[error("rustup has no default toolchain\n\nhint: `rustup default stable`")]
    NoDefault,
    /// A toolchain is asked for that is not there.
    #[error("toolchain `{name}` is not installed ({because})\n\nhint: `rustup toolchain install {name}`")]
    NotInstalled {
        /// As it was asked for.
        name: String,
        /// By whom.
        because: String,
    },
    /// The repository names a directory.
    #[error(
        "`{}` asks for the toolchain in `{}`, which would run programs of the repository's choice on this \
         machine\n\nhint: if you want that: `cargo-sandbox self trust`; else name another one: `cargo-sandbox \
         +stable …`",
        .0.file.display(), .0.path.display()
    )]
    PathToolchain(Box<PathToolchain>),
    /// The directory that a repository names is no toolchain.
    #[error("`{}` asks for the toolchain in `{}`, and there is no `bin/cargo`", file.display(), path.display())]
    NoCargoThere {
        /// The toolchain file.
        file: PathBuf,
        /// The directory.
        path: PathBuf,
    },
    /// A file of rustup's that cannot be understood.
    #[error("failed to read `{}`: {reason}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Selection {
    /// The toolchain for a directory.
    ///
    /// # Errors
    /// When none can be used.
    pub fn resolve(&self, cwd: &Path) -> Result<Toolchain, ToolchainError> {
        let cargo = which::which_in_global("cargo", Some(&self.path)).ok().and_then(|mut found| found.next());
        let rustup = cargo.as_deref().is_none_or(is_rustup_proxy) && self.rustup_home.is_dir();
        if rustup || self.argument.is_some() {
            return self.resolve_by_rustup(cwd);
        }
        let cargo = cargo.and_then(|cargo| cargo.canonicalize().ok()).ok_or(ToolchainError::NoCargo)?;
        let sysroot = cargo.parent().and_then(Path::parent).ok_or(ToolchainError::NoCargo)?;
        Ok(Toolchain { name: sysroot.display().to_string(), sysroot: sysroot.to_owned(), by_rustup: false })
    }

    /// The order of rustup's book, "Overrides".
    fn resolve_by_rustup(&self, cwd: &Path) -> Result<Toolchain, ToolchainError> {
        if let Some(name) = &self.argument {
            return self.installed(name, "asked for on the command line", None);
        }
        let settings = self.settings()?;
        if let Some(name) = &self.variable {
            return self.installed(name, "RUSTUP_TOOLCHAIN asks for it", settings.host.as_deref());
        }
        for directory in cwd.ancestors() {
            if let Some((_, name)) = settings.overrides.iter().find(|(path, _)| path == directory) {
                let because = format!("`rustup override` asks for it in `{}`", directory.display());
                return self.installed(name, &because, settings.host.as_deref());
            }
            for name in ["rust-toolchain", "rust-toolchain.toml"] {
                let file = directory.join(name);
                if file.is_file() {
                    let because = format!("`{}` asks for it", file.display());
                    let Some(channel) = channel_of(&file)? else { continue };
                    return self.installed(&channel, &because, settings.host.as_deref());
                }
            }
        }
        let name = settings.default.ok_or(ToolchainError::NoDefault)?;
        self.installed(&name, "it is rustup's default", settings.host.as_deref())
    }

    fn installed(&self, name: &str, because: &str, host: Option<&str>) -> Result<Toolchain, ToolchainError> {
        let missing = || ToolchainError::NotInstalled { name: name.to_owned(), because: because.to_owned() };
        let toolchains = self.rustup_home.join("toolchains");
        let host = host.unwrap_or(HOST_TRIPLE);
        // A name with a slash would lead out of rustup's directory; rustup takes an absolute path from the
        // command line and the environment only, and both are the user's.
        let candidates = if name.starts_with('/') && (self.argument.is_some() || self.variable.is_some()) {
            vec![PathBuf::from(name)]
        } else if name.contains('/') || name.starts_with('.') {
            return Err(missing());
        } else {
            vec![toolchains.join(name), toolchains.join(format!("{name}-{host}"))]
        };
        let found = candidates.iter().find(|path| path.join("bin/cargo").is_file()).ok_or_else(missing)?;
        let sysroot = found.canonicalize().map_err(|_| missing())?;
        Ok(Toolchain { name: name.to_owned(), sysroot, by_rustup: Toolchain::is_rustups(OsStr::new(name)) })
    }

    fn settings(&self) -> Result<Settings, ToolchainError> {
        let file = self.rustup_home.join("settings.toml");
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(Settings::default()) };
        let table: toml::Table = toml::from_str(&text)
            .map_err(|error| ToolchainError::Unreadable { file, reason: error.to_string() })?;
        let string = |key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        let overrides = table.get("overrides").and_then(|value| value.as_table());
        Ok(Settings {
            default: string("default_toolchain"),
            host: string("default_host_triple"),
            overrides: overrides
                .into_iter()
                .flatten()
                .filter_map(|(path, name)| Some((PathBuf::from(path), name.as_str()?.to_owned())))
                .collect(),
        })
    }
}

/// The triple that this program was built for, which is rustup's default host.
const HOST_TRIPLE: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

#[derive(Debug, Default)]
struct Settings {
    default: Option<String>,
    host: Option<String>,
    overrides: Vec<(PathBuf, String)>,
}

/// Whether a `cargo` is rustup's stand-in: a link to `rustup`, or the same file as the `rustup` beside it.
/// Whether a program is rustup, which starts the one of the toolchain that it chooses.
pub fn is_rustup_proxy(cargo: &Path) -> bool {
    let is_rustup = |path: &Path| path.file_stem() == Some(OsStr::new("rustup"));
    if cargo.canonicalize().is_ok_and(|path| is_rustup(&path)) {
        return true;
    }
    let (Ok(own), Ok(rustup)) = (cargo.metadata(), cargo.with_file_name("rustup").metadata()) else {
        return false;
    };
    // Linked, or copied where links are not to be had.
    own.ino() == rustup.ino() && own.dev() == rustup.dev() || own.len() == rustup.len()
}

/// The channel that a toolchain file names; `None` where it names none (components only).
fn channel_of(file: &Path) -> Result<Option<String>, ToolchainError> {
    let unreadable = |reason: String| ToolchainError::Unreadable { file: file.to_owned(), reason };
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    let table = match toml::from_str::<toml::Table>(&text) {
        Ok(table) => table,
        // The older form: the name alone.
        Err(_) if file.extension().is_none() && text.trim().lines().count() == 1 => {
            return Ok(Some(text.trim().to_owned()));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let toolchain = table.get("toolchain").ok_or_else(|| unreadable("no [toolchain] in it".to_owned()))?;
    if let Some(path) = toolchain.get("path") {
        let path = PathBuf::from(path.as_str().unwrap_or_default());
        if !path.is_absolute() {
            return Err(unreadable(format!("the toolchain's path `{}` is not absolute", path.display())));
        }
        let named = PathToolchain { file: file.to_owned(), text, path };
        return Err(ToolchainError::PathToolchain(Box::new(named)));
    }
    Ok(toolchain.get("channel").and_then(|channel| channel.as_str()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A rustup home with two toolchains, and a PATH whose cargo is rustup.
    fn machine() -> (tempfile::TempDir, Selection) {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().canonicalize().unwrap();
        for name in ["stable", "nightly"] {
            let bin = at.join(format!("rustup/toolchains/{name}-{HOST_TRIPLE}/bin"));
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("cargo"), "").unwrap();
        }
        let settings = format!(
            "default_toolchain = 'stable-{HOST_TRIPLE}'\n[overrides]\n'{}/over' = 'nightly'",
            at.display()
        );
        fs::write(at.join("rustup/settings.toml"), settings).unwrap();
        fs::create_dir_all(at.join("bin")).unwrap();
        fs::write(at.join("bin/rustup"), "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(at.join("bin/rustup"), mode).unwrap();
        symlink("rustup", at.join("bin/cargo")).unwrap();
        fs::create_dir_all(at.join("over")).unwrap();
        fs::create_dir_all(at.join("project")).unwrap();
        let selection =
            Selection { rustup_home: at.join("rustup"), path: at.join("bin").into(), ..Selection::default() };
        (directory, selection)
    }

    fn name_in(selection: &Selection, directory: &Path) -> Result<String, ToolchainError> {
        let toolchain = selection.resolve(&directory.canonicalize().unwrap())?;
        Ok(toolchain.sysroot.file_name().unwrap().to_string_lossy().replace(&format!("-{HOST_TRIPLE}"), ""))
    }

    #[test]
    fn the_default_is_used_where_nothing_else_is_said() {
        let (machine, selection) = machine();
        assert_eq!(name_in(&selection, &machine.path().join("project")).unwrap(), "stable");
    }

    #[test]
    fn argument_variable_override_and_file_come_in_this_order() {
        let (machine, mut selection) = machine();
        let over = machine.path().join("over");
        assert_eq!(name_in(&selection, &over).unwrap(), "nightly");
        selection.variable = Some("stable".into());
        assert_eq!(name_in(&selection, &over).unwrap(), "stable");
        selection.argument = Some("nightly".into());
        assert_eq!(name_in(&selection, &over).unwrap(), "nightly");
    }

    #[test]
    fn a_toolchain_file_is_obeyed_in_both_forms() {
        let (machine, selection) = machine();
        let project = machine.path().join("project");
        fs::write(project.join("rust-toolchain.toml"), "[toolchain]\nchannel = 'nightly'").unwrap();
        assert_eq!(name_in(&selection, &project).unwrap(), "nightly");
        fs::write(project.join("rust-toolchain"), "stable\n").unwrap();
        assert_eq!(name_in(&selection, &project).unwrap(), "stable");
    }

    #[test]
    fn a_path_in_a_toolchain_file_needs_trust() {
        let (machine, selection) = machine();
        let project = machine.path().join("project");
        let toolchain = machine.path().join("rustup/toolchains").join(format!("nightly-{HOST_TRIPLE}"));
        for (path, there) in [(toolchain, true), ("/evil".into(), false)] {
            let text = format!("[toolchain]\npath = '{}'", path.display());
            fs::write(project.join("rust-toolchain.toml"), text).unwrap();
            let error = selection.resolve(&project.canonicalize().unwrap()).unwrap_err();
            let ToolchainError::PathToolchain(named) = error else { panic!("{error}") };
            assert_eq!(named.question().items[0].line, Some(2));
            assert_eq!(named.trusted().is_ok(), there);
        }
    }

    #[test]
    fn what_names_no_installed_toolchain_is_refused() {
        let (machine, selection) = machine();
        let project = machine.path().join("project");
        for text in [
            "[toolchain]\npath = 'evil'",
            "[toolchain]\nchannel = '../../evil'",
            "[toolchain]\nchannel = '/evil'",
        ] {
            fs::write(project.join("rust-toolchain.toml"), text).unwrap();
            assert!(name_in(&selection, &project).is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_channel_names_the_command_that_installs_it() {
        let (machine, selection) = machine();
        let project = machine.path().join("project");
        fs::write(project.join("rust-toolchain.toml"), "[toolchain]\nchannel = '1.70'").unwrap();
        let error = name_in(&selection, &project).unwrap_err().to_string();
        assert!(error.contains("rustup toolchain install 1.70"), "{error}");
    }

    #[test]
    fn without_rustup_the_cargo_in_path_is_used() {
        let (machine, mut selection) = machine();
        let bin = machine.path().join(format!("rustup/toolchains/nightly-{HOST_TRIPLE}/bin"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bin.join("cargo"), mode).unwrap();
        selection.path = bin.into();
        assert_eq!(name_in(&selection, &machine.path().join("project")).unwrap(), "nightly");
        selection.path = "/nowhere".into();
        selection.rustup_home = "/nowhere".into();
        assert!(matches!(selection.resolve(Path::new("/")), Err(ToolchainError::NoCargo)));
    }
}
