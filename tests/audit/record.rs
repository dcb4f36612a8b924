//! Every field of a record, from what a job really does.

use std::fs;

use super::support::run::run;
use super::{audit, each_engine, list, project, record, report, sandbox, vendor};

/// A build script that does one of everything.
const SCRIPT: &str = r#"
use std::process::Command;
fn main() {
    println!("cargo:rerun-if-env-changed=BUSY_DIR");
    println!("cargo:rustc-env=BUSY_SETS=1");
    let _ = std::net::TcpStream::connect(("drop.example.invalid", 8080));
    let _ = std::net::TcpStream::connect("192.0.2.7:443");
    let _listener = std::net::TcpListener::bind("127.0.0.1:18080").unwrap();
    let home = include_str!("home").trim();
    let _ = std::fs::read(format!("{home}/.netrc"));
    let _ = std::fs::write(format!("{home}/dropped"), "x");
    let _ = std::fs::read(format!("{home}/nowhere"));
    std::fs::read("build.rs").unwrap();
    std::fs::write("written-beside", "x").unwrap();
    let status = Command::new("sh").args(["-c", "echo \"</td><script>alert(1)</script>\" >/dev/null; true"]).status();
    assert!(status.unwrap().success());
    let _ = Command::new("unshare").args(["--user", "true"]).status();
    std::fs::write(format!("{}/own", std::env::var("OUT_DIR").unwrap()), "x").unwrap();
    let mut large = vec![0_u8; 40 << 20];
    large.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::thread::sleep(std::time::Duration::from_millis(60));
    assert!(large[4096] == 1);
}
"#;

/// A macro that looks for a secret while it is expanded.
const MACRO: &str = r#"
use proc_macro::TokenStream;
#[proc_macro]
pub fn look(_: TokenStream) -> TokenStream {
    let _ = std::fs::read(concat!(include_str!("home"), "/.netrc"));
    TokenStream::new()
}
"#;

