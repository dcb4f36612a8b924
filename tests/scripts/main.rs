//! Build scripts of every form: compiled inside, run inside, and nothing of them where the host executes it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

mod git;
mod habits;
mod macros;
mod sources;
#[path = "../support/mod.rs"]
mod support;

use support::need;
use support::run::run;
use support::tool::Engine;
use support::world::{User, World};

/// Says where it runs, and what it can write.
const SCRIPT: &str = r#"fn main() {
    println!("cargo::warning=home {}", std::env::var("HOME").unwrap());
    println!("cargo::warning=source writable: {}", std::fs::write("planted", "").is_ok());
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    std::fs::write(out.join("made.rs"), "pub const MADE: u32 = 7;").unwrap();
    let rustc = std::process::Command::new(std::env::var_os("RUSTC").unwrap()).arg("-vV").output().unwrap();
    assert!(rustc.status.success() && rustc.stdout.starts_with(b"rustc "));
}
"#;

const LIBRARY: &str = "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n";

/// The engines at hand, each with a world of its own.
fn each_engine(name: &str, test: impl Fn(&World, Engine)) {
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let Some(user) = need(User::ordinary()) else { return };
        let Some(world) = need(World::new(&format!("{name}-{engine}"), &user)) else { return };
        test(&world, engine);
    }
}

/// A package with `manifest` behind its name, and files.
fn package(world: &World, manifest: &str, files: &[(&str, &str)]) -> PathBuf {
    let project = world.work().join("package");
    let head = "name = \"package\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let manifest = match manifest.strip_prefix("cargo-features") {
        Some(rest) => {
            let (features, rest) = rest.split_once('\n').unwrap_or((rest, ""));
            format!("cargo-features{features}\n[package]\n{head}{rest}\n[workspace]\n")
        }
        None => format!("[package]\n{head}{manifest}\n[workspace]\n"),
    };
    world.write(&project.join("Cargo.toml"), &manifest);
    for (path, text) in files {
        world.write(&project.join(path), text);
    }
    project
}

/// What cargo executes below a build directory are so many links to shims.
#[track_caller]
fn are_shims(build_dir: &Path, scripts: usize, shims: &Path) {
    let executed = executables_named(build_dir, "build-script-");
    assert_eq!(executed.len(), scripts, "{executed:?}");
    for path in &executed {
        let target = fs::read_link(path).unwrap_or_else(|_| panic!("{} is raw", path.display()));
        assert!(target.starts_with(shims), "{} leads to {}", path.display(), target.display());
    }
}

/// Builds twice: the scripts run inside, cargo executes links to shims, and the second build runs nothing.
fn builds_inside(world: &World, engine: Engine, project: &Path, arguments: &[&str], scripts: usize) {
    let build = || {
        let mut command = world.sandbox(engine, project);
        // The flags that are tried here are not stable yet.
        command.arg("build").args(arguments).env("RUSTC_BOOTSTRAP", "1");
        run(&mut command).success("a build with build scripts")
    };
    let first = build();
    assert_eq!(first.stderr.matches("home /tmp/").count(), scripts, "scripts run inside:\n{}", first.stderr);
    assert_eq!(first.stderr.matches("source writable: false").count(), scripts, "{}", first.stderr);
    assert!(!project.join("planted").exists());

    let build_dir = world.status(engine, project).build_dir;
    let shims = build_dir.ancestors().nth(2).expect("a project directory").join("shims");
    are_shims(&build_dir, scripts, &shims);
    let second = build();
    assert!(!second.stderr.contains("Compiling"), "nothing is built again:\n{}", second.stderr);

    // The same by the wrapper alone, in the target directory.
    let build = || {
        let mut command = world.wrapped(engine, project);
        command.arg("build").args(arguments).env("RUSTC_BOOTSTRAP", "1");
        run(&mut command).success("a build with build scripts by the wrapper alone")
    };
    let first = build();
    assert_eq!(first.stderr.matches("home /tmp/").count(), scripts, "scripts run inside:\n{}", first.stderr);
    are_shims(&project.join("target"), scripts, &shims);
    let second = build();
    assert!(!second.stderr.contains("Compiling"), "nothing is built again:\n{}", second.stderr);
    world.stop(engine, project);
}

/// What cargo would execute: everything below `directory` whose name starts so, and is no dep-info.
fn executables_named(directory: &Path, start: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the build directory").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(executables_named(&path, start));
        } else if name.starts_with(start) && path.extension().is_none() && !is_fingerprint(&path) {
            found.push(path);
        }
    }
    found
}

