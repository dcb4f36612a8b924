//! Is `cargo-sandbox` the same as cargo? For each project: exit code, stdout, stderr, final artifacts and
//! build dir by bytes, and the units that were rebuilt, on both engines, as root and as an ordinary user.
//!
//! The projects are a table in `projects.rs`; [`any_directory`] compares one of your own:
//! `CSB_PARITY_DIR=/path/to/project CSB_PARITY_TOUCH=src/main.rs cargo test --test parity any_directory`.

mod commands;
mod compare;
#[path = "../corpus/mod.rs"]
mod corpus;
mod install;
mod normalise;
mod projects;
mod suites;
#[path = "../support/mod.rs"]
mod support;
mod table;

use compare::{Bench, References, SEQUENCE, Tool, differences, shown};
use projects::{Extent, PROJECTS, Project, Source, full};
use support::tool::Engine;
use support::world::User;
use support::{ci, need, note};

/// How many steps are compared by this user on this engine: what is shown in every pair of these, and every unit by name
/// where that takes seconds, or else in one pair, another one in each project.
fn steps(project: &Project, user: usize, engine: usize) -> usize {
    const PAIRS: usize = 2 * Engine::ALL.len();
    let place = PROJECTS.iter().position(|other| other.name == project.name).unwrap_or(0);
    let whole =
        project.extent == Extent::Short || full() || place % PAIRS == user * Engine::ALL.len() + engine;
    if whole { SEQUENCE.len() } else { shown(SEQUENCE) }
}

/// Compares one project on everything that this machine has.
fn parity(project: &Project) {
    if project.extent != Extent::Short && !ci() && !full() {
        note(&format!("skipped: parity of {} takes minutes; CSB_PARITY=full compares it too", project.name));
        return;
    }
    let engines: Vec<_> = Engine::ALL.into_iter().filter_map(|engine| need(engine.here())).collect();
    let mut users: Vec<_> = [need(User::ordinary()), need(User::root())].into_iter().flatten().collect();
    users.dedup();
    let mut failed = String::new();
    let mut references = References::default();
    for (index, user) in users.iter().enumerate() {
        let Some(mut bench) = need(Bench::new(project, user, "parity", SEQUENCE)) else { continue };
        bench.references = std::mem::take(&mut references);
        for (place, engine) in engines.iter().copied().enumerate() {
            bench.steps = steps(project, index, place);
            let build_dir = bench.build_dir(engine);
            let comparison = bench.compare(&Tool::Sandbox(engine), &build_dir);
            let who = format!("{} on {engine} as {}", project.name, user.name);
            note(&format!("parity of {who}: {}", comparison.summary));
            if !comparison.differences.is_empty() {
                failed.push_str(&format!("\n== {who}: {comparison}"));
            }
            println!("{who}\n{}", comparison.times);
        }
        // By the wrapper alone, in a build dir that this tool did not make; the short projects and an ordinary user show it.
        let by_wrapper = engines.iter().filter(|_| project.extent == Extent::Short && (index == 0 || full()));
        bench.steps = shown(SEQUENCE);
        for engine in by_wrapper {
            let comparison = bench.compare(&Tool::Wrapped(*engine), &bench.own_build_dir());
            let who = format!("{} by the wrapper alone on {engine} as {}", project.name, user.name);
            note(&format!("parity of {who}: {}", comparison.summary));
            if !comparison.differences.is_empty() {
                failed.push_str(&format!("\n== {who}: {comparison}"));
            }
        }
        references = bench.references;
    }
    assert!(failed.is_empty(), "not the same as cargo:\n{failed}");
}

