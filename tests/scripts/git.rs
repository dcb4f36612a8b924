//! A script that asks git which commit this is gets the answer that it gets under cargo, and no credential with it.

use std::fs;
use std::path::Path;

use super::support::line;
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::World;
use super::{each_engine, package};

/// Asks git as `vergen`, `built` and `git-version` do, and looks for what the repository's configuration holds. Whose the
/// repository is shall not be an answer: git takes this one for somebody else's.
const ASKS: &str = r#"use std::{fs, process::Command};
fn git(arguments: &str) -> String {
    let mut git = Command::new("/usr/bin/git");
    git.args(arguments.split(' ')).env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    let output = git.output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&text).trim().replace('\n', "|")
}
fn main() {
    for arguments in ["describe --tags --dirty --always --long", "rev-parse HEAD", "rev-parse --abbrev-ref HEAD",
        "log -1 --format=%s", "status --porcelain --untracked-files=no", "rev-list --count HEAD"] {
        println!("cargo::warning=<git {arguments}: {}>", git(arguments));
    }
    println!("cargo::warning=[url {}]", git("remote get-url origin"));
    println!("cargo::warning=[header {}]", git("config --get-all http.extraHeader"));
    for file in ["config", "hooks/post-checkout", "logs/HEAD", "FETCH_HEAD"] {
        println!("cargo::warning=[{file} {:?}]", fs::read_to_string(format!(".git/{file}")).unwrap_or_default());
    }
}
"#;

/// What a macro does in the member's compiler, and the program where it runs, with the same rights.
const READS: &str = r#"const CONFIG: &str = include_str!("../.git/config");
fn main() {
    let now = std::fs::read_to_string(".git/config").unwrap();
    println!("compiled {} read {}", CONFIG.contains("s3cret"), now.contains("s3cret"));
}
"#;

fn git(world: &World, project: &Path, arguments: &str) {
    let mut git = world.command("/usr/bin/git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@example.com"]).args(arguments.split(' '));
    run(git.current_dir(project)).success("git");
}

/// What the script heard from git.
fn heard(stderr: &str) -> Vec<String> {
    let lines = stderr.lines().filter_map(|line| line.split_once("<git "));
    lines.map(|(_, answer)| answer.to_owned()).collect()
}

fn same_answers_and_no_secret(world: &World, engine: Engine, project: &Path, secret: &str) -> Vec<String> {
    let plain = run(&mut line::plain(world, project, "check")).success("control: cargo check").stderr;
    assert!(plain.contains(secret), "control: a script reads it under cargo:\n{plain}");
    let here = run(&mut line::sandbox(world, engine, project, "check")).success("check").stderr;
    let (expected, answers) = (heard(&plain), heard(&here));
    assert_eq!(answers, expected);
    assert_eq!(answers.len(), 6, "{here}");
    assert!(!here.contains("s3cret") && !here.contains("fatal"), "{here}");
    assert!(here.contains("[url https://host.example/a.git]"), "{here}");
    answers
}

#[test]
fn the_commit_is_known_and_no_credential() {
    each_engine("script-git", |world, engine| {
        let files = [("build.rs", ASKS), ("src/main.rs", READS), (".gitignore", "target\nCargo.lock\n")];
        let project = package(world, "", &files);
        world.write(&world.home.join(".gitconfig"), "[safe]\n\tdirectory = *\n");
        world.commit(&project);
        git(world, &project, "tag v1.2.3");
        git(world, &project, "remote add origin https://me:s3cret@host.example/a.git");
        git(world, &project, "config http.extraHeader s3cret-header");
        world.write(&project.join(".git/hooks/post-checkout"), "s3cret-hook");
        world.write(&project.join(".git/FETCH_HEAD"), "s3cret-fetched");

        let first = same_answers_and_no_secret(world, engine, &project, "me:s3cret@host.example");
        assert!(first[0].contains("v1.2.3-0-g") && !first[0].contains("-dirty>"), "{first:?}");
        let ran = run(&mut line::plain(world, &project, "run -q")).success("control: cargo run").stdout;
        assert_eq!(ran.trim(), "compiled true read true");
        let ran = run(&mut line::sandbox(world, engine, &project, "run -q")).success("run").stdout;
        assert_eq!(ran.trim(), "compiled false read false");

        // git replaces its files, and the container is the one from before.
        world.write(&project.join("src/main.rs"), &format!("// changed\n{READS}"));
        git(world, &project, "remote set-url origin https://me:s3cret-2@host.example/a.git");
        let dirty = same_answers_and_no_secret(world, engine, &project, "me:s3cret-2@host.example");
        assert!(dirty[0].ends_with("-dirty>") && dirty[4].contains("src/main.rs"), "{dirty:?}");
        git(world, &project, "commit --quiet --all --message second");
        git(world, &project, "pack-refs --all");
        world.write(&project.join("build.rs"), &format!("// changed\n{ASKS}"));
        git(world, &project, "commit --quiet --all --message third");
        let third = same_answers_and_no_secret(world, engine, &project, "me:s3cret-2@host.example");
        assert!(third[0].contains("v1.2.3-2-g") && !third[0].contains("-dirty>"), "{third:?}");
        assert!(third[3].contains("third") && third[5].contains(": 3"), "{third:?}");
        world.stop(engine, &project);
    });
}

/// An archive can bring a `.git` whose parts lead elsewhere: what is there is not shown for it.
#[test]
fn a_planted_repository_leads_nowhere() {
    each_engine("script-git-link", |world, engine| {
        let reads = "fn main() { for file in [\"objects/key\", \"refs/key\", \"info/exclude\", \"HEAD\", \"packed-refs\"] {\n\
                     println!(\"cargo::warning=<{file} {:?}>\", std::fs::read_to_string(format!(\".git/{file}\"))); } }\n";
        let project = package(world, "", &[("build.rs", reads), ("src/lib.rs", "")]);
        let private = world.home.join("private");
        world.write(&private.join("key"), "s3cret");
        world.write(&private.join("exclude"), "s3cret");
        fs::create_dir(project.join(".git")).expect("a directory");
        for (name, to) in [
            ("objects", private.clone()),
            ("refs", private.clone()),
            ("info", private.clone()),
            ("HEAD", private.join("key")),
            ("packed-refs", private.join("key")),
        ] {
            std::os::unix::fs::symlink(to, project.join(".git").join(name)).expect("link");
        }
        let plain = run(&mut line::plain(world, &project, "check")).success("control").stderr;
        assert_eq!(plain.matches("s3cret").count(), 5, "control: {plain}");
        let here = run(&mut line::sandbox(world, engine, &project, "check")).success("check").stderr;
        assert!(here.contains("<HEAD Err") && !here.contains("s3cret"), "{here}");
        world.stop(engine, &project);
    });
}
