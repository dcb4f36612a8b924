//! Other tools that are known.

use super::*;

#[test]
fn deny_checks_as_under_cargo() {
    for world in native_worlds("deny", &["deny"]) {
        let engine = Engine::Native;
        let files = [("src/lib.rs", ""), ("deny.toml", "[licenses]\nallow = [\"MIT\"]\n")];
        let project = package(&world, "denied", "", &files);
        let line = "deny --offline --color never check licenses bans";
        let expected = run(&mut plain(&world, &project, line)).success("cargo deny");
        let found = run(&mut sandbox(&world, engine, &project, line)).success("cargo-sandbox deny");
        assert_eq!((&found.stdout, &found.stderr), (&expected.stdout, &expected.stderr));
        says(&found, &["bans ok, licenses ok"]);

        world.write(&project.join("deny.toml"), "[licenses]\nallow = [\"Apache-2.0\"]\n");
        let expected = run(&mut plain(&world, &project, line));
        let found = run(&mut sandbox(&world, engine, &project, line));
        assert_eq!((found.code(), &found.stderr), (expected.code(), &expected.stderr));
        assert_ne!(found.code(), 0);
        says(&found, &["licenses FAILED"]);

        for line in ["help deny", "deny --help"] {
            let expected = run(&mut plain(&world, &project, line)).success("cargo help");
            let found = run(&mut sandbox(&world, engine, &project, line)).success("cargo-sandbox help");
            assert_eq!(found.stdout, expected.stdout, "{line}");
        }
    }
}

#[test]
fn machete_finds_as_under_cargo() {
    for world in native_worlds("machete", &["machete"]) {
        let used = "[dependencies]\nused = { path = \"used\" }\n";
        let project = package(&world, "searched", used, &[("src/lib.rs", ""), ("used/src/lib.rs", "")]);
        let manifest = "[package]\nname = \"used\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        world.write(&project.join("used/Cargo.toml"), manifest);
        for (code, library) in [(1, ""), (0, "pub use used as mine;\n")] {
            world.write(&project.join("src/lib.rs"), library);
            let expected = run(&mut plain(&world, &project, "machete"));
            let found = run(&mut sandbox(&world, Engine::Native, &project, "machete"));
            assert_eq!((found.code(), expected.code()), (code, code), "{}", found.stderr);
            assert_eq!((found.stdout, found.stderr), (expected.stdout, expected.stderr));
        }
    }
}

/// A macro runs where expand has the compiler run.
#[test]
fn expand_shows_what_macros_made_in_the_container() {
    for (world, engine) in worlds("expand", &["expand"]) {
        let dependency = "[dependencies]\nmaker = { path = \"maker\" }\n";
        let project = package(&world, "expanded", dependency, &[("src/lib.rs", "maker::make!();\n")]);
        let manifest = "[package]\nname = \"maker\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n";
        world.write(&project.join("maker/Cargo.toml"), manifest);
        let trace = world.home.join("trace");
        let maker = format!(
            "#[proc_macro]\npub fn make(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n\
             let _refused = std::fs::write({trace:?}, \"\");\n\"pub fn made() {{}}\".parse().unwrap()\n}}\n"
        );
        world.write(&project.join("maker/src/lib.rs"), &maker);
        let expected = run(&mut plain(&world, &project, "expand")).success("cargo expand");
        assert!(left(&trace), "control: the macro writes in the home directory");
        says(&expected, &["pub fn made() {}"]);
        let found = run(&mut sandbox(&world, engine, &project, "expand")).success("cargo-sandbox expand");
        assert_eq!(found.stdout, expected.stdout);
        assert!(!left(&trace));
        world.stop(engine, &project);
    }
}

