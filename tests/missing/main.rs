//! What is not installed is named, with what to install: real crates in containers that lack something.

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::debian::Image;
use support::need;
use support::run::run;
use support::tool::Engine;
use support::world::{User, World};

/// A package that needs something, and the image that has not got it.
struct Case {
    name: &'static str,
    image: Lacks,
    build_dependencies: &'static str,
    script: &'static str,
    source: &'static str,
    /// What is to be said.
    advice: &'static str,
    debian: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lacks {
    /// Everything but the C library and a shell.
    Compiler,
    /// Everything but a C compiler.
    Tools,
    /// Everything but a C compiler and pkg-config.
    Libraries,
}

const NOTHING: &str = "";

const CASES: &[Case] = &[
    Case {
        name: "linker",
        image: Lacks::Compiler,
        build_dependencies: NOTHING,
        script: NOTHING,
        source: "fn main() {}\n",
        advice: "`cc` is not in the image",
        debian: "build-essential",
    },
    Case {
        name: "cplusplus",
        image: Lacks::Tools,
        build_dependencies: "cc = \"1\"",
        script: "fs::write(out.join(\"x.cc\"), \"int x;\").unwrap(); cc::Build::new().cpp(true).file(out.join(\"x.cc\")).compile(\"x\");",
        source: "fn main() {}\n",
        advice: "`c++` is not in the image",
        debian: "g++",
    },
    Case {
        name: "cmake-program",
        image: Lacks::Tools,
        build_dependencies: "cmake = \"0.1\"",
        script: "cmake::build(\".\");",
        source: "fn main() {}\n",
        advice: "`cmake` is not in the image",
        debian: "cmake",
    },
    Case {
        name: "pkg-config-program",
        image: Lacks::Tools,
        build_dependencies: "alsa-sys = \"0.3\"",
        script: NOTHING,
        source: "fn main() {}\n",
        advice: "`pkg-config` is not in the image",
        debian: "pkg-config",
    },
    Case {
        name: "alsa",
        image: Lacks::Libraries,
        build_dependencies: "alsa-sys = \"0.3\"",
        script: NOTHING,
        source: "fn main() {}\n",
        advice: "the library `alsa` (its file `alsa.pc`) is not in the image",
        debian: "libasound2-dev",
    },
    Case {
        name: "openssl",
        image: Lacks::Libraries,
        build_dependencies: "openssl-sys = \"0.9\"",
        script: NOTHING,
        source: "fn main() {}\n",
        advice: "the library `openssl` (its file `openssl.pc`) is not in the image",
        debian: "libssl-dev",
    },
    Case {
        name: "protoc",
        image: Lacks::Tools,
        build_dependencies: "prost-build = { version = \"0.13\", default-features = false }",
        script: "fs::write(out.join(\"x.proto\"), \"syntax = \\\"proto3\\\";\").unwrap(); \
                 prost_build::compile_protos(&[out.join(\"x.proto\")], &[&out]).unwrap();",
        source: "fn main() {}\n",
        advice: "`protoc` is not in the image",
        debian: "protobuf-compiler",
    },
    Case {
        name: "libclang",
        image: Lacks::Tools,
        build_dependencies: "clang-sys = { version = \"1\", features = [\"runtime\"] }",
        script: "clang_sys::load().unwrap();",
        source: "fn main() {}\n",
        advice: "the library `clang` is not in the image",
        debian: "libclang-dev",
    },
    Case {
        name: "python",
        image: Lacks::Tools,
        build_dependencies: "pyo3-build-config = { version = \"0.25\", features = [\"resolve-config\"] }",
        script: "pyo3_build_config::get();",
        source: "fn main() {}\n",
        advice: "`python3` is not in the image",
        debian: "python3-dev",
    },
    Case {
        name: "library",
        image: Lacks::Tools,
        build_dependencies: NOTHING,
        script: NOTHING,
        source: "#[link(name = \"zmq\")]\nunsafe extern \"C\" {\n    safe fn zmq_errno() -> i32;\n}\nfn main() {\n    zmq_errno();\n}\n",
        advice: "the library `zmq` is not in the image",
        debian: "libzmq3-dev",
    },
    Case {
        name: "header",
        image: Lacks::Tools,
        build_dependencies: "cc = \"1\"",
        script: "fs::write(out.join(\"x.c\"), \"#include <zlib.h>\\n\").unwrap(); cc::Build::new().file(out.join(\"x.c\")).compile(\"x\");",
        source: "fn main() {}\n",
        advice: "the header `zlib.h` is not in the image",
        debian: "zlib1g-dev",
    },
    Case {
        name: "make-program",
        image: Lacks::Tools,
        build_dependencies: NOTHING,
        script: "assert!(std::process::Command::new(\"sh\").args([\"-c\", \"make\"]).status().unwrap().success());",
        source: "fn main() {}\n",
        advice: "`make` is not in the image",
        debian: "make",
    },
    Case {
        name: "configure",
        image: Lacks::Tools,
        build_dependencies: "autotools = \"0.2\"",
        script: "autotools::Config::new(\".\").reconf(\"-i\").build();",
        source: "fn main() {}\n",
        advice: "`autoreconf` is not in the image",
        debian: "autoconf",
    },
];

/// A workspace with a package for each case, so that what they share is fetched and compiled once.
fn workspace(world: &World) -> PathBuf {
    let root = world.work().join("missing");
    let members: Vec<String> = CASES.iter().map(|case| format!("\"{}\"", case.name)).collect();
    world.write(
        &root.join("Cargo.toml"),
        &format!("[workspace]\nresolver = \"2\"\nmembers = [{}]\n", members.join(", ")),
    );
    for case in CASES {
        let package = root.join(case.name);
        let manifest = format!(
            "[package]\nname = \"needs-{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[build-dependencies]\n{}\n",
            case.name, case.build_dependencies
        );
        world.write(&package.join("Cargo.toml"), &manifest);
        world.write(&package.join("src/main.rs"), case.source);
        // A build dependency is built for a build script only.
        if !case.build_dependencies.is_empty() || !case.script.is_empty() {
            let script = format!(
                "#![allow(unused)]\nuse std::{{env, fs, path::PathBuf}};\n\nfn main() {{\n    let out = \
                 PathBuf::from(env::var_os(\"OUT_DIR\").unwrap());\n    {}\n}}\n",
                case.script
            );
            world.write(&package.join("build.rs"), &script);
        }
    }
    root
}

fn image(lacks: Lacks, scratch: &Path) -> Option<Image> {
    let shell = [("bin/sh", "dash")];
    let compiler = [("bin/sh", "dash"), ("usr/bin/cc", "gcc")];
    // rustc itself needs the first ones.
    let base = ["libc6", "libgcc-s1", "zlib1g", "dash"];
    let with = |more: &[&'static str]| [base.as_slice(), more].concat();
    // What the packages above drag in, for programs that no build runs.
    let without = ["perl-base", "debconf", "dpkg", "tar", "debianutils"];
    match lacks {
        Lacks::Compiler => Image::of("compiler", scratch, &base, &without, &shell),
        Lacks::Tools => Image::of("tools", scratch, &with(&["gcc", "libc6-dev"]), &without, &compiler),
        Lacks::Libraries => {
            Image::of("libraries", scratch, &with(&["gcc", "libc6-dev", "pkg-config"]), &without, &compiler)
        }
    }
}

#[test]
fn what_an_image_lacks_is_named_with_the_package_that_has_it() {
    let engine = Engine::Docker;
    if need(engine.here()).is_none() {
        return;
    }
    let Some(user) = need(User::ordinary()) else { return };
    let Some(world) = need(World::new("missing", &user)) else { return };
    let scratch = tempfile::tempdir().expect("scratch");
    let root = workspace(&world);
    for lacks in [Lacks::Compiler, Lacks::Tools, Lacks::Libraries] {
        let Some(image) = image(lacks, scratch.path()) else { return };
        for case in CASES.iter().filter(|case| case.image == lacks) {
            let package = format!("needs-{}", case.name);
            let mut build = world.sandbox(engine, &root);
            build.args(["--sandbox-image", image.name(), "build", "--package", &package]);
            let output = run(&mut build);
            assert_eq!(output.code(), 101, "{package}: {}", output.stderr);
            let hint =
                output.stderr.lines().find(|line| line.contains("hint: ") && line.contains(case.advice));
            let hint = hint.unwrap_or_else(|| panic!("no advice on {package}: {}", output.stderr));
            assert!(hint.contains(&format!("Debian: {}", case.debian)), "{package}: {hint}");
            assert_eq!(output.stderr.matches("hint: ").count(), 1, "{package}: {}", output.stderr);
        }
        world.stop(engine, &root);
    }
}

/// On the machine itself, in its own words; and a program that the user has where jobs do not see it.
#[test]
fn what_the_machine_lacks_is_named_in_its_own_words() {
    let Some(user) = need(User::ordinary()) else { return };
    for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
        let Some(world) = need(World::new(&format!("missing-here-{engine}"), &user)) else { return };
        let project = world.work().join("project");
        world.write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"needs\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        );
        world.write(
            &project.join("src/main.rs"),
            "#[link(name = \"csb-there-is-no-such-library\")]\nunsafe extern \"C\" {\n    safe fn nothing();\n}\nfn main() \
             {\n    nothing();\n}\n",
        );
        let output = run(world.sandbox(engine, &project).arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        let named = "hint: the library `csb-there-is-no-such-library` was not found; if no build script was to make it, ";
        assert!(output.stderr.contains(named), "{}", output.stderr);

        // A program of the user's own.
        world.write(&project.join("src/main.rs"), "fn main() {}\n");
        let script = "fn main() {\n    let made = std::process::Command::new(\"sh\").args([\"-c\", \
                      \"csb-generator\"]).status();\n    assert!(made.unwrap().success());\n}\n";
        world.write(&project.join("build.rs"), script);
        let own = world.home.join("own");
        world.write(&own.join("csb-generator"), "#!/bin/sh\nexit 0\n");
        fs::set_permissions(own.join("csb-generator"), fs::Permissions::from_mode(0o755)).expect("mode");
        let path = format!("{}:{}/bin:/usr/bin:/bin", own.display(), world.toolchain.display());
        run(world
            .plain(&project)
            .arg("build")
            .env("PATH", &path)
            .env("CARGO_TARGET_DIR", world.home.join("plain")))
        .success("control: cargo finds it");
        let output = run(world.sandbox(engine, &project).arg("build").env("PATH", &path));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        let let_in = format!("--sandbox-read {}", own.canonicalize().expect("own").display());
        assert!(output.stderr.contains(&let_in), "{}", output.stderr);
        let mut allowed = world.sandbox(engine, &project);
        run(allowed.arg("--sandbox-read").arg(&own).arg("build").env("PATH", &path))
            .success("what the hint says");
        world.stop(engine, &project);
    }
}
