//! `shell.nix` and `flake.nix`.

use super::support::run::fails;
use super::*;

#[test]
fn a_crate_builds_with_what_its_shell_nix_gives() {
    for (world, engine) in worlds("shell-nix") {
        let project = project(&world);
        // As without any provider: nothing of this machine has that library.
        fails(world.sandbox(engine, &project).arg("build"), &["pkg-config failed"]);

        let more = "  LD_PRELOAD = \"/nix/store/evil.so\";\n  RUSTC_WRAPPER = \"/nix/store/evil\";";
        world.write(&project.join("shell.nix"), &shell(more));
        let policy = "[native]\nprovider = \"nix\"\n";
        world.write(&project.join("cargo-sandbox.toml"), policy);
        let asked = ["needs your trust", "native.provider = \"nix\"", "nix evaluates the project's"];
        fails(world.sandbox(engine, &project).env("CI", "true").arg("run"), &asked);
        assert!(stores(&world).is_empty(), "evaluated without trust");
        cargo(&world, engine, &project, &["self", "trust", "--yes"]).success("trust");

        let first = cargo(&world, engine, &project, &["run"]).success("run");
        assert_eq!(first.stdout, SAYS, "{}", first.stderr);
        assert!(first.stderr.contains("  Evaluating "), "{}", first.stderr);
        let withheld = "note: no job gets these variables of the environment that nix gives";
        let note = first.stderr.lines().find(|line| line.starts_with(withheld));
        assert!(note.is_some_and(|note| note.ends_with("`LD_PRELOAD`, `RUSTC_WRAPPER`")), "{}", first.stderr);

        // Nothing has changed: nothing is evaluated, also without a network, and nothing is built.
        let again = cargo(&world, engine, &project, &["run", "--offline"]).success("run again");
        assert_eq!(again.stdout, SAYS);
        assert!(
            !again.stderr.contains("Evaluating") && !again.stderr.contains("Compiling"),
            "{}",
            again.stderr
        );

        // Another environment: what looked at it is built again.
        world.write(&project.join("shell.nix"), &shell("").replace("return 42", "return 43"));
        let changed = cargo(&world, engine, &project, &["run"]).success("run with another");
        assert!(changed.stdout.starts_with("43 "), "{}", changed.stdout);
        assert!(changed.stderr.contains("  Evaluating "), "{}", changed.stderr);
        world.stop(engine, &project);
    }
}