/// Fingerprints are named after what they are of.
fn is_fingerprint(path: &Path) -> bool {
    path.components().any(|part| [".fingerprint", "fingerprint"].iter().any(|name| part.as_os_str() == *name))
}

#[test]
fn a_script_with_a_name_of_its_own() {
    each_engine("script-name", |world, engine| {
        let files = [("tools/my-build.rs", SCRIPT), ("src/lib.rs", LIBRARY)];
        let project = package(world, "build = \"tools/my-build.rs\"", &files);
        builds_inside(world, engine, &project, &[], 1);
    });
}

#[test]
fn several_scripts_of_one_package() {
    each_engine("script-several", |world, engine| {
        let manifest = "cargo-features = [\"multiple-build-scripts\"]\nbuild = [\"one.rs\", \"two.rs\"]";
        let files = [("one.rs", SCRIPT), ("two.rs", SCRIPT), ("src/lib.rs", "")];
        let project = package(world, manifest, &files);
        builds_inside(world, engine, &project, &[], 2);
    });
}

/// One argument that names all features is longer than the kernel takes: cargo writes a file instead, and with it the
/// crate's name leaves the command line.
fn many_features() -> String {
    let mut manifest = String::from("\n[features]\n");
    for number in 0..3000 {
        writeln!(manifest, "{}{number} = []", "a-feature-with-a-name-of-some-length-".repeat(2))
            .expect("a string");
    }
    manifest
}

#[test]
fn a_script_behind_an_argument_file() {
    each_engine("script-argfile", |world, engine| {
        let manifest = many_features();
        let project = package(world, &manifest, &[("build.rs", SCRIPT), ("src/lib.rs", LIBRARY)]);
        builds_inside(world, engine, &project, &[], 1);
    });
}

/// The attacker's success first: a wrapper that looks for build scripts among its arguments finds none, and cargo runs
/// what it compiled on the host.
#[test]
fn an_argument_file_hides_no_script() {
    each_engine("script-hidden", |world, engine| {
        let mark = world.home.join("was-here");
        let script = format!("fn main() {{ let _ = std::fs::write({:?}, \"\"); }}\n", mark);
        let files = [("build.rs", script.as_str()), ("src/lib.rs", "")];
        let project = package(world, &many_features(), &files);
        let seen = world.home.join("seen");
        let looks = world.home.join("looks");
        world
            .write(&looks, &format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> {}\nexec \"$@\"\n", seen.display()));
        fs::set_permissions(&looks, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
        let mut control = world.plain(&project);
        control.env("RUSTC_WRAPPER", &looks).env("CARGO_TARGET_DIR", world.home.join("plain"));
        run(control.arg("build")).success("control: cargo build");
        fs::remove_file(&mark).expect("control: the script runs on this machine");
        let seen = fs::read_to_string(&seen).expect("what the wrapper saw");
        assert!(seen.lines().any(|argument| argument.starts_with('@')), "control: {seen}");
        assert!(!seen.lines().any(|argument| argument == "build_script_build"), "control: {seen}");

        run(world.sandbox(engine, &project).arg("build")).success("cargo-sandbox build");
        assert!(!mark.exists(), "cargo-sandbox build");
        run(world.wrapped(engine, &project).arg("build")).success("cargo build with the wrapper");
        assert!(!mark.exists(), "with the wrapper alone");
        run(world.sandbox(engine, &project).args(["self", "setup", "--yes"])).success("self setup");
        world.write(&project.join("build.rs"), &(script.clone() + "// changed\n"));
        let built =
            run(world.plain_with(engine, &project).arg("build")).success("cargo build after self setup");
        assert!(built.stderr.contains("Compiling") && !mark.exists(), "after self setup: {}", built.stderr);
        world.stop(engine, &project);
    });
}

#[test]
fn scripts_in_the_build_directory_layout_to_come() {
    each_engine("script-layout", |world, engine| {
        let project = package(
            world,
            "",
            &[("build.rs", SCRIPT), ("src/lib.rs", LIBRARY), ("src/main.rs", "fn main() {}")],
        );
        builds_inside(world, engine, &project, &["-Zbuild-dir-new-layout"], 1);
        assert!(project.join("target/debug/package").is_file());
    });
}

#[test]
fn a_script_for_a_named_target() {
    each_engine("script-target", |world, engine| {
        let project = package(world, "", &[("build.rs", SCRIPT), ("src/lib.rs", LIBRARY)]);
        builds_inside(world, engine, &project, &["--target", "host-tuple"], 1);
    });
}
