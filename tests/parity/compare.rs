//! The same commands with two tools from the same wiped state and under the same paths, and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::normalise;
use crate::projects::{Extent, Project, Seed, full};
use crate::support::run::{Output, run};
use crate::support::tool::Engine;
use crate::support::tree::{self, Entry};
use crate::support::world::{self, User, World};

/// What runs the commands.
pub enum Tool<'a> {
    /// cargo itself with the build dir that the sandbox uses.
    Plain,
    /// cargo with variables that make it differ, to see that the harness notices.
    Tampered {
        variables: &'a [(&'a str, &'a str)],
        touch_before_fresh: bool,
    },
    Sandbox(Engine),
    /// cargo itself with the installed wrapper, in the same build dir.
    Wrapped(Engine),
}

/// One command of a sequence.
pub struct Step {
    pub name: &'static str,
    pub arguments: &'static [&'static str],
    /// Whether a source file is touched before.
    pub touch: bool,
    pub kind: Kind,
}

/// What of a command's output counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As a user sees it.
    Shown,
    /// Every unit by name with whether it was rebuilt, and the paths of its artifacts.
    Json,
    /// Every unit with the reason why it was rebuilt.
    Verbose,
}

/// Built, fresh, touched; then the same once more in the forms that name every unit.
pub const SEQUENCE: &[Step] = &[
    Step { name: "1 build", arguments: &["build"], touch: false, kind: Kind::Shown },
    Step { name: "2 check", arguments: &["check"], touch: false, kind: Kind::Shown },
    Step { name: "3 fresh build", arguments: &["build"], touch: false, kind: Kind::Shown },
    Step { name: "4 fresh check", arguments: &["check"], touch: false, kind: Kind::Shown },
    Step { name: "5 touched build", arguments: &["build"], touch: true, kind: Kind::Shown },
    Step { name: "6 touched check", arguments: &["check"], touch: false, kind: Kind::Shown },
    Step {
        name: "7 json build",
        arguments: &["build", "--message-format", "json"],
        touch: true,
        kind: Kind::Json,
    },
    Step { name: "8 verbose check", arguments: &["check", "-v"], touch: false, kind: Kind::Verbose },
    Step { name: "9 verbose build", arguments: &["build", "-v"], touch: false, kind: Kind::Verbose },
];

/// What takes less time to compile, which is most of what these comparisons take. What is short has none of it.
const QUICK: [(&str, &str); 5] = [
    ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ("CARGO_PROFILE_DEV_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_DEV_PANIC", "abort"),
    ("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false"),
    ("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false"),
];

/// How many steps of a sequence say what a user sees; those behind them name every unit.
pub fn shown(sequence: &[Step]) -> usize {
    sequence.iter().take_while(|step| step.kind == Kind::Shown).count()
}

/// Whether the directories are read behind a step: all cold, when all is shown, and at the end.
fn is_snapshot(sequence: &[Step], index: usize) -> bool {
    index == 1 || index + 1 == shown(sequence) || index + 1 == sequence.len()
}

/// Everything that one tool did, place by place; equal places are parity.
pub struct Outcome {
    places: BTreeMap<String, String>,
    artifacts: usize,
    pub steps: Vec<(&'static str, Duration)>,
}

/// Where two outcomes differ.
#[derive(Debug, Clone)]
pub struct Difference {
    pub place: String,
    pub plain: Option<String>,
    pub other: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plain, other) = (self.plain.as_deref(), self.other.as_deref());
        let lines = lines_that_differ(plain.unwrap_or("[absent]"), other.unwrap_or("[absent]"));
        write!(f, "\n* {}\n{lines}", self.place)
    }
}

/// What plain cargo did in one build dir, and as whom.
struct Reference {
    user: User,
    outcome: Outcome,
    /// Places where plain cargo differs from plain cargo, once it had to be found out.
    unstable: Option<BTreeSet<String>>,
}

/// What plain cargo did, by the build dir.
#[derive(Default)]
pub struct References(BTreeMap<PathBuf, Reference>);

