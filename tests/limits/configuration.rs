//! The user's own configuration file, as commands find it.

use super::support::need;
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::{User, World};
use super::{configuration_of, package};

fn world(name: &str) -> Option<World> {
    need(World::new(name, &need(User::ordinary())?))
}

#[test]
fn a_mistake_in_it_stops_every_command_with_its_place() {
    let Some(world) = world("config-mistake") else { return };
    world.write(&configuration_of(&world), "engine = \"native\"\n\n[limits]\nmemry = \"8G\"\n");
    let output = run(world.sandbox(Engine::Native, &world.work()).args(["self", "doctor"]));
    assert_eq!(output.code(), 101, "{}", output.stderr);
    for word in ["config.toml", "line 4, column 1", "`memry`", "hint: did you mean `memory`?"] {
        assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
    }
}

#[test]
fn limits_come_from_it_and_options_win() {
    let Some(world) = world("config-limits") else { return };
    let project = world.work().join("counter");
    let script = "fn main() { panic!(\"{}\", std::fs::read_to_string(\"/proc/self/limits\").unwrap()) }\n";
    package(&world, &project, "\n[workspace]\n", "fn main() {}\n", Some(script));
    world.write(
        &configuration_of(&world),
        "idle-seconds = 5\n[limits]\nopen-files = 321\nfile-size = \"1G\"\n",
    );
    let limits = |options: &[&str]| {
        let output = run(world.sandbox(Engine::Native, &project).args(options).arg("build"));
        let line = |name: &str| {
            let line = output.stderr.lines().find(|line| line.trim_start().starts_with(name));
            let line = line.unwrap_or_else(|| panic!("no {name:?} in:\n{}", output.stderr));
            let values: Vec<&str> = line.split_whitespace().rev().skip(1).take(2).collect();
            assert_eq!(values[0], values[1], "the hard limit holds, too");
            values[0].to_owned()
        };
        [line("Max open files"), line("Max file size")]
    };
    assert_eq!(limits(&[]), ["321", "1073741824"]);
    assert_eq!(limits(&["--sandbox-limit", "open-files=432"]), ["432", "1073741824"]);
    let output = run(world.sandbox(Engine::Native, &project).args(["--sandbox-limit", "open-files=2"]));
    assert_eq!(output.code(), 101);
    assert!(output.stderr.contains("too little for `open-files`"), "{}", output.stderr);
    let doctor = run(world.sandbox(Engine::Native, &project).args(["self", "doctor"])).success("self doctor");
    assert!(doctor.stdout.contains("open-files=321"), "{}", doctor.stdout);
    assert!(
        doctor.stdout.contains("nothing of the promised confinement may be missing"),
        "{}",
        doctor.stdout
    );
    world.stop(Engine::Native, &project);
}

#[test]
fn the_engine_comes_from_it_and_the_option_wins() {
    let Some(world) = world("config-engine") else { return };
    world.write(&configuration_of(&world), "engine = \"native\"\n");
    let doctor = |engine: Option<&str>| {
        let mut command = world.command(super::support::tool::front_end());
        command.args(engine.into_iter().flat_map(|engine| ["--engine", engine])).args(["self", "doctor"]);
        run(&mut command).stdout
    };
    assert!(doctor(None).contains("native (selected)"));
    assert!(doctor(Some("auto")).contains("(auto: "));
}

/// A repository must have no way to be taken for the user's configuration.
#[test]
fn a_file_in_the_project_is_not_the_users() {
    let Some(world) = world("config-project") else { return };
    let project = world.work().join("project");
    package(&world, &project, "\n[workspace]\n", "fn main() {}\n", None);
    let own = project.join("cargo-sandbox/config.toml");
    world.write(&own, "nonsense = true\n");
    let check = |value: &std::path::Path| {
        let mut command = world.sandbox(Engine::Native, &project);
        run(command.arg("check").env("XDG_CONFIG_HOME", value))
    };
    check(std::path::Path::new(".")).success("a relative XDG_CONFIG_HOME counts as none");
    world.write(&own, "");
    let output = check(&project);
    assert_eq!(output.code(), 101);
    assert!(output.stderr.contains("must have no say in it"), "{}", output.stderr);
    world.stop(Engine::Native, &project);
}
