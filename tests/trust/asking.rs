//! `self trust`: how it asks, what it remembers, and where.

use super::*;

const NEEDS_TRUST: &str = "[http]\ncheck-revoke = false\n";

#[test]
fn it_asks_at_a_terminal_and_takes_nothing_but_a_yes() {
    let Some(script) = need(support::program("script")) else { return };
    for world in worlds("asking") {
        let project = project(&world, "asking", NEEDS_TRUST);
        let asked = |answer: &str| {
            let trust = format!("{} self trust", support::tool::front_end().display());
            let mut command = world.command("/bin/sh");
            command.current_dir(&project).arg("-c");
            command.arg("printf '%s\\n' \"$1\" | \"$2\" -qec \"$3\" /dev/null");
            run(command.arg("sh").arg(answer).arg(&script).arg(trust))
        };
        for answer in ["", "n", "maybe"] {
            let output = asked(answer);
            assert_eq!(output.code(), 101, "{}", output.stdout);
            assert!(output.stdout.contains("http.check-revoke = false"), "{}", output.stdout);
            assert!(output.stdout.contains("Trust this? [y/N]"), "{}", output.stdout);
            stopped(&mut sandbox(&world, &project, "check"), &["http.check-revoke"]);
        }
        assert_eq!(asked("y").code(), 0);
        run(&mut sandbox(&world, &project, "check")).success("trusted");
        world.stop(ENGINE, &project);
    }
}

#[test]
fn without_a_terminal_it_wants_to_be_told() {
    for world in worlds("telling") {
        let project = project(&world, "telling", NEEDS_TRUST);
        let output = run(&mut sandbox(&world, &project, "self trust"));
        assert_eq!(output.code(), 101);
        assert!(
            output.stderr.contains("no terminal") && output.stderr.contains("--yes"),
            "{}",
            output.stderr
        );

        // In CI the error names the command, and with it what was looked at.
        let output = stopped(sandbox(&world, &project, "check").env("CI", "true"), &["self trust --hash "]);
        let hash = output.stderr.rsplit("--hash ").next().expect("a hash").trim().trim_end_matches('`');
        assert_eq!(hash.len(), 64, "{hash}");
        configure(&world, &project, "[http]\ncheck-revoke = false\nproxy = \"evil:1\"\n");
        let output = run(&mut sandbox(&world, &project, &format!("self trust --hash {hash}")));
        assert_eq!(output.code(), 101, "another content: {}", output.stdout);
        configure(&world, &project, NEEDS_TRUST);
        run(&mut sandbox(&world, &project, &format!("self trust --hash {hash}")))
            .success("self trust --hash");
        run(sandbox(&world, &project, "check").env("CI", "true")).success("trusted");
        world.stop(ENGINE, &project);
    }
}

#[test]
fn it_remembers_outside_of_the_repository_and_for_one_project() {
    for world in worlds("remembering") {
        let (one, other) = (project(&world, "one", NEEDS_TRUST), project(&world, "other", NEEDS_TRUST));
        trust(&world, &one);
        run(&mut sandbox(&world, &one, "metadata --no-deps --format-version 1")).success("trusted");
        stopped(&mut sandbox(&world, &other, "metadata --no-deps --format-version 1"), &["check-revoke"]);
        let store = world.home.join(".local/share/cargo-sandbox/trust");
        let mode = fs::metadata(&store).expect("store").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "for the user alone");
        let output = run(&mut sandbox(&world, &other, "self trust --list")).success("self trust --list");
        assert!(output.stdout.contains(&one.display().to_string()) && output.stdout.contains("sha256:"));
        assert!(!output.stdout.contains(&other.display().to_string()), "{}", output.stdout);

        // A repository brings no trust along, whatever its place is called.
        let copy = other.join("data/cargo-sandbox/trust");
        world.copy(&store, &copy);
        let mut command = sandbox(&world, &other, "metadata --no-deps --format-version 1");
        let output = run(command.env("XDG_DATA_HOME", other.join("data")));
        assert_eq!(output.code(), 101);
        assert!(output.stderr.contains("is inside the project"), "{}", output.stderr);
    }
}

