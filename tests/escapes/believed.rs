//! What a repository has cargo believe, so that it starts programs in another way than the one that leads inside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::support::run::run;
use super::support::world::World;
use super::{package, scenes};

/// Needs no standard library, so that it can be built for a target that is not installed. Its exit code is the
/// descriptor of the file that it made, or 255.
const PROGRAM: &str = r#"
#![feature(no_core, lang_items)]
#![allow(internal_features)]
#![no_core]
#![no_main]
#[lang = "pointee_sized"]
trait PointeeSized {}
#[lang = "meta_sized"]
trait MetaSized: PointeeSized {}
#[lang = "sized"]
trait Sized: MetaSized {}
#[lang = "copy"]
trait Copy {}
#[link(name = "c")]
unsafe extern "C" {
    fn creat(path: *const u8, mode: u32) -> i32;
}
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    unsafe { creat(b"MARK\0" as *const u8, 384) }
}
"#;

/// Any other target whose programs this machine can run.
const OTHER: &str = "x86_64-unknown-linux-musl";

const MADE: i32 = 3;
const NOTHING_MADE: i32 = 255;

/// A confinement that names the runner of the host's own target only: what it is asked to run it does not run.
fn runner(world: &World) -> String {
    let path = world.home.join("runner");
    world.write(&path, "#!/bin/sh\nexit 42\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    format!("target.{}-unknown-linux-gnu.runner = \"{}\"", std::env::consts::ARCH, path.display())
}

fn project(world: &World, name: &str, mark: &Path) -> PathBuf {
    let project = package(world, name, "");
    let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
    let abort = format!("{manifest}\n[workspace]\n[profile.dev]\npanic = \"abort\"\n");
    world.write(&project.join("Cargo.toml"), &abort);
    world.write(&project.join("src/main.rs"), &PROGRAM.replace("MARK", mark.to_str().expect("UTF-8")));
    project
}

#[test]
fn another_target_has_a_runner_as_well() {
    for (world, engine) in scenes("other-target") {
        let mark = world.home.join("mark");
        let project = project(&world, "elsewhere", &mark);
        let runner = runner(&world);
        let plain = |words: &[&str]| {
            let mut command = world.plain(&project);
            command.arg("run").args(words).env("RUSTC_BOOTSTRAP", "1");
            run(command.env("CARGO_TARGET_DIR", world.home.join("plain")))
        };
        assert_eq!(plain(&["--config", &runner]).code(), 42, "control: the runner is in between");
        let configuration = format!(
            "[build]\ntarget = \"{OTHER}\"\nrustflags = [\"-Clink-self-contained=no\", \"-Clinker=cc\", \
             \"-Ctarget-feature=-crt-static\"]\n"
        );
        world.write(&project.join(".cargo/config.toml"), &configuration);
        let output = plain(&["--config", &runner]);
        assert_eq!(output.code(), MADE, "control: it is no more: {}", output.stderr);
        fs::remove_file(&mark).expect("control: the program makes a file");

        let mut command = world.sandbox(engine, &project);
        let output = run(command.arg("run").env("RUSTC_BOOTSTRAP", "1"));
        assert_eq!(output.code(), NOTHING_MADE, "{}", output.stderr);
        assert!(!mark.exists());
        run(world.sandbox(engine, &project).args(["self", "setup", "--yes"])).success("self setup");
        let mut command = world.plain_with(engine, &project);
        let output = run(command.arg("run").env("RUSTC_BOOTSTRAP", "1"));
        assert_eq!(output.code(), NOTHING_MADE, "after self setup: {}", output.stderr);
        assert!(!mark.exists());
        world.stop(engine, &project);
    }
}

/// cargo asks the compiler once, and believes its own record of the answers afterwards: of another host's triple, too.
#[test]
fn a_forged_record_of_the_compilers_answers_is_not_believed() {
    for (world, engine) in scenes("forged-answers") {
        let mark = world.home.join("mark");
        let project = project(&world, "believer", &mark);
        let runner = runner(&world);
        let plain = || {
            let mut command = world.plain(&project);
            run(command.args(["run", "--config", &runner]).env("RUSTC_BOOTSTRAP", "1"))
        };
        assert_eq!(plain().code(), 42, "control: the runner is in between");
        let record = project.join("target/.rustc_info.json");
        let text = fs::read_to_string(&record).expect("cargo's record");
        let own = format!("host: {}-unknown-linux-gnu", std::env::consts::ARCH);
        assert!(text.contains(&own), "{text}");
        world.write(&record, &text.replace(&own, &format!("host: {OTHER}")));
        let output = plain();
        assert_eq!(output.code(), MADE, "control: cargo believes it: {}", output.stderr);
        fs::remove_file(&mark).expect("control: the program makes a file");

        let build_dir = world.status(engine, &project).build_dir;
        for own in [false, true] {
            if own {
                // No job could have put it there.
                world.copy(&record, &build_dir.join(".rustc_info.json"));
            }
            let mut command = world.sandbox(engine, &project);
            let output = run(command.arg("run").env("RUSTC_BOOTSTRAP", "1"));
            assert_eq!(output.code(), NOTHING_MADE, "{}", output.stderr);
            assert!(!mark.exists());
        }
        world.stop(engine, &project);
    }
}
