//! Forms of commands that take another way through cargo: each does what cargo's does.

use std::fs::DirEntry;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::support::run::{Output, run, run_with};
use super::support::world::World;
use super::{each_engine, package};

/// A package with an example, a profile of its own, and something to format.
fn project(world: &World) -> PathBuf {
    let project = package(world, "forms");
    let manifest = "[package]\nname = \"forms\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[profile.own]\n\
                    inherits = \"dev\"\nopt-level = 1\n\n[workspace]\n";
    world.write(&project.join("Cargo.toml"), manifest);
    world.write(&project.join("src/lib.rs"), "pub fn word() -> &'static str {\n    \"hello\"\n}\n");
    world.write(&project.join("src/main.rs"), "fn main() { println!(\"main {}\", forms::word()) }\n");
    world.write(
        &project.join("examples/shown.rs"),
        "fn main() {\n    println!(\"example {}\", forms::word());\n}\n",
    );
    project
}

/// The reasons and targets of cargo's JSON messages.
fn messages(output: &Output) -> Vec<String> {
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let mut all: Vec<_> = output
        .stdout
        .lines()
        .filter_map(parse)
        .map(|message| format!("{} {} {}", message["reason"], message["target"]["name"], message["fresh"]))
        .collect();
    all.sort();
    all
}

/// The object files below `target`: each part of a crate, with the number of its file's links.
fn objects(target: &Path) -> Vec<(String, u64)> {
    let files = std::fs::read_dir(target.join("debug/deps")).expect("deps").flatten();
    // `forms-<hash>.<part>.<build>.rcgu.o`
    let object = |file: DirEntry| {
        let name = file.file_name().to_string_lossy().into_owned();
        let (part, _build) = name.strip_suffix(".rcgu.o")?.rsplit_once('.')?;
        Some((part.to_owned(), file.metadata().expect("object").nlink()))
    };
    let mut objects: Vec<_> = files.filter_map(object).collect();
    objects.sort();
    objects
}

/// rustc copies what it cannot link, which takes time for each object of each incremental build, and says nothing of it.
#[test]
fn what_an_incremental_build_has_already_is_linked_and_not_copied() {
    each_engine("incremental", |world, engine| {
        let project = project(world);
        let target = world.home.join("plain");
        let in_parts = [("CARGO_INCREMENTAL", "1"), ("CARGO_PROFILE_DEV_CODEGEN_UNITS", "16")];
        for word in ["main", "changed"] {
            let main = format!(
                "mod same {{ pub fn say() {{ println!(\"same\") }} }}\n\
                 mod other {{ pub fn say() {{ println!(\"{word}\") }} }}\n\
                 fn main() {{ same::say(); other::say() }}\n"
            );
            world.write(&project.join("src/main.rs"), &main);
            let build = ["rustc", "--bin", "forms", "--", "-Csave-temps"];
            let mut plain = world.plain(&project);
            run(plain.args(build).envs(in_parts).env("CARGO_TARGET_DIR", &target)).success("cargo rustc");
            run(world.sandbox(engine, &project).args(build).envs(in_parts)).success("rustc");
        }
        let expected = objects(&target);
        // What was compiled again, or is new, is linked once: with the incremental directory's.
        assert!(
            expected.iter().any(|(_, links)| *links > 2),
            "control: cargo's compiler links: {expected:?}"
        );
        assert_eq!(objects(&world.status(engine, &project).build_dir), expected, "{engine}");
    });
}

#[test]
fn each_form_does_what_cargos_does() {
    each_engine("forms", |world, engine| {
        let project = project(world);
        let host = host(world);
        let plain_target = world.home.join("plain");
        let target = project.join("target");
        for line in [
            "fmt --check",
            "run --example shown",
            "build --examples",
            &format!("build --target {host}"),
            "build --profile own",
            "run --profile own --bin forms",
            "build --timings",
            "check --message-format json",
            "build --message-format json-render-diagnostics",
            "build --message-format=json-diagnostic-rendered-ansi,json-diagnostic-short",
            "check --message-format short",
            "test --no-run --message-format json",
            "fmt",
            "fmt --check",
        ] {
            let words: Vec<_> = line.split(' ').collect();
            // It changes the sources, which are the same for both.
            let source = std::fs::read_to_string(project.join("src/main.rs")).expect("source");
            let plain = run(world.plain(&project).args(&words).env("CARGO_TARGET_DIR", &plain_target));
            world.write(&project.join("src/main.rs"), &source);
            let output = run(world.sandbox(engine, &project).args(&words));
            assert_eq!(output.code(), plain.code(), "{line}:\n{}\n{}", plain.stderr, output.stderr);
            if line.contains("json") {
                assert_eq!(messages(&output), messages(&plain), "{line}");
                assert!(!messages(&output).is_empty(), "{line}");
            } else {
                assert_eq!(output.stdout, plain.stdout, "{line}");
            }
        }
        for made in ["debug/examples/shown", "own/forms", "cargo-timings/cargo-timing.html"] {
            assert!(target.join(made).is_file() && plain_target.join(made).is_file(), "{made}");
        }
        assert!(target.join(&host).join("debug/forms").is_file());
        let same = |name: &str| {
            std::fs::read(target.join(name)).expect(name)
                == std::fs::read(plain_target.join(name)).expect(name)
        };
        assert!(same("own/forms") && same("debug/examples/shown"), "not cargo's bytes");
        world.stop(engine, &project);
    });
}

