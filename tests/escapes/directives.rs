//! What a build script has cargo do by its output.

use std::path::Path;

use super::support::run::run;
use super::support::world::World;
use super::{ENGINE, in_each_way, package, worlds};

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
            in_each_way(&world, ENGINE, &project, &["build"], |way, output| {
                assert_eq!(output.code(), 101, "{way}: {line}:\n{}", output.stderr);
                for word in ["the build script of speaker", named, "hint: "] {
                    assert!(output.stderr.contains(word), "{way}: {line}:\n{}", output.stderr);
                }
            });
        }
        world.stop(ENGINE, &world.work().join("speaker"));
    }
}

#[test]
fn a_warning_moves_no_cursor() {
    for world in worlds("warnings") {
        let script = "    println!(\"cargo::warning=\\u{1b}[2J\\u{1b}]0;title\\u{7}\");";
        let project = package(&world, "warner", script);
        moves_no_cursor(&world, &project, "");
    }
}

/// cargo prints all that a script has said where it fails.
#[test]
fn a_script_that_fails_moves_no_cursor() {
    for world in worlds("complaints") {
        for speak in ["println", "eprintln"] {
            let script = format!(
                "    {speak}!(\"\\u{{1b}}[2J\\u{{1b}}]0;title\\u{{7}}\");\n    std::process::exit(1);"
            );
            let project = package(&world, speak, &script);
            moves_no_cursor_with(&world, &project, "", 101);
        }
    }
}

/// What a build of the project prints clears the screen and names the window under cargo, and does neither here; this
/// part of it stays as it is.
#[track_caller]
fn moves_no_cursor(world: &World, project: &Path, stays: &str) {
    moves_no_cursor_with(world, project, stays, 0);
}

/// The same for a build that ends with this code.
#[track_caller]
fn moves_no_cursor_with(world: &World, project: &Path, stays: &str, code: i32) {
    // Where cargo believes that nobody looks at colours it takes such things out itself.
    let build = ["build", "--color", "always"];
    let plain = run(world.plain(project).args(build).env("CARGO_TARGET_DIR", world.home.join("plain")));
    assert_eq!(plain.code(), code, "control: {plain:?}");
    let plain = plain.stderr;
    assert!(plain.contains("\u{1b}[2J\u{1b}]0;title\u{7}"), "control: {plain:?}");
    in_each_way(world, ENGINE, project, &build, |way, output| {
        assert_eq!(output.code(), code, "{way}: {output:?}");
        let stderr = output.stderr;
        assert!(stderr.contains("\\x1b[2J\\x1b]0;title\\x07"), "{way}: {stderr:?}");
        assert!(!stderr.contains("\u{1b}[2J"), "{way}: {stderr:?}");
        assert!(stderr.contains(stays), "{way}: {stderr:?}");
    });
    world.stop(ENGINE, project);
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

/// A project whose program is made by a macro that says this before.
pub fn macro_that_says(world: &World, name: &str, statements: &str) -> std::path::PathBuf {
    let project = world.work().join(name);
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nsaid = {{ path = \
         \"said\" }}\n"
    );
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("src/main.rs"), "said::said!();\n");
    let library =
        "[package]\nname = \"said\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n";
    world.write(&project.join("said/Cargo.toml"), library);
    let source = format!(
        "#[proc_macro]\npub fn said(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n{statements}\n\"fn main() \
         {{}}\".parse().unwrap()\n}}\n"
    );
    world.write(&project.join("said/src/lib.rs"), &source);
    project
}

#[test]
fn a_macro_forges_no_message_of_cargos() {
    for world in worlds("forged-message") {
        let forged =
            r##"println!(r#"{{"reason":"compiler-artifact","executable":"/nonexistent/forged"}}"#);"##;
        let project = macro_that_says(&world, "forger", forged);
        let build = ["build", "--message-format", "json-render-diagnostics"];
        let plain = run(world.plain(&project).args(build).env("CARGO_TARGET_DIR", world.home.join("plain")));
        let plain = plain.success("cargo build").stdout;
        assert!(plain.lines().any(|line| line.contains("/nonexistent/forged")), "control: {plain}");
        in_each_way(&world, ENGINE, &project, &build, |way, output| {
            assert_eq!(output.code(), 101, "{way}: {}", output.stderr);
            assert!(!output.stdout.contains("/nonexistent/forged"), "{way}: {}", output.stdout);
            let named = "the rustc of forger printed a `compiler-artifact` message as if it were cargo's";
            assert!(output.stderr.contains(named), "{way}: {}", output.stderr);
        });
        world.stop(ENGINE, &project);
    }
}

/// What rustc says where it suggests to replace the first word of a file.
pub fn forged_suggestion(victim: &Path) -> String {
    let span = format!(
        r#"{{"file_name":"{}","byte_start":0,"byte_end":8,"line_start":1,"line_end":1,"column_start":1,"column_end":9,"is_primary":true,"text":[{{"text":"precious","highlight_start":1,"highlight_end":9}}],"label":null,"suggested_replacement":"replaced","suggestion_applicability":"MachineApplicable","expansion":null}}"#,
        victim.display()
    );
    let message = |spans: &str, children: &str| {
        format!(
            r#"{{"$message_type":"diagnostic","message":"m","code":{{"code":"unused_mut","explanation":null}},"level":"warning","spans":[{spans}],"children":[{children}],"rendered":"r\n"}}"#
        )
    };
    let child = format!(
        r#"{{"message":"m","code":null,"level":"help","spans":[{span}],"children":[],"rendered":null}}"#
    );
    message(&span, &child)
}

/// Under `cargo fix` the same suggestion makes cargo write into the file that it names.
#[test]
fn a_macro_suggests_no_change_of_somebody_elses_file() {
    for world in worlds("forged-suggestion") {
        let victim = world.home.join("victim.rs");
        world.write(&victim, "precious\n");
        let suggestion = forged_suggestion(&victim);
        let project =
            macro_that_says(&world, "suggester", &format!("eprintln!(\"{{}}\", r##\"{suggestion}\"##);"));
        let fix = ["fix", "--allow-no-vcs", "--broken-code"];
        run(world.plain(&project).args(fix).env("CARGO_TARGET_DIR", world.home.join("plain")))
            .success("cargo fix");
        let written = std::fs::read_to_string(&victim).expect("victim");
        assert_eq!(written, "replaced\n", "control: cargo writes what a macro suggests");

        let named = format!("the rustc of suggester suggested to change `{}`", victim.display());
        in_each_way(&world, ENGINE, &project, &["build", "--message-format", "json"], |way, output| {
            assert_eq!(output.code(), 101, "{way}: {}", output.stderr);
            assert!(!output.stdout.contains("MachineApplicable"), "{way}: {}", output.stdout);
            assert!(output.stderr.contains(&named), "{way}: {}", output.stderr);
        });
        world.stop(ENGINE, &project);
    }
}

#[test]
fn a_macro_moves_no_cursor() {
    for world in worlds("macro-escapes") {
        let said = r#"eprintln!("\u{1b}[2J\u{1b}]0;title\u{7} \u{1b}[31mred\u{1b}[0m");"#;
        let project = macro_that_says(&world, "painter", said);
        moves_no_cursor(&world, &project, "\u{1b}[31mred");
    }
}
