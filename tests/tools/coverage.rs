//! llvm-cov measures the same as under cargo, and what programs leave for it leads nowhere.

use super::*;

/// `llvm-cov` and `llvm-profdata` of the compiler's version, where a distribution has them. cargo-llvm-cov itself finds
/// those of rustup only.
fn llvm() -> Result<[String; 2], String> {
    let version = run(Command::new(Path::new(env!("CARGO")).with_file_name("rustc")).arg("-vV"));
    let version = version.success("rustc -vV").stdout;
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: ")).expect("LLVM's version");
    let major = llvm.split('.').next().expect("a number");
    let tools = ["cov", "profdata"].map(|name| format!("/usr/bin/llvm-{name}-{major}"));
    match tools.iter().find(|tool| !Path::new(tool).exists()) {
        Some(missing) => Err(format!("`{missing}` is not installed: Debian's package is `llvm-{major}`")),
        None => Ok(tools),
    }
}

/// cargo itself, with the tools named.
fn control(world: &World, project: &Path, line: &str) -> Command {
    let mut command = plain(world, project, line);
    for (name, tool) in ["LLVM_COV", "LLVM_PROFDATA"].iter().zip(llvm().expect("looked for before")) {
        command.env(name, tool);
    }
    command
}

/// Unit tests, one that starts the package's program, a build script of another name than most, and a macro that is
/// measured while the compiler runs it.
fn measured(world: &World) -> PathBuf {
    let library = r#"
        pub fn sign(number: i32) -> &'static str {
            if number > 0 { "plus" } else if number < 0 { "minus" } else { "zero" }
        }
        pub fn never() -> i32 { maker::seven!() }
        #[test] fn unit() { assert_eq!(sign(1), "plus"); }
        #[test] #[ignore] fn fails() { panic!(); }
    "#;
    let integration = r#"
        #[test] fn of_the_program() {
            let program = std::process::Command::new(env!("CARGO_BIN_EXE_measured"));
            assert_eq!({ program }.output().unwrap().stdout, b"minus\n");
        }
    "#;
    let maker = "#[proc_macro]\npub fn seven(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n\
                 \"7\".parse().unwrap()\n}\n#[proc_macro]\npub fn unused(_: proc_macro::TokenStream) -> \
                 proc_macro::TokenStream {\nunimplemented!()\n}\n";
    let script = "fn main() {\nif std::env::var(\"OUT_DIR\").is_err() {\npanic!();\n}\n}\n";
    let files = [
        ("src/lib.rs", library),
        ("src/main.rs", "fn main() { println!(\"{}\", measured::sign(-1)); }\n"),
        ("tests/integration.rs", integration),
        ("make.rs", script),
        (
            "maker/Cargo.toml",
            "[package]\nname = \"maker\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n",
        ),
        ("maker/src/lib.rs", maker),
    ];
    package(world, "measured", "build = \"make.rs\"\n[dependencies]\nmaker = { path = \"maker\" }\n", &files)
}

/// Which lines were executed, and how often: without names, in which the compiler's flags are.
fn lines(lcov: &str) -> Vec<&str> {
    lcov.lines().filter(|line| line.starts_with("SF:") || line.starts_with("DA:")).collect()
}

