//! `--learn`: a policy is proposed, and nothing is applied.

use std::fs;

use super::{project, sandbox, vendor};

#[test]
fn a_minimal_policy_is_proposed_and_not_applied() {
    let Some(world) = super::world("learn") else { return };
    let engine = super::Engine::Native;
    let project = project(&world, "wants = \"1\"\nmodest = \"1\"");
    let home = world.home.display().to_string();
    world.write(&world.home.join("settings"), "x");
    let script = format!(
        "fn main() {{\n    if std::fs::exists(\"{home}/settings\").unwrap() {{ std::fs::write(\"{home}/applied\", \
         \"\").unwrap(); }}\n    let _ = std::net::TcpStream::connect((\"crates.example.invalid\", 443));\n}}\n"
    );
    vendor(&world, &project, "wants", "1.0.0", "", &[("build.rs", &script)]);
    vendor(&world, &project, "modest", "1.0.0", "", &[("build.rs", "fn main() {}\n")]);
    for _ in 0..2 {
        sandbox(&world, engine, &project, "clean").success("clean");
        let output = sandbox(&world, engine, &project, "--learn build").success("--learn build");
        let path = super::report(&world).join("cargo-sandbox.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(output.stderr.contains(&text), "{}", output.stderr);
        let policy: toml::Table = text.parse().unwrap();
        let expected = format!(
            "[packages.\"wants\".build-script]\nread = [\"{home}/settings\"]\nnetwork = [\"crates.example.invalid:443\"]\n"
        );
        assert_eq!(policy, expected.parse::<toml::Table>().unwrap(), "{text}");
    }
    assert!(!project.join("cargo-sandbox.toml").exists());
    assert!(!world.home.join("applied").exists(), "the second time it is as confined as the first");
}
