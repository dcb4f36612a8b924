//! A job that fails is told what it was refused, in few lines and with the policy that would allow it; one that fails
//! for other reasons is not.

use std::fs;

use super::support::run::run;
use super::{each_engine, project, sandbox, vendor};

/// Fails for want of a file, after other refusals, and counts its runs.
fn script(home: &str, fails: bool) -> String {
    let end = if fails { "panic!(\"no settings\")" } else { "std::process::exit(7)" };
    let refused = "
    let _ = std::net::TcpStream::connect(\"192.0.2.7:443\");
    for name in [\"a\", \"b\", \"c\", \"d\"] { let _ = std::fs::read_to_string(format!(\"{HOME}/settings-{name}\")); }
    let _ = std::fs::read(format!(\"{HOME}/is-nowhere\"));";
    format!(
        "use std::io::Write;\nconst HOME: &str = {home:?};\nfn main() {{
    let out = std::env::var(\"OUT_DIR\").unwrap();
    let mut runs = std::fs::File::options().append(true).create(true).open(format!(\"{{out}}/runs\")).unwrap();
    writeln!(runs, \"one\").unwrap();
    println!(\"said once\");
    {}
    {end};\n}}\n",
        if fails { refused } else { "let _ = HOME;" }
    )
}

#[test]
fn a_failed_build_script_is_told_what_it_was_refused() {
    each_engine("denials-script", |world, engine| {
        let project = project(world, "wants = \"1\"");
        let home = world.home.display().to_string();
        for name in ["a", "b", "c", "d"] {
            world.write(&world.home.join(format!("settings-{name}")), "x");
        }
        vendor(world, &project, "wants", "1.2.3", "", &[("build.rs", &script(&home, true))]);
        let output = sandbox(world, engine, &project, "build");
        assert_eq!(output.code(), 101);
        let expected = format!(
            "note: the build script of `wants 1.2.3` was refused:\n  network: 192.0.2.7:443\n  read: {home}/settings-a \
             (there, and hidden from jobs)\n  read: {home}/settings-b (there, and hidden from jobs)\n  read: \
             {home}/settings-c (there, and hidden from jobs)\n  and 1 more: `-v` names all\n\nhint: if it \
             should have that, add this to cargo-sandbox.toml:\n[packages.\"wants\".build-script]\nread = \
             [\"{home}/settings-a\", \"{home}/settings-b\", \"{home}/settings-c\"]\nnetwork = [\"192.0.2.7:443\"]\n"
        );
        assert!(output.stderr.contains(&expected), "{}", output.stderr);
        assert_eq!(
            output.stderr.matches("said once").count(),
            1,
            "the second run is not heard: {}",
            output.stderr
        );
        let runs = || {
            let build = world.status(engine, &project).build_dir;
            let of = |path: &std::path::Path| fs::read_dir(path).unwrap().flatten().map(|entry| entry.path());
            let all = of(&build.join("debug/build"))
                .filter_map(|path| fs::read_to_string(path.join("out/runs")).ok());
            all.map(|text| text.lines().count()).sum::<usize>()
        };
        assert_eq!(runs(), 1, "the second run leaves nothing");
        let output = sandbox(world, engine, &project, "build -v");
        assert!(output.stderr.contains(&format!("read: {home}/settings-d")), "{}", output.stderr);
        assert!(!output.stderr.contains("is-nowhere"), "what is nowhere is no denial");

        // The same where plain cargo runs: with what the script said.
        let output = run(world.wrapped(engine, &project).args(["build", "--target-dir", "target/plain"]));
        assert_eq!(output.code(), 101);
        assert!(
            output.stderr.contains("was refused:") && output.stderr.contains("192.0.2.7:443"),
            "{}",
            output.stderr
        );

        // One that fails by itself.
        sandbox(world, engine, &project, "clean").success("clean");
        vendor(world, &project, "wants", "1.2.3", "", &[("build.rs", &script(&home, false))]);
        let output = sandbox(world, engine, &project, "build");
        assert_eq!(output.code(), 101);
        assert!(
            output.stderr.contains("exit status: 7") && !output.stderr.contains("refused"),
            "{}",
            output.stderr
        );
    });
}

#[test]
fn a_macro_is_told_of_and_an_error_of_the_users_is_not() {
    let Some(world) = super::world("denials-macro") else { return };
    let engine = super::Engine::Native;
    let project = project(&world, "queries = \"1\"");
    let source = "use proc_macro::TokenStream;\n#[proc_macro]\npub fn query(_: TokenStream) -> TokenStream {\n    \
                  std::net::TcpStream::connect(\"192.0.2.9:5432\").expect(\"a database\");\n    TokenStream::new()\n}\n";
    vendor(&world, &project, "queries", "1.0.0", "[lib]\nproc-macro = true", &[("src/lib.rs", source)]);
    world.write(&project.join("src/main.rs"), "queries::query!();\nfn main() {}\n");
    let output = sandbox(&world, engine, &project, "build");
    assert_eq!(output.code(), 101);
    let expected = "note: the compiler of `app 0.1.0`, or a macro that it ran (queries 1.0.0), was refused:\n  network: \
                    192.0.2.9:5432\n\nhint: if it should have that, add this to \
                    cargo-sandbox.toml:\n[packages.\"queries\".macro]\nnetwork = [\"192.0.2.9:5432\"]\n";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    // A variable that the user has, and that no job gets.
    world.write(&project.join("src/main.rs"), "fn main() { println!(env!(\"MY_TOKEN\")); }\n");
    let mut command = super::support::line::sandbox(&world, engine, &project, "build");
    let output = run(command.env("MY_TOKEN", "the-value-of-it"));
    assert_eq!(output.code(), 101);
    let expected = "note: the compiler of `app 0.1.0` was refused:\n  variable: MY_TOKEN (you have it, and it is not passed \
                    on)\n\nhint: if it should have that, add this to \
                    cargo-sandbox.toml:\n[packages.\"app\".compile]\nenv = [\"MY_TOKEN\"]\n";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    assert!(!output.stderr.contains("the-value-of-it"));
    world.write(&project.join("src/main.rs"), "fn main() { let x: u8 = \"\"; }\n");
    let output = sandbox(&world, engine, &project, "build");
    assert_eq!(output.code(), 101);
    assert!(!output.stderr.contains("refused") && !output.stderr.contains("hint: "), "{}", output.stderr);
}
