//! Each error says what happened and what to do, ends with cargo's exit code, and leaves the next run working.

use std::process::Command;

use super::support::{ci, note, program};
use super::*;

#[test]
fn no_manifest() {
    let Some(world) = world("no-manifest") else { return };
    let plain = run(world.plain(&world.work()).arg("check"));
    let words = plain.stderr.trim();
    fails(world.sandbox(Engine::Native, &world.work()).arg("check"), &[words]);
    fails(
        world.sandbox(Engine::Native, &world.work()).args(["check", "--manifest-path", "x/Cargo.toml"]),
        &["manifest path", "x/Cargo.toml"],
    );
}

#[test]
fn an_unreadable_manifest() {
    let Some(world) = world("unreadable") else { return };
    let project = package(&world, "unreadable");
    set_mode(&project.join("Cargo.toml"), 0o000);
    fails(world.sandbox(Engine::Native, &project).arg("check"), &["Cargo.toml", "Permission denied"]);
    set_mode(&project.join("Cargo.toml"), 0o644);
    run(world.sandbox(Engine::Native, &project).arg("check")).success("the next run");
    world.stop(Engine::Native, &project);
}

#[test]
fn no_toolchain() {
    let Some(world) = world("no-toolchain") else { return };
    let project = package(&world, "project");
    let mut command = world.sandbox(Engine::Native, &project);
    fails(command.arg("check").env("PATH", "/nowhere"), &["no cargo was found", "hint:"]);
}

#[test]
fn a_cargo_that_is_too_old() {
    let Some(world) = world("old-cargo") else { return };
    let project = package(&world, "project");
    let cargo = world.work().join("old/bin/cargo");
    world.write(&cargo, "#!/bin/sh\necho 'cargo 1.80.0 (376290515 2024-07-16)'\n");
    set_mode(&cargo, 0o755);
    let mut command = world.sandbox(Engine::Native, &project);
    let path = cargo.parent().expect("bin").to_owned();
    fails(command.arg("check").env("PATH", path), &["cargo 1.80.0", "1.91", "hint:"]);
}

#[test]
fn no_daemon() {
    let Some(world) = world("no-daemon") else { return };
    let project = package(&world, "project");
    let build = |host: &str| {
        let mut command = world.sandbox(Engine::Docker, &project);
        command.arg("build").env("DOCKER_HOST", host);
        command
    };
    fails(&mut build("unix:///nowhere/docker.sock"), &["/nowhere/docker.sock", "--engine native"]);
    fails(&mut build("tcp://127.0.0.1:1"), &["another kernel", "--engine native"]);
}

#[test]
fn a_daemon_that_does_not_let_us_in() {
    if need(Engine::Docker.here()).is_none() {
        return;
    }
    let Some(world) = world("not-let-in") else { return };
    if world.user.name == "root" {
        return note("root is let in everywhere");
    }
    let project = package(&world, "project");
    // Without the group that the other tests give.
    let mut command = world.command(support::tool::front_end());
    command.args(["--engine", "docker", "build"]).current_dir(&project);
    fails(&mut command, &["permission denied", "--engine native"]);
}

/// In a user namespace of the test's own, where the kernel forbids more of them as an administrator can.
#[test]
fn a_kernel_that_forbids_namespaces() {
    let Some(world) = world("no-namespaces") else { return };
    if need(program("unshare")).is_none() {
        return;
    }
    let project = package(&world, "project");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let above = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"];
    let mut command = world.sandbox_under(Engine::Native, &project, &above);
    let words = ["cannot make namespaces", "sysctl -w user.max_user_namespaces", "--engine docker"];
    fails(command.arg("check"), &words);
    run(world.sandbox(Engine::Native, &project).arg("check")).success("the next run");
    world.stop(Engine::Native, &project);
}

#[test]
fn options_that_make_no_sense() {
    let Some(world) = world("options") else { return };
    let project = package(&world, "project");
    let run_with = |arguments: &[&str]| {
        let mut command = world.command(support::tool::front_end());
        command.args(arguments).current_dir(&project);
        command
    };
    fails(&mut run_with(&["--engine", "vm", "check"]), &["vm", "docker", "native"]);
    fails(run_with(&["check"]).env("CARGO_SANDBOX_ENGINE", "vm"), &["CARGO_SANDBOX_ENGINE", "vm"]);
    fails(&mut run_with(&["--sandbox-read", "nowhere", "check"]), &["nowhere", "No such file"]);
    fails(&mut run_with(&["sandbox", "check"]), &["with a dash"]);
    fails(&mut run_with(&["chekc"]), &["no such command", "chekc"]);
    fails(&mut run_with(&["doc", "--open"]), &["doc", "not there yet", "browser"]);
    fails(&mut run_with(&["+nightly-1999-01-01", "check"]), &["not installed", "rustup toolchain install"]);
}

