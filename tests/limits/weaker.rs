//! A kernel without Landlock: the command stops, unless the user's own configuration lowers the bar.
//!
//! A system call filter hides Landlock from the command and all that it starts; that is what a kernel without it
//! answers.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};

use super::support::need;
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::{User, World};
use super::{configuration_of, package};

/// Not with Docker: its daemon starts the agent, which is then under no filter.
const ENGINE: Engine = Engine::Native;

const LINE: &str = "confinement is weaker than promised";

/// Has the kernel answer as one without Landlock does.
fn without_landlock(command: &mut Command) -> &mut Command {
    let rules: BTreeMap<i64, Vec<SeccompRule>> =
        [(libc::SYS_landlock_create_ruleset, Vec::new())].into_iter().collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let here = std::env::consts::ARCH.try_into().expect("a known architecture");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, here).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a filter");
    // SAFETY: two system calls on memory that was made before the fork.
    unsafe { command.pre_exec(move || seccompiler::apply_filter(&program).map_err(std::io::Error::other)) }
}

fn worlds(name: &str) -> impl Iterator<Item = (World, PathBuf)> {
    let users = [User::ordinary(), User::root()].into_iter();
    users.filter_map(move |user| need(World::new(name, &need(user)?))).map(|world| {
        let project = world.work().join("app");
        package(
            &world,
            &project,
            "\n[workspace]\n",
            "fn main() { println!(\"ran\") }\n",
            Some("fn main() {}\n"),
        );
        (world, project)
    })
}

fn command(world: &World, project: &Path, words: &[&str]) -> Command {
    let mut command = world.sandbox(ENGINE, project);
    without_landlock(command.args(words));
    command
}

#[test]
fn without_landlock_the_command_stops_and_says_what_is_missing() {
    for (world, project) in worlds("weaker-stop") {
        run(world.sandbox(ENGINE, &project).arg("run")).success("control: with Landlock");
        world.stop(ENGINE, &project);
        for words in [["build"].as_slice(), &["run"], &["fetch"], &["self", "doctor"]] {
            let output = run(&mut command(&world, &project, words));
            assert_eq!(output.code(), 101, "{words:?}: {}", output.stderr);
            for word in ["no Landlock", "hint: use Linux 6.2", "allow-weaker-confinement = [\"landlock\"]"] {
                assert!(output.stderr.contains(word), "{words:?}: `{word}` is not in:\n{}", output.stderr);
            }
        }
    }
}

#[test]
fn only_the_users_configuration_lowers_the_bar_and_each_run_says_so() {
    for (world, project) in worlds("weaker-allowed") {
        world.write(&configuration_of(&world), "allow-weaker-confinement = [\"landlock-level\"]\n");
        let output = run(&mut command(&world, &project, &["run"]));
        assert_eq!(output.code(), 101, "an old Landlock is more than none: {}", output.stderr);

        world.write(&configuration_of(&world), "allow-weaker-confinement = [\"landlock\"]\n");
        // The second one finds the container there.
        for _ in 0..2 {
            let output = run(&mut command(&world, &project, &["run"])).success("run with less");
            assert_eq!(output.stdout, "ran\n");
            let lines = output.stderr.lines().filter(|line| line.contains(LINE)).collect::<Vec<_>>();
            assert!(lines.len() == 1 && lines[0].contains("`landlock`"), "{}", output.stderr);
        }
        let quiet = run(&mut command(&world, &project, &["run", "-q"])).success("run -q");
        assert!(!quiet.stderr.contains(LINE), "{}", quiet.stderr);
        let doctor = run(&mut command(&world, &project, &["self", "doctor"])).success("self doctor");
        assert!(doctor.stdout.contains("NOT in force"), "{}", doctor.stdout);
        assert!(doctor.stdout.contains("lowered by your configuration"), "{}", doctor.stdout);
        world.stop(ENGINE, &project);

        // Where nothing is missing there is nothing to say.
        let full = run(world.sandbox(ENGINE, &project).arg("run")).success("run with Landlock");
        assert!(!full.stderr.contains(LINE), "{}", full.stderr);
        world.stop(ENGINE, &project);
    }
}

/// What somebody else than the user could set must not lower it.
#[test]
fn nothing_else_lowers_the_bar() {
    const SETTING: &str = "allow-weaker-confinement = [\"landlock\"]\n";
    for (world, project) in worlds("weaker-else") {
        for place in ["cargo-sandbox.toml", ".config/cargo-sandbox/config.toml", "cargo-sandbox/config.toml"]
        {
            world.write(&project.join(place), SETTING);
        }
        let cases: [(&[&str], &str, &str); 4] = [
            (&["build"], "CARGO_SANDBOX_ALLOW_WEAKER_CONFINEMENT", "landlock"),
            (&["build"], "XDG_CONFIG_HOME", ".config"),
            (&["--allow-weaker-confinement", "landlock", "build"], "X", ""),
            (&["build", "--config", "allow-weaker-confinement=['landlock']"], "X", ""),
        ];
        for (words, name, value) in cases {
            let output = run(command(&world, &project, words).env(name, value));
            assert_eq!(output.code(), 101, "{words:?} {name}: {}", output.stderr);
            assert!(!output.stderr.contains(LINE), "{words:?} {name}: {}", output.stderr);
        }
    }
}