#[test]
fn the_error_names_the_command_for_a_project_elsewhere() {
    for world in worlds("elsewhere") {
        let project = project(&world, "elsewhere", NEEDS_TRUST);
        let output =
            stopped(&mut sandbox(&world, &world.work(), "-C elsewhere -Zunstable-options check"), &[]);
        assert!(output.stderr.contains(&format!("in `{}`", project.display())), "{}", output.stderr);
        // cargo reads the configuration of where it works, not of where the manifest is.
        run(&mut sandbox(&world, &world.work(), "metadata --no-deps --manifest-path elsewhere/Cargo.toml"))
            .success("cargo-sandbox metadata");
    }
}

#[test]
fn a_toolchain_of_the_repositorys_needs_trust() {
    for world in worlds("toolchain") {
        let project = project(&world, "toolchain", "");
        // What rustup looks like from outside; its own would obey without a question.
        let rustup = world.home.join("bin/rustup");
        world.write(&rustup, "#!/bin/sh\nexit 1\n");
        fs::set_permissions(&rustup, fs::Permissions::from_mode(0o755)).expect("mode");
        std::os::unix::fs::symlink("rustup", world.home.join("bin/cargo")).expect("link");
        world.write(&world.home.join(".rustup/settings.toml"), "default_toolchain = 'none'\n");
        let file = format!("[toolchain]\npath = \"{}\"\n", world.toolchain.display());
        world.write(&project.join("rust-toolchain.toml"), &file);
        let with_rustup = |line: &str| {
            let mut command = sandbox(&world, &project, line);
            command.env("PATH", format!("{}:/usr/bin:/bin", rustup.parent().expect("bin").display()));
            command
        };
        stopped(
            &mut with_rustup("check"),
            &["rust-toolchain.toml:2: toolchain.path", "runs on this machine"],
        );
        run(&mut with_rustup("self trust --yes")).success("self trust");
        run(&mut with_rustup("check")).success("trusted");
        world.write(&project.join("rust-toolchain.toml"), "[toolchain]\npath = \"/elsewhere\"\n");
        stopped(&mut with_rustup("check"), &["+ path = \"/elsewhere\""]);
        run(&mut with_rustup("self stop")).success("self stop");
    }
}

/// The control is what cargo is where rustup is installed: whoever calls it calls rustup, which installs what the file
/// names.
#[test]
fn a_toolchain_that_is_not_there_is_not_fetched() {
    for world in worlds("fetched-toolchain") {
        let project = project(&world, "toolchain", "");
        let (rustup, called) = (world.home.join("bin/rustup"), world.home.join("called"));
        world.write(&rustup, &format!("#!/bin/sh\necho \"$0\" >> '{}'\nexit 1\n", called.display()));
        fs::set_permissions(&rustup, fs::Permissions::from_mode(0o755)).expect("mode");
        let proxy = world.home.join("bin/cargo");
        std::os::unix::fs::symlink("rustup", &proxy).expect("link");
        world.write(&world.home.join(".rustup/settings.toml"), "default_toolchain = 'none'\n");
        let file = "[toolchain]\nchannel = \"nightly-1999-01-01\"\n";
        world.write(&project.join("rust-toolchain.toml"), file);
        run(world.command(&proxy).arg("check").current_dir(&project));
        fs::remove_file(&called).expect("control: cargo is rustup");

        let mut command = sandbox(&world, &project, "check");
        command.env("PATH", format!("{}:/usr/bin:/bin", world.home.join("bin").display()));
        let output = run(&mut command);
        assert_eq!(output.code(), 101, "{}", output.stderr);
        for word in ["nightly-1999-01-01", "not installed", "hint: ", "rustup toolchain install"] {
            assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
        }
        assert!(!called.exists(), "rustup was called");
    }
}
