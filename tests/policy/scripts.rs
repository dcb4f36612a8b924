//! `deny`, `allow`, `build-scripts`.

use super::*;

const RUNS: &str = "fn main() { println!(\"cargo::warning=the script ran\"); }\n";

#[test]
fn a_build_script_that_nobody_names_does_not_run() {
    let Some(world) = world("policy-scripts") else { return };
    let project = project(&world, "scripted", &Parts { script: RUNS, ..Parts::default() });
    let check = |project: &Path| sandbox(&world, Engine::Native, project, "check");
    let output = run(&mut check(&project)).success("control");
    assert!(output.stderr.contains("the script ran"), "{}", output.stderr);
    run(&mut sandbox(&world, Engine::Native, &project, "clean")).success("clean");

    configure(&world, "build-scripts = \"allow-listed\"\n");
    let words = [
        "the build script of scripted 0.1.0 does not run",
        "`build-scripts = \"allow-listed\"`",
        "config.toml:1",
        "    [packages.\"scripted\".build-script]\n",
        "    allow = true\n",
        "self trust",
    ];
    let output = fails(&mut check(&project), &words);
    assert!(!output.stderr.contains("the script ran"), "{}", output.stderr);

    // The user names a package of a registry's, and whatever a repository calls so is not that one.
    configure(&world, "build-scripts = \"allow-listed\"\n[packages.scripted.build-script]\nallow = true\n");
    fails(&mut check(&project), &words[..1]);

    // The line of the error; it is the repository's, and so needs trust.
    let line = "[packages.\"scripted\".build-script]\nallow = true\n";
    policy(&world, &project, line);
    fails(
        &mut check(&project),
        &["needs your trust", "cargo-sandbox.toml:2", "though your own configuration"],
    );
    trust(&world, Engine::Native, &project);
    let output = run(&mut check(&project)).success("trusted");
    assert!(output.stderr.contains("the script ran"), "{}", output.stderr);

    // Everybody else's is refused still, and nobody's runs where none does.
    run(&mut sandbox(&world, Engine::Native, &project, "clean")).success("clean");
    configure(&world, "build-scripts = \"deny\"\n");
    fails(&mut check(&project), &[words[0], "`build-scripts = \"deny\"`"]);
    fails(
        &mut sandbox(&world, Engine::Native, &project, "fix --allow-no-vcs"),
        &["`fix` runs all of cargo as one job", "policy"],
    );
    world.stop(Engine::Native, &project);
}

/// A dependency that cargo unpacked from a registry is the one that the user names.
#[test]
fn a_repository_narrows_at_once_what_dependencies_do() {
    let Some(world) = world("policy-deny") else { return };
    let project = project(&world, "denies", &Parts { script: RUNS, ..Parts::default() });
    policy(&world, &project, "[packages.denies.build-script]\ndeny = true\n");
    fails(
        &mut sandbox(&world, Engine::Native, &project, "check"),
        &["the build script of denies 0.1.0 does not run", "`deny`", "cargo-sandbox.toml:2"],
    );
    // By a range of versions and by a pattern; another version and another name are others.
    for (selector, runs) in [("denies@0.1", false), ("den*", false), ("denies@1", true), ("den*x", true)] {
        let rule = format!("[packages.\"{selector}\".build-script]\ndeny = true\n");
        policy(&world, &project, &rule);
        world.write(&project.join("build.rs"), &format!("// {selector}\n{RUNS}"));
        let output = run(&mut sandbox(&world, Engine::Native, &project, "check"));
        assert_eq!(output.status.success(), runs, "{selector}:\n{}", output.stderr);
        assert_eq!(output.stderr.contains("does not run: `deny`"), !runs, "{selector}:\n{}", output.stderr);
    }
    policy(&world, &project, "[defaults.test]\ndeny = true\n");
    run(&mut sandbox(&world, Engine::Native, &project, "check")).success("no test");
    fails(
        &mut sandbox(&world, Engine::Native, &project, "test"),
        &["does not run: `deny`", "[defaults.test]"],
    );
    policy(&world, &project, "build-scripts = \"allow-listed\"\n[packages.denies.build-script]\n");
    run(&mut sandbox(&world, Engine::Native, &project, "check")).success("its own list needs no trust");
    policy(&world, &project, "build-scripts = \"allow-listed\"\n[packages.other.build-script]\n");
    world.write(&project.join("build.rs"), &format!("{RUNS}\n"));
    fails(&mut sandbox(&world, Engine::Native, &project, "check"), &["does not run", "cargo-sandbox.toml:1"]);
    world.stop(Engine::Native, &project);
}

/// A macro is granted something where it runs: in the compiler of whoever uses it, and in no other.
#[test]
fn a_macros_grant_is_for_the_compilers_that_load_it() {
    let Some(world) = world("policy-macro") else { return };
    let shared = world.home.join("shared");
    world.write(&shared.join("schema"), "the schema");
    let path = shared.join("schema").display().to_string();
    let root = world.work().join("macros");
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
    };
    world.write(
        &root.join("Cargo.toml"),
        "[workspace]\nmembers = [\"maker\", \"facade\", \"user\"]\nresolver = \"3\"\n",
    );
    world.write(&root.join("maker/Cargo.toml"), &manifest("maker", "[lib]\nproc-macro = true\n"));
    let maker = format!(
        "#[proc_macro]\npub fn schema(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n\
         let text = std::fs::read_to_string({path:?}).unwrap_or_else(|error| error.kind().to_string());\n\
         format!(\"{{text:?}}\").parse().unwrap() }}\n"
    );
    world.write(&root.join("maker/src/lib.rs"), &maker);
    world.write(
        &root.join("facade/Cargo.toml"),
        &manifest("facade", "[dependencies]\nmaker = { path = \"../maker\" }\n"),
    );
    world.write(&root.join("facade/src/lib.rs"), "pub use maker::schema;\n");
    world.write(
        &root.join("user/Cargo.toml"),
        &manifest("user", "[dependencies]\nfacade = { path = \"../facade\" }\n"),
    );
    world.write(&root.join("user/src/main.rs"), "fn main() { println!(\"{}\", facade::schema!()) }\n");
    let says = |expected: &str| {
        let output = run(&mut sandbox(&world, Engine::Native, &root, "run -q")).success("run");
        assert_eq!(output.stdout.trim(), expected);
    };
    says("entity not found");
    run(&mut sandbox(&world, Engine::Native, &root, "clean")).success("clean");
    policy(&world, &root, &format!("[packages.maker.macro]\nread = [\"{}\"]\n", shared.display()));
    trust(&world, Engine::Native, &root);
    says("the schema");
    policy(&world, &root, "[packages.maker.macro]\ndeny = true\n");
    world.write(&root.join("user/src/main.rs"), "fn main() { println!(\"{} \", facade::schema!()) }\n");
    fails(
        &mut sandbox(&world, Engine::Native, &root, "check"),
        &["rustc of facade 0.1.0 does not run", "[packages.\"maker\".macro]"],
    );
    world.stop(Engine::Native, &root);
}