#[test]
fn a_record_has_every_field_and_no_value_of_a_variable() {
    each_engine("audit-record", |world, engine| {
        let project = project(world, "busy = \"1\"\nlooking = \"1\"");
        let home = world.home.display().to_string();
        world.write(&world.home.join(".netrc"), "secret");
        vendor(world, &project, "busy", "1.2.3", "", &[("build.rs", SCRIPT), ("home", &home)]);
        let more = "[lib]\nproc-macro = true";
        vendor(world, &project, "looking", "1.0.0", more, &[("src/lib.rs", MACRO), ("src/home", &home)]);
        world.write(
            &project.join("src/main.rs"),
            "looking::look!();\nfn main() { println!(\"{}\", option_env!(\"APP_ASKS\").is_some()); }\n#[test]\nfn passes() {}\n",
        );
        let mut command = super::support::line::sandbox(
            world,
            engine,
            &project,
            "--sandbox-env PASSED --sandbox-env APP_ASKS --audit run --quiet",
        );
        let output =
            run(command.env("PASSED", "the-value-of-it").env("APP_ASKS", "1")).success("--audit run");
        assert_eq!(output.stdout, "true\n", "what cargo run prints is the program's");
        assert_eq!(output.stderr.matches("audit.html").count(), 1, "one line: {}", output.stderr);

        let audit = audit(world);
        assert_eq!((&audit["schema"], &audit["project"]), (&1.into(), &"app".into()));
        assert_eq!(audit["tool"], env!("CARGO_PKG_VERSION"));
        assert_eq!(audit["command"], serde_json::json!(["run", "--quiet"]));
        assert!(audit["started"].as_u64() > Some(1_700_000_000));
        assert_eq!(audit["places"]["{workspace}"], project.display().to_string());

        let script = record(&audit, "busy", "build-script");
        assert_eq!(
            (&script["package"]["version"], &script["source"], &script["jobs"], &script["complete"]),
            (&"1.2.3".into(), &"dependency".into(), &1.into(), &true.into())
        );
        assert_eq!(list(script, "/reads"), ["~/.netrc"]);
        assert_eq!(list(script, "/writes"), ["{package}/written-beside", "~/dropped"]);
        assert_eq!(list(script, "/network/names"), ["drop.example.invalid"]);
        assert_eq!(list(script, "/network/connects"), ["192.0.2.7:443"]);
        assert_eq!(list(script, "/network/listens"), ["127.0.0.1:18080"]);
        assert_eq!(list(script, "/variables/asked"), ["BUSY_DIR"]);
        assert_eq!(list(script, "/variables/set"), ["BUSY_SETS"]);
        assert!(list(script, "/variables/passed").contains(&"PASSED"));
        assert_eq!(list(script, "/exits"), ["0"]);
        let shell =
            script["programs"].as_array().unwrap().iter().find(|one| one["arguments"][0] == "-c").unwrap();
        assert!(shell["arguments"][1].as_str().unwrap().contains("alert(1)"), "{shell}");
        let refused: Vec<String> = script["refused"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {}", one["sort"].as_str().unwrap(), one["what"].as_str().unwrap()))
            .collect();
        let (dropped, netrc) = (format!("write {home}/dropped"), format!("read {home}/.netrc"));
        let expected =
            ["network 192.0.2.7:443", "network drop.example.invalid:443", &dropped, "call unshare", &netrc];
        assert_eq!(refused, expected);
        assert!(script["seconds"].as_f64() > Some(0.06), "{script:#}");
        assert!(script["processor_seconds"].as_f64() > Some(0.0));
        assert!(script["peak_memory"].as_u64() > Some(40 << 20), "{script:#}");

        let compiler = record(&audit, "app", "compile");
        assert_eq!(
            (&compiler["source"], list(compiler, "/macros")),
            (&"workspace".into(), vec!["looking 1.0.0"])
        );
        assert_eq!(list(compiler, "/variables/asked"), ["APP_ASKS"]);
        let of_macro = record(&audit, "looking", "macro");
        assert_eq!((&of_macro["source"], list(of_macro, "/reads")), (&"dependency".into(), vec!["~/.netrc"]));
        assert_eq!(list(record(&audit, "app", "run"), "/exits"), ["0"]);

        let text = fs::read_to_string(report(world).join("audit.json")).unwrap();
        let page = fs::read_to_string(report(world).join("audit.html")).unwrap();
        assert!(!text.contains("the-value-of-it") && !page.contains("the-value-of-it"));
        assert!(!page.contains("<script>alert"), "what jobs wrote is text");
        // What is built is the same, byte for byte.
        let built = fs::read(project.join("target/debug/app")).unwrap();
        sandbox(world, engine, &project, "clean").success("clean");
        let mut command = super::support::line::sandbox(
            world,
            engine,
            &project,
            "--sandbox-env PASSED --sandbox-env APP_ASKS build --quiet",
        );
        let plain = run(command.env("PASSED", "the-value-of-it").env("APP_ASKS", "1")).success("build");
        assert_eq!(
            (plain.stdout.as_str(), plain.stderr.as_str()),
            ("", ""),
            "nothing is said of what is not recorded"
        );
        assert!(built == fs::read(project.join("target/debug/app")).unwrap(), "the same program");
        assert!(!world.home.join("dropped").exists(), "all confinement as ever");
        assert!(!project.join("vendor/busy/written-beside").exists());
    });
}

#[test]
fn tests_programs_and_failures_are_recorded() {
    let Some(world) = super::world("audit-tests") else { return };
    let engine = super::Engine::Native;
    let project = project(&world, "");
    let library = "//! ```\n//! assert_eq!(app::two(), 2);\n//! ```\npub fn two() -> u8 { 2 }\n#[test]\nfn holds() { \
                   assert_eq!(two(), 2); }\n#[test]\nfn fails() { panic!(\"on purpose\"); }\n";
    world.write(&project.join("src/lib.rs"), library);
    world.write(&project.join("src/main.rs"), "fn main() { std::process::abort() }\n");
    let output = sandbox(&world, engine, &project, "--audit test --no-fail-fast");
    assert_eq!(output.code(), 101);
    let first = audit(&world);
    assert_eq!(list(record(&first, "app", "test"), "/exits"), ["0", "101"]);
    assert_eq!(list(record(&first, "app", "doctest"), "/exits"), ["0"]);
    assert_eq!(record(&first, "app", "compile")["jobs"], 3);
    let output = sandbox(&world, engine, &project, "--audit run");
    assert_ne!(output.code(), 0);
    assert_eq!(list(record(&audit(&world), "app", "run"), "/exits"), ["signal 6"]);
    // A job that a limit ends has no end of its own, and what is known until then stays.
    world.write(
        &project.join("src/main.rs"),
        "fn main() { let _ = std::fs::read(\"/etc/hostname\"); loop {} }\n",
    );
    let output = sandbox(&world, engine, &project, "--sandbox-limit program-time=1s --audit run");
    assert_eq!(output.code(), 101, "{}", output.stderr);
    let last = audit(&world);
    let stopped = record(&last, "app", "run");
    assert_eq!((list(stopped, "/exits"), &stopped["complete"]), (vec!["stopped"], &false.into()));
    assert_eq!(list(stopped, "/reads"), ["/etc/hostname"]);
}

/// A record says which of the files that a job looked for are there: jobs must not read it. And what is pinned is
/// what this tool has written itself.
#[test]
fn no_job_reads_a_record_and_nothing_is_written_through_a_link() {
    each_engine("audit-hidden", |world, engine| {
        let project = project(world, "");
        sandbox(world, engine, &project, "--audit check").success("--audit check");
        let record = report(world).join("audit.json");
        let script = format!(
            "fn main() {{\n    println!(\"cargo::warning=read: {{:?}}\", std::fs::read({:?}).map(|bytes| bytes.len()));\n}}\n",
            record.display().to_string()
        );
        world.write(&project.join("build.rs"), &script);
        let output = sandbox(world, engine, &project, "check").success("check");
        assert!(output.stderr.contains("read: Err(Os"), "{}", output.stderr);
        let victim = world.home.join("victim");
        world.write(&victim, "kept");
        std::os::unix::fs::symlink(&victim, project.join("cargo-sandbox.lock")).unwrap();
        fs::write(&victim, "version = 1\n").unwrap();
        sandbox(world, engine, &project, "self report --pin").success("self report --pin");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "version = 1\n");
        assert!(
            fs::read_to_string(project.join("cargo-sandbox.lock"))
                .unwrap()
                .starts_with("# What dependencies did")
        );
        let json = sandbox(world, engine, &project, "self report --format json").success("json");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap(), audit(world));
        let page = sandbox(world, engine, &project, "self report --format html").success("html");
        assert_eq!(page.stdout, fs::read_to_string(report(world).join("audit.html")).unwrap());
        let text = sandbox(world, engine, &project, "self report").success("self report");
        assert!(
            text.stdout.starts_with("cargo check\n") && text.stdout.contains("audit.html"),
            "{}",
            text.stdout
        );
    });
}

