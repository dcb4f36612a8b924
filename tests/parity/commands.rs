//! Command lines, one after the other in the same project: with cargo and with `cargo-sandbox`, from the same
//! state and under the same paths. Exit code, stdout, stderr and every file of the project by bytes after each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::normalise;
use crate::projects::Project;
use crate::support::run::{Output, run_with};
use crate::support::tool::Engine;
use crate::support::tree::{self, Entry};
use crate::support::world::{self, User, World};
use crate::table::{Form, Place, ROWS, Row};

/// What a command did, place by place.
type Places = BTreeMap<String, String>;

/// Runs all rows of a project with both and says what is not the same, and how many rows there were.
pub fn compare(project: &Project, engine: Engine, user: &User) -> Result<(String, usize), String> {
    let seed = project.seed()?;
    let world = World::new(&format!("commands-{}", project.name), user)?.incremental();
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.project == project.name).collect();
    let dir = world.work().join(project.name);
    let wipe = || {
        world::remove(&world.work());
        world::remove(&world.home.join(".cache"));
        world::remove(&world.home.join(".cargo"));
        world.copy(&seed.cargo_home, &world.home.join(".cargo"));
        world.write(&world.work().join("no-project/file"), "");
        world.copy(&seed.project, &dir);
    };
    wipe();
    let build_dir = world.status(engine, &dir).build_dir;
    let here = all(&world, &dir, &rows, &build_dir, Some(engine));
    world.stop(engine, &dir);
    wipe();
    let plain = all(&world, &dir, &rows, &build_dir, None);
    let mut failed = String::new();
    for ((row, plain), here) in rows.iter().zip(&plain).zip(&here) {
        let different = differences(row, plain, here);
        if !different.is_empty() {
            let _ = write!(failed, "\n== {}: {}\n{different}", project.name, row.line);
        }
    }
    Ok((failed, rows.len()))
}

fn all(world: &World, dir: &Path, rows: &[&Row], build_dir: &Path, engine: Option<Engine>) -> Vec<Places> {
    let mut files = Files::default();
    files.changed(&world.work());
    rows.iter()
        .map(|row| {
            for (path, text) in row.before {
                world.write(&dir.join(path), text);
            }
            let at = dir.join(row.at);
            if !at.is_dir() {
                return Places::from([("exit code".into(), "no directory to start in".into())]);
            }
            let mut command = match engine {
                Some(engine) => world.sandbox(engine, &at),
                None => world.plain(&at),
            };
            if engine.is_none() {
                command.env("CARGO_BUILD_BUILD_DIR", build_dir);
            }
            let output = one(row, &mut command);
            let mut places = Places::new();
            places.insert("exit code".into(), output.code().to_string());
            // cargo calls its compiler by its name alone where it is started without rustup.
            let toolchain = world.toolchain.display().to_string();
            let own_name = |text: &str| {
                let bare = text.replace(&format!("{toolchain}/bin/rust"), "rust");
                bare.replace(&toolchain, "[TOOLCHAIN]")
            };
            places.insert("stdout".into(), normalise::program_stdout(&own_name(&output.stdout)));
            places.insert("stderr".into(), normalise::any_stderr(&own_name(&output.stderr)));
            places.extend(files.changed(&world.work()));
            places
        })
        .collect()
}

fn one(row: &Row, command: &mut Command) -> Output {
    // Tests report in the order in which they end.
    command.env("RUST_TEST_THREADS", "1").envs(row.variables.iter().copied());
    run_with(command.args(row.line.split_whitespace()), row.input)
}

/// Everything below a directory, of which only what changed is read again.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, (Stamp, Entry)>);

/// What changes when a file is written.
type Stamp = (u64, i64, i64, u64);

impl Files {
    /// Reads what has changed since the last time; says what is new, what is different, what is gone.
    fn changed(&mut self, root: &Path) -> Places {
        let stamp = |path: &Path| {
            let metadata = fs::symlink_metadata(root.join(path)).ok()?;
            Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.len()))
        };
        let known =
            |path: &Path| stamp(path).is_some_and(|now| self.0.get(path).is_some_and(|(old, _)| *old == now));
        let keep =
            |path: &Path| normalise::kept_of_project(path) && (root.join(path).is_dir() || !known(path));
        let read = tree::read(root, &keep);
        let gone: Vec<PathBuf> =
            self.0.keys().filter(|path| fs::symlink_metadata(root.join(path)).is_err()).cloned().collect();
        let mut places = Places::new();
        for path in gone {
            self.0.remove(&path);
            places.insert(path.display().to_string(), "gone".into());
        }
        for (path, entry) in read {
            let same = self.0.get(&path).is_some_and(|(_, old)| *old == entry);
            if !same {
                places.insert(path.display().to_string(), format!("{entry:?}"));
            }
            if let Some(stamp) = stamp(&path) {
                self.0.insert(path, (stamp, entry));
            }
        }
        places
    }
}

/// What differs and is not explained, and what is explained and does not differ.
fn differences(row: &Row, plain: &Places, here: &Places) -> String {
    let mut text = String::new();
    let places: std::collections::BTreeSet<&String> = plain.keys().chain(here.keys()).collect();
    for place in places {
        let [plain, here] =
            [plain, here].map(|places| places.get(place).map_or("[as it was]", String::as_str));
        let (only_plain, only_here) = (lines_without(plain, here), lines_without(here, plain));
        let explained = row.explained.iter().find(|explained| explained.place.name() == *place);
        let as_expected = match explained.map(|explained| explained.form) {
            None => plain == here,
            Some(Form::Lines(cargo, own)) => (&*only_plain, &*only_here) == (cargo, own),
            Some(Form::Another(cargo, own)) => plain.starts_with(cargo) && here.starts_with(own),
        };
        if as_expected {
            continue;
        }
        let _ = writeln!(text, "* {place}");
        if let Some(explained) = explained {
            let _ = writeln!(text, "  not as explained ({}):\n  {:?}", explained.why, explained.form);
        }
        // Of long lines that begin alike, what follows.
        let alike = match (only_plain.first(), only_here.first()) {
            (Some(one), Some(two)) => {
                one.chars().zip(two.chars()).take_while(|(one, two)| one == two).count()
            }
            _ => 0,
        };
        for (mark, lines) in [('-', only_plain), ('+', only_here)] {
            for line in lines.iter().take(12) {
                let shown: String = line.chars().skip(alike.saturating_sub(60)).take(300).collect();
                let _ = writeln!(text, "    {mark} {shown}");
            }
        }
    }
    text
}

/// The lines of one, as a multiset, that the other has not.
fn lines_without<'a>(of: &'a str, without: &str) -> Vec<&'a str> {
    let mut without: Vec<&str> = without.lines().collect();
    let is_missing = |line: &&str| match without.iter().position(|other| other == line) {
        Some(at) => {
            without.swap_remove(at);
            false
        }
        None => true,
    };
    of.lines().filter(is_missing).collect()
}

/// The places that an explanation may be about.
impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
