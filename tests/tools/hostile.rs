//! Tests that attack, in both phases in which nextest executes them.

use super::*;

/// Reads a secret and leaves a trace, whatever it is asked to do.
const HARNESS: &str = r#"
    fn main() {
        let home = "HOME";
        if !std::env::args().any(|word| word == "--ignored") {
            println!("stolen: test");
        }
        let secret = std::fs::read_to_string(format!("{home}/secret")).unwrap_or_default();
        eprintln!("secret: {secret}");
        let phase = if std::env::args().any(|word| word == "--list") { "listed" } else { "ran" };
        let _refused = std::fs::write(format!("{home}/{phase}"), secret);
    }
"#;

#[test]
fn a_test_reads_and_writes_nothing_of_the_users() {
    for (world, engine) in worlds("hostile", &["nextest"]) {
        world.write(&world.home.join("secret"), "the-secret");
        let harness = HARNESS.replace("HOME", world.home.to_str().expect("UTF-8"));
        let manifest = "[[test]]\nname = \"attack\"\nharness = false\n";
        let files = [("src/lib.rs", ""), ("tests/attack.rs", harness.as_str())];
        let project = package(&world, "attacked", manifest, &files);
        let (listed, ran) = (world.home.join("listed"), world.home.join("ran"));
        let line = "nextest run --success-output=immediate";

        let output = run(&mut plain(&world, &project, line)).success("control: cargo nextest run");
        says(&output, &["secret: the-secret", "1 passed"]);
        assert!(left(&listed) && left(&ran), "control: both phases attack");

        let output = run(&mut sandbox(&world, engine, &project, line)).success("cargo-sandbox nextest run");
        says(&output, &["secret: \n", "1 passed"]);
        assert!(!output.stderr.contains("the-secret"), "{}", output.stderr);
        assert!(!left(&listed) && !left(&ran));
        world.stop(engine, &project);
    }
}