/// One user's copy of a project, and plain cargo's outcome in it.
pub struct Bench<'a> {
    project: &'a Project,
    world: World,
    dir: PathBuf,
    seed: Seed,
    sequence: &'static [Step],
    /// How many of them the tools are compared on. Plain cargo does all, once.
    pub steps: usize,
    /// May be taken over from another user, who had the same paths.
    pub references: References,
}

impl<'a> Bench<'a> {
    pub fn new(
        project: &'a Project,
        user: &User,
        purpose: &str,
        sequence: &'static [Step],
    ) -> Result<Self, String> {
        let seed = project.seed()?;
        let world = World::in_turn(&format!("{purpose}-{}", project.name), user)?.incremental();
        world.copy(&seed.cargo_home, &world.home.join(".cargo"));
        let dir = world.work().join(project.name);
        let steps = sequence.len();
        Ok(Self { project, world, dir, seed, sequence, steps, references: References::default() })
    }

    /// Runs the sequence with one tool. The state before is always the same: sources as published, no
    /// target directory, nothing of the tool's own.
    pub fn outcome(&self, tool: &Tool<'_>, build_dir: &Path) -> Outcome {
        self.wipe();
        let mut outcome = Outcome { places: BTreeMap::new(), artifacts: 0, steps: Vec::new() };
        let steps = if matches!(tool, Tool::Plain) { self.sequence.len() } else { self.steps };
        for (index, step) in self.sequence[..steps].iter().enumerate() {
            let tampered = matches!(tool, Tool::Tampered { touch_before_fresh: true, .. }) && index == 2;
            if step.touch || tampered {
                self.touch(index);
            }
            let mut command = match tool {
                Tool::Sandbox(engine) => self.world.sandbox(*engine, &self.dir),
                Tool::Wrapped(engine) => self.world.wrapped(*engine, &self.dir),
                Tool::Plain | Tool::Tampered { .. } => self.world.plain(&self.dir),
            };
            if !matches!(tool, Tool::Sandbox(_)) {
                command.env("CARGO_BUILD_BUILD_DIR", build_dir);
            }
            if self.project.extent == Extent::Long && !full() {
                command.envs(QUICK);
            }
            if let Tool::Tampered { variables, .. } = tool {
                command.envs(variables.iter().copied());
            }
            let mut output = run(command.args(step.arguments));
            if matches!(tool, Tool::Wrapped(_)) {
                output.stderr = normalise::without_note(&output.stderr, index == 0);
            }
            outcome.steps.push((step.name, output.elapsed));
            outcome.record(step, &output);
            if is_snapshot(self.sequence, index) {
                let places = [
                    ("target", self.dir.join("target"), &(|_: &Path| true) as &dyn Fn(&Path) -> bool),
                    ("build dir", build_dir.to_path_buf(), &normalise::kept_of_build_dir),
                ];
                for (what, root, keep) in places {
                    let mut entries = tree::read(&root, keep);
                    entries.values_mut().for_each(|entry| entry.access = self.access(&entry.access));
                    let is_said = |(path, entry): &(&PathBuf, &mut Entry)| {
                        entry.kind == "file" && normalise::is_said(path)
                    };
                    for (path, entry) in entries.iter_mut().filter(is_said) {
                        let said = fs::read(root.join(path)).expect("what a script said");
                        entry.digest = normalise::said(&said, &self.world.home);
                    }
                    let files = outcome.snapshot(step.name, what, entries);
                    outcome.artifacts += if what == "target" { files } else { 0 };
                }
            }
        }
        outcome
    }

    /// Compares plain cargo with a tool. What plain cargo does not even do twice alike is found by a second
    /// plain run, made only if something differs, and counted apart.
    pub fn compare(&mut self, tool: &Tool<'_>, build_dir: &Path) -> Comparison {
        let comparison = self.compare_anyway(tool, build_dir);
        let expected = self.project.exit.to_string();
        assert_eq!(
            comparison.plain_exit, expected,
            "plain cargo on {}:\n{}",
            self.project.name, comparison.plain_said
        );
        comparison
    }

