//! `cargo-sandbox self setup`, and plain cargo afterwards.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::run::{Output, run};
use super::support::terminal;
use super::support::tool::Engine;
use super::support::world::World;
use super::{everywhere, somewhere};

const GIVEN: &str = "# ours\n[build]\nincremental = false # because\n\n[term]\nverbose = false\n";

/// A package whose program, test, doctest, bench and macro-like build script all try to read a key.
fn curious(world: &World) -> PathBuf {
    let project = world.work().join("curious");
    let key = world.home.join(".ssh/id");
    world.write(&key, "not a real key\n");
    let reads = format!("std::fs::read({:?}).is_ok()", key.display().to_string());
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"curious\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    let library = format!(
        "/// ```\n/// assert!(!{reads});\n/// ```\npub fn documented() {{}}\n\n#[test]\nfn reads() {{ assert!(!{reads}); }}\n"
    );
    world.write(&project.join("src/lib.rs"), &library);
    world.write(
        &project.join("src/main.rs"),
        &format!("fn main() {{ println!(\"reads: {{}}\", {reads}); }}\n"),
    );
    world.write(&project.join("build.rs"), &format!("fn main() {{ println!(\"cargo::warning=reads: {{}}\", {reads}); println!(\"cargo::rerun-if-changed=build.rs\"); }}\n"));
    world.write(&project.join(".cargo/config.toml"), GIVEN);
    project
}

fn set_up(world: &World, engine: Engine, project: &Path, words: &[&str]) -> Output {
    run(world.sandbox(engine, project).args(["self", "setup"]).args(words))
}

fn text(project: &Path) -> String {
    fs::read_to_string(project.join(".cargo/config.toml")).expect("the file")
}

#[test]
fn afterwards_everything_runs_inside() {
    everywhere("setup", |world, engine| {
        let project = curious(world);
        let cargo = |words: &[&str]| run(world.plain_with(engine, &project).args(words));
        let plain = cargo(&["run"]).success("control: cargo run");
        assert!(plain.stdout.contains("reads: true") && plain.stderr.contains("reads: true"), "control");
        assert_eq!(cargo(&["test", "--lib"]).code(), 101, "control: the test can read the key");
        assert_eq!(cargo(&["test", "--doc"]).code(), 101, "control: the doctest can read the key");

        set_up(world, engine, &project, &["--yes"]).success("self setup");
        let built = cargo(&["build"]).success("cargo build");
        assert!(built.stderr.contains("reads: false"), "the build script: {}", built.stderr);
        for _ in 0..2 {
            // The second one is all fresh, and what it runs becomes cargo's own process.
            let ran = cargo(&["run"]).success("cargo run");
            assert_eq!(ran.stdout, "reads: false\n");
            assert!(!ran.stderr.contains("Compiling") && !ran.stderr.contains("note:"), "{}", ran.stderr);
        }
        let tested = cargo(&["test"]).success("cargo test");
        assert!(tested.stdout.contains("test reads ... ok"), "{}", tested.stdout);
        assert!(tested.stdout.contains("src/lib.rs - documented (line 1) ... ok"), "{}", tested.stdout);
        cargo(&["bench"]).success("cargo bench");
        cargo(&["check", "--release"]).success("cargo check");
        cargo(&["doc"]).success("cargo doc");
        assert!(project.join("target/doc/curious/index.html").is_file());
        assert_eq!(cargo(&["fix", "--allow-no-vcs", "--lib"]).code(), 101, "fix is not confined");

        // The tool itself, in the same build directory: nothing is built again.
        let own = run(world.sandbox(engine, &project).arg("build")).success("cargo-sandbox build");
        assert!(!own.stderr.contains("Compiling"), "{}", own.stderr);
        cargo(&["clean"]).success("cargo clean");
        assert_eq!(cargo(&["run"]).success("cargo run after clean").stdout, "reads: false\n");

        set_up(world, engine, &project, &["--undo", "--yes"]).success("self setup --undo");
        assert_eq!(text(&project), GIVEN);
        world.stop(engine, &project);
    });
}

