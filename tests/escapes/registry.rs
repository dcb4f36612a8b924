//! The hostile crates where cargo finds them: a registry with packed crates, which cargo unpacks into its own
//! directory, a git repository, and a vendored directory in the project.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::lab::write;
use super::support::run::run;
use super::support::world::{World, copy, remove};

const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/escapes/crates");

/// Packages of the registry, with what they depend on: name and kind.
const PUBLISHED: &[(&str, &[(&str, &str)])] = &[
    ("victim", &[]),
    ("attacks", &[("victim", "normal")]),
    ("evil-build", &[("attacks", "build")]),
    ("evil-macro", &[("attacks", "normal")]),
    ("evil-user", &[("evil-macro", "normal"), ("evil-macro", "build"), ("attacks", "build")]),
];

const INDEX: &str = "sparse+https://second.invalid/index/";

/// Puts the project there, with its configuration and vendored packages, and the user's own configuration.
pub fn install(world: &World, project: &Path, secret: &str) {
    let crates = Path::new(CRATES);
    for entry in fs::read_dir(crates.join("app")).expect("the project").flatten() {
        run(Command::new("cp").arg("--recursive").arg(entry.path()).arg(project)).success("cp");
    }
    // In the project, or cargo could not read it.
    let repository = project.join("repository");
    commit(world, &crates.join("evil-git"), &repository);
    let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
    let url = format!("file://{}", repository.display());
    let manifest = manifest.replace("file:///repository", &url);
    let tail = "[workspace]\n[profile.dev]\ndebug = false\nincremental = true\n[profile.dev.build-override]\ndebug = false\n";
    write(&project.join("Cargo.toml"), &format!("# {secret}\n{manifest}\n{tail}"));
    let vendored = format!(
        "[registries.second]\nindex = {INDEX:?}\n[source.second]\nregistry = {INDEX:?}\nreplace-with = \"vendored\"\n\
         [source.vendored]\ndirectory = \"vendor\"\n"
    );
    write(&project.join(".cargo/config.toml"), &vendored);
    copy(&crates.join("evil-vendored"), &project.join("vendor/evil-vendored"));
    let bystander = project.join("vendor/bystander");
    write(
        &bystander.join("Cargo.toml"),
        "[package]\nname = \"bystander\"\nversion = \"1.0.0\"\nedition = \"2024\"\n",
    );
    for name in ["evil-vendored", "bystander"] {
        write(&project.join(format!("vendor/{name}/.cargo-checksum.json")), "{\"files\":{}}");
    }
    let local = format!(
        "[source.crates-io]\nreplace-with = \"local\"\n[source.local]\nlocal-registry = {:?}\n",
        project.join("registry")
    );
    write(&world.home.join(".cargo/config.toml"), &local);
}

/// A repository with one package.
fn commit(world: &World, from: &Path, to: &Path) {
    remove(to);
    copy(from, to);
    world.write(&to.join("note"), "");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        run(world.command("/usr/bin/git").args(identity).args(arguments).current_dir(to)).success("git");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "first"]);
}

/// Packs the crates, with `lab` as what the attacks know.
pub fn publish(world: &World, project: &Path, lab: &str) {
    let registry = project.join("registry");
    let work = world.home.join("packages");
    for (name, dependencies) in PUBLISHED {
        let directory = work.join(format!("{name}-1.0.0"));
        copy(&Path::new(CRATES).join(name), &directory);
        if *name == "attacks" {
            write(&directory.join("src/lab.rs"), lab);
        }
        let packed = registry.join(format!("{name}-1.0.0.crate"));
        fs::create_dir_all(&registry).expect("registry");
        let mut tar = Command::new("tar");
        tar.arg("--directory").arg(&work).arg("--gzip").arg("--create").arg("--file").arg(&packed);
        run(tar.arg(format!("{name}-1.0.0"))).success("tar");
        let sum = run(Command::new("sha256sum").arg(&packed)).success("sha256sum").stdout;
        let list = dependencies.iter().map(|(name, kind)| {
            format!(
                r#"{{"name":"{name}","req":"^1","features":[],"optional":false,"default_features":true,"target":null,"kind":"{kind}"}}"#
            )
        });
        let line = format!(
            r#"{{"name":"{name}","vers":"1.0.0","deps":[{}],"cksum":"{}","features":{{}},"yanked":false}}"#,
            list.collect::<Vec<_>>().join(","),
            sum.split_whitespace().next().expect("a sum")
        );
        let index = registry.join("index").join(&name[..2]).join(&name[2..4]).join(name);
        write(&index, &format!("{line}\n"));
    }
    fs::remove_dir_all(&work).expect("packages");
    world.write(&registry.join("ready"), "");
}
