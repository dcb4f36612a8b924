//! Native dependencies from Nix and riff (`native.provider`): real expressions and the real nix, without a network.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod daemon;
mod mistakes;
mod nix;
mod riff;

use std::fs;
use std::path::{Path, PathBuf};

use support::run::{Output, run};
use support::tool::Engine;
use support::world::{User, World};
use support::{need, program};

/// Worlds of an ordinary user with each engine, and of root with one.
fn worlds(name: &str) -> Vec<(World, Engine)> {
    if need(program("nix")).is_none() || need(program("pkg-config")).is_none() {
        return Vec::new();
    }
    let all = [
        (User::ordinary(), Engine::Native),
        (User::ordinary(), Engine::Docker),
        (User::root(), Engine::Native),
    ];
    let world = |(user, engine): (Result<User, String>, Engine)| {
        let engine = need(engine.here())?;
        let user = need(user)?;
        Some((need(World::new(&format!("{name}-{engine}"), &user))?, engine))
    };
    all.into_iter().filter_map(world).collect()
}

/// A world of an ordinary user with the native engine.
fn world(name: &str) -> Option<World> {
    need(program("nix"))?;
    support::world::ordinary(name)
}

/// A C library, with what pkg-config reads of it, made by the shell and the C compiler of this machine: a derivation that
/// needs nothing of nixpkgs.
const LIBRARY: &str = r#"
  library = derivation {
    name = "answer-1.0";
    system = "x86_64-linux";
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-e" "-c" ''
      mkdir -p $out/lib/pkgconfig $out/bin
      printf 'int answer(void) { return 42; }\n' > answer.c
      cc -c answer.c -o answer.o
      ar rcs $out/lib/libanswer.a answer.o
      printf 'Name: answer\nVersion: 1.0\nDescription: a number\nLibs: -L%s/lib -lanswer\n' $out > $out/lib/pkgconfig/answer.pc
      printf '#!/bin/sh\necho from-the-store\n' > $out/bin/answer-config
      chmod 755 $out/bin/answer-config
    '' ];
  };
"#;

/// An environment with the library; `more` are attributes of it, which are its variables.
fn shell(more: &str) -> String {
    format!(
        "let{LIBRARY}in derivation {{\n  name = \"shell\";\n  system = \"x86_64-linux\";\n  builder = \"/bin/bash\";\n  outputs = [ \"out\" ];\n  \
         PATH = \"${{library}}/bin:/usr/bin:/bin\";\n  PKG_CONFIG_PATH = \"${{library}}/lib/pkgconfig\";\n  \
         GREETING = \"hello\";\n{more}\n}}\n"
    )
}

/// A crate that needs the library: its build script asks pkg-config and a program for it.
fn project(world: &World) -> PathBuf {
    let project = world.work().join("app");
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    world.write(&project.join("Cargo.toml"), manifest);
    let script = r#"
use std::process::Command;

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    for word in output("pkg-config", &["--libs", "answer"]).split_whitespace() {
        match word.split_at(2) {
            ("-L", path) => println!("cargo::rustc-link-search=native={path}"),
            ("-l", name) => println!("cargo::rustc-link-lib=static={name}"),
            _ => panic!("{word}"),
        }
    }
    println!("cargo::rustc-env=CONFIG={}", output("answer-config", &[]).trim());
}
"#;
    world.write(&project.join("build.rs"), script);
    let main = r#"
unsafe extern "C" {
    safe fn answer() -> i32;
}

fn main() {
    let variable = |name| std::env::var(name).unwrap_or("nothing".into());
    println!("{} {} {} {}", answer(), env!("CONFIG"), variable("GREETING"), variable("LD_PRELOAD"));
}
"#;
    world.write(&project.join("src/main.rs"), main);
    project
}

/// Has the user want a provider in every project.
fn wants(world: &World, provider: &str) {
    let text = format!("[native]\nprovider = \"{provider}\"\n");
    world.write(&world.home.join(".config/cargo-sandbox/config.toml"), &text);
}

fn cargo(world: &World, engine: Engine, project: &Path, words: &[&str]) -> Output {
    run(world.sandbox(engine, project).args(words))
}

/// What the program of [`project`] says.
const SAYS: &str = "42 from-the-store hello nothing\n";

/// The stores of projects' own in a world.
fn stores(world: &World) -> Vec<PathBuf> {
    let projects = fs::read_dir(world.state().join("projects")).into_iter().flatten().flatten();
    projects.map(|entry| entry.path().join("provider/root/store")).filter(|path| path.is_dir()).collect()
}
