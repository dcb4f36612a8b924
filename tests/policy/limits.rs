//! `limits`, per package.

use super::*;

#[test]
fn a_package_has_less_than_others_without_trust_and_more_with_it() {
    let Some(world) = world("policy-limits") else { return };
    let script = "fn main() { let limits = std::fs::read_to_string(\"/proc/self/limits\").unwrap();\n\
                  let line = limits.lines().find(|line| line.starts_with(\"Max open files\")).unwrap();\n\
                  println!(\"cargo::warning=<{}>\", line.split_whitespace().collect::<Vec<_>>().join(\" \")); }\n";
    let project = project(&world, "limited", &Parts { script, ..Parts::default() });
    let check = || {
        run(&mut sandbox(&world, Engine::Native, &project, "clean")).success("clean");
        run(&mut sandbox(&world, Engine::Native, &project, "check"))
    };
    policy(&world, &project, "[packages.limited.build-script]\nlimits = { open-files = 77 }\n");
    let output = check().success("check");
    assert!(output.stderr.contains("<Max open files 77 77 files>"), "{}", output.stderr);

    policy(&world, &project, "[packages.limited.build-script]\nlimits = { wall-time = \"9h\" }\n");
    fails(
        &mut sandbox(&world, Engine::Native, &project, "check"),
        &["limits = { wall-time = \"9h\" }", "may use up more"],
    );
    // No more than the container has.
    policy(&world, &project, "[packages.limited.build-script]\nlimits = { open-files = 999999999 }\n");
    let output = check().success("check");
    assert!(!output.stderr.contains("999999999"), "{}", output.stderr);
    world.stop(Engine::Native, &project);
}

#[test]
fn a_package_that_uses_more_than_its_own_limits_ends() {
    let Some(world) = world("policy-bombs") else { return };
    let bombs = [
        (
            "wall-time = \"1s\"",
            "loop { std::thread::sleep(std::time::Duration::from_secs(1)); }",
            "wall-time",
        ),
        (
            "memory = \"100M\"",
            "let mut all = Vec::new(); loop { all.push(vec![1u8; 1 << 20]); \
             std::thread::sleep(std::time::Duration::from_millis(1)); }",
            "memory",
        ),
        (
            "processes = 20",
            "for _ in 0..40 { std::thread::spawn(|| loop { std::thread::park() }); } loop { std::thread::park() }",
            "processes",
        ),
        (
            "file-size = \"1M\"",
            "let file = std::fs::OpenOptions::new().write(true).create(true)\
             .open(std::env::var(\"OUT_DIR\").unwrap() + \"/x\").unwrap(); file.set_len(2 << 20).unwrap();",
            "file",
        ),
    ];
    let project = project(&world, "bomb", &Parts::default());
    for (limit, body, word) in bombs {
        world.write(&project.join("build.rs"), &format!("fn main() {{ {body} }}\n"));
        policy(&world, &project, &format!("[packages.bomb.build-script]\nlimits = {{ {limit} }}\n"));
        let output = fails(&mut sandbox(&world, Engine::Native, &project, "check"), &[word]);
        for said in ["by ", "cargo-sandbox.toml:2, [packages.\"bomb\".build-script]", "hint: "] {
            assert!(output.stderr.contains(said), "{limit}: {}", output.stderr);
        }
    }
    world.stop(Engine::Native, &project);
}
