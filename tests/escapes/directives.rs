//! What a build script has cargo do by its output.

use super::support::run::run;
use super::{ENGINE, package, worlds};

#[test]
fn a_script_sets_no_loader_variable_and_names_no_foreign_directory() {
    for world in worlds("directives") {
        for (line, named) in [
            ("cargo::rustc-env=LD_PRELOAD=/nonexistent.so", "`LD_PRELOAD`"),
            ("cargo:rustc-env=HOME=/nonexistent", "`HOME`"),
            ("cargo:rustc-link-search=native=/home", "`/home`"),
            ("cargo:rustc-flags=-L /var/tmp", "`/var/tmp`"),
        ] {
            let project = package(&world, "speaker", &format!("    println!({line:?});"));
            run(world.plain(&project).arg("build").env("CARGO_TARGET_DIR", world.home.join("plain")))
                .success("control: cargo obeys");
            let output = run(world.sandbox(ENGINE, &project).arg("build"));
            assert_eq!(output.code(), 101, "{line}:\n{}", output.stderr);
            assert!(output.stderr.contains("the build script of speaker"), "{}", output.stderr);
            assert!(output.stderr.contains(named) && output.stderr.contains("hint: "), "{}", output.stderr);
        }
        world.stop(ENGINE, &world.work().join("speaker"));
    }
}

#[test]
fn a_warning_moves_no_cursor() {
    for world in worlds("warnings") {
        let script = "    println!(\"cargo::warning=\\u{1b}[2J\\u{1b}]0;title\\u{7}\");";
        let project = package(&world, "warner", script);
        // Where cargo believes that nobody looks at colours it takes such things out itself.
        let build = ["build", "--color", "always"];
        let plain = run(world.plain(&project).args(build).env("CARGO_TARGET_DIR", world.home.join("plain")));
        let plain = plain.success("cargo build").stderr;
        assert!(plain.contains("\u{1b}[2J\u{1b}]0;title\u{7}"), "control: {plain:?}");
        let output = run(world.sandbox(ENGINE, &project).args(build)).success("cargo-sandbox build");
        assert!(output.stderr.contains("\\x1b[2J\\x1b]0;title\\x07"), "{:?}", output.stderr);
        assert!(!output.stderr.contains("\u{1b}[2J"), "{:?}", output.stderr);
        world.stop(ENGINE, &project);
    }
}

#[test]
fn much_output_comes_through() {
    let script = "    for _ in 0..60_000 { println!(\"{}\", \"x\".repeat(100)); }\n    eprintln!(\"{}\", \"y\".repeat(1 << 20));";
    for world in worlds("much-output") {
        let project = package(&world, "talker", script);
        run(world.sandbox(ENGINE, &project).arg("build")).success("cargo-sandbox build");
        let build_dir = world.status(ENGINE, &project).build_dir;
        let output = super::find(&build_dir, "output");
        assert!(
            output.iter().any(|path| path.metadata().is_ok_and(|file| file.len() > 6_000_000)),
            "{output:?}"
        );
        world.stop(ENGINE, &project);
    }
}