#[test]
fn it_merges_asks_and_takes_back() {
    somewhere("merge", |world, engine| {
        let project = curious(world);
        let setup = |words: &[&str]| set_up(world, engine, &project, words);
        let asked = setup(&[]);
        assert_eq!(asked.code(), 101, "nobody to ask");
        assert!(asked.stderr.contains("hint: `--yes` writes it"), "{}", asked.stderr);
        assert!(asked.stdout.contains("+ rustc-wrapper = "), "the difference is shown: {}", asked.stdout);
        assert!(!asked.stdout.contains("- "), "nothing is taken away: {}", asked.stdout);
        let printed = setup(&["--print"]).success("--print").stdout;
        assert_eq!(text(&project), GIVEN, "neither writes");
        assert_eq!(setup(&["--undo"]).code(), 101, "nothing to take back");

        setup(&["--yes"]).success("self setup");
        assert_eq!(text(&project), printed);
        for line in GIVEN.lines() {
            assert!(printed.lines().any(|found| found == line), "{line} is not in:\n{printed}");
        }
        assert!(setup(&["--yes"]).success("again").stdout.contains("is set up already"));

        // What the user adds stays.
        world.write(&project.join(".cargo/config.toml"), &(printed + "\n[net]\nretry = 1 # mine\n"));
        setup(&["--undo", "--yes"]).success("--undo");
        assert_eq!(text(&project), format!("{GIVEN}\n[net]\nretry = 1 # mine\n"));

        fs::remove_dir_all(project.join(".cargo")).expect("remove");
        setup(&["--yes"]).success("self setup");
        setup(&["--undo", "--yes"]).success("--undo");
        assert!(!project.join(".cargo").exists(), "it was not there before");

        std::os::unix::fs::symlink(world.home.join(".ssh"), project.join(".cargo")).expect("link");
        let linked = setup(&["--yes"]);
        assert_eq!(linked.code(), 101);
        assert!(linked.stderr.contains("is a symbolic link"), "{}", linked.stderr);
    });
}

/// What the command prints when somebody at a terminal answers so.
fn answered(command: &mut Command, answer: &str) -> std::process::Output {
    let (master, terminal) = terminal::pair();
    fs::File::from(master.try_clone().expect("a descriptor")).write_all(answer.as_bytes()).expect("typed");
    command.stdin(Stdio::from(terminal)).output().expect("started")
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    somewhere("asked", |world, engine| {
        let project = curious(world);
        let setup = |answer: &str| answered(world.sandbox(engine, &project).args(["self", "setup"]), answer);
        let declined = setup("n\n");
        assert_eq!(declined.status.code(), Some(1));
        let said = String::from_utf8_lossy(&declined.stdout).into_owned();
        assert!(said.contains("+ rustc-wrapper = ") && said.ends_with("write it? [y/N] "), "{said}");
        assert_eq!(text(&project), GIVEN);
        assert!(setup("y\n").status.success());
        assert!(text(&project).contains("rustc-wrapper"));
    });
}

#[test]
fn a_package_below_that_is_its_own_workspace_is_confined_as_well() {
    somewhere("nested", |world, engine| {
        let project = curious(world);
        let below = project.join("below");
        world.copy(&project, &world.home.join("copy"));
        world.copy(&world.home.join("copy"), &below);
        fs::remove_dir_all(below.join(".cargo")).expect("remove");
        set_up(world, engine, &project, &["--yes"]).success("self setup");
        let cargo = |directory: &Path| -> Command {
            let mut command = world.plain_with(engine, directory);
            command.arg("run");
            command
        };
        for directory in [&project, &below, &project] {
            let ran = run(&mut cargo(directory)).success("cargo run");
            assert_eq!(ran.stdout, "reads: false\n");
        }
        world.stop(engine, &project);
        world.stop(engine, &below);
    });
}
