//! The projects that are compared, and how they come here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::support::run::run;
use crate::support::world::{self, User, base, shared};

/// A project to compare on.
pub struct Project {
    /// Names its test and its directory.
    pub name: &'static str,
    pub source: Source,
    /// The file that is touched, relative to the project.
    pub touched: &'static str,
    /// What cargo exits with, so that two equal failures for want of a network are not taken for parity.
    pub exit: i32,
    /// How much is compared.
    pub extent: Extent,
}

/// What a project is compared on, by the time that it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Seconds: every step by every user on every engine, and what is shown by the wrapper alone as well.
    Short,
    /// Minutes: what is shown by every user on every engine; each unit by name in one pair of these, and in all with
    /// `CSB_PARITY=full`.
    Long,
}

/// Whether everything is to be compared, however long it takes.
pub fn full() -> bool {
    std::env::var_os("CSB_PARITY").is_some_and(|value| value == "full")
}

/// Where a project comes from.
pub enum Source {
    /// A directory of this repository.
    Here(&'static str),
    /// A crate as published, with the lock file in it.
    Published { name: &'static str, version: &'static str },
    /// Published crates put back into one workspace, as they are in their repository: each a member, and
    /// each taken by the others from its path instead of the registry.
    Workspace { members: &'static [(&'static str, &'static str)] },
    /// An empty program with these dependencies, for crates that no small program is published with.
    Dependencies(&'static str),
    /// The same with files of its own, each by its path.
    Program { dependencies: &'static str, files: &'static [(String, String)] },
}

/// The table.
pub const PROJECTS: &[Project] = &[
    // Path dependencies, a build script with a name of its own, a proc macro, warnings in several crates.
    Project {
        name: "members",
        source: Source::Here("tests/fixtures/members"),
        touched: "library/src/lib.rs",
        exit: 0,
        extent: Extent::Short,
    },
    // A compile error: exit code and diagnostics count as well.
    Project {
        name: "broken",
        source: Source::Here("tests/fixtures/broken"),
        touched: "src/main.rs",
        exit: 101,
        extent: Extent::Short,
    },
    // A build script that fails.
    Project {
        name: "failing-script",
        source: Source::Here("tests/fixtures/failing-script"),
        touched: "src/main.rs",
        exit: 101,
        extent: Extent::Short,
    },
    // Build script, proc macro and C through `cc` in one.
    Project {
        name: "hello-native",
        source: Source::Here("examples/hello-native"),
        touched: "app/src/main.rs",
        exit: 0,
        extent: Extent::Short,
    },
    // C through `cc` behind `-sys` crates whose bindings are written out, no bindgen.
    Project {
        name: "sys-crates",
        source: Source::Dependencies(
            "bzip2-sys = \"=0.1.13\"\nlz4-sys = \"=1.11.1\"\n\
             libz-sys = { version = \"=1.1.22\", default-features = false, features = [\"static\"] }\n",
        ),
        touched: "src/main.rs",
        exit: 0,
        extent: Extent::Long,
    },
    // Derive macros: clap, thiserror; const_format's function-like ones.
    Project {
        name: "hexyl",
        source: Source::Published { name: "hexyl", version: "0.16.0" },
        touched: "src/lib.rs",
        exit: 0,
        extent: Extent::Long,
    },
    // C and assembly through `cc`, clap's derive, a program as published.
    Project {
        name: "b3sum",
        source: Source::Published { name: "b3sum", version: "1.8.2" },
        touched: "src/main.rs",
        exit: 0,
        extent: Extent::Long,
    },
    // A real workspace with path dependencies: build scripts that probe the compiler, a proc macro member.
    Project {
        name: "serde-workspace",
        source: Source::Workspace {
            members: &[
                ("serde", "1.0.228"),
                ("serde_core", "1.0.228"),
                ("serde_derive", "1.0.228"),
                ("serde_json", "1.0.145"),
            ],
        },
        touched: "serde_core/src/lib.rs",
        exit: 0,
        extent: Extent::Long,
    },
    Project {
        name: "ripgrep",
        source: Source::Published { name: "ripgrep", version: "14.1.1" },
        touched: "crates/core/main.rs",
        exit: 0,
        extent: Extent::Long,
    },
];

/// Projects for command lines, test suites and installing: small ones, most as published.
const SMALL: &[Project] = &[
    Project::small("semver", "1.0.27"),
    Project::small("heck", "0.5.0"),
    Project::small("lexopt", "0.3.1"),
    Project::small("pico-args", "0.5.0"),
    // With large suites, and all that these need in the archive.
    Project::small("strsim", "0.11.1"),
    Project::small("indexmap", "2.12.0"),
    Project::small("bytes", "1.10.1"),
    // A program that is built in seconds with all optimizations.
    Project::small("pulldown-cmark", "0.13.0"),
    // A suite of this repository's that uses what suites use.
    Project {
        name: "suites",
        source: Source::Here("tests/fixtures/suites"),
        touched: "src/lib.rs",
        exit: 0,
        extent: Extent::Short,
    },
];

/// A project's sources and a CARGO_HOME with everything that it needs.
pub struct Seed {
    pub project: PathBuf,
    pub cargo_home: PathBuf,
}

impl Project {
    /// The project by name.
    pub fn named(name: &str) -> &'static Self {
        PROJECTS.iter().chain(SMALL).find(|project| project.name == name).expect("in the table")
    }

    const fn small(name: &'static str, version: &'static str) -> Self {
        let source = Source::Published { name, version };
        Self { name, source, touched: "src/lib.rs", exit: 0, extent: Extent::Short }
    }

    /// Fetched once per machine and kept; the only part that needs the registry.
    pub fn seed(&self) -> Result<Seed, String> {
        let _lock = shared();
        let toolchain = world::toolchain(&User::me())?;
        let dir = base().join("seed").join(self.name);
        let seed = Seed { project: dir.join("project"), cargo_home: dir.join("cargo-home") };
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        // The repository's own projects may have changed since, but not while these tests run, of which one may copy it just
        // now; what is published does not.
        static FRESH: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        let is_fresh = !FRESH.lock().expect("a set").insert(self.name);
        let recipe = self.recipe();
        let stamp = dir.join("complete");
        let complete = fs::read_to_string(&stamp).is_ok_and(|old| old == recipe);
        if complete && (is_fresh || !matches!(self.source, Source::Here(_))) {
            return Ok(seed);
        }
        world::remove(&dir);
        fs::create_dir_all(&seed.cargo_home).map_err(|error| format!("{}: {error}", dir.display()))?;
        let cargo = |arguments: &[&str], cwd: &Path| {
            let mut command = Command::new(toolchain.join("bin/cargo"));
            command.args(arguments).current_dir(cwd).env("CARGO_HOME", &seed.cargo_home);
            command.env("RUSTC", toolchain.join("bin/rustc"));
            let output = run(&mut command);
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("{}: {}", self.name, output.stderr.trim()))
            }
        };
        match &self.source {
            Source::Here(path) => world::copy(&here.join(path), &seed.project),
            Source::Dependencies(dependencies) => {
                empty_program(&seed.project, dependencies);
                cargo(&["generate-lockfile"], &seed.project)?;
            }
            Source::Program { dependencies, files } => {
                empty_program(&seed.project, dependencies);
                for (path, text) in *files {
                    let path = seed.project.join(path);
                    fs::create_dir_all(path.parent().expect("below the project"))
                        .and_then(|()| fs::write(&path, text))
                        .map_err(|error| format!("{}: {error}", path.display()))?;
                }
                cargo(&["generate-lockfile"], &seed.project)?;
            }
            Source::Published { name, version } => {
                let crates = [(*name, *version)];
                fetch_sources(&dir, &seed.cargo_home, &crates, &seed.project, &cargo)?;
                fs::rename(seed.project.join(name), dir.join("unpacked"))
                    .map_err(|error| error.to_string())?;
                world::remove(&seed.project);
                fs::rename(dir.join("unpacked"), &seed.project).map_err(|error| error.to_string())?;
            }
            Source::Workspace { members } => {
                fetch_sources(&dir, &seed.cargo_home, members, &seed.project, &cargo)?;
                let list: Vec<_> = members.iter().map(|(name, _)| format!("{name:?}")).collect();
                let patches: String =
                    members.iter().map(|(name, _)| format!("{name} = {{ path = {name:?} }}\n")).collect();
                let manifest = format!(
                    "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[patch.crates-io]\n{patches}",
                    list.join(", ")
                );
                fs::write(seed.project.join("Cargo.toml"), manifest).map_err(|error| error.to_string())?;
                for (name, _) in *members {
                    let _ = fs::remove_file(seed.project.join(name).join("Cargo.lock"));
                }
                cargo(&["generate-lockfile"], &seed.project)?;
            }
        }
        world::remove(&seed.project.join("target"));
        if seed.project.join("Cargo.lock").exists() {
            cargo(&["fetch", "--locked"], &seed.project)?;
        }
        fs::write(&stamp, recipe).map_err(|error| format!("{}: {error}", stamp.display()))?;
        Ok(seed)
    }

