//! Test suites of others: the same tests with the same results as under cargo.

use std::fs;

use crate::projects::Project;
use crate::support::run::{Output, run};
use crate::support::tool::Engine;
use crate::support::world::{User, World};
use crate::support::{ci, need, note};

/// Each line of what tests say, without times, in order of its text: they end in any order.
fn said(output: &Output) -> Vec<String> {
    let text = crate::normalise::program_stdout(&output.stdout);
    let of_time = |line: &&str| !line.ends_with("has been running for over 60 seconds");
    let mut lines: Vec<String> = text.lines().filter(of_time).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn passed(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with("test ") && line.ends_with(" ... ok")).count()
}

/// Runs a project's own suite with cargo and with this tool, in the same state and under the same paths.
fn suite(name: &str, engines: &[Engine], words: &str, least: usize, after: impl Fn(&World)) {
    if !ci() && !crate::full() {
        note(&format!("skipped: the suite of {name} takes a minute; CSB_PARITY=full runs it"));
        return;
    }
    let Some(user) = need(User::ordinary()) else { return };
    let Some(seed) = need(Project::named(name).seed()) else { return };
    let Some(world) = need(World::new(&format!("suite-{name}"), &user)) else { return };
    world.copy(&seed.cargo_home, &world.home.join(".cargo"));
    let project = world.work().join(name);
    world.copy(&seed.project, &project);
    let words: Vec<&str> = words.split(' ').collect();
    let plain = run(world.plain(&project).args(&words)).success("cargo test");
    let expected = said(&plain);
    assert!(passed(&expected) >= least, "{name}: {} tests\n{}", passed(&expected), plain.stdout);
    for engine in engines.iter().filter_map(|engine| need(engine.here())) {
        crate::support::world::remove(&project);
        world.copy(&seed.project, &project);
        let here = run(world.sandbox(engine, &project).args(&words));
        assert_eq!(said(&here), expected, "{name} on {engine}: {}", here.stderr);
        assert_eq!(here.code(), 0, "{name} on {engine}: {}", here.stderr);
        after(&world);
        world.stop(engine, &project);
        note(&format!("suite of {name} on {engine}: {} tests passed as under cargo", passed(&expected)));
    }
}

#[test]
fn the_suite_of_strsim() {
    suite("strsim", &Engine::ALL, "test", 60, |_| {});
}

#[test]
fn the_suite_of_indexmap() {
    suite("indexmap", &[Engine::Native], "test --locked --lib --tests", 100, |_| {});
}

#[test]
fn the_suite_of_bytes() {
    suite("bytes", &[Engine::Docker], "test --locked --lib --tests", 150, |_| {});
}

/// trybuild starts a cargo below the test, insta asks one where the workspace is, assert_cmd and snapbox start the
/// program. What they use takes a minute to compile, so in CI on the engine that needs no daemon.
#[test]
fn suites_that_start_cargo_and_programs() {
    let engines = if crate::full() { Engine::ALL.as_slice() } else { &[Engine::Native] };
    suite("suites", engines, "test --locked --workspace", 5, |world| {
        // Nothing of what the test's own cargo made is on this machine's side of the target directory.
        let place = world.work().join("suites/target/tests/trybuild");
        let left = fs::read_dir(&place).expect("a place to show it in").count();
        assert_eq!(left, 0, "{}", place.display());
    });
}