#[test]
fn hack_builds_and_tests_every_set_of_features_in_the_container() {
    for (world, engine) in worlds("hack", &["hack", "nextest"]) {
        // A job's own home directory is not the user's.
        let home = world.home.to_str().expect("UTF-8");
        let library =
            format!("#[test] fn one() {{ assert_eq!(std::env::var(\"HOME\").unwrap(), {home:?}); }}");
        let features = "[features]\na = []\nb = []\n";
        let project = package(&world, "hacked", features, &[("src/lib.rs", library.as_str())]);
        let line = "hack check --feature-powerset";
        let lines = |output: &Output| -> Vec<String> {
            let lines = output.stderr.lines().filter(|line| line.starts_with("info: running"));
            lines.map(str::to_owned).collect()
        };
        let expected = run(&mut plain(&world, &project, line)).success("cargo hack");
        let found = run(&mut sandbox(&world, engine, &project, line)).success("cargo-sandbox hack");
        assert_eq!(lines(&found), lines(&expected));
        assert_eq!(lines(&found).len(), 4, "{}", found.stderr);

        for line in ["hack test --each-feature --lib", "hack nextest run --each-feature"] {
            run(&mut plain(&world, &project, line)).success("control: the user's home directory");
            let output = run(&mut sandbox(&world, engine, &project, line));
            assert_ne!(output.code(), 0);
            says(&output, &["assertion `left == right` failed"]);
        }
        world.stop(engine, &project);
    }
}

#[test]
fn what_is_confined_elsewhere_only_is_not_passed_on() {
    for world in native_worlds("passed-on", &["hack"]) {
        let project = package(&world, "hacked", "", &[("src/lib.rs", "")]);
        for line in ["hack fix --allow-no-vcs", "hack clippy --fix", "hack --each-feature publish"] {
            let output = run(&mut sandbox(&world, Engine::Native, &project, line));
            assert_eq!(output.code(), 101, "{line}: {}", output.stderr);
            says(&output, &["which is confined only where cargo-sandbox itself starts it"]);
        }
        // The cargo below would write an alias out by itself, and this one would take the runner back.
        let trace = world.home.join("trace");
        let program = project.join("program");
        script(&world, &program, &format!(": > '{}'", trace.display()));
        let runner = format!("target.'cfg(all())'.runner = '{}'", program.display());
        let alias = format!("[alias]\nmine = [\"test\", \"--config\", \"{runner}\"]\n");
        world.write(&project.join(".cargo/config.toml"), &alias);
        run(&mut plain(&world, &project, "hack mine"));
        assert!(left(&trace), "control: cargo starts it");
        let output = run(&mut sandbox(&world, Engine::Native, &project, "hack mine"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        says(&output, &["needs your trust", "alias.mine"]);
        assert!(!left(&trace));
    }
}

/// A database of advisories in the form of RustSec's, in a git repository: one, against this crate before 1.0.1.
fn advisories(world: &World, place: &Path, name: &str) {
    let advisory = format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"{name}\"\ndate = \"2026-01-01\"\n\
         url = \"https://example.org\"\n\n[versions]\npatched = [\">= 1.0.1\"]\n```\n\n# It does harm\n\nIn some way.\n"
    );
    world.write(&place.join(format!("crates/{name}/RUSTSEC-2026-0001.md")), &advisory);
    world.write(&place.join("README.md"), "# Advisories\n");
    let git = |line: &str| {
        let mut git = world.command("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(line.split(' ')).current_dir(place);
        run(&mut git).success(line);
    };
    for line in ["init --quiet", "add .", "commit --quiet --message first"] {
        git(line);
    }
}

#[test]
fn audit_finds_as_under_cargo() {
    for world in native_worlds("audit", &["audit"]) {
        let project = package(&world, "audited", "", &[("src/lib.rs", "")]);
        advisories(&world, &world.home.join(".cargo/advisory-db"), "harmful");
        let lock = |version: &str| {
            format!(
                "version = 4\n\n[[package]]\nname = \"audited\"\nversion = \"0.1.0\"\ndependencies = [\"harmful\"]\n\n\
                 [[package]]\nname = \"harmful\"\nversion = \"{version}\"\n\
                 source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{}\"\n",
                "0".repeat(64)
            )
        };
        for (version, code) in [("1.0.0", 1), ("1.0.1", 0)] {
            world.write(&project.join("Cargo.lock"), &lock(version));
            let line = "audit --no-fetch --stale --color never";
            let expected = run(&mut plain(&world, &project, line));
            let found = run(&mut sandbox(&world, Engine::Native, &project, line));
            assert_eq!(
                (found.code(), expected.code()),
                (code, code),
                "{}\n{}",
                found.stderr,
                expected.stderr
            );
            assert_eq!((&found.stdout, &found.stderr), (&expected.stdout, &expected.stderr));
            assert_eq!(found.stdout.contains("RUSTSEC-2026-0001"), code == 1, "{}", found.stdout);
        }
    }
}
