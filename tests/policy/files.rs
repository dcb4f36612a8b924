//! `read`, `execute`, `write`, `env`, `seccomp`.

use super::*;

/// A build script that tries a path and says what came of it.
const READS: &str = r#"fn main() {
    let text = std::fs::read_to_string("PATH").map_err(|error| error.kind().to_string());
    println!("cargo::warning=read {text:?}");
}
"#;

#[test]
fn a_build_script_reads_what_it_is_granted_and_another_kind_of_job_does_not() {
    let Some(world) = world("policy-read") else { return };
    let shared = world.home.join("shared");
    world.write(&shared.join("model.bin"), "the model");
    let path = shared.join("model.bin").display().to_string();
    let script = READS.replace("PATH", &path);
    let program =
        format!("fn main() {{ println!(\"{{:?}}\", std::fs::read_to_string({path:?}).is_ok()) }}\n");
    for engine in engines() {
        let name = format!("reads-{engine}");
        let project =
            project(&world, &name, &Parts { script: &script, program: &program, ..Parts::default() });
        let output = run(&mut sandbox(&world, engine, &project, "check")).success("check");
        assert!(
            !output.stderr.contains("the model") && output.stderr.contains("read Err"),
            "{}",
            output.stderr
        );

        let rule = format!("[packages.\"{name}\".build-script]\nread = [\"{}\"]\n", shared.display());
        policy(&world, &project, &rule);
        fails(
            &mut sandbox(&world, engine, &project, "check"),
            &[
                "cargo-sandbox.toml:2: packages.\"reads-",
                "build-script.read",
                "build scripts of `reads-",
                "self trust",
            ],
        );
        trust(&world, engine, &project);
        run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
        let output = run(&mut sandbox(&world, engine, &project, "run")).success("run");
        assert!(output.stderr.contains("read Ok(\"the model\")"), "{}", output.stderr);
        assert_eq!(output.stdout, "false\n", "the container shows it, and only that job may read it");

        // Another name, another package.
        policy(&world, &project, &rule.replace(&name, "others"));
        trust(&world, engine, &project);
        run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
        let output = run(&mut sandbox(&world, engine, &project, "check")).success("check");
        assert!(output.stderr.contains("read Err"), "{}", output.stderr);
        world.stop(engine, &project);
    }
}

#[test]
fn a_program_is_executed_where_that_is_granted() {
    let Some(world) = world("policy-execute") else { return };
    let tools = world.home.join("tools");
    let tool = tools.join("generator");
    world.write(&tool, "#!/bin/sh\necho generated\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&tool, mode).expect("mode");
    let script = format!(
        "fn main() {{ let run = std::process::Command::new({tool:?}).output().map(|out| out.stdout.len());\n\
         println!(\"cargo::warning=ran {{:?}}\", run.map_err(|error| error.kind())); }}\n"
    );
    let project = project(&world, "executes", &Parts { script: &script, ..Parts::default() });
    for (key, ran) in [("read", false), ("execute", true)] {
        policy(&world, &project, &format!("[packages.executes]\n{key} = [\"{}\"]\n", tools.display()));
        trust(&world, Engine::Native, &project);
        run(&mut sandbox(&world, Engine::Native, &project, "clean")).success("clean");
        let output = run(&mut sandbox(&world, Engine::Native, &project, "check")).success("check");
        assert_eq!(output.stderr.contains("ran Ok(10)"), ran, "{key}: {}", output.stderr);
    }
    world.stop(Engine::Native, &project);
}

#[test]
fn a_test_writes_its_snapshots_and_nothing_beside_them() {
    let test = r#"#[test]
fn it() {
    let made = |path: &str| std::fs::write(path, "from the test").is_ok();
    let linked = std::os::unix::fs::symlink("/etc/passwd", "tests/snapshots/link").is_ok();
    println!("<{} {} {} {linked}>", made("tests/snapshots/new"), made("tests/it.rs"), made("new"));
}
"#;
    let both = |world: World| {
        let world = std::rc::Rc::new(world);
        // Root's own files on a disk are another matter for the native engine alone.
        let engines = engines().filter(|engine| world.user.uid != 0 || *engine == Engine::Native);
        engines.map(|engine| (std::rc::Rc::clone(&world), engine)).collect::<Vec<_>>()
    };
    for (world, engine) in worlds("policy-write").flat_map(both) {
        let project = project(&world, &format!("writes-{engine}"), &Parts { test, ..Parts::default() });
        let tried = |expected: &str| {
            let output =
                run(&mut sandbox(&world, engine, &project, "test --test it -- --nocapture")).success("test");
            assert!(output.stdout.contains(expected), "{expected}: {}", output.stdout);
        };
        tried("<false false false false>");
        policy(&world, &project, "[defaults.test]\nwrite = [\"tests/snapshots\"]\n");
        fails(
            &mut sandbox(&world, engine, &project, "test"),
            &["defaults.test.write = \"tests/snapshots\"", "tests of every package read and write"],
        );
        trust(&world, engine, &project);
        tried("<true false false false>");
        let written = project.join("tests/snapshots/new");
        assert_eq!(fs::read_to_string(&written).expect("on this machine as well"), "from the test");
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&written).expect("metadata"));
        assert_eq!(owner, world.user.uid);
        world.stop(engine, &project);
    }
}

