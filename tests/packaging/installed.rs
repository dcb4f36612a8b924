//! The Debian package, installed below a directory with a database of its own, used, and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::release::releases;
use super::support::image::HostImage;
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::{User, World, docker_group, ordinary, remove};
use super::support::{need, program};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello-native");
const GREETING: &str = "HELLO FROM A BUILD SCRIPT (crc32 14d8cd02)\n";

/// dpkg for a root directory of its own: this machine's database is not touched.
fn dpkg(root: &Path, arguments: &[&Path]) {
    let mut command = Command::new("dpkg");
    command
        .arg(format!("--root={}", root.display()))
        .arg(format!("--log={}", root.join("var/log/dpkg.log").display()));
    let output = run(command.args(arguments)).success("dpkg");
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
}

#[test]
fn the_debian_package_is_installed_works_and_is_removed() {
    let Some([one, _]) = releases() else { return };
    if need(User::root()).is_none() || need(program("dpkg")).is_none() {
        return;
    }
    let Some(world) = ordinary("packaging") else { return };
    let root = one.checkout.with_file_name("root");
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(directory)).expect("directory");
    }
    fs::create_dir_all(root.join("var/log")).expect("directory");
    fs::write(root.join("var/lib/dpkg/status"), "").expect("database");

    dpkg(&root, &[Path::new("--install"), &one.file(".deb")]);
    completes(&world, &root.join("usr/share"));
    let Some(man) = need(program("man")) else { return };
    let mut page = world.command(man);
    page.arg("-M")
        .arg(root.join("usr/share/man"))
        .arg("cargo-sandbox")
        .env("MANPAGER", "cat")
        .env("MANWIDTH", "100");
    let page = run(&mut page).success("man");
    assert!(page.stdout.contains("--sandbox-read"), "{}", page.stdout);
    for file in [
        "copyright",
        "LICENSE-APACHE",
        "README.md",
        "docs/policy.md",
        "changelog.Debian.gz",
        "cargo-sandbox.cdx.json",
    ] {
        assert!(root.join("usr/share/doc/cargo-sandbox").join(file).is_file(), "{file}");
    }
    for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
        builds_the_example(&world, &root.join("usr/bin/cargo-sandbox"), engine);
    }

    dpkg(&root, &[Path::new("--purge"), Path::new("cargo-sandbox")]);
    let left: Vec<_> =
        fs::read_dir(&root).expect("root").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(left, ["var"], "removing leaves something");
    let info = fs::read_dir(root.join("var/lib/dpkg/info"))
        .expect("info")
        .map(|entry| entry.expect("entry").file_name());
    assert!(info.into_iter().all(|name| !name.to_string_lossy().starts_with("cargo-sandbox")));
    remove(&root);
}

/// What the shells find by their own ways of looking.
fn completes(world: &World, share: &Path) {
    let (Some(bash), Some(zsh), Some(fish)) =
        (need(program("bash")), need(program("zsh")), need(program("fish")))
    else {
        return;
    };
    let says = |command: &mut Command, word: &str| {
        let output = run(command).success(word);
        let said = output.stdout.split_whitespace().any(|said| said == word);
        assert!(said, "{word}: {} {}", output.stdout, output.stderr);
    };
    let press = "source \"$1\"; COMP_WORDS=(cargo-sandbox buil); COMP_CWORD=1; f=$(complete -p cargo-sandbox); f=${f#*-F }; \
                 \"${f%% *}\" cargo-sandbox buil cargo-sandbox; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let script = share.join("bash-completion/completions/cargo-sandbox");
    says(world.command(bash).args(["--norc", "-c", press, "bash"]).arg(script), "build");
    let load = "fpath=($1 $fpath); autoload -U compinit; compinit -u -D; echo $_comps[cargo-sandbox]";
    says(
        world.command(zsh).args(["-f", "-c", load, "zsh"]).arg(share.join("zsh/vendor-completions")),
        "_cargo-sandbox",
    );
    // It looks for the completions of programs that it finds.
    let ask = "set --prepend PATH $argv[1]; complete --do-complete 'cargo-sandbox buil'";
    let bin = share.with_file_name("bin");
    says(world.command(fish).args(["-c", ask]).arg(bin).env("XDG_DATA_DIRS", share), "build");
}

/// The front end finds its wrapper beside itself, and the agent, the same executable, starts in a container.
fn builds_the_example(world: &World, front_end: &Path, engine: Engine) {
    let project = world.work().join(format!("example-{engine}"));
    world.copy(Path::new(EXAMPLE), &project);
    let groups: Vec<u32> = docker_group().into_iter().filter(|_| engine == Engine::Docker).collect();
    let command = |words: &[&str]| {
        let mut command = world.command_with_groups(front_end, &groups);
        command.args(["--engine", &engine.to_string()]).args(words).current_dir(&project);
        run(&mut command).success("cargo-sandbox")
    };
    assert_eq!(command(&["run", "--quiet"]).stdout, GREETING);
    command(&["self", "stop"]);
}

/// An image that has nothing for it: neither loader nor libraries are shown beside a static agent.
#[test]
fn the_static_agent_starts_in_another_image() {
    let Some([one, _]) = releases() else { return };
    let (Some(world), Some(_)) = (ordinary("packaging-image"), need(Engine::Docker.here())) else { return };
    let Some(image) = HostImage::new(&world, "packaging") else { return };
    let project = world.work().join("p");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    world.write(&project.join("src/lib.rs"), "pub fn f() {}\n");
    let front_end: PathBuf = one.unpacked().join("bin/cargo-sandbox");
    let groups: Vec<u32> = docker_group().into_iter().collect();
    for words in [&["check"][..], &["self", "stop"]] {
        let mut command = world.command_with_groups(&front_end, &groups);
        command
            .args(["--engine", "docker", "--sandbox-image", &image.name])
            .args(words)
            .current_dir(&project);
        run(&mut command).success("cargo-sandbox");
    }
}
