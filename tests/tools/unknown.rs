//! Subcommands that are not known, and where they may lie.

use super::*;

const ENGINE: Engine = Engine::Native;

#[test]
fn one_that_is_not_known_runs_when_the_users_configuration_names_it() {
    for world in native_worlds("unknown", &[]) {
        let project = package(&world, "mine", "", &[("src/lib.rs", "")]);
        let home = world.home.join(".cargo");
        // What it may not do is tried before what it may.
        let text = "echo > ~/.cargo/bin/planted; echo > ~/.cargo/env; cat ~/secret; echo > ran\nexec \"$CARGO\" check";
        script(&world, &home.join("bin/cargo-mine"), text);
        world.write(&world.home.join("secret"), "the-secret");
        let (ran, planted, env) = (project.join("ran"), home.join("bin/planted"), home.join("env"));
        let output = run(&mut plain(&world, &project, "mine")).success("control: cargo mine");
        says(&output, &["the-secret"]);
        assert!(left(&ran) && left(&planted) && left(&env), "control: it may do everything");

        let output = run(&mut sandbox(&world, ENGINE, &project, "mine"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        says(&output, &[".cargo/bin/cargo-mine", "hint: ", "`subcommands = [\"mine\"]`"]);
        assert!(!left(&ran));

        let configuration = world.home.join(".config/cargo-sandbox/config.toml");
        world.write(&configuration, "subcommands = [\"mine\"]\n");
        let output = run(&mut sandbox(&world, ENGINE, &project, "mine")).success("cargo-sandbox mine");
        assert!(left(&ran) && !left(&planted) && !left(&env));
        says(&output, &["Checking mine"]);
        assert!(!output.stdout.contains("the-secret"), "{}", output.stdout);
        world.stop(ENGINE, &project);
    }
}

#[test]
fn one_that_lies_in_the_project_is_not_executed() {
    for world in native_worlds("planted", &[]) {
        let project = package(&world, "planting", "", &[("src/lib.rs", "")]);
        let trace = project.join("ran");
        script(&world, &project.join("bin/cargo-nextest"), ": > ran");
        let path = |command: &mut Command| {
            let given = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
            let given = given.expect("PATH").to_str().expect("UTF-8").to_owned();
            command.env("PATH", format!("{}:{given}", project.join("bin").display()));
        };
        let mut command = plain(&world, &project, "nextest run");
        path(&mut command);
        run(&mut command).success("control: cargo nextest");
        assert!(left(&trace), "control: cargo starts it");
        let mut command = sandbox(&world, ENGINE, &project, "nextest run");
        path(&mut command);
        let output = run(&mut command);
        assert_eq!(output.code(), 101, "{}", output.stderr);
        says(&output, &["no program of a project is executed on this machine"]);
        assert!(!left(&trace));
    }
}
