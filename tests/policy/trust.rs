//! Trust in a repository's policy: the same as in its configuration of cargo, see `tests/trust`.

use super::*;

#[test]
fn each_grant_is_asked_for_in_words_and_a_changed_file_asks_again() {
    let Some(world) = world("policy-trust") else { return };
    let project = project(&world, "trusted", &Parts::default());
    let text = "[packages.ring.build-script]\nnetwork = [\"a.example:443\"]\nread = [\"/opt/one\", \"/opt/two\"]\n\
                [defaults.run]\nports = [\"8080:80\"]\n[packages.app.test]\nenv = [\"MINE\"]\nnetwork = \"host\"\n";
    policy(&world, &project, text);
    let asked = [
        "cargo-sandbox.toml:2: packages.\"ring\".build-script.network = \"a.example:443\"",
        "build scripts of `ring` reach `a.example:443`, and can send there what they read",
        "packages.\"ring\".build-script.read = \"/opt/two\"",
        "programs of `run` of every package are reached at port 8080 of this machine's loopback",
        "tests of `app` get the value that the variable `MINE` has in your environment",
        "tests of `app` reach all that you reach from this machine",
    ];
    fails(&mut sandbox(&world, Engine::Native, &project, "check"), &asked);
    let shown = run(&mut sandbox(&world, Engine::Native, &project, "self trust"));
    assert_eq!(shown.code(), 101);
    for word in asked {
        assert!(shown.stdout.contains(word), "`{word}` is not in:\n{}", shown.stdout);
    }
    trust(&world, Engine::Native, &project);
    run(&mut sandbox(&world, Engine::Native, &project, "check")).success("trusted");
    let listed =
        run(&mut sandbox(&world, Engine::Native, &project, "self trust --list")).success("list").stdout;
    for word in asked {
        assert!(listed.contains(word), "`{word}` is not in:\n{listed}");
    }
    policy(&world, &project, &text.replace("a.example", "evil.example"));
    fails(
        &mut sandbox(&world, Engine::Native, &project, "check"),
        &[
            "changed since you trusted it",
            "- network = [\"a.example:443\"]",
            "+ network = [\"evil.example:443\"]",
        ],
    );
    // In CI the error has the very command, which is for this content alone.
    let output = fails(
        sandbox(&world, Engine::Native, &project, "check").env("CI", "true"),
        &["cargo-sandbox self trust --hash "],
    );
    let hash =
        output.stderr.rsplit("--hash ").next().expect("a hash").trim().trim_end_matches('`').to_owned();
    run(&mut sandbox(&world, Engine::Native, &project, &format!("self trust --hash {hash}")))
        .success("trust");
    run(sandbox(&world, Engine::Native, &project, "check").env("CI", "true")).success("trusted");
    run(&mut sandbox(&world, Engine::Native, &project, "self trust --revoke")).success("revoke");
    fails(&mut sandbox(&world, Engine::Native, &project, "check"), &["needs your trust"]);
    world.stop(Engine::Native, &project);
}

#[test]
fn a_mistake_stops_every_command_with_its_place() {
    let Some(world) = world("policy-mistake") else { return };
    let project = project(&world, "mistaken", &Parts::default());
    policy(&world, &project, "[packages.x.build-script]\nnetwrok = \"none\"\n");
    for line in ["check", "self trust", "self explain x"] {
        fails(
            &mut sandbox(&world, Engine::Native, &project, line),
            &["cargo-sandbox.toml` is not valid, line 2, column 1", "hint: did you mean `network`?"],
        );
    }
    // A file that leads elsewhere is none of the repository's.
    fs::remove_file(project.join("cargo-sandbox.toml")).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", project.join("cargo-sandbox.toml")).expect("link");
    let output = fails(
        &mut sandbox(&world, Engine::Native, &project, "check"),
        &["failed to read", "cargo-sandbox.toml"],
    );
    assert!(!output.stderr.contains("root:"), "{}", output.stderr);
}

/// Where plain cargo runs nobody can be asked: what is not trusted is not given, and what is taken away is.
#[test]
fn plain_cargo_gives_nothing_that_is_not_trusted() {
    let Some(world) = world("policy-plain") else { return };
    let shared = world.home.join("shared");
    world.write(&shared.join("file"), "the file");
    let path = shared.join("file").display().to_string();
    let script = format!(
        "fn main() {{ println!(\"cargo::warning=<{{}}>\", std::fs::read_to_string({path:?}).is_ok()); }}\n"
    );
    let project = project(&world, "plainly", &Parts { script: &script, ..Parts::default() });
    let build = || {
        let wrapper = support::tool::front_end().with_file_name("cargo-sandbox-rustc");
        let mut command = world.plain(&project);
        let output = run(command.arg("build").env("RUSTC_WRAPPER", wrapper));
        let _gone = fs::remove_dir_all(project.join("target"));
        output
    };
    policy(
        &world,
        &project,
        &format!("[packages.plainly.build-script]\nread = [\"{}\"]\n", shared.display()),
    );
    let output = build().success("build");
    assert!(output.stderr.contains("<false>"), "{}", output.stderr);
    assert!(output.stderr.contains("asks for what you do not trust"), "{}", output.stderr);
    trust(&world, Engine::Native, &project);
    let output = build().success("build");
    assert!(output.stderr.contains("<true>"), "{}", output.stderr);
    policy(&world, &project, "[packages.plainly.build-script]\ndeny = true\n");
    let output = build();
    assert!(output.code() != 0 && output.stderr.contains("does not run: `deny`"), "{}", output.stderr);
    world.stop(Engine::Native, &project);
}
