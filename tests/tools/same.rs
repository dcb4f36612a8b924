//! nextest says the same as under cargo.

use super::*;

/// What it says of each test, in order of names, and its summary; without times and counts.
fn outcomes(output: &Output) -> Vec<String> {
    let lines = output.stderr.lines().map(str::trim);
    let states = ["PASS", "FAIL", "SIGABRT", "SIGSEGV", "Summary", "TIMEOUT"];
    let mut found: Vec<String> = lines
        .filter(|line| states.iter().any(|state| line.starts_with(state)))
        .map(|line| {
            let mut rest = line.to_owned();
            for (open, close) in [('[', ']'), ('(', ')')] {
                if let (Some(from), Some(to)) = (rest.find(open), rest.find(close)) {
                    rest.replace_range(from..=to, "");
                }
            }
            rest.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    found.sort();
    found
}

/// Lists and runs the tests of a project with cargo and with the tool, and compares.
fn compare(world: &World, engine: Engine, project: &Path, arguments: &str, code: i32, summary: &str) {
    let list = format!("nextest list {arguments}");
    let expected = run(&mut plain(world, project, &list)).success("cargo nextest list");
    let found = run(&mut sandbox(world, engine, project, &list)).success("cargo-sandbox nextest list");
    assert_eq!(found.stdout, expected.stdout);

    let line = format!("nextest run --no-fail-fast {arguments}");
    let expected = run(&mut plain(world, project, &line));
    let found = run(&mut sandbox(world, engine, project, &line));
    assert_eq!(outcomes(&found), outcomes(&expected), "{}\n{}", found.stderr, expected.stderr);
    assert_eq!((found.code(), expected.code()), (code, code), "{}", found.stderr);
    says(&found, &[summary]);
}

#[test]
fn a_published_crates_own_suite() {
    for (world, engine) in worlds("suite", &["nextest"]) {
        let Some(project) = published(&world, "heck", "0.5.0") else { return };
        compare(&world, engine, &project, "", 0, "111 tests run: 111 passed, 0 skipped");
        world.stop(engine, &project);
    }
}

#[test]
fn every_way_in_which_a_test_can_end() {
    let library = r#"
        #[test] fn passes() { println!("said in a test"); }
        #[test] fn fails() { assert_eq!(1, 2, "because"); }
        #[test] fn aborts() { std::process::abort(); }
        #[test] #[ignore] fn ignored() {}
        #[test] fn writes_where_tests_may() {
            let mine = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
            std::fs::read(mine).unwrap();
            std::fs::write(std::env::temp_dir().join("mine"), "x").unwrap();
        }
    "#;
    // nextest ends it with signals.
    let library = format!("{library}\n#[test] fn hangs() {{ loop {{ std::thread::park(); }} }}\n");
    let configuration = "[profile.default.junit]\npath = \"junit.xml\"\n\
        [[profile.default.overrides]]\nfilter = \"test(hangs)\"\n\
        slow-timeout = { period = \"1s\", terminate-after = 1 }\n";
    let integration = r#"
        #[test] fn in_a_process_of_its_own() {
            assert_eq!(std::env::var("NEXTEST").unwrap(), "1");
            std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mine"), "x").unwrap();
            let program = std::process::Command::new(env!("CARGO_BIN_EXE_ends")).output().unwrap();
            assert_eq!(program.stdout, b"ran\n");
        }
    "#;
    for (world, engine) in worlds("ends", &["nextest"]) {
        let files = [
            ("src/lib.rs", library.as_str()),
            ("src/main.rs", "fn main() { println!(\"ran\"); }"),
            ("tests/integration.rs", integration),
            (".config/nextest.toml", configuration),
        ];
        let project = package(&world, "ends", "", &files);
        compare(&world, engine, &project, "", 100, "6 tests run: 3 passed, 2 failed, 1 timed out, 1 skipped");
        compare(&world, engine, &project, "-E test(passes)", 0, "1 test run: 1 passed, 6 skipped");
        let output = run(&mut sandbox(&world, engine, &project, "nextest run --no-capture passes"));
        says(&output, &["said in a test"]);
        assert!(project.join("target/nextest/default/junit.xml").is_file(), "nextest's own file");
        world.stop(engine, &project);
    }
}