    /// The same, however plain cargo ends.
    pub fn compare_anyway(&mut self, tool: &Tool<'_>, build_dir: &Path) -> Comparison {
        let outcome = self.outcome(tool, build_dir);
        if let Tool::Sandbox(engine) | Tool::Wrapped(engine) = tool {
            // The next run would find a mount of what is wiped.
            self.world.stop(*engine, &self.dir);
        }
        let mut found = self.differences(build_dir, &outcome);
        if !found.is_empty() && self.references.0[build_dir].user != self.world.user {
            // cargo itself may do something else as another user.
            self.references.0.remove(build_dir);
            found = self.differences(build_dir, &outcome);
        }
        if !found.is_empty() && self.references.0[build_dir].unstable.is_none() {
            let again = self.outcome(&Tool::Plain, build_dir);
            let reference = self.references.0.get_mut(build_dir).expect("made above");
            let places = differences(&reference.outcome, &again).into_iter().map(|found| found.place);
            reference.unstable = Some(places.collect());
        }
        let Reference { outcome: plain, unstable, .. } = &self.references.0[build_dir];
        let before = found.len();
        found
            .retain(|difference| !unstable.as_ref().is_some_and(|places| places.contains(&difference.place)));
        let excused = before - found.len();
        let first = |what: &str| plain.places[&format!("{}: {what}", self.sequence[0].name)].clone();
        Comparison {
            plain_exit: first("exit code"),
            plain_said: first("stderr"),
            differences: found,
            excused,
            times: times(plain, &outcome),
            summary: summary(plain, &outcome),
        }
    }

    /// Where plain cargo, which runs for this if it has not yet, does something else.
    fn differences(&mut self, build_dir: &Path, outcome: &Outcome) -> Vec<Difference> {
        if !self.references.0.contains_key(build_dir) {
            let plain = self.outcome(&Tool::Plain, build_dir);
            let reference = Reference { user: self.world.user.clone(), outcome: plain, unstable: None };
            self.references.0.insert(build_dir.to_path_buf(), reference);
        }
        differences(&self.references.0[build_dir].outcome, outcome)
    }

    /// The build dir that the sandbox uses for this project, known before anything is built.
    pub fn build_dir(&self, engine: Engine) -> PathBuf {
        self.wipe();
        self.world.status(engine, &self.dir).build_dir
    }

    /// Writes the user's own configuration; none: there is none.
    pub fn configure(&self, text: &str) {
        let path = self.world.home.join(".config/cargo-sandbox/config.toml");
        if !text.is_empty() {
            self.world.write(&path, text);
        }
    }

    /// A build dir for runs in which no sandbox has a say.
    pub fn own_build_dir(&self) -> PathBuf {
        self.world.home.join(".cache/build")
    }

    /// Permission bits, and whether it belongs to the user who made it: users are compared with one another.
    fn access(&self, access: &str) -> String {
        let User { uid, gid, .. } = self.world.user;
        access.replace(&format!(" {uid}:{gid}"), " the user's")
    }

    fn wipe(&self) {
        world::remove(&self.dir);
        world::remove(&self.world.home.join(".cache"));
        self.world.copy(&self.seed.project, &self.dir);
    }

    fn touch(&self, index: usize) {
        let path = self.dir.join(self.project.touched);
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        writeln!(file, "// touched before step {index}").expect("append");
    }
}

impl Outcome {
    fn record(&mut self, step: &Step, output: &Output) {
        let (stdout, stderr) = match step.kind {
            Kind::Shown => (output.stdout.clone(), normalise::stderr(&output.stderr)),
            Kind::Json => (normalise::json_stdout(&output.stdout), normalise::stderr(&output.stderr)),
            Kind::Verbose => (output.stdout.clone(), normalise::verbose_stderr(&output.stderr)),
        };
        self.places.insert(format!("{}: exit code", step.name), output.code().to_string());
        self.places.insert(format!("{}: stdout", step.name), stdout);
        self.places.insert(format!("{}: stderr", step.name), stderr);
    }

