//! `RUSTC_WRAPPER=cargo-sandbox-rustc cargo build` with nothing prepared.

use std::fs;

use super::support::run::{run, spawn};
use super::support::tool::front_end;
use super::{NOTE, brokers_of, eventually, everywhere, find, members, package, somewhere, through_own_pipe};
use std::time::Duration;

#[test]
fn it_builds_inside_and_a_fresh_build_starts_nothing() {
    everywhere("builds", |world, engine| {
        let project = members(world);
        let build = spawn(world.wrapped(engine, &project).arg("build"));
        let cargo = build.id();
        let first = build.wait(Duration::from_secs(300)).success("cargo build with the wrapper");
        assert!(first.stderr.contains("Compiling"));
        let program = run(&mut world.command(project.join("target/debug/app")));
        assert_eq!(program.success("what was built").stdout, "Greeting word\n");
        let status = world.status(engine, &project);
        assert_eq!(status.running.len(), 1, "built in a container");
        let shims = world.state().join("projects");
        let scripts = find(&project.join("target/debug/build"), "build-script-");
        assert!(!scripts.is_empty());
        for script in scripts {
            let leads_to = fs::read_link(&script).unwrap_or_else(|_| panic!("{} is raw", script.display()));
            assert!(leads_to.starts_with(&shims) && leads_to.is_file(), "{}", leads_to.display());
        }
        eventually("the broker ends with its cargo", || brokers_of(cargo).is_empty());
        assert!(!project.join("target/.rustc_info.json").exists(), "cargo is to ask again");

        world.stop(engine, &project);
        for _ in 0..2 {
            let fresh = run(world.wrapped(engine, &project).arg("build")).success("a fresh build");
            assert!(!fresh.stderr.contains("Compiling") && !fresh.stderr.contains(NOTE), "{}", fresh.stderr);
        }
        assert!(world.status(engine, &project).running.is_empty(), "a fresh build starts no container");
    });
}

#[test]
fn what_stays_open_is_said_once() {
    everywhere("note", |world, engine| {
        let project = package(world, "");
        let check = || through_own_pipe(world.wrapped(engine, &project).arg("check"));
        let quiet = through_own_pipe(world.wrapped(engine, &project).args(["check", "-q"]));
        assert_eq!(quiet, "", "not where nothing is to be said");
        let first = check();
        assert!(
            first.starts_with(NOTE) && first.lines().next().is_some_and(|line| line.contains("doctests")),
            "{first}"
        );
        assert!(!check().contains("note:"), "said again");
        world.stop(engine, &project);
    });
}

#[test]
fn a_bare_name_is_found_in_path() {
    somewhere("bare", |world, engine| {
        let project = members(world);
        let bin = front_end();
        let path = format!(
            "{}:{}:/usr/bin:/bin",
            bin.parent().expect("bin").display(),
            world.toolchain.join("bin").display()
        );
        let mut command = world.plain_with(engine, &project);
        command.env("PATH", path).env("RUSTC_WRAPPER", "cargo-sandbox-rustc").arg("build");
        run(&mut command).success("cargo build with a wrapper from PATH");
        assert_eq!(world.status(engine, &project).running.len(), 1);
        world.stop(engine, &project);
    });
}

#[test]
fn check_clippy_and_another_target_directory_work() {
    somewhere("commands", |world, engine| {
        let project = members(world);
        let elsewhere = world.home.join("elsewhere");
        for arguments in [&["check", "--tests"][..], &["clippy"], &["build", "--target-dir", "../elsewhere"]]
        {
            let output = run(world.wrapped(engine, &project).args(arguments));
            output.success(&format!("{arguments:?}"));
        }
        let output = run(world.wrapped(engine, &project).arg("build").env("CARGO_TARGET_DIR", &elsewhere));
        let output = output.success("a target directory elsewhere");
        assert!(output.stderr.contains("Compiling") && elsewhere.join("debug/app").is_file());
        let link = world.home.join("link");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("link");
        let output = run(world.wrapped(engine, &project).arg("build").env("CARGO_TARGET_DIR", &link));
        assert_eq!(output.code(), 101);
        assert!(output.stderr.contains("by a symbolic link"), "{}", output.stderr);
        world.stop(engine, &project);
    });
}

#[test]
fn several_cargos_at_once_in_one_project() {
    everywhere("two", |world, engine| {
        let project = members(world);
        let commands: [&[&str]; 3] =
            [&["build"], &["build", "--release"], &["check", "--target-dir", "target/other"]];
        let running: Vec<_> =
            commands.iter().map(|words| spawn(world.wrapped(engine, &project).args(*words))).collect();
        for one in running {
            one.wait(Duration::from_secs(300)).success("one of several");
        }
        world.stop(engine, &project);
    });
}

#[test]
fn what_cannot_be_confined_so_is_refused_with_the_reason() {
    somewhere("refused", |world, engine| {
        let project = package(world, "");
        let fix = run(world.wrapped(engine, &project).args(["fix", "--allow-no-vcs"]));
        assert_eq!(fix.code(), 101);
        assert!(fix.stderr.contains("`cargo fix` cannot be confined"), "{}", fix.stderr);

        // A program between cargo and the wrapper.
        let between = world.home.join("between");
        let wrapper = front_end().with_file_name("cargo-sandbox-rustc");
        world.write(&between, &format!("#!/bin/sh\n{} \"$@\"\nexit $?\n", wrapper.display()));
        fs::set_permissions(&between, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
        let output = run(world.wrapped(engine, &project).arg("build").env("RUSTC_WRAPPER", &between));
        assert_eq!(output.code(), 101);
        assert!(output.stderr.contains("which is no toolchain's cargo"), "{}", output.stderr);
        assert!(output.stderr.contains("hint: cargo itself has to start it"), "{}", output.stderr);

        // Another compiler is named to the wrapper, and not run.
        let output = run(world.wrapped(engine, &project).arg("build").env("RUSTC", "/usr/bin/env"));
        assert_eq!(output.code(), 101);
        assert!(output.stderr.contains("`/usr/bin/env` in place of the compiler"), "{}", output.stderr);
    });
}