macro_rules! projects {
    ($($test:ident = $name:literal,)*) => {
        $(#[test] fn $test() { parity(Project::named($name)); })*

        #[test]
        fn every_project_of_the_table_is_compared() {
            let table: Vec<_> = PROJECTS.iter().map(|project| project.name).collect();
            assert_eq!(table, [$($name),*]);
        }
    };
}

projects! {
    members = "members",
    broken = "broken",
    failing_script = "failing-script",
    hello_native = "hello-native",
    sys_crates = "sys-crates",
    hexyl = "hexyl",
    b3sum = "b3sum",
    serde_workspace = "serde-workspace",
    ripgrep = "ripgrep",
}

/// The rows of one project in the table of command lines, on one engine as an ordinary user.
fn commands_of(name: &str, engine: Engine) {
    let (Some(engine), Some(user)) = (need(engine.here()), need(User::ordinary())) else { return };
    let Some((failed, rows)) = need(commands::compare(Project::named(name), engine, &user)) else { return };
    note(&format!("{rows} command lines in {name} on {engine}"));
    assert!(rows > 0 && failed.is_empty(), "not the same as cargo:{failed}");
}

macro_rules! command_lines {
    ($($test:ident = $name:literal on $engine:ident,)*) => {
        $(#[test] fn $test() { commands_of($name, Engine::$engine); })*

        #[test]
        fn the_table_is_run_whole_and_is_large() {
            assert!(table::ROWS.iter().all(|row| [$($name),*].contains(&row.project)));
            assert!(table::ROWS.len() >= 120, "{}", table::ROWS.len());
            let is_published = |name: &&str| matches!(Project::named(name).source, Source::Published { .. });
            assert!([$($name),*].iter().filter(|name| is_published(name)).count() >= 6);
        }
    };
}

command_lines! {
    commands_in_semver = "semver" on Docker,
    commands_in_heck = "heck" on Native,
    commands_in_lexopt = "lexopt" on Native,
    commands_in_pico_args = "pico-args" on Docker,
    commands_in_strsim = "strsim" on Docker,
    commands_in_hexyl = "hexyl" on Native,
    commands_in_members = "members" on Docker,
    commands_in_broken = "broken" on Native,
    commands_in_failing_script = "failing-script" on Docker,
    commands_in_hello_native = "hello-native" on Native,
}

/// Any project directory; nothing without `CSB_PARITY_DIR`.
#[test]
fn any_directory() {
    let Ok(dir) = std::env::var("CSB_PARITY_DIR") else { return };
    let touched = std::env::var("CSB_PARITY_TOUCH").unwrap_or_else(|_| "src/main.rs".into());
    let project = Project {
        name: "any",
        source: Source::Here(dir.leak()),
        touched: touched.leak(),
        exit: std::env::var("CSB_PARITY_EXIT").map_or(0, |code| code.parse().expect("a number")),
        extent: Extent::Short,
    };
    parity(&project);
}

/// The harness itself: cargo against cargo has no difference, in success and in failure. With
/// `CSB_PARITY_CONTROL=name,name` on these projects instead.
#[test]
fn cargo_is_the_same_as_cargo() {
    let names =
        std::env::var("CSB_PARITY_CONTROL").unwrap_or_else(|_| "members,broken,failing-script".into());
    for name in names.split(',') {
        let Some(bench) = need(Bench::new(Project::named(name), &User::me(), "control", SEQUENCE)) else {
            return;
        };
        let build_dir = bench.own_build_dir();
        let [one, two] = [(); 2].map(|()| bench.outcome(&Tool::Plain, &build_dir));
        let found = differences(&one, &two);
        note(&format!("cargo twice on {name}: {:?}", one.steps));
        let text: String = found.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{name}: {text}");
    }
}

/// What is different, the variables that make it so, whether a file is touched without need, and the places
/// where it has to be noticed.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool, &'a [&'a str]);

/// The harness itself: a run that is not the same is noticed, each kind of difference in its own place.
#[test]
fn a_deliberate_difference_is_noticed() {
    let Some(mut bench) = need(Bench::new(Project::named("members"), &User::me(), "tampered", SEQUENCE))
    else {
        return;
    };
    let build_dir = bench.own_build_dir();
    let wrapper =
        |name: &str| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tampering/").to_owned() + name;
    let (says_more, other_bytes, fails) = (wrapper("says-more"), wrapper("other-bytes"), wrapper("fails"));
    let rustc = |path| [("RUSTC_WRAPPER", path)];
    let (says_more, other_bytes, fails) = (rustc(&*says_more), rustc(&*other_bytes), rustc(&*fails));
    let cases: [Case; 5] = [
        ("one more line on stderr", &says_more, false, &["1 build: stderr"]),
        ("other code in one crate", &other_bytes, false, &["after 2 check: target/debug/app: bytes"]),
        ("a crate that fails", &fails, false, &["1 build: exit code", "after 2 check: target/debug/app"]),
        ("a unit rebuilt without need", &[], true, &["3 fresh build: stderr"]),
        (
            "another profile",
            &[("CARGO_PROFILE_DEV_DEBUG", "0")],
            false,
            &["after 2 check: target/debug/app: bytes"],
        ),
    ];
    for (what, variables, touch_before_fresh, expected) in cases {
        let tool = Tool::Tampered { variables, touch_before_fresh };
        let comparison = bench.compare(&tool, &build_dir);
        for place in expected {
            let found = comparison.differences.iter().any(|difference| difference.place == *place);
            assert!(found, "{what}: nothing noticed at {place:?}\n{comparison}");
        }
    }
}
