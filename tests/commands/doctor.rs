//! `self doctor --fix` and `--version`: what is there, and what can be done about what is not.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::support::run::run;
use crate::support::tool::{Engine, each_engine};
use crate::support::world::{User, World};
use crate::support::{need, program};
use crate::{package, world};

/// In a user namespace of the test's own that has all ids: its root may set what the kernel keeps for it, and on a
/// `/etc/sysctl.d` of its own. Jobs of that root write where he has made the file system himself.
#[test]
fn it_has_the_kernel_allow_namespaces_again() {
    let Some(world) = need(User::root()).and_then(|root| need(World::new("doctor", &root))) else { return };
    if need(program("unshare")).is_none() {
        return;
    }
    let project = package(&world, "project");
    // Only what is executed by a root that the namespace knows has his rights.
    let wait = "echo ready && read mapped && exec sh -c \"$@\"";
    let state = world.state();
    fs::create_dir_all(&state).expect("a directory");
    let state = state.display();
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces \
                  && mount -t tmpfs none /etc/sysctl.d && mount -t tmpfs -o mode=700 none {state} || exit 9
                  \"$@\" self doctor; echo \"first $?\"
                  \"$@\" self doctor --fix </dev/null; echo \"unasked $?\"
                  \"$@\" self doctor --fix --yes; echo \"second $?\"
                  \"$@\" build; echo \"build $?\"
                  cat /etc/sysctl.d/60-cargo-sandbox.conf; \"$@\" self stop"
    );
    let above = ["unshare", "--user", "--mount", "sh", "-c", wait, "sh", &script, "sh"];
    let mut command = world.sandbox_under(Engine::Native, &project, &above);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("unshare");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", child.id()), "0 0 4294967295").expect(map);
    }
    child.stdin.take().expect("a pipe").write_all(b"mapped\n").expect("a word");
    let said: Vec<String> = lines.map(|line| line.expect("text")).collect();
    assert!(child.wait().expect("an end").success(), "{said:#?}");
    let said = said.join("\n");
    for words in [
        "first 101",
        "`cargo-sandbox self doctor --fix` proposes what can be done here (1)",
        "`sysctl -w user.max_user_namespaces=10000`",
        "unasked 101",
        "jobs can run here, confined as promised",
        "second 0",
        "build 0",
        "user.max_user_namespaces = 10000",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert_eq!(said.matches("jobs can run here").count(), 1, "{said}");
}

#[test]
fn it_proposes_to_remove_what_is_left_of_gone_projects() {
    let Some(world) = world("doctor-prune") else { return };
    let gone = package(&world, "gone");
    run(world.sandbox(Engine::Native, &gone).arg("check")).success("check");
    let directory = world.status(Engine::Native, &gone).build_dir;
    world.stop(Engine::Native, &gone);
    fs::remove_dir_all(&gone).expect("removed");
    let doctor = |words: &[&str]| {
        let mut command = world.sandbox(Engine::Native, &world.work());
        run(command.args(["self", "doctor"]).args(words)).success("self doctor").stdout
    };
    assert!(doctor(&[]).contains("--fix` proposes what can be done here (1)"));
    assert!(directory.exists());
    let said = doctor(&["--fix", "--yes"]);
    assert!(said.contains("left of 1 projects") && said.contains("freed "), "{said}");
    assert!(!directory.exists());
    assert!(doctor(&["--fix"]).contains("there is nothing that --fix could do"));
}

#[test]
fn the_version_is_of_the_engines_too() {
    each_engine("version", |world, engine| {
        let version = |word: &str| {
            let mut command = world.sandbox_without_engine(engine, &world.work());
            run(command.arg(word)).success(word).stdout
        };
        let own = format!("cargo-sandbox {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(version("-V"), own);
        let long = version("--version");
        assert!(long.starts_with(&own), "{long}");
        let line = long.lines().find_map(|line| line.strip_prefix(&format!("{engine}: ")));
        let line = line.unwrap_or_else(|| panic!("no {engine} in {long}"));
        assert!(
            line.contains(match engine {
                Engine::Docker => "API 1.",
                Engine::Native => "Landlock ABI ",
            }),
            "{line}"
        );
    });
}