/// The names of all files below a directory.
fn files(directory: &Path) -> Vec<String> {
    let entries = support::tree::read(directory, &|_| true).into_iter();
    entries.filter(|(_, entry)| entry.kind != "dir").map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn the_same_is_measured() {
    if need(llvm()).is_none() {
        return;
    }
    for (world, engine) in worlds("coverage", &["llvm-cov", "nextest"]) {
        let project = measured(&world);
        // The table, which says everything in percent, after the tests' own words.
        let expected = run(&mut control(&world, &project, "llvm-cov --workspace")).success("cargo llvm-cov");
        let found = run(&mut sandbox(&world, engine, &project, "llvm-cov --workspace")).success("llvm-cov");
        assert_eq!(found.stdout, expected.stdout);
        says(&found, &["maker/src/lib.rs", "make.rs", "src/main.rs"]);
        let place = project.join("target/llvm-cov-target");
        assert!(files(&place).iter().any(|name| name.ends_with(".profraw")), "{:?}", files(&place));

        for format in ["--lcov", "--json"] {
            let line = format!("llvm-cov report {format}");
            let expected = run(&mut control(&world, &project, &line)).success("cargo llvm-cov report");
            let found = run(&mut sandbox(&world, engine, &project, &line)).success("llvm-cov report");
            if format == "--lcov" {
                assert_eq!(lines(&found.stdout), lines(&expected.stdout));
                assert!(lines(&found.stdout).len() > 10, "{}", found.stdout);
            } else {
                let totals = |output: &Output| -> serde_json::Value {
                    let report: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
                    report["data"][0]["totals"].clone()
                };
                assert_eq!(totals(&found), totals(&expected));
                assert!(totals(&found)["lines"]["covered"].as_u64().is_some_and(|lines| lines > 0));
            }
        }
        world.stop(engine, &project);
    }
}

#[test]
fn every_way_to_measure_and_to_report() {
    if need(llvm()).is_none() {
        return;
    }
    // What differs between users and engines is in the other tests.
    for world in native_worlds("ways", &["llvm-cov", "nextest"]).into_iter().take(1) {
        let engine = Engine::Native;
        let project = measured(&world);
        for (line, code) in [
            ("llvm-cov --no-report", 0),
            ("llvm-cov report", 0),
            ("llvm-cov report --fail-under-lines 99", 1),
            ("llvm-cov --lib -- --ignored", 101),
            ("llvm-cov run --fail-under-lines 1", 0),
            ("llvm-cov nextest --no-fail-fast", 0),
            ("llvm-cov report --html", 0),
            ("llvm-cov report --text", 0),
            ("llvm-cov report --include-build-script --ignore-filename-regex maker", 0),
            ("llvm-cov clean --workspace", 0),
            ("llvm-cov report", 1),
        ] {
            let expected = run(&mut control(&world, &project, line));
            let found = run(&mut sandbox(&world, engine, &project, line));
            assert_eq!((found.code(), expected.code()), (code, code), "{line}: {}", found.stderr);
            // What tests say is there as well, with how long they took.
            let report =
                |output: &Output| output.stdout.find("Filename").map(|at| output.stdout[at..].to_owned());
            assert_eq!(report(&found), report(&expected), "{line}");
            if line.ends_with("--html") {
                let (expected, found) = (world.home.join("plain/llvm-cov"), project.join("target/llvm-cov"));
                assert_eq!(files(&found), files(&expected));
                assert!(files(&found).contains(&"html/index.html".to_owned()), "{:?}", files(&found));
                // Names in a readable form, by cargo-llvm-cov itself.
                let page = format!("html/coverage{}/src/lib.rs.html", project.display());
                let shown =
                    |page: &Path| fs::read_to_string(page).expect("a page").contains("measured::sign");
                assert_eq!(shown(&found.join(&page)), shown(&expected.join(&page)));
            }
        }
        let output = run(&mut sandbox(&world, engine, &project, "llvm-cov --doctests"));
        assert_eq!(output.code(), 101);
        says(&output, &["`cargo-sandbox llvm-cov --doctests` is not there yet"]);
        world.stop(engine, &project);
    }
}

/// Puts links and other things where profiles go and where its own cargo-llvm-cov writes; says where that is.
const PLANTER: &str = r#"
    #[test]
    fn plants() {
        use std::os::unix::fs::symlink;
        let place = std::env::var("LLVM_PROFILE_FILE").unwrap();
        let place = std::path::Path::new(&place).parent().unwrap();
        let home = std::path::Path::new("HOME");
        for name in ["attacking.profdata", "attacking-profraw-list"] {
            let _there = std::fs::remove_file(place.join(name));
            let _refused = symlink(home.join(format!("victim of {name}")), place.join(name));
        }
        let _refused = symlink(home.join("secret"), place.join("linked.profraw"));
        let _refused = std::fs::hard_link(home.join("secret"), place.join("hard.profraw"));
        let _refused = std::process::Command::new("mkfifo").arg(place.join("fifo.profraw")).status();
        let _made = std::fs::create_dir_all(place.join("directory.profraw/below"));
        let _made = std::fs::write(place.join("other.txt"), "other");
        let _made = std::fs::write(place.join("\u{1b}[2J\nforged.profraw"), "");
        FORGED
    }
"#;

#[test]
fn what_a_test_leaves_among_profiles_leads_nowhere() {
    if need(llvm()).is_none() {
        return;
    }
    for (world, engine) in worlds("planting", &["llvm-cov"]) {
        world.write(&world.home.join("secret"), "the-secret");
        let planter = PLANTER
            .replace("HOME", world.home.to_str().expect("UTF-8"))
            .replace("FORGED", r#"let _made = std::fs::write(place.join("broken.profraw"), "broken");"#);
        let project = package(&world, "attacking", "", &[("src/lib.rs", planter.as_str())]);
        let victims = ["attacking.profdata", "attacking-profraw-list"].map(|name| {
            let path = world.home.join(format!("victim of {name}"));
            world.write(&path, "precious");
            path
        });
        let untouched = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text == "precious");

        run(&mut control(&world, &project, "llvm-cov --no-report")).success("control: cargo llvm-cov");
        let place = world.home.join("plain/llvm-cov-target");
        let plain_files = files(&place);
        for name in ["linked.profraw", "other.txt", "\u{1b}[2J\nforged.profraw"] {
            assert!(plain_files.iter().any(|file| file == name), "control: {name} in {plain_files:?}");
        }
        // The fifo would be waited for.
        fs::remove_file(place.join("fifo.profraw")).expect("control: a fifo is among the profiles");
        run(&mut control(&world, &project, "llvm-cov report --failure-mode all"));
        assert!(!untouched(&victims[1]), "control: cargo-llvm-cov writes through a link of a test's");
        world.write(&victims[1], "precious");

        let output = run(&mut sandbox(&world, engine, &project, "llvm-cov --failure-mode all"));
        let output = output.success("cargo-sandbox llvm-cov");
        says(&output, &["TOTAL"]);
        assert!(victims.iter().all(untouched));
        let place = project.join("target/llvm-cov-target");
        for entry in fs::read_dir(&place).expect("profiles") {
            let entry = entry.expect("readable");
            let (name, kind) = (entry.file_name(), entry.file_type().expect("kind"));
            let name = name.to_str().expect("a name of the host's");
            let own = |start: &str| name.starts_with(start) && kind.is_file();
            assert!(
                own("attacking-job-")
                    || own("attacking.profdata")
                    || own("attacking-profraw-list")
                    || name == "CACHEDIR.TAG"
                    || name == "debug",
                "{name:?} is {kind:?}"
            );
            let secret = fs::read(entry.path()).is_ok_and(|text| text == b"the-secret");
            assert!(!secret, "{name} has the secret");
        }

        // What a repository brings is refused before anything is written.
        fs::remove_dir_all(&place).expect("removal");
        fs::create_dir_all(&place).expect("directory");
        std::os::unix::fs::symlink(&victims[0], place.join("attacking.profdata")).expect("link");
        let output = run(&mut sandbox(&world, engine, &project, "llvm-cov"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        says(&output, &["is a symbolic link to"]);
        assert!(victims.iter().all(untouched));
        world.stop(engine, &project);
    }
}

/// LLVM's tools read what tests wrote, and the programs themselves.
#[test]
fn the_tools_run_in_the_container() {
    let Some([cov, profdata]) = need(llvm()) else { return };
    for (world, engine) in worlds("tools", &["llvm-cov"]) {
        let project = package(&world, "read", "", &[("src/lib.rs", "#[test] fn one() {}\n")]);
        let traces: Vec<PathBuf> = ["cov", "profdata"].iter().map(|name| world.home.join(name)).collect();
        let tools: Vec<PathBuf> = [(&cov, &traces[0]), (&profdata, &traces[1])]
            .into_iter()
            .map(|(tool, trace)| {
                // Where a job finds it: of the project, and no less the user's own word.
                let path = project.join(Path::new(tool).file_name().expect("a name"));
                script(
                    &world,
                    &path,
                    &format!("touch '{}' 2>/dev/null\nexec '{tool}' \"$@\"", trace.display()),
                );
                path
            })
            .collect();
        let named = |mut command: Command| -> Command {
            command.env("LLVM_COV", &tools[0]).env("LLVM_PROFDATA", &tools[1]);
            command
        };
        let expected = run(&mut named(plain(&world, &project, "llvm-cov"))).success("cargo llvm-cov");
        assert!(traces.iter().all(|trace| left(trace)), "control: both run on this machine");
        let found = run(&mut named(sandbox(&world, engine, &project, "llvm-cov"))).success("llvm-cov");
        let report =
            |output: &Output| output.stdout.find("Filename").map(|at| output.stdout[at..].to_owned());
        assert!(report(&found).is_some() && report(&found) == report(&expected), "{}", found.stdout);
        assert!(!traces.iter().any(|trace| left(trace)));

        let mut missing = sandbox(&world, engine, &project, "llvm-cov");
        let output =
            run(missing.env("LLVM_COV", "/nowhere/llvm-cov").env("LLVM_PROFDATA", "/nowhere/profdata"));
        assert_eq!(output.code(), 101);
        says(&output, &["`/nowhere/llvm-cov` is no program of LLVM's", "hint: LLVM_COV and LLVM_PROFDATA"]);
        world.stop(engine, &project);
    }
}
