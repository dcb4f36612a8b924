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

/// Makes a directory and files where a policy can grant that, and where none can.
const MAKES: &str = r#"
use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=never");
    let out = std::env::var("OUT_DIR").unwrap();
    let project = Path::new(PROJECT);
    let made = fs::create_dir_all(project.join("made"));
    let made = made.and(fs::write(project.join("made/now.txt"), ""));
    let made = made.and(fs::write(project.join("data/new.txt"), ""));
    if NOWHERE {
        let _ = fs::read(Path::new(HOME).join(".netrc"));
        let _ = fs::write(project.join("src/made.rs"), "");
        let _ = fs::create_dir(Path::new(&out).join("../../../made"));
    }
    made.unwrap();
}
"#;

#[test]
fn what_is_proposed_works_and_what_no_policy_grants_is_not_proposed() {
    each_engine("denials-proposed", |world, engine| {
        let project = project(world, "makes = \"1\"");
        world.write(&project.join("data/old.txt"), "");
        world.write(&world.home.join(".netrc"), "secret");
        let script = |nowhere: bool| {
            let (project, home) = (project.display().to_string(), world.home.display().to_string());
            format!(
                "const PROJECT: &str = {project:?};\nconst HOME: &str = {home:?};\nconst NOWHERE: bool = {nowhere};\n{MAKES}"
            )
        };
        vendor(world, &project, "makes", "1.0.0", "", &[("build.rs", &script(true))]);
        let output = run(world.plain(&project).args(["check", "--target-dir", "target/plain"]));
        output.success("control: cargo lets it");
        for made in ["made", "target/plain"] {
            super::support::world::remove(&project.join(made));
        }
        for made in ["data/new.txt", "src/made.rs"] {
            fs::remove_file(project.join(made)).expect("what cargo let it make");
        }

        let output = sandbox(world, engine, &project, "--learn check");
        assert_eq!(output.code(), 101, "{}", output.stderr);
        let (root, home) = (project.display(), world.home.display());
        let lines = "[packages.\"makes\".build-script]\nwrite = [\"data\", \"made\"]\n";
        for said in [
            &*format!("  write: {root}/data/new.txt\n"),
            &format!(
                "  write: {root}/src/made.rs (no policy allows it: `{root}/src` is obeyed on this machine, or compiled (`src`))\n"
            ),
            &format!("  make a directory: {root}/made\n"),
            lines,
            // By `--learn`, which names all.
            &format!(
                "# no policy allows read: {home}/.netrc (makes 1.0.0): it is where credentials are (`~/.netrc`), or above that\n"
            ),
            "/debug/made (makes 1.0.0): ",
        ] {
            assert!(output.stderr.contains(said), "{said}\n{}", output.stderr);
        }
        assert!(!project.join("made").exists() && !project.join("src/made.rs").exists());

        // With these lines it has what it can have.
        world.write(&project.join("cargo-sandbox.toml"), lines);
        vendor(world, &project, "makes", "1.0.0", "", &[("build.rs", &script(false))]);
        sandbox(world, engine, &project, "self trust --yes").success("self trust");
        sandbox(world, engine, &project, "clean").success("clean");
        sandbox(world, engine, &project, "check").success("with the lines");
        assert!(project.join("made/now.txt").exists() && project.join("data/new.txt").exists());

        // Nothing else: no line is proposed, and the reason is said.
        let only = format!("fn main() {{ std::fs::write(\"{root}/src/made.rs\", \"\").unwrap() }}\n");
        vendor(world, &project, "makes", "1.0.0", "", &[("build.rs", &only)]);
        sandbox(world, engine, &project, "clean").success("clean");
        let output = sandbox(world, engine, &project, "check");
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("hint: no policy allows that"), "{}", output.stderr);
        assert!(!output.stderr.contains("if it should have that"), "{}", output.stderr);
        world.stop(engine, &project);
    });
}