#[test]
fn source_outside_of_the_project() {
    let Some(world) = world("outside") else { return };
    let (project, shared) = (package(&world, "project"), world.work().join("shared"));
    world.write(
        &shared.join("Cargo.toml"),
        "[package]\nname = \"shared\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    world.write(&shared.join("src/lib.rs"), "pub fn shared() {}\n");
    let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
    world.write(
        &project.join("Cargo.toml"),
        &format!("{manifest}\n[dependencies]\nshared = {{ path = \"../shared\" }}\n"),
    );
    run(world.plain(&project).arg("check")).success("plain cargo reads it");
    fails(
        world.sandbox(Engine::Native, &project).arg("check"),
        &["outside of the project", "--sandbox-read"],
    );
    let mut allowed = world.sandbox(Engine::Native, &project);
    allowed.args(["--sandbox-read", "../shared", "check"]);
    run(&mut allowed).success("with leave to read it");
    world.stop(Engine::Native, &project);
}

#[test]
fn a_project_that_would_show_the_home_directory() {
    let Some(world) = world("home-project") else { return };
    world.write(
        &world.home.join("Cargo.toml"),
        "[package]\nname = \"home\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    world.write(&world.home.join("src/lib.rs"), "");
    fails(world.sandbox(Engine::Native, &world.home).arg("check"), &["home directory", "hint:"]);
}

#[test]
fn a_wrapper_of_the_users_own_is_not_run() {
    let Some(world) = world("own-wrapper") else { return };
    let project = package(&world, "project");
    let wrapper = world.work().join("wrapper");
    let proof = world.work().join("it-ran");
    world.write(&wrapper, &format!("#!/bin/sh\ntouch {}\nexec \"$@\"\n", proof.display()));
    set_mode(&wrapper, 0o755);
    run(world.plain(&project).arg("check").env("RUSTC_WRAPPER", &wrapper)).success("plain cargo");
    assert!(proof.exists(), "plain cargo runs it");
    fs::remove_file(&proof).expect("proof");
    let mut command = world.sandbox(Engine::Native, &project);
    command.arg("check").env("RUSTC_WRAPPER", &wrapper);
    let output = run(&mut command).success("a wrapper is ignored");
    assert!(output.stderr.contains("warning: RUSTC_WRAPPER="), "{}", output.stderr);
    assert!(!proof.exists());
    world.stop(Engine::Native, &project);
}

#[test]
fn a_repository_cannot_name_programs_for_the_host() {
    let Some(world) = world("repository-programs") else { return };
    let project = package(&world, "project");
    for (text, word) in [
        ("[registry]\ncredential-provider = ['/evil']\n", "credential-provider"),
        ("[alias]\nb = ['run', '--config', 'x']\n", "alias.b"),
    ] {
        world.write(&project.join(".cargo/config.toml"), text);
        fails(world.sandbox(Engine::Native, &project).arg("b"), &[word]);
    }
    // What it may name is overridden: none of these is started.
    let text = "[build]\nrustc = '/evil'\nrustdoc = '/evil'\nrustc-wrapper = '/evil'\n\
                [target.'cfg(all())']\nrunner = '/evil'\n";
    world.write(&project.join(".cargo/config.toml"), text);
    run(world.sandbox(Engine::Native, &project).arg("run")).success("a repository with programs of its own");
    world.write(&project.join(".cargo/config.toml"), "[build]\nrustc-workspace-wrapper = '/evil'\n");
    run(world.sandbox(Engine::Native, &project).arg("run")).success("and one for its members");
    world.stop(Engine::Native, &project);
}

#[test]
fn a_full_disk() {
    // A small file system for the state directory; only root can mount one.
    if User::me().name != "root" {
        return note("skipped: a small file system can only be mounted by root");
    }
    let Some(world) = world("full") else { return };
    let Some(mount) = need(program("mount")) else { return };
    let project = package(&world, "project");
    let small = world.home.join("small");
    fs::create_dir(&small).expect("mount point");
    let mounted = |options: &str| {
        let options = format!("{options},mode=0777");
        let status = Command::new(&mount).args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&small).status();
        assert!(status.expect("mount").success(), "a tmpfs could not be mounted");
    };
    mounted("size=512k");
    let build = || {
        let mut command = world.sandbox(Engine::Native, &project);
        command.arg("build").env("CARGO_SANDBOX_HOME", small.join("state"));
        command
    };
    let full = run(&mut build());
    mounted("remount,size=256m");
    let grown = run(&mut build());
    let mut stop = world.sandbox(Engine::Native, &project);
    run(stop.args(["self", "stop"]).env("CARGO_SANDBOX_HOME", small.join("state")));
    let unmounted = Command::new("umount").arg("--lazy").arg(&small).status();
    assert!(unmounted.expect("umount").success());
    assert_eq!(full.code(), 101, "{}", full.stderr);
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    grown.success("the next run, with room");
    assert!(ci() || !small.join("state").exists());
}
