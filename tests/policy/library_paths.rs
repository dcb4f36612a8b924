//! `sets-env`: a build script that makes a library, and has the programs of its package find it by the loader's variable.

use super::*;

/// As `librecast-sys` does it.
const SCRIPT: &str = r#"
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").unwrap();
    let source = Path::new(&out).join("word.c");
    std::fs::write(&source, "int word(void) { return 42; }\n").unwrap();
    let library = Path::new(&out).join("libword.so");
    let mut cc = Command::new("cc");
    assert!(cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap().success());
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-link-lib=dylib=word");
    println!("cargo::rustc-env=LD_LIBRARY_PATH={out}");
}
"#;

/// The library is found while it runs, and the variable is there when it is compiled.
const PROGRAM: &str = r#"
unsafe extern "C" {
    safe fn word() -> i32;
}

fn main() {
    println!("{} {}", word(), env!("LD_LIBRARY_PATH").ends_with("/out"));
}
"#;

const GRANT: &str = "[packages.speaker.build-script]\nsets-env = [\"LD_LIBRARY_PATH\"]\n";

#[test]
fn a_script_has_its_program_find_a_library_that_it_built() {
    for world in worlds("policy-library") {
        let project =
            project(&world, "speaker", &Parts { script: SCRIPT, program: PROGRAM, ..Parts::default() });
        let plain = run(&mut line::plain(&world, &project, "run --target-dir ../plain")).success("control");
        assert_eq!(plain.stdout, "42 true\n");

        let refused = ["sets `LD_LIBRARY_PATH`", "`sets-env = [\"LD_LIBRARY_PATH\"]`"];
        policy(&world, &project, GRANT);
        fails(
            &mut sandbox(&world, Engine::Native, &project, "run"),
            &["needs your trust", "build scripts of `speaker` set `LD_LIBRARY_PATH`"],
        );

        for engine in engines() {
            policy(&world, &project, "");
            fails(&mut sandbox(&world, engine, &project, "run"), &refused);

            policy(&world, &project, GRANT);
            trust(&world, engine, &project);
            let output = run(&mut sandbox(&world, engine, &project, "run")).success("granted");
            assert_eq!(output.stdout, "42 true\n");
            let explained =
                run(&mut sandbox(&world, engine, &project, "self explain speaker")).success("explain");
            assert!(explained.stdout.contains("sets-env"), "{}", explained.stdout);

            // Nobody else's, and no other variable of the loader's.
            policy(&world, &project, &GRANT.replace("speaker", "other"));
            trust(&world, engine, &project);
            world.write(&project.join("build.rs"), &format!("{SCRIPT}\n"));
            fails(&mut sandbox(&world, engine, &project, "run"), &refused);
            policy(&world, &project, GRANT);
            trust(&world, engine, &project);
            world.write(&project.join("build.rs"), &SCRIPT.replace("LD_LIBRARY_PATH", "LD_PRELOAD"));
            fails(&mut sandbox(&world, engine, &project, "run"), &["sets `LD_PRELOAD`"]);

            world.write(&project.join("build.rs"), SCRIPT);
            world.stop(engine, &project);
            run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
        }
    }
}