/// Nothing of an installation stays but what was installed, and what is known of it.
#[test]
fn an_installation_is_recorded_and_a_failed_one_explained() {
    let Some(world) = super::world("audit-install") else { return };
    let engine = super::Engine::Native;
    let repository = world.home.join("repository");
    world.write(&world.home.join("first.toml"), "x = 1\n");
    world.write(
        &repository.join("Cargo.toml"),
        "[package]\nname = \"first\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    world.write(&repository.join("src/main.rs"), "fn main() {}\n");
    let script = |ending: &str| {
        let settings = world.home.join("first.toml");
        let script = format!("fn main() {{ let _looked = std::fs::read({settings:?}); {ending} }}\n");
        world.write(&repository.join("build.rs"), &script);
        world.commit(&repository);
    };
    script("");
    let work = world.work();
    let line = format!("install --git file://{} first", repository.display());
    let output = sandbox(&world, engine, &work, &format!("--audit {line}")).success("install");
    let note = output.stderr.lines().find_map(|line| line.strip_prefix("note: what ")).expect("a note");
    let page = note.split(": ").nth(1).and_then(|rest| rest.split(" and ").next()).expect("a page");
    let json = std::path::Path::new(page).with_file_name("audit.json");
    let audit: serde_json::Value =
        serde_json::from_slice(&fs::read(json).expect("the record")).expect("JSON");
    assert_eq!(list(record(&audit, "first", "build-script"), "/reads"), ["~/first.toml"]);
    assert_eq!(record(&audit, "first", "compile")["jobs"], 2, "the script and the program");
    assert!(world.home.join(".cargo/bin/first").exists());

    script("panic!(\"no permission (os error 13)\")");
    let output = sandbox(&world, engine, &work, &format!("{line} --force"));
    assert_eq!(output.code(), 101, "{}", output.stderr);
    for said in ["the build script of `first 0.1.0` was refused:", "first.toml", "config.toml:\n[packages"] {
        assert!(output.stderr.contains(said), "{said}:\n{}", output.stderr);
    }
    for (line, said) in [
        (&*format!("--learn {line}"), "no project with a `cargo-sandbox.toml`"),
        (&*format!("--locked-behaviour {line}"), "`cargo-sandbox.lock`"),
    ] {
        let output = sandbox(&world, engine, &work, line);
        assert!(output.code() == 101 && output.stderr.contains(said), "{}", output.stderr);
    }
    let project = project(&world, "");
    let output = sandbox(&world, engine, &project, "--audit fix --allow-no-vcs");
    assert!(output.code() == 101 && output.stderr.contains("as one job"), "{}", output.stderr);
    world.stop(engine, &project);
}