    fn recipe(&self) -> String {
        match &self.source {
            Source::Here(path) => (*path).to_owned(),
            Source::Published { name, version } => format!("{name} {version}"),
            Source::Workspace { members } => format!("{members:?}"),
            Source::Dependencies(dependencies) => (*dependencies).to_owned(),
            Source::Program { dependencies, files } => format!("{dependencies}{files:?}"),
        }
    }
}

fn empty_program(dir: &Path, dependencies: &str) {
    let manifest = format!(
        "[package]\nname = \"program\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{dependencies}\n[workspace]\n"
    );
    fs::create_dir_all(dir.join("src")).expect("directory");
    fs::write(dir.join("Cargo.toml"), manifest).expect("manifest");
    fs::write(dir.join("src/main.rs"), "fn main() {}\n").expect("source");
}

/// cargo with these arguments in this directory.
type Cargo<'a> = dyn Fn(&[&str], &Path) -> Result<(), String> + 'a;

/// Unpacks crates from the registry into `to/<name>`: cargo itself fetches them for a throwaway program.
fn fetch_sources(
    dir: &Path,
    cargo_home: &Path,
    crates: &[(&str, &str)],
    to: &Path,
    cargo: &Cargo<'_>,
) -> Result<(), String> {
    let throwaway = dir.join("throwaway");
    let lines: String = crates.iter().map(|(name, version)| format!("{name} = \"={version}\"\n")).collect();
    empty_program(&throwaway, &lines);
    cargo(&["fetch"], &throwaway)?;
    for (name, version) in crates {
        let registries = fs::read_dir(cargo_home.join("registry/src")).map_err(|error| error.to_string())?;
        let found = registries
            .map(|entry| entry.expect("readable").path().join(format!("{name}-{version}")))
            .find(|path| path.exists())
            .ok_or_else(|| format!("{name} {version} was not unpacked"))?;
        world::copy(&found, &to.join(name));
    }
    world::remove(&throwaway);
    Ok(())
}
