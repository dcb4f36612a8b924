//! nextest executes what cargo's messages name, and macros write to the same output.

use super::*;

/// A message of cargo's about a test program that is none.
fn message(project: &Path, program: &Path) -> String {
    let path = project.display();
    format!(
        r#"{{"reason":"compiler-artifact","package_id":"path+file://{path}#0.1.0","manifest_path":"{path}/Cargo.toml","target":{{"kind":["test"],"crate_types":["bin"],"name":"forged","src_path":"{path}/tests/forged.rs","edition":"2024","doc":false,"doctest":false,"test":true}},"profile":{{"opt_level":"0","debuginfo":2,"debug_assertions":true,"overflow_checks":true,"test":true}},"features":[],"filenames":["{program}"],"executable":"{program}","fresh":false}}"#,
        program = program.display()
    )
}

/// A library whose macro crate prints this when it is used.
fn victim(world: &World, message: &str) -> PathBuf {
    let dependency = "[dependencies]\nforger = { path = \"forger\" }\n";
    let project =
        package(world, "victim", dependency, &[("src/lib.rs", "forger::forge!();\n#[test] fn own() {}\n")]);
    let manifest =
        "[package]\nname = \"forger\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n";
    world.write(&project.join("forger/Cargo.toml"), manifest);
    let forger = format!(
        "#[proc_macro]\npub fn forge(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n\
         println!(\"\\n{{}}\", {message:?});\nproc_macro::TokenStream::new()\n}}\n"
    );
    world.write(&project.join("forger/src/lib.rs"), &forger);
    project
}

#[test]
fn a_path_that_a_macro_names_is_not_executed() {
    for (world, engine) in worlds("forged", &["nextest"]) {
        let (program, trace) = (world.work().join("victim/program"), world.home.join("trace"));
        script(&world, &program, &format!(": > '{}'\necho 'forged: test'", trace.display()));
        let project = victim(&world, &message(&world.work().join("victim"), &program));
        let output = run(&mut plain(&world, &project, "nextest run"));
        assert!(left(&trace), "control: cargo nextest executes it: {}", output.stderr);

        let output = run(&mut sandbox(&world, engine, &project, "nextest run"));
        assert!(!left(&trace));
        assert_ne!(output.code(), 0);
        says(&output, &["victim", "compiler-artifact"]);
        world.stop(engine, &project);
    }
}

/// Whoever names a path, and by whatever way: the runner gets it, which runs the project's programs only.
#[test]
fn a_path_that_nextest_believes_is_not_executed_on_this_machine() {
    for (world, engine) in worlds("believed", &["nextest"]) {
        let files = [("src/lib.rs", ""), ("tests/own.rs", "#[test] fn own() {}")];
        let project = package(&world, "believing", "", &files);
        let trace = world.home.join("trace");
        let program = project.join("program");
        script(&world, &program, &format!(": > '{}'\necho 'forged: test'", trace.display()));
        let mut list =
            plain(&world, &project, "nextest list --list-type binaries-only --message-format json");
        let list = run(&mut list).success("nextest list").stdout;
        let mut binaries: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        for binary in binaries["rust-binaries"].as_object_mut().expect("binaries").values_mut() {
            binary["binary-path"] = program.to_str().into();
        }
        let metadata =
            run(&mut plain(&world, &project, "metadata --format-version 1")).success("cargo metadata");
        world.write(&world.work().join("believing/binaries.json"), &binaries.to_string());
        world.write(&world.work().join("believing/metadata.json"), &metadata.stdout);
        let line = "nextest run --binaries-metadata binaries.json --cargo-metadata metadata.json";
        let output = run(&mut plain(&world, &project, line));
        assert!(left(&trace), "control: cargo nextest executes it: {}", output.stderr);

        let output = run(&mut sandbox(&world, engine, &project, line));
        assert!(!left(&trace));
        assert_ne!(output.code(), 0);
        says(&output, &["is not in the target or build directory of this project, and is not run"]);
    }
}
