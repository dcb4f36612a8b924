//! The other ways in: plain cargo with the installed wrapper (`RUSTC_WRAPPER`), and plain cargo in a repository that
//! `cargo-sandbox self setup` wrote its configuration for. That the first one builds what cargo builds, byte for byte,
//! is compared in `tests/parity/`.

mod hostile;
mod life;
mod setup;
#[path = "../support/mod.rs"]
mod support;
mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::need;
use support::tool::Engine;
use support::world::{User, World};

/// Build scripts with a name of their own, a proc macro, path dependencies; needs no registry.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/members");

/// What is said once, and only where the wrapper alone confines.
const NOTE: &str = "note: cargo-sandbox confines compilers, macros and build scripts of this cargo;";

/// Both engines, as an ordinary user and as root, each with a world of its own.
fn everywhere(name: &str, test: impl Fn(&World, Engine)) {
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let mut users: Vec<_> = [need(User::ordinary()), need(User::root())].into_iter().flatten().collect();
        users.dedup();
        for user in users {
            let Some(world) = need(World::new(&format!("ways-{name}-{engine}"), &user)) else { continue };
            test(&world, engine);
        }
    }
}

/// The native engine, as an ordinary user: for what happens before any job.
fn somewhere(name: &str, test: impl Fn(&World, Engine)) {
    let Some(user) = need(User::ordinary()) else { return };
    let Some(world) = need(World::new(&format!("ways-{name}"), &user)) else { return };
    test(&world, Engine::Native);
}

/// A copy of the fixture.
fn members(world: &World) -> PathBuf {
    let project = world.work().join("members");
    world.copy(Path::new(FIXTURE), &project);
    project
}

/// A package with this build script, which runs again when `trigger` changes.
fn package(world: &World, script: &str) -> PathBuf {
    let project = world.work().join("package");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"package\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    world.write(&project.join("trigger"), "1");
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    let script = format!("fn main() {{\n    println!(\"cargo::rerun-if-changed=trigger\");\n{script}\n}}\n");
    world.write(&project.join("build.rs"), &script);
    project
}

/// What a command says, each line by a pipe of the user's own: the kernel lets nobody else open one again.
fn through_own_pipe(command: &mut std::process::Command) -> String {
    let program = command.get_program().to_owned();
    let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let cargo = arguments.iter().position(|word| word.to_string_lossy().ends_with("bin/cargo"));
    let shell = ["/bin/sh", "-c", "exec 3>&1; \"$@\" 2>&1 >/dev/null | cat", "sh"].map(Into::into);
    let mut piped = match cargo {
        // Behind what changes the user.
        Some(at) => {
            arguments.splice(at..at, shell);
            std::process::Command::new(program)
        }
        None => {
            arguments.splice(0..0, shell.into_iter().skip(1).chain([program]));
            std::process::Command::new("/bin/sh")
        }
    };
    piped.args(arguments).env_clear().current_dir(command.get_current_dir().expect("a directory"));
    piped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    support::run::run(&mut piped).success("a command through a pipe").stdout
}

/// The command lines of background brokers that work for this process.
fn brokers_of(cargo: u32) -> Vec<String> {
    let part = format!("/{cargo}/");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains("internal-broker") && line.contains(&part)).collect()
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every file below a directory whose name starts so; links are not followed.
fn find(directory: &Path, start: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory {
            found.extend(find(&entry.path(), start));
        } else if entry.file_name().to_string_lossy().starts_with(start) {
            found.push(entry.path());
        }
    }
    found
}
