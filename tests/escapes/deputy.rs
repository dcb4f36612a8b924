//! Having cargo, or what cargo starts, do on the host what a job may not do itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::support::run::{Output, run};
use super::way::Way;
use super::{ENGINE, find, in_each_way, package, scenes, worlds};

const SECRET: &str = "hidden-in-another-project";

fn says(output: &Output, what: &str) -> bool {
    output.stdout.contains(what) || output.stderr.contains(what)
}

#[test]
fn a_script_sets_no_variable_that_programs_of_the_host_obey() {
    let names = [
        "LD_LIBRARY_PATH",
        "GLIBC_TUNABLES",
        "GCONV_PATH",
        "BASH_ENV",
        "PATH",
        "CARGO_HOME",
        "CARGO_TARGET_X_RUNNER",
        "CARGO_SANDBOX_ENGINE",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTUP_TOOLCHAIN",
        "DOCKER_HOST",
    ];
    for world in worlds("variables") {
        let line = |name: &&str| format!("    println!(\"cargo::rustc-env={name}=/nonexistent\");\n");
        let project = package(&world, "setter", &names.iter().map(line).collect::<String>());
        let uses = names.map(|name| format!("const _: &str = env!({name:?});\n")).concat();
        world.write(&project.join("src/main.rs"), &format!("{uses}fn main() {{}}\n"));
        let mut plain = world.plain(&project);
        let checked = plain.arg("check").env("CARGO_TARGET_DIR", world.home.join("plain"));
        // By its path, since one of the variables is PATH.
        let checked = checked.env("RUSTC", world.toolchain.join("bin/rustc"));
        run(checked).success("control: cargo sets every one of them for the compiler");
        for name in names {
            let project = package(&world, "setter", &line(&name));
            let refused = |way: Way, output: Output| {
                assert_eq!(output.code(), 101, "{way}, {name}: {}", output.stderr);
                assert!(output.stderr.contains(&format!("sets `{name}`")), "{way}: {}", output.stderr);
            };
            // The filter is the same in each way: it is enough to see that each of them has it.
            if name == "PATH" {
                in_each_way(&world, ENGINE, &project, &["check"], refused);
            } else {
                refused(Way::Sandbox(ENGINE), run(world.sandbox(ENGINE, &project).arg("check")));
            }
        }
        world.stop(ENGINE, &project);
    }
}

