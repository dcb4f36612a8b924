//! A program in the place of a build script or of the project's program: the host's cargo would execute it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::run::run;
use super::support::world::World;
use super::{ENGINE, find, package, worlds};

/// Puts a program that leaves a mark into the place of another.
fn plant(world: &World, place: &Path, marker: &Path) {
    fs::remove_file(place).expect("what cargo made");
    world.write(place, &format!("#!/bin/sh\necho here > '{}'\n", marker.display()));
    fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("mode");
}

/// What cargo links to `build-script-build` before each build, and then executes by that name.
fn place(build_dir: &Path) -> PathBuf {
    let mut found = find(build_dir, "build_script_build-");
    found.retain(|path| path.extension().is_none());
    assert_eq!(found.len(), 1, "one build script below {}", build_dir.display());
    found.remove(0)
}

#[test]
fn cargo_executes_no_raw_build_script() {
    for world in worlds("raw-script") {
        let project = package(&world, "raw", "");
        let marker = project.join("marker");

        let plain = world.home.join("plain");
        let cargo = || {
            let mut command = world.plain(&project);
            command.arg("build").env("CARGO_TARGET_DIR", &plain);
            command
        };
        run(&mut cargo()).success("cargo build");
        plant(&world, &place(&plain), &marker);
        world.write(&project.join("trigger"), "2");
        run(&mut cargo()).success("cargo build with a planted script");
        assert!(marker.exists(), "control: cargo executes what lies there");
        fs::remove_file(&marker).expect("marker");

        run(world.sandbox(ENGINE, &project).arg("build")).success("cargo-sandbox build");
        let build_dir = world.status(ENGINE, &project).build_dir;
        plant(&world, &place(&build_dir), &marker);
        world.write(&project.join("trigger"), "3");
        let output = run(world.sandbox(ENGINE, &project).arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("Permission denied (os error 13)"), "{}", output.stderr);
        assert!(!marker.exists(), "the host executed it");
        world.stop(ENGINE, &project);
    }
}

/// cargo-fmt starts what `RUSTFMT` names: a way to have the host execute a file of one's choice.
#[test]
fn a_copy_of_a_system_program_is_not_executed() {
    for world in worlds("raw-copy") {
        let project = package(&world, "copy", "");
        let planted = project.join("target/bin/rustfmt");
        fs::create_dir_all(planted.parent().expect("parent")).expect("directory");
        fs::copy("/bin/true", &planted).expect("copy");
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).expect("mode");
        let fmt = |command: &mut Command| run(command.arg("fmt").env("RUSTFMT", &planted));
        fmt(&mut world.plain(&project)).success("control: cargo fmt executes the copy");
        let output = fmt(world.sandbox(ENGINE, &project).args(["--sandbox-env", "RUSTFMT"]));
        assert!(output.stderr.contains("ermission denied"), "{}", output.stderr);
    }
}

#[test]
fn what_people_do_still_works() {
    for world in worlds("raw-honest") {
        let project = package(&world, "honest", "    println!(\"cargo::rustc-env=GREETING=hello\");");
        world.write(
            &project.join("src/main.rs"),
            "fn main() { println!(env!(\"GREETING\")) }\n#[test] fn passes() {}\n",
        );
        for command in
            ["build", "test", "check", "fetch", "metadata", "tree", "package --no-verify --allow-dirty"]
        {
            run(world.sandbox(ENGINE, &project).args(command.split(' '))).success(command);
        }
        let output = run(world.sandbox(ENGINE, &project).arg("run")).success("run");
        assert_eq!(output.stdout, "hello\n");
        let elsewhere = world.home.join("elsewhere/target");
        run(world.sandbox(ENGINE, &project).arg("build").arg("--target-dir").arg(&elsewhere))
            .success("build --target-dir");
        assert!(elsewhere.join("debug/honest").is_file());
        run(world.sandbox(ENGINE, &project).arg("clean").arg("--target-dir").arg(&elsewhere))
            .success("clean");
        assert!(!elsewhere.exists());
        run(world.sandbox(ENGINE, &world.work()).args(["new", "made"])).success("new");
        run(world.sandbox(ENGINE, &world.work().join("made")).arg("build")).success("build of what was made");
        world.stop(ENGINE, &world.work().join("made"));
        world.stop(ENGINE, &project);
    }
}

#[test]
fn a_git_dependency_in_a_directory_that_is_named_is_fetched() {
    for world in worlds("raw-git") {
        let library = world.home.join("library");
        world.write(&library.join("Cargo.toml"), "[package]\nname = \"library\"\nversion = \"0.1.0\"\n");
        world.write(&library.join("src/lib.rs"), "");
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
            run(world.command("/usr/bin/git").args(identity).args(arguments).current_dir(&library))
                .success("git");
        };
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", "first"]);
        let project = package(&world, "user", "");
        let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
        let dependency = format!("[dependencies]\nlibrary = {{ git = \"file://{}\" }}\n", library.display());
        world.write(&project.join("Cargo.toml"), &(manifest + &dependency));

        // A repository may name any other one of the user's.
        // It is tried once: cargo waits before it tries again.
        let output = run(world.sandbox(ENGINE, &project).arg("fetch").env("CARGO_NET_RETRY", "0"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        let mut named = world.sandbox(ENGINE, &project);
        run(named.arg("--sandbox-read").arg(&library).arg("build")).success("build with --sandbox-read");
        world.stop(ENGINE, &project);
    }
}