/// What goes through the pipes of `run`, both ways, is all there: more than any buffer on the way holds.
#[test]
fn much_goes_through_a_programs_pipes_without_loss() {
    let program = "use std::io::{BufRead as _, Write as _};\n\nfn main() {\n    let (mut out, mut err) = \
                   (std::io::stdout().lock(), std::io::stderr().lock());\n    for line in std::io::stdin().lock().lines() \
                   {\n        let line = line.unwrap();\n        writeln!(out, \"out {line}\").unwrap();\n        \
                   writeln!(err, \"err {line}\").unwrap();\n    }\n    std::process::exit(7);\n}\n";
    let input: String = (0..400_000).map(|number| format!("line {number} of many\n")).collect();
    each_engine("much", |world, engine| {
        let project = package(world, "much");
        world.write(&project.join("src/main.rs"), program);
        let words = ["run", "--quiet"];
        let mut plain = world.plain(&project);
        let plain =
            run_with(plain.args(words).env("CARGO_TARGET_DIR", world.home.join("plain")), Some(&input));
        let output = run_with(world.sandbox(engine, &project).args(words), Some(&input));
        assert_eq!((output.code(), plain.code()), (7, 7));
        assert_eq!(output.stdout.lines().count(), 400_000);
        assert!(output.stdout == plain.stdout && output.stderr == plain.stderr, "not all came through");
        world.stop(engine, &project);
    });
}

fn host(world: &World) -> String {
    let output = run(world.command(world.toolchain.join("bin/rustc")).arg("-vV")).success("rustc -vV").stdout;
    output.lines().find_map(|line| line.strip_prefix("host: ")).expect("host").to_owned()
}

/// What only a nightly cargo takes; only where one is installed beside the toolchain that runs the tests.
#[test]
fn unstable_options_do_what_a_nightly_cargo_does() {
    let Some((rustup_home, name)) = nightly() else {
        super::support::note("skipped: no nightly toolchain is installed beside the one that runs the tests");
        return;
    };
    let user = super::support::world::User::me();
    let Some(world) = super::need(World::new("nightly", &user)) else { return };
    let project = project(&world);
    let host = host(&world);
    let cargo = rustup_home.join("toolchains").join(&name).join("bin/cargo");
    for line in [
        "build -Zunstable-options --artifact-dir out",
        "check -Zno-index-update --message-format json",
        // Without the library's sources an error, and the same one.
        &format!("build -Zbuild-std=core --target {host}"),
        "fix -Zunstable-options --allow-no-vcs --lib",
        "package --allow-dirty",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let mut plain = world.command(&cargo);
        let path = format!("{}:/usr/bin:/bin", cargo.parent().expect("bin").display());
        plain.env("PATH", path).env("CARGO_TARGET_DIR", world.home.join("plain")).current_dir(&project);
        let plain = run(plain.args(&words));
        let mut command = world.sandbox(super::Engine::Native, &project);
        let output = run(command.env("RUSTUP_HOME", &rustup_home).arg(format!("+{name}")).args(&words));
        assert_eq!(output.code(), plain.code(), "{line}:\n{}\n{}", plain.stderr, output.stderr);
        assert_eq!(messages(&output), messages(&plain), "{line}");
    }
    assert!(project.join("out/forms").is_file());
    world.stop(super::Engine::Native, &project);
}

/// The rustup home of the toolchain that runs the tests, and the name of a nightly in it.
fn nightly() -> Option<(PathBuf, String)> {
    let own = PathBuf::from(std::env::var_os("CARGO")?).canonicalize().ok()?;
    // <rustup home>/toolchains/<name>/bin/cargo
    let home = own.ancestors().nth(4)?;
    let toolchains = std::fs::read_dir(home.join("toolchains")).ok()?.flatten();
    let mut names = toolchains.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Some((home.to_owned(), names.find(|name| name.starts_with("nightly"))?))
}