/// A repository whose source is elsewhere: what it adds to its manifest, and its program.
type Naming = (&'static str, &'static str, &'static str);

const NAMING: &[Naming] = &[
    (
        "path-dependency",
        "[dependencies]\nother = { path = \"../other\" }\n",
        "fn main() { println!(\"{}\", other::SECRET) }\n",
    ),
    (
        "linked-dependency",
        "[dependencies]\nother = { path = \"linked\" }\n",
        "fn main() { println!(\"{}\", other::SECRET) }\n",
    ),
    ("included-text", "", "fn main() { println!(\"{}\", include_str!(\"../../other/secret.txt\")) }\n"),
    ("included-link", "", "fn main() { println!(\"{}\", include_str!(\"data.txt\")) }\n"),
    (
        "module-path",
        "",
        "#[path = \"../../other/src/lib.rs\"]\nmod other;\nfn main() { println!(\"{}\", other::SECRET) }\n",
    ),
    ("binary-path", "[[bin]]\nname = \"x\"\npath = \"../other/src/program.rs\"\n", ""),
    ("script-path", "build = \"../other/script.rs\"\n", "fn main() { println!(\"{}\", env!(\"FOUND\")) }\n"),
];

#[test]
fn a_repository_names_no_source_outside_of_it() {
    for (world, engine) in scenes("naming") {
        let other = world.work().join("other");
        world.write(&other.join("Cargo.toml"), "[package]\nname = \"other\"\nversion = \"0.1.0\"\n");
        world.write(&other.join("src/lib.rs"), &format!("pub const SECRET: &str = {SECRET:?};\n"));
        world.write(&other.join("src/program.rs"), &format!("fn main() {{ println!({SECRET:?}) }}\n"));
        world.write(
            &other.join("script.rs"),
            &format!("fn main() {{ println!(\"cargo::rustc-env=FOUND={SECRET}\") }}\n"),
        );
        world.write(&other.join("secret.txt"), SECRET);
        for (name, manifest, program) in NAMING {
            let project = world.work().join(name);
            // A build script is a key of the package.
            let (key, tables) = if manifest.starts_with("build") { (*manifest, "") } else { ("", *manifest) };
            let manifest = format!(
                "[package]\nname = \"naming\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{key}{tables}"
            );
            world.write(&project.join("Cargo.toml"), &manifest);
            if !program.is_empty() {
                world.write(&project.join("src/main.rs"), program);
            }
            let links = [("linked", other.clone()), ("src/data.txt", other.join("secret.txt"))];
            fs::create_dir_all(project.join("src")).expect("directory");
            for (link, leads_to) in links {
                symlink(leads_to, project.join(link)).expect("link");
            }
            world.write(&project.join("note"), "");
            let mut plain = world.plain(&project);
            let plain = run(plain.arg("run").env("CARGO_TARGET_DIR", world.home.join("plain")));
            assert!(says(&plain.success(name), SECRET), "control: {name}");
            let refused = |way: Way, output: Output| {
                assert_eq!(output.code(), 101, "{way}, {name}: {}", output.stderr);
                assert!(!says(&output, SECRET), "{way}, {name}: {}", output.stderr);
            };
            // Where a source comes from is judged before any engine is asked, by the same code in each way.
            if engine == ENGINE {
                in_each_way(&world, engine, &project, &["run"], refused);
            } else {
                refused(Way::Sandbox(engine), run(world.sandbox(engine, &project).arg("run")));
            }
            world.stop(engine, &project);
        }
    }
}

/// rustfmt reads what a module's path says, and shows what it would change there.
#[test]
fn the_formatter_shows_no_file_from_elsewhere() {
    for world in worlds("formatter") {
        world.write(&world.home.join("notes.rs"), &format!("const   KEY : &str = {SECRET:?};\n"));
        let project = package(&world, "shown", "");
        let path = world.home.join("notes.rs");
        let source = format!("#[path = {path:?}]\nmod notes;\n\nfn main() {{}}\n");
        world.write(&project.join("src/main.rs"), &source);
        let check = ["fmt", "--check"];
        assert!(says(&run(world.plain(&project).args(check)), SECRET), "control");
        let output = run(world.sandbox(ENGINE, &project).args(check));
        assert!(!says(&output, SECRET), "{}", output.stdout);
    }
}

/// cargo writes the value of a variable that a build script names into its own records.
#[test]
fn cargos_records_tell_no_program_what_is_in_its_environment() {
    let program = r#"
fn look(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        look(&entry.path());
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if let Some(at) = text.find("hidden") {
            println!("found {}", text[at..].chars().take(40).collect::<String>());
        }
    }
}

fn main() {
    let directory = std::env::args().nth(1).expect("an argument");
    for profile in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        look(&profile.path().join(".fingerprint"));
    }
}
"#;
    for (world, engine) in scenes("records") {
        let project = package(&world, "reader", "    println!(\"cargo::rerun-if-env-changed=HTTPS_PROXY\");");
        world.write(&project.join("src/main.rs"), program);
        let proxy = format!("http://me:{SECRET}@127.0.0.1:9");
        let target = world.home.join("plain");
        let mut plain = world.plain(&project);
        plain.arg("run").arg("--").arg(&target).env("CARGO_TARGET_DIR", &target).env("HTTPS_PROXY", &proxy);
        assert!(says(&run(&mut plain).success("cargo run"), &format!("found {SECRET}")), "control");
        let build_dir = world.status(engine, &project).build_dir;
        let mut command = world.sandbox(engine, &project);
        let output = run(command.arg("run").arg("--").arg(&build_dir).env("HTTPS_PROXY", &proxy));
        assert!(!says(&output.success("cargo-sandbox run"), SECRET));
        assert!(!find(&build_dir.join("debug/.fingerprint"), "run-build-script").is_empty(), "it is there");
        world.stop(engine, &project);
    }
}

/// `-wrapper` has gcc start every part of itself through a program of one's choice.
#[test]
fn a_linker_of_the_scripts_choice_runs_inside() {
    for (world, engine) in scenes("linker") {
        let marker = world.home.join("marker");
        let wrapper = format!("#!/bin/sh\necho here > '{}'\nexec \"$@\"\n", marker.display());
        let script = format!(
            "    use std::os::unix::fs::PermissionsExt;\n    let path = std::env::var(\"OUT_DIR\").unwrap() + \"/wrap\";\n    \
             std::fs::write(&path, {wrapper:?}).unwrap();\n    \
             std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();\n    \
             println!(\"cargo::rustc-link-arg=-wrapper\\ncargo::rustc-link-arg={{path}}\");"
        );
        let project = package(&world, "linked", &script);
        let mut plain = world.plain(&project);
        run(plain.arg("build").env("CARGO_TARGET_DIR", world.home.join("plain"))).success("cargo build");
        assert!(marker.exists(), "control: it runs on the host");
        fs::remove_file(&marker).expect("marker");
        run(world.sandbox(engine, &project).arg("build")).success("cargo-sandbox build");
        assert!(!marker.exists(), "it ran on the host");
        world.stop(engine, &project);
    }
}

