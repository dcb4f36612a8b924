//! Killed between two steps, and run again: nothing is built again needlessly, and nothing is sent twice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::support::run::{run, spawn};
use super::support::world::World;
use super::{engines, package, scene, users};

const LIMIT: Duration = Duration::from_secs(60);

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A provider of the user's, which is asked for the token when all is verified and nothing is sent. While there is a file
/// `wait` it gives none, and says that it was asked.
fn provider(world: &World, token: &str) {
    let (script, wait, asked) =
        (world.home.join("give-token"), world.home.join("wait"), world.home.join("asked"));
    let text =
        format!("#!/bin/sh\nif [ -e {wait:?} ]; then\n: > {asked:?}\nexec sleep 60\nfi\necho {token}\n");
    world.write(&script, &text);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("mode");
    let config = fs::read_to_string(world.home.join(".cargo/config.toml")).expect("configuration");
    let line = format!("credential-provider = [\"cargo:token-from-stdout\", {script:?}]\n");
    world.write(&world.home.join(".cargo/config.toml"), &format!("{config}{line}"));
}

fn leftovers(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.state().join("projects")).expect("projects");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("once-")).collect()
}

#[test]
fn between_the_verify_build_and_the_upload() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-interrupted", &user) else { return };
        provider(&world, &server.token);
        let (wait, asked) = (world.home.join("wait"), world.home.join("asked"));
        for (name, signal) in [("killed", libc::SIGKILL), ("interrupted", libc::SIGINT)] {
            let project = package(&world, name, "", &[("build.rs", "fn main() {}\n")]);
            let publish = |project: &Path| {
                let mut command = world.sandbox(engine, project);
                command.args(["publish", "--registry", "mine"]);
                command
            };
            world.write(&wait, "");
            let before = server.uploads();
            let mut running = spawn(&mut publish(&project));
            wait_for("the token is asked for", || asked.exists());
            assert!(running.running());
            running.signal_group(signal);
            let ended = running.wait(LIMIT);
            assert!(ended.stderr.contains("Compiling"), "{}", ended.stderr);
            assert!(!ended.status.success() && server.uploads() == before, "{}", ended.stderr);
            for file in [&wait, &asked] {
                fs::remove_file(file).expect("it was there");
            }

            let again = run(&mut publish(&project)).success("publish");
            assert!(!again.stderr.contains("Compiling"), "{}", again.stderr);
            assert!(again.stderr.contains("Verified before"), "{}", again.stderr);
            assert_eq!(server.uploads(), before + 1, "{name}");
            assert!(server.archive(name, "0.1.0").is_some());
            assert_eq!(leftovers(&world), [""; 0], "{name}");
            world.stop(engine, &project);
        }
    }
}

#[test]
fn between_the_upload_and_the_registrys_answer() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-unanswered", &user) else { return };
        provider(&world, &server.token);
        let project = package(&world, "unanswered", "", &[]);
        let publish = || {
            let mut command = world.sandbox(engine, &project);
            command.args(["publish", "--registry", "mine"]);
            command
        };
        server.hold(true);
        let running = spawn(&mut publish());
        wait_for("the registry has taken it", || server.archive("unanswered", "0.1.0").is_some());
        running.signal_group(libc::SIGKILL);
        running.wait(LIMIT);
        server.hold(false);

        let again = run(&mut publish());
        assert_eq!(again.code(), 101, "{}", again.stderr);
        assert!(again.stderr.contains("already exists"), "{}", again.stderr);
        assert!(!again.stderr.contains("Compiling"), "{}", again.stderr);
        assert_eq!(server.uploads(), 1, "nothing is sent twice");
        world.stop(engine, &project);
    }
}
