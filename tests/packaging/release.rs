//! Two releases, made once for all tests of this binary: of copies of the checkout, in different directories, one with the
//! crates that are on this machine and one with none. Not optimized, which takes a tenth of the time; nothing else of the script differs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use super::support::run::run;
use super::support::world::{base, copy, remove};
use super::support::{checkout, need};

/// What packaging/release made.
pub struct Release {
    pub checkout: PathBuf,
    pub cargo_home: PathBuf,
    /// `name-version` of the crates of a registry that were compiled.
    pub compiled: BTreeSet<String>,
}

impl Release {
    /// The files for people to download, in order.
    pub fn made(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.checkout.join("dist")).expect("dist");
        let mut files: Vec<_> =
            entries.map(|entry| entry.expect("entry").path()).filter(|path| path.is_file()).collect();
        files.sort();
        files
    }

    /// The one with this ending.
    pub fn file(&self, ending: &str) -> PathBuf {
        let made = self.made();
        let found = made.iter().find(|path| path.to_string_lossy().ends_with(ending));
        found.unwrap_or_else(|| panic!("no {ending} in {made:?}")).clone()
    }

    /// The archive's directory.
    pub fn unpacked(&self) -> PathBuf {
        let archive = self.file(".tar.gz");
        let name = archive.file_name().expect("name").to_string_lossy().replace(".tar.gz", "");
        self.checkout.with_file_name("unpacked").join(name)
    }
}

/// Both, or a note of what is missing here.
pub fn releases() -> Option<&'static [Release; 2]> {
    static RELEASES: LazyLock<Option<[Release; 2]>> = LazyLock::new(|| {
        for tool in ["cargo-deb", "cargo-cyclonedx"] {
            need(installed(tool))?;
        }
        let directory = base().join("packaging");
        remove(&directory);
        // Both of one copy: somebody may be at work on the files.
        let source = directory.join("source");
        fs::create_dir_all(&source).expect("directory");
        need(checkout::copy(&source))?;
        let release = |name, fresh| make(&source, &directory.join(name), fresh);
        // At the same time: much of each uses one processor.
        Some(thread::scope(|scope| {
            let one = scope.spawn(|| release("one", false));
            let other = release("another/directory", true);
            [one.join().expect("a release"), other]
        }))
    });
    RELEASES.as_ref()
}

fn installed(tool: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    places.push(cargo_home().join("bin"));
    match places.iter().any(|place| place.join(tool).is_file()) {
        true => Ok(()),
        false => Err(format!("`{tool}` is not installed: `cargo install --locked {tool}`")),
    }
}

fn cargo_home() -> PathBuf {
    let home = || std::env::home_dir().expect("a home directory").join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn make(source: &Path, directory: &Path, fresh: bool) -> Release {
    let (checkout, cargo_home_here) = (directory.join("checkout"), directory.join("cargo"));
    fs::create_dir_all(directory).expect("directory");
    copy(source, &checkout);
    match fresh {
        false => symlink(cargo_home(), &cargo_home_here).expect("link"),
        true => fs::create_dir(&cargo_home_here).expect("directory"),
    }
    let configuration = cargo_home().join("config.toml");
    if fresh && configuration.exists() {
        fs::copy(configuration, cargo_home_here.join("config.toml")).expect("configuration");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::env::split_paths(&path).chain([cargo_home().join("bin")])).expect("PATH");
    let target = directory.join("target");
    let mut command = Command::new(checkout.join("packaging/release"));
    command
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("CARGO_HOME", &cargo_home_here)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    // What cargo tells its tests is not for the cargo below.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"CARGO_PKG_"))
    {
        command.env_remove(name);
    }
    run(&mut command).success("packaging/release");
    let compiled = compiled(&target);
    remove(&target);
    let release = Release { checkout, cargo_home: cargo_home_here, compiled };
    let unpacked = directory.join("unpacked");
    fs::create_dir(&unpacked).expect("directory");
    run(Command::new("tar").arg("-xzf").arg(release.file(".tar.gz")).arg("-C").arg(&unpacked)).success("tar");
    release
}

/// By what rustc wrote beside each artifact: the crates whose sources it read.
fn compiled(target: &Path) -> BTreeSet<String> {
    let mut crates = BTreeSet::new();
    let mut open = vec![target.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("directory").map(|entry| entry.expect("entry").path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "d") {
                let text = fs::read_to_string(&entry).expect("list of sources");
                let sources = text.split_whitespace().filter_map(|path| path.split_once("/registry/src/"));
                crates.extend(sources.filter_map(|(_, rest)| Some(rest.split('/').nth(1)?.to_owned())));
            }
        }
    }
    crates
}