/// A repository that brings its `target/`: cargo finds the build script fresh, and runs it.
#[test]
fn a_committed_build_script_is_not_executed() {
    for (world, engine) in scenes("committed") {
        for (file, stem) in [("build.rs", "build_script_build"), ("my_own.rs", "build_script_my_own")] {
            let name = stem.replace('_', "-");
            let project = package(&world, &name, "");
            if file != "build.rs" {
                fs::rename(project.join("build.rs"), project.join(file)).expect("rename");
                let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
                world.write(&project.join("Cargo.toml"), &format!("{manifest}build = {file:?}\n"));
            }
            run(world.plain(&project).arg("build")).success("cargo build");
            let marker = world.home.join(format!("marker-{name}"));
            let mut places = find(&project.join("target/debug/build"), stem);
            places.retain(|path| path.extension().is_none());
            assert_eq!(places.len(), 1, "{places:?}");
            fs::remove_file(&places[0]).expect("what cargo made");
            world.write(&places[0], &format!("#!/bin/sh\necho here > '{}'\n", marker.display()));
            fs::set_permissions(&places[0], fs::Permissions::from_mode(0o755)).expect("mode");
            let before = world.home.join(format!("as-cloned-{name}"));
            super::support::world::copy(&project, &before);

            world.write(&project.join("trigger"), "2");
            run(world.plain(&project).arg("build")).success("cargo build of what was cloned");
            assert!(marker.exists(), "control: cargo executes what was committed");
            fs::remove_file(&marker).expect("marker");

            // What lies in `target/` is looked at before any engine is asked, so one is enough for the other ways.
            let ways = [Way::Sandbox(engine), Way::Wrapper(engine), Way::SetUp(engine)];
            for way in ways.into_iter().take(if engine == ENGINE { 3 } else { 1 }) {
                super::support::world::remove(&project);
                world.copy(&before, &project);
                world.write(&project.join("trigger"), "2");
                let mut command = match way {
                    Way::Wrapper(_) => world.wrapped(engine, &project),
                    Way::SetUp(_) => {
                        run(world.sandbox(engine, &project).args(["self", "setup", "--yes"]))
                            .success("setup");
                        world.plain_with(engine, &project)
                    }
                    Way::Sandbox(_) | Way::Recorded(_) | Way::Plain => world.sandbox(engine, &project),
                };
                run(command.arg("build")).success(&way.to_string());
                assert!(!marker.exists(), "the host executed it, {way}");
            }
            world.stop(engine, &project);
        }
    }
}

/// Where a repository puts a link, whether to a directory, and the command that writes there.
const LINKS: &[(&str, bool, &[&str])] = &[
    ("Cargo.lock", false, &["build"]),
    ("target/.rustc_info.json", false, &["build"]),
    ("target/debug", true, &["build"]),
    ("target/debug/deps", true, &["build"]),
    ("target/debug/build", true, &["build"]),
    ("target/debug/.fingerprint", true, &["build"]),
    ("target/debug/incremental", true, &["build"]),
    ("target/doc", true, &["doc"]),
    ("target/package", true, &["package", "--no-verify", "--allow-dirty"]),
];

#[test]
fn cargo_writes_through_no_link_of_the_repositorys() {
    for (world, engine) in scenes("links") {
        for (number, (place, is_directory, command)) in LINKS.iter().enumerate() {
            let attempt = |what: &str| -> (PathBuf, PathBuf) {
                let project = package(&world, &format!("p{number}{what}"), "");
                let victim = world.home.join(format!("victim{number}{what}"));
                if *is_directory {
                    world.write(&victim.join("mine"), "");
                } else {
                    world.write(&victim, "");
                }
                world.write(&project.join("target/note"), "");
                let link = project.join(place);
                world.write(&link.with_file_name("note"), "");
                symlink(&victim, &link).expect("link");
                (project, victim)
            };
            let (project, victim) = attempt("plain");
            run(world.plain(&project).args(*command)).success(place);
            assert!(changed(&victim), "control: cargo does not write through {place}");
            let (project, victim) = attempt("sandbox");
            let output = run(world.sandbox(engine, &project).args(*command));
            assert!(!changed(&victim), "{place}: {}", output.stderr);
            if output.code() != 0 {
                let name = Path::new(place).file_name().expect("has a name").to_string_lossy();
                assert!(output.stderr.contains(&format!("{name}` ")), "{place}: {}", output.stderr);
            }
            world.stop(engine, &project);
        }
    }
}

/// Whether something was written to a file that was empty, or into a directory that held one file.
fn changed(victim: &Path) -> bool {
    match fs::read_dir(victim) {
        Ok(entries) => entries.count() != 1,
        Err(_) => fs::metadata(victim).is_ok_and(|file| file.len() > 0),
    }
}
