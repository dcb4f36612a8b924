//! Many builds at once, and builds that are killed: one container per project, nothing leaks, the next works.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[path = "../support/mod.rs"]
mod support;

use support::need;
use support::run::{Output, Running, run, spawn};
use support::tool::Engine;
use support::world::{User, World};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/members");

/// The engines at hand, each with a world of its own. Timing matters here and processes are looked for:
/// one test after the other.
fn each_engine(name: &str, test: impl Fn(&World, Engine)) {
    static ONE_AFTER_THE_OTHER: Mutex<()> = Mutex::new(());
    let _turn = ONE_AFTER_THE_OTHER.lock().unwrap_or_else(PoisonError::into_inner);
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let Some(user) = need(User::ordinary()) else { return };
        let Some(world) = need(World::new(&format!("{name}-{engine}"), &user)) else { return };
        test(&world, engine);
    }
}

fn all_succeed(commands: Vec<Running>) -> Vec<Output> {
    let outputs = commands.into_iter().map(|command| command.wait(Duration::from_secs(300)));
    outputs.map(|output| output.success("a build among others")).collect()
}

#[test]
fn eight_builds_in_eight_projects() {
    each_engine("eight", |world, engine| {
        let projects: Vec<PathBuf> =
            (0..8).map(|number| world.work().join(format!("{number}/members"))).collect();
        projects.iter().for_each(|project| world.copy(Path::new(FIXTURE), project));
        all_succeed(
            projects.iter().map(|project| spawn(world.sandbox(engine, project).arg("build"))).collect(),
        );
        let mut containers = BTreeSet::new();
        for project in &projects {
            let running = world.status(engine, project).running;
            assert_eq!(running.len(), 1, "{engine}: containers of {}: {running:?}", project.display());
            containers.extend(running);
            let program = run(&mut world.command(project.join("target/debug/app")));
            assert_eq!(program.success("what was built").stdout, "Greeting word\n");
        }
        // All eight directories have the same name: it must not be what tells projects apart.
        assert_eq!(containers.len(), 8, "{engine}: each project has a container of its own");
        for project in &projects {
            world.stop(engine, project);
            assert!(world.status(engine, project).running.is_empty());
        }
    });
}

#[test]
fn four_builds_in_one_project() {
    each_engine("four", |world, engine| {
        let project = world.work().join("members");
        world.copy(Path::new(FIXTURE), &project);
        // Four subcommands, so that they are not all fresh once the first has the lock.
        let commands: [&[&str]; 4] = [&["build"], &["check"], &["build", "--release"], &["check", "--tests"]];
        all_succeed(commands.iter().map(|args| spawn(world.sandbox(engine, &project).args(*args))).collect());
        let running = world.status(engine, &project).running;
        assert_eq!(running.len(), 1, "{engine}: {running:?}");
        world.stop(engine, &project);
    });
}

/// A project whose build script says that it runs and then does nothing for a long time, with a child.
fn slow_project(world: &World) -> PathBuf {
    let project = world.work().join("slow");
    let manifest = "[package]\nname = \"slow\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    let script = r#"
use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if Path::new("quick").exists() {
        return;
    }
    let out = env::var_os("OUT_DIR").unwrap();
    let mut child = Command::new("sleep").arg("987654").spawn().unwrap();
    fs::write(Path::new(&out).join("started"), "").unwrap();
    child.wait().unwrap();
}
"#;
    world.write(&project.join("Cargo.toml"), manifest);
    world.write(&project.join("build.rs"), script);
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    project
}

/// Waits until the build script of [`slow_project`] runs.
fn script_runs(build: &mut Running, build_dir: &Path) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !started(build_dir) {
        assert!(build.running(), "the build ended early");
        assert!(Instant::now() < limit, "the build script did not start in a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn started(build_dir: &Path) -> bool {
    let scripts = fs::read_dir(build_dir.join("debug/build")).into_iter().flatten().flatten();
    scripts.into_iter().any(|script| script.path().join("out/started").exists())
}

/// The processes on this machine that belong to a build of `project`: the script's child by its odd argument
/// and owner, and whatever has the project or its build dir on its command line, other than the container.
fn survivors(world: &World, project: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(command) = fs::read(process.path().join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let home = format!("HOME={}\0", world.home.display());
        let ours = String::from_utf8_lossy(&environment).contains(&home);
        let sleeps = command.contains("sleep 987654");
        let builds = command.contains(&*project.display().to_string()) && command.contains("rustc");
        let host_side = ours && (command.contains("bin/cargo ") || command.contains("cargo-sandbox-rustc "));
        if sleeps || builds || host_side {
            found.push(format!("{} {command}", process.file_name().display()));
        }
    }
    found
}

fn gone_within(world: &World, project: &Path, limit: Duration) {
    let end = Instant::now() + limit;
    loop {
        let left = survivors(world, project);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "still there after {limit:?}: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a kill left behind does not disturb the next run, and there is still one container at most.
fn next_run_works(world: &World, engine: Engine, project: &Path) {
    world.write(&project.join("quick"), "");
    world.write(&project.join("build.rs"), &format!("{}// again\n", read(&project.join("build.rs"))));
    run(world.sandbox(engine, project).arg("build")).success("the run after a kill");
    let running = world.status(engine, project).running;
    assert_eq!(running.len(), 1, "{engine}: {running:?}");
    world.stop(engine, project);
    assert!(world.status(engine, project).running.is_empty());
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn ctrl_c_ends_everything_in_two_seconds() {
    each_engine("ctrl-c", |world, engine| {
        let project = slow_project(world);
        let build_dir = world.status(engine, &project).build_dir;
        let mut build = spawn(world.sandbox(engine, &project).arg("build"));
        script_runs(&mut build, &build_dir);
        assert!(!survivors(world, &project).is_empty(), "the search for survivors finds the build itself");
        build.signal_group(libc::SIGINT);
        let pressed = Instant::now();
        let output = build.wait(Duration::from_secs(60));
        let took = pressed.elapsed();
        assert!(took < Duration::from_secs(2), "{engine}: Ctrl-C took {took:?}: {}", output.stderr);
        assert_ne!(output.code(), 0);
        gone_within(world, &project, Duration::from_secs(2).saturating_sub(took));
        next_run_works(world, engine, &project);
    });
}

#[test]
fn kill_9_of_the_front_end_leaks_nothing() {
    each_engine("kill-9", |world, engine| {
        let project = slow_project(world);
        let build_dir = world.status(engine, &project).build_dir;
        let mut build = spawn(world.sandbox(engine, &project).arg("build"));
        script_runs(&mut build, &build_dir);
        build.signal(libc::SIGKILL);
        let output = build.wait(Duration::from_secs(60));
        assert_eq!(output.code(), 128 + libc::SIGKILL);
        gone_within(world, &project, Duration::from_secs(5));
        next_run_works(world, engine, &project);
    });
}
