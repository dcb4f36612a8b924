//! Which defence stops what: the same attacks with one defence switched off. Needs a build that can do that:
//! `cargo test --features switch-off --test escapes layers`.
//!
//! What the catalogue names as the only defence must then be lost, or it stands there for nothing; and what it names
//! beside another one must still be stopped by the other.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::catalogue::{CASES, HOST_DOMAIN, LANDLOCK, Proof, SECCOMP};
use super::lab::Lab;
use super::matrix::{Results, control};
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::User;
use super::support::{need, program};
use super::way::Way;
use super::{ENGINE, find, package, worlds};

/// The variable by which such a build is told what to switch off.
const SWITCH: &str = "CARGO_SANDBOX_SWITCH_OFF";

/// Without Landlock for jobs, cargo is next: it writes through the links that they leave, and its own domain stops the
/// build. So that the attacks come to their end, the domain is off as well.
///
/// The native engine alone: behind the docker engine's containers stands another filter.
fn without(user: Result<User, String>, off: &'static str, defences: &[&str]) {
    let Some(user) = need(user) else { return };
    if let Err(error) = control(&user) {
        panic!("control as {}: {error}", user.name);
    }
    let Some(mut lab) = need(Lab::new(&user, Way::Sandbox(Engine::Native))) else { return };
    lab.off = Some(off);
    let results = Results::of(&lab, Way::Sandbox(Engine::Native));
    lab.world.stop(Engine::Native, &lab.project);
    let (mut idle, mut pierced, mut lost) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for case in CASES.iter().filter(|case| user.uid == 0 || !case.root) {
        let worked = case.kinds.iter().any(|kind| results.worked(case, kind));
        let alone = case.defences.iter().all(|defence| defences.contains(defence));
        let absent = case.kinds.iter().all(|kind| results.absent(case, kind));
        if alone && !worked && !absent {
            idle.insert(case.name);
        }
        // Whether the kernel permits a call says nothing of what it would then do.
        if !alone && worked && case.proof != Proof::Call {
            pierced.insert(case.name);
        }
        if worked {
            lost.insert(case.name);
        }
    }
    assert!(!lost.is_empty(), "nothing is lost without {off}: was it switched off?");
    assert!(idle.is_empty(), "stopped without {off}, which the catalogue names alone: {idle:?}");
    assert!(
        pierced.is_empty(),
        "lost without {off}, in spite of what the catalogue names beside it: {pierced:?}"
    );
}

#[test]
fn landlock_stops_what_the_catalogue_says_for_root() {
    without(User::root(), "job-landlock,cargo-domain", &[LANDLOCK, HOST_DOMAIN]);
}

#[test]
fn landlock_stops_what_the_catalogue_says_for_an_ordinary_user() {
    without(User::ordinary(), "job-landlock,cargo-domain", &[LANDLOCK, HOST_DOMAIN]);
}

#[test]
fn the_filter_stops_what_the_catalogue_says_for_root() {
    without(User::root(), "job-filter", &[SECCOMP]);
}

#[test]
fn the_filter_stops_what_the_catalogue_says_for_an_ordinary_user() {
    without(User::ordinary(), "job-filter", &[SECCOMP]);
}

/// A library that the loader is told to load: the filter of what scripts say refuses that, and behind it stands a
/// wrapper that no loader loads anything into.
#[test]
fn a_loader_variable_is_stopped_twice() {
    let Some(cc) = need(program("cc")) else { return };
    for world in worlds("layers-loader") {
        let (source, library) = (world.home.join("evil.c"), world.home.join("evil.so"));
        let marker = world.home.join("loaded");
        let code = format!(
            "#include <fcntl.h>\n__attribute__((constructor)) static void load(void) {{ open(\"{}\", O_CREAT | O_WRONLY, \
             0600); }}\n",
            marker.display()
        );
        world.write(&source, &code);
        run(Command::new(&cc).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source)).success("cc");
        world.write(&world.home.join("ready"), "");
        let says = format!("    println!(\"cargo::rustc-env=LD_PRELOAD={}\");", library.display());
        let project = package(&world, "loader", &says);
        run(world.plain(&project).arg("build").env("CARGO_TARGET_DIR", world.home.join("plain")))
            .success("control: cargo build");
        assert!(marker.exists(), "control: the compiler loads it");
        fs::remove_file(&marker).expect("marker");

        let output = run(world.sandbox(ENGINE, &project).arg("build"));
        assert!(output.stderr.contains("`LD_PRELOAD`"), "the first: {}", output.stderr);
        let output = run(world.sandbox(ENGINE, &project).arg("build").env(SWITCH, "filters"));
        assert!(!output.stderr.contains("by `cargo::rustc-env`"), "it is off: {}", output.stderr);
        assert!(!marker.exists(), "loaded on the host without the filter");
        world.stop(ENGINE, &project);
    }
}

/// Links where cargo writes: looked for before it starts, and behind that, cargo's own domain.
#[test]
fn a_planted_link_is_stopped_twice() {
    for world in worlds("layers-links") {
        for (name, link) in [("dep-info", "target/debug/dep-info.d"), ("lock", "Cargo.lock")] {
            let project = package(&world, name, "");
            let victim = world.home.join("victim");
            let plant = || {
                world.write(&victim, "version = 4\n");
                let link = project.join(link);
                let _absent = fs::remove_file(&link);
                world.write(&link.with_file_name("note"), "");
                symlink(&victim, link).expect("link");
            };
            let precious = || fs::read_to_string(&victim).expect("victim") == "version = 4\n";
            plant();
            run(world.plain(&project).arg("build").env("CARGO_BUILD_BUILD_DIR", world.home.join("plain")));
            assert!(!precious(), "control: cargo writes through {link}");

            plant();
            let output = run(world.sandbox(ENGINE, &project).arg("build").env(SWITCH, "cargo-domain"));
            assert!(output.stderr.contains("is a symbolic link"), "without the domain: {}", output.stderr);
            assert!(precious(), "{link} without the domain");
            let output = run(world.sandbox(ENGINE, &project).arg("build").env(SWITCH, "planted-check"));
            assert!(!output.stderr.contains("is a symbolic link"), "it is off: {}", output.stderr);
            assert!(precious(), "{link} without the look");
            world.stop(ENGINE, &project);
        }
    }
}

/// A raw program in the place of a build script: no job can put one there, and should one lie there nevertheless, it
/// is cargo's domain that keeps it from running.
#[test]
fn a_raw_build_script_is_stopped_by_the_domain() {
    for world in worlds("layers-raw") {
        let project = package(&world, "raw", "");
        let marker = project.join("marker");
        run(world.sandbox(ENGINE, &project).arg("build")).success("cargo-sandbox build");
        let mut scripts = find(&world.status(ENGINE, &project).build_dir, "build_script_build-");
        scripts.retain(|path| path.extension().is_none());
        let plant = |trigger: &str| {
            for script in &scripts {
                let _absent = fs::remove_file(script);
                world.write(script, &format!("#!/bin/sh\necho here > '{}'\n", marker.display()));
                fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("mode");
            }
            world.write(&project.join("trigger"), trigger);
        };
        plant("2");
        run(world.sandbox(ENGINE, &project).arg("build"));
        assert!(!marker.exists(), "executed in spite of the domain");
        plant("3");
        run(world.sandbox(ENGINE, &project).arg("build").env(SWITCH, "cargo-domain"));
        assert!(marker.exists(), "without the domain something else stops it; then say so in the catalogue");
        world.stop(ENGINE, &project);
    }
}