#[test]
fn what_no_policy_grants_is_refused_by_name() {
    let Some(world) = world("policy-refused") else { return };
    let project = project(&world, "refused", &Parts::default());
    world.write(&world.home.join(".cargo/credentials.toml"), "");
    let home = world.home.display().to_string();
    for (key, path, word) in [
        ("read", home.clone(), "home directory"),
        ("read", format!("{home}/.cargo/credentials.toml"), "CARGO_HOME"),
        ("read", format!("{home}/.ssh/id_ed25519"), "credentials"),
        ("read", "/run".into(), "`/run`"),
        ("execute", "/proc/self".into(), "`/proc`"),
        ("write", "/usr/local/bin".into(), "`/usr`"),
        ("write", ".git/hooks".into(), "`.git`"),
        ("write", "target".into(), "target directory"),
        ("read", format!("{home}/.cache/cargo-sandbox"), "cargo-sandbox keeps"),
        ("sockets", format!("{home}/.cache/cargo-sandbox/agent"), "cargo-sandbox keeps"),
        ("sockets", format!("{home}/.ssh/agent"), "credentials"),
        ("sockets", format!("{home}/agent"), "has `"),
    ] {
        let text = format!("[packages.x.test]\n{key} = [\"{path}\"]\n");
        policy(&world, &project, &text);
        let column = format!("{key} = [").len() + 1;
        let place = format!("cargo-sandbox.toml:2:{column}: `{key}` of `packages.\"x\".test`: `{path}`");
        fails(&mut sandbox(&world, Engine::Native, &project, "check"), &[&place, word, "hint: "]);
        fails(&mut sandbox(&world, Engine::Native, &project, "self trust --yes"), &[word]);
    }
    // The user cannot either.
    policy(&world, &project, "");
    configure(&world, &format!("[defaults.build-script]\nread = [\"{home}/.ssh\"]\n"));
    fails(&mut sandbox(&world, Engine::Native, &project, "check"), &["config.toml:2", "credentials"]);
}

#[test]
fn a_variable_passes_to_the_package_that_it_is_granted_to() {
    let Some(world) = world("policy-env") else { return };
    let script = "fn main() { println!(\"cargo::warning=<{:?}>\", std::env::var(\"DATABASE_ADDRESS\")); }\n";
    let project = project(&world, "variable", &Parts { script, ..Parts::default() });
    let check = |expected: &str| {
        run(&mut sandbox(&world, Engine::Native, &project, "clean")).success("clean");
        let mut command = sandbox(&world, Engine::Native, &project, "check");
        let output = run(command.env("DATABASE_ADDRESS", "db.example")).success("check");
        assert!(output.stderr.contains(expected), "{expected}: {}", output.stderr);
    };
    check("<Err(NotPresent)>");
    // What the user grants to a name is for what a registry calls so, and this is the repository's own.
    configure(&world, "[packages.variable.build-script]\nenv = [\"DATABASE_ADDRESS\"]\n");
    check("<Err(NotPresent)>");
    configure(&world, "[defaults.build-script]\nenv = [\"DATABASE_ADDRESS\"]\n");
    check("<Ok(\"db.example\")>");
    configure(&world, "");
    policy(&world, &project, "[packages.variable.build-script]\nenv = [\"DATABASE_ADDRESS\"]\n");
    trust(&world, Engine::Native, &project);
    check("<Ok(\"db.example\")>");
    for (name, word) in
        [("CARGO_REGISTRY_TOKEN", ""), ("LD_PRELOAD", "loader"), ("MY_SECRET", "name of a secret")]
    {
        policy(&world, &project, &format!("[packages.variable]\nenv = [\"{name}\"]\n"));
        fails(&mut sandbox(&world, Engine::Native, &project, "check"), &["line 2, column 8", name, word]);
    }
    world.stop(Engine::Native, &project);
}

#[test]
fn a_system_call_is_made_where_it_is_granted() {
    let Some(world) = world("policy-seccomp") else { return };
    // PTRACE_TRACEME, which needs nothing but the call.
    let script = "unsafe extern \"C\" { fn ptrace(request: i64, ...) -> i64; }\n\
                  fn main() { println!(\"cargo::warning=ptrace {}\", unsafe { ptrace(0, 0, 0, 0) }); }\n";
    for engine in engines() {
        let name = format!("traces-{engine}");
        let project = project(&world, &name, &Parts { script, ..Parts::default() });
        let check = |expected: &str| {
            run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
            let output = run(&mut sandbox(&world, engine, &project, "check")).success("check");
            assert!(output.stderr.contains(expected), "{expected}: {}", output.stderr);
        };
        check("ptrace -1");
        policy(&world, &project, &format!("[packages.{name}.build-script]\nseccomp = [\"ptrace\"]\n"));
        trust(&world, engine, &project);
        check("ptrace 0");
        policy(&world, &project, &format!("[packages.{name}.test]\nseccomp = [\"ptrace\"]\n"));
        trust(&world, engine, &project);
        check("ptrace -1");
        policy(&world, &project, "[packages.x]\nseccomp = [\"bpf\"]\n");
        fails(&mut sandbox(&world, engine, &project, "check"), &["unknown variant `bpf`", "`ptrace`"]);
        world.stop(engine, &project);
    }
}
