//! `install` and what belongs to it.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::run::run;
use super::support::tree;
use super::support::world::World;
use super::{each_engine, fails};

/// A repository with two programs.
fn repository(world: &World) -> PathBuf {
    let repository = world.home.join("repository");
    world.write(&repository.join("README.md"), "");
    for package in ["first", "second"] {
        let manifest = format!(
            "[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[profile.dev]\nopt-level = 0\n"
        );
        let directory = repository.join(package);
        world.write(&directory.join("Cargo.toml"), &manifest);
        world.write(&directory.join("build.rs"), "fn main() { println!(\"cargo:rustc-env=WORD=hello\") }\n");
        let source = format!("fn main() {{ println!(\"{{}} {package}\", env!(\"WORD\")) }}\n");
        world.write(&directory.join("src/main.rs"), &source);
    }
    world.commit(&repository);
    repository
}

fn bytes(root: &Path) -> std::collections::BTreeMap<PathBuf, tree::Entry> {
    tree::read(root, &|_| true)
}

#[test]
fn programs_from_git_and_from_a_path_are_cargos_own() {
    each_engine("install", |world, engine| {
        let repository = repository(world);
        let url = format!("file://{}", repository.display());
        let path = repository.join("first");
        let path = path.to_str().expect("utf-8");
        let (plain, here) = (world.home.join("plain"), world.home.join("here"));
        let lines: [&[&str]; 4] = [
            &["install", "--git", &url, "first", "second"],
            &["install", "--git", &url, "first", "--force", "--debug"],
            &["install", "--path", path, "--force", "--locked", "--root", "ROOT"],
            &["install", "--git", &url, "second"],
        ];
        for words in lines {
            let words = |root: &Path| -> Vec<String> {
                words.iter().map(|word| word.replace("ROOT", root.to_str().expect("utf-8"))).collect()
            };
            let mut reference = world.plain(&world.work());
            let reference = run(reference.args(words(&plain)).env("CARGO_INSTALL_ROOT", &plain));
            let mut command = world.sandbox(engine, &world.work());
            let output = run(command.args(words(&here)).env("CARGO_INSTALL_ROOT", &here));
            assert_eq!(output.code(), reference.code(), "{}\n{}", reference.stderr, output.stderr);
            assert!(bytes(&here) == bytes(&plain), "{:?}: {}", words(&here), output.stderr);
            // A path's build has directories of its own, which hold another tool's.
            let _absent = fs::remove_dir_all(repository.join("first/target"));
        }
        let list = |root: &Path| {
            let mut command = world.sandbox(engine, &world.work());
            run(command.args(["install", "--list", "--root"]).arg(root)).success("install --list").stdout
        };
        assert!(list(&here).contains("first v0.1.0") && list(&here).contains("second v0.1.0"));
        run(world.sandbox(engine, &world.work()).args(["uninstall", "first", "--root"]).arg(&here))
            .success("uninstall");
        assert!(!here.join("bin/first").exists() && here.join("bin/second").exists());
        // The user's own directory.
        run(world.sandbox(engine, &world.work()).args(["install", "--git", &url, "second"]))
            .success("install");
        let program = world.home.join(".cargo/bin/second");
        assert_eq!(run(&mut world.command(program)).success("second").stdout, "hello second\n");
    });
}

#[test]
fn one_that_fails_keeps_no_other_from_being_installed() {
    each_engine("install-several", |world, engine| {
        let repository = repository(world);
        let url = format!("file://{}", repository.display());
        let mut command = world.sandbox(engine, &world.work());
        let words =
            ["Summary Successfully installed second! Failed to install missing", "some crates failed"];
        fails(command.args(["install", "--git", &url, "missing", "second"]), &words);
        assert!(world.home.join(".cargo/bin/second").is_file());
        fails(world.sandbox(engine, &world.work()).arg("install"), &["could not find `Cargo.toml`"]);
    });
}
