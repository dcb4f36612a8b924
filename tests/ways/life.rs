//! Builds by the wrapper alone that are ended: nothing of them stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::run::{Running, run, spawn};
use super::support::tool::Engine;
use super::support::world::World;
use super::{brokers_of, eventually, everywhere, package};

/// A package whose build script waits, in a child that can be told from all others, until `quick` is there.
fn slow(world: &World, mark: &str) -> PathBuf {
    let script = format!(
        "    if std::path::Path::new(\"quick\").exists() {{ return; }}\n\
         \x20   let out = std::env::var(\"OUT_DIR\").unwrap();\n\
         \x20   let mut child = std::process::Command::new(\"sleep\").arg(\"{mark}\").spawn().unwrap();\n\
         \x20   std::fs::write(out + \"/started\", \"\").unwrap();\n\
         \x20   child.wait().unwrap();"
    );
    package(world, &script)
}

/// Processes of any namespace on this machine with this argument.
fn sleeping(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with(format!("sleep\0{mark}\0").as_bytes())).count()
}

fn started(project: &Path) -> bool {
    let scripts = fs::read_dir(project.join("target/debug/build")).into_iter().flatten().flatten();
    scripts.into_iter().any(|script| script.path().join("out/started").exists())
}

fn ended_by(name: &str, number: u32, end: impl Fn(&Running), code: i32) {
    everywhere(name, |world, engine| {
        let mark = format!("{number}.{}{}", world.user.uid, usize::from(engine == Engine::Docker));
        let project = slow(world, &mark);
        let build = spawn(world.wrapped(engine, &project).arg("build"));
        let cargo = build.id();
        eventually("the build script runs", || started(&project) && sleeping(&mark) > 0);
        assert_eq!(brokers_of(cargo).len(), 1, "one broker for one cargo");
        end(&build);
        let output = build.wait(Duration::from_secs(60));
        assert_eq!(output.code(), code, "{}", output.stderr);
        eventually("the broker is gone", || brokers_of(cargo).is_empty());
        eventually("the job is gone", || sleeping(&mark) == 0);

        world.write(&project.join("quick"), "");
        world.write(&project.join("trigger"), "2");
        run(world.wrapped(engine, &project).arg("build")).success("the build after it");
        assert_eq!(world.status(engine, &project).running.len(), 1);
        world.stop(engine, &project);
    });
}

#[test]
fn ctrl_c_ends_everything() {
    let by_signal = 128 + libc::SIGINT;
    ended_by("ctrl-c", 76_543, |build| build.signal_group(libc::SIGINT), by_signal);
}

#[test]
fn kill_9_of_cargo_leaves_no_broker_and_no_job() {
    ended_by("kill-9", 76_544, |build| build.signal(libc::SIGKILL), 128 + libc::SIGKILL);
}
