//! Links that a repository has where cargo writes.

use std::fs;
use std::os::unix::fs::symlink;

use super::support::run::run;
use super::support::world::World;
use super::{ENGINE, package, worlds};

/// What the link leads to; the link would have to belong to the user, but who made it makes no difference.
fn victim(world: &World) -> std::path::PathBuf {
    let victim = world.home.join("victim");
    world.write(&victim, "precious\n");
    victim
}

#[test]
fn cargo_writes_through_no_planted_link() {
    for world in worlds("planted") {
        let project = package(&world, "planted", "");
        let victim = victim(&world);
        let debug = project.join("target/debug");
        world.write(&debug.join("note"), "");
        symlink(&victim, debug.join("planted.d")).expect("link");

        run(world.plain(&project).arg("build")).success("control: cargo build");
        assert_ne!(
            fs::read_to_string(&victim).expect("victim"),
            "precious\n",
            "control: cargo writes through it"
        );
        world.write(&victim, "precious\n");

        let output = run(world.sandbox(ENGINE, &project).arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("planted.d` is a symbolic link"), "{}", output.stderr);
        assert_eq!(fs::read_to_string(&victim).expect("victim"), "precious\n");
    }
}

#[test]
fn the_target_directory_leads_where_the_user_says_and_not_the_repository() {
    for world in worlds("planted-target") {
        let project = package(&world, "target", "");
        let elsewhere = world.home.join("elsewhere");
        world.write(&elsewhere.join("note"), "");
        symlink(&elsewhere, project.join("target")).expect("link");
        run(world.plain(&project).arg("build")).success("control: cargo build");
        assert!(elsewhere.join("debug/target").is_file(), "control");
        fs::remove_dir_all(elsewhere.join("debug")).expect("remove");

        let output = run(world.sandbox(ENGINE, &project).arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("hint: if you want it there"), "{}", output.stderr);
        assert!(!elsewhere.join("debug").exists());
        run(world.sandbox(ENGINE, &project).arg("build").env("CARGO_TARGET_DIR", &elsewhere))
            .success("as said");
        assert!(elsewhere.join("debug/target").is_file());
        world.stop(ENGINE, &project);
    }
}