    /// Kind, access and bytes are places of their own, so that bytes which plain cargo does not reproduce
    /// excuse nothing but themselves.
    fn snapshot(&mut self, step: &str, what: &str, entries: BTreeMap<PathBuf, Entry>) -> usize {
        for (path, Entry { kind, access, digest }) in &entries {
            let place = format!("after {step}: {what}/{}", path.display());
            self.places.insert(format!("{place}: access"), access.clone());
            // A build script that names no files depends on the newest of its package, and the fingerprint
            // holds that one's time: when the touched file was touched. Those of the second step, cold ones, hold none.
            let holds_time = !step.starts_with("2 ") && path.iter().any(|part| part == ".fingerprint");
            if kind == "file" && !holds_time {
                self.places.insert(format!("{place}: bytes"), digest.clone());
            }
            self.places.insert(place, kind.clone());
        }
        entries.values().filter(|entry| entry.kind == "file").count()
    }
}

/// Every place where two outcomes are not the same, of the steps that the other has done.
pub fn differences(plain: &Outcome, other: &Outcome) -> Vec<Difference> {
    let done = |place: &str| {
        let step = place.strip_prefix("after ").unwrap_or(place);
        let mut names = other.steps.iter().map(|(name, _)| *name);
        names.any(|name| step.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ")))
    };
    let of_plain = plain.places.keys().filter(|place| done(place));
    let places: BTreeSet<_> = of_plain.chain(other.places.keys()).collect();
    let of = |outcome: &Outcome, place: &str| outcome.places.get(place).cloned();
    places
        .into_iter()
        .filter(|place| plain.places.get(*place) != other.places.get(*place))
        .map(|place| Difference { place: place.clone(), plain: of(plain, place), other: of(other, place) })
        .collect()
}

fn summary(plain: &Outcome, other: &Outcome) -> String {
    let number = other.steps.len();
    let total = |outcome: &Outcome| {
        outcome.steps.iter().take(number).map(|(_, took)| took.as_secs_f64()).sum::<f64>()
    };
    format!(
        "{number} commands, {} places, {} final artifacts; {:.1} s against cargo's {:.1} s",
        other.places.len(),
        other.artifacts,
        total(other),
        total(plain)
    )
}

fn times(plain: &Outcome, other: &Outcome) -> String {
    let mut text = String::new();
    for ((name, cargo), (_, took)) in plain.steps.iter().zip(&other.steps) {
        let (cargo, took) = (cargo.as_secs_f64(), took.as_secs_f64());
        let _ = writeln!(
            text,
            "  {name:<16} cargo {cargo:>7.3} s  here {took:>7.3} s  {:>6.2} times",
            took / cargo
        );
    }
    text
}

/// What one comparison found.
pub struct Comparison {
    /// What plain cargo's first command ended with, and what it said.
    pub plain_exit: String,
    pub plain_said: String,
    pub differences: Vec<Difference>,
    /// Differences where plain cargo differs from itself in the same place.
    pub excused: usize,
    pub summary: String,
    /// Each command's time beside cargo's.
    pub times: String,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        let number = self.differences.len();
        writeln!(f, "{number} differences, {} more where cargo differs from itself", self.excused)?;
        for difference in self.differences.iter().take(40) {
            write!(f, "{difference}")?;
        }
        if number > 40 {
            writeln!(f, "\n… and {} more places", number - 40)?;
        }
        Ok(())
    }
}

/// The lines of each side that the other has not (as a multiset), at most 15 of each.
fn lines_that_differ(plain: &str, other: &str) -> String {
    let mut text = String::new();
    for (mark, from, without) in [('-', plain, other), ('+', other, plain)] {
        let mut without: Vec<_> = without.lines().collect();
        let mut shown = 0;
        for line in from.lines() {
            if let Some(at) = without.iter().position(|other| *other == line) {
                without.swap_remove(at);
            } else if shown < 15 {
                shown += 1;
                let _ = writeln!(text, "    {mark} {}", line.chars().take(400).collect::<String>());
            }
        }
    }
    if text.is_empty() { "    (the same lines in another order)\n".into() } else { text }
}
