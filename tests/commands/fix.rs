//! `fix` and `clippy --fix`: what cargo changes is changed, and version control is asked as cargo asks it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::run::run;
use super::support::world::World;
use super::{each_engine, fails};

const UNTIDY: &str = "fn main() {\n    let mut x = vec![1];\n    if x.len() == 0 {\n        return;\n    }\n    println!(\"{}\", x.len());\n}\n";

/// A workspace of two packages in a git repository.
fn project(world: &World, name: &str) -> std::path::PathBuf {
    let project = world.work().join(name);
    for package in ["one", "two"] {
        let manifest = format!("[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2018\"\n");
        world.write(&project.join(package).join("Cargo.toml"), &manifest);
        world.write(&project.join(package).join("src/main.rs"), UNTIDY);
        world.write(&project.join(package).join("build.rs"), "fn main() { let mut y = 1; let _ = y; }\n");
    }
    let workspace = "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"2\"\n";
    world.write(&project.join("Cargo.toml"), workspace);
    world.write(&project.join(".gitignore"), "target\n");
    git(world, &project, &["init", "--quiet"]);
    git(world, &project, &["add", "."]);
    git(world, &project, &["commit", "--quiet", "--message", "start"]);
    project
}

fn git(world: &World, project: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
    let mut command = world.command("/usr/bin/git");
    run(command.args(identity).args(arguments).current_dir(project)).success("git").stdout
}

/// Lines without times, and without the order in which packages come.
fn normalised(text: &str) -> Vec<String> {
    let line = |line: &str| line.split(" target(s) in ").next().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = text.lines().map(line).collect();
    lines.sort();
    lines
}

/// Both tools with a command line in the same state: the words, the exit code and the sources are the same.
#[track_caller]
fn same(world: &World, project: &Path, sandbox: &dyn Fn(&Path) -> Command, at: &str, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let directory = project.join(at);
    let sources = || git(world, project, &["diff"]);
    let before = git(world, project, &["stash", "create"]);
    // Here too everything is built anew.
    let _absent = fs::remove_dir_all(world.home.join("plain"));
    let mut plain = world.plain(&directory);
    let plain = run(plain.args(&words).env("CARGO_TARGET_DIR", world.home.join("plain")));
    let plain_sources = sources();
    git(world, project, &["checkout", "--quiet", "."]);
    if !before.trim().is_empty() {
        git(world, project, &["stash", "apply", "--quiet", before.trim()]);
    }
    let output = run(sandbox(&directory).args(&words));
    assert_eq!(output.code(), plain.code(), "{line}: {}\n{}", plain.stderr, output.stderr);
    assert_eq!(normalised(&output.stderr), normalised(&plain.stderr), "{line}: {}", output.stderr);
    assert_eq!(normalised(&output.stdout), normalised(&plain.stdout), "{line}");
    assert_eq!(sources(), plain_sources, "{line}: {}", output.stderr);
}

#[test]
fn what_cargo_fixes_is_fixed() {
    each_engine("fix", |world, engine| {
        let project = project(world, "fixed");
        let sandbox = |directory: &Path| world.sandbox(engine, directory);
        let start = || git(world, &project, &["checkout", "--quiet", "."]);
        // The lock file is new, which version control has to say.
        for (at, line) in [
            ("", "fix --allow-dirty"),
            ("one", "fix --allow-dirty"),
            ("", "fix --allow-dirty -p two --bins -q"),
            ("two", "fix --edition --allow-dirty"),
            ("one", "clippy --fix --allow-dirty -- -W clippy::pedantic"),
            ("", "fix"),
            ("", "fix --no-such-option"),
        ] {
            same(world, &project, &sandbox, at, line);
            start();
        }
        git(world, &project, &["add", "."]);
        same(world, &project, &sandbox, "", "fix");
        same(world, &project, &sandbox, "", "fix --allow-staged");
        let fixed = fs::read_to_string(project.join("one/src/main.rs")).expect("source");
        assert!(fixed.contains("let x ="), "{fixed}");
    });
}

#[test]
fn what_cannot_be_fixed_safely_is_refused() {
    each_engine("fix-no-vcs", |world, engine| {
        let project = project(world, "none");
        fs::remove_dir_all(project.join(".git")).expect("repository");
        fails(world.sandbox(engine, &project).arg("fix"), &["no VCS found for this package"]);
        let wrapper = "env.RUSTC_WORKSPACE_WRAPPER='/bin/true'";
        let mut command = world.sandbox(engine, &project);
        let line = ["fix", "--allow-no-vcs", "--config", wrapper];
        fails(command.args(line), &["RUSTC_WORKSPACE_WRAPPER", "hint: "]);
        let manifest = project.join("one/Cargo.toml");
        let elsewhere = world.home.clone();
        run(world
            .sandbox(engine, &elsewhere)
            .args(["fix", "--allow-no-vcs", "--manifest-path"])
            .arg(&manifest))
        .success("fix --manifest-path");
        let source = |name: &str| fs::read_to_string(project.join(name).join("src/main.rs")).expect("source");
        assert!(source("one").contains("let x =") && source("two").contains("let mut x ="));
    });
}
