//! `engine`, `image` and `[limits]` of a repository's file, in real containers.

use super::support::image::HostImage;
use super::*;

/// A build script that shows its limits, or breaks one, as the file beside it says.
const SCRIPT: &str = r#"fn main() {
    println!("cargo::rerun-if-changed=mode");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    match std::fs::read_to_string("mode").unwrap().trim() {
        "show" => {
            let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
            for name in ["Max open files", "Max file size"] {
                let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                println!("cargo::warning=<{name} {}>", line.split_whitespace().nth(1).unwrap());
            }
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            let tmp = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/tmp")).last().unwrap();
            println!("cargo::warning=<{}>", tmp.split([' ', ',']).find(|part| part.starts_with("size=")).unwrap());
        }
        "time" => loop { std::thread::sleep(std::time::Duration::from_secs(1)) },
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1u8; 1 << 20]);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        "processes" => {
            for _ in 0..60 { std::thread::spawn(|| loop { std::thread::park() }); }
            loop { std::thread::park() }
        }
        "write" => {
            let block = vec![1u8; 1 << 20];
            let mut file = std::fs::File::create(out.join("bomb")).unwrap();
            for _ in 0..150 { std::io::Write::write_all(&mut file, &block).unwrap(); }
            file.sync_all().unwrap();
            loop { std::thread::sleep(std::time::Duration::from_secs(1)) }
        }
        _ => {}
    }
}
"#;

const PROGRAM: &str = "fn main() { loop { std::thread::sleep(std::time::Duration::from_secs(1)) } }\n";

#[test]
fn a_stricter_limit_of_containers_holds_at_once_and_a_job_that_breaks_it_names_the_line() {
    let on_disk = |user: User| World::on_disk("policy-container-limits", &user);
    let Some(world) = need(User::ordinary().and_then(on_disk)) else { return };
    for engine in engines() {
        let parts = Parts { script: SCRIPT, program: PROGRAM, ..Parts::default() };
        let project = project(&world, &format!("bounded-{engine}"), &parts);
        let mode = |mode: &str, limits: &str| {
            world.write(&project.join("mode"), mode);
            policy(&world, &project, &format!("[limits]\n{limits}\n"));
        };
        mode("show", "open-files = 99\nfile-size = \"90M\"\ntmp = \"3M\"");
        let output = run(&mut sandbox(&world, engine, &project, "build")).success("build");
        for shown in ["<Max open files 99>", "<Max file size 94371840>", "<size=3072k>"] {
            assert!(output.stderr.contains(shown), "{engine}, {shown}:\n{}", output.stderr);
        }
        // What a job does that leaves too little free is shown in tests/limits, on a disk of its own.
        policy(&world, &project, "[limits]\nfree-space = \"2G\"\n");
        let doctor = run(&mut sandbox(&world, engine, &project, "self doctor")).success("self doctor").stdout;
        assert!(doctor.contains("free-space=2G") && doctor.contains("cargo-sandbox.toml: "), "{doctor}");
        for (name, value, what) in [
            ("memory", "\"300M\"", "memory"),
            ("processes", "50", "processes"),
            ("disk-writes", "\"50M\"", "write"),
            ("file-size", "\"100M\"", "write"),
            ("wall-time", "\"2s\"", "time"),
        ] {
            mode(what, &format!("# a comment\n{name} = {value}"));
            let output = fails(&mut sandbox(&world, engine, &project, "build"), &["was stopped"]);
            let said = format!("`{name}`, which is {}", value.trim_matches('"'));
            assert!(output.stderr.contains(&said), "{engine}, {said}:\n{}", output.stderr);
            let place = "cargo-sandbox.toml:3, [limits]";
            assert!(output.stderr.contains(place), "{engine}, {name}:\n{}", output.stderr);
        }
        mode("none", "program-time = \"1s\"");
        fails(
            &mut sandbox(&world, engine, &project, "run"),
            &["`program-time`, which is 1s", "cargo-sandbox.toml:2, [limits]"],
        );
        let explained = run(&mut sandbox(&world, engine, &project, "self explain x")).success("self explain");
        let line = explained.stdout.lines().find(|line| line.contains("program-time = 1s")).expect("a limit");
        assert!(line.ends_with("cargo-sandbox.toml:2, [limits]"), "{line}");
        world.stop(engine, &project);
    }
}

#[test]
fn a_wider_limit_of_containers_is_asked_for_and_never_above_the_command_line() {
    let Some(world) = world("policy-container-wider") else { return };
    configure(&world, "[limits]\nopen-files = 100\n");
    for engine in engines() {
        let parts = Parts { script: SCRIPT, ..Parts::default() };
        let project = project(&world, &format!("wider-{engine}"), &parts);
        world.write(&project.join("mode"), "show");
        let shown = |options: &str, number: u32| {
            let line = format!("{options} clean");
            run(&mut sandbox(&world, engine, &project, &line)).success("clean");
            let line = format!("{options} check");
            let output = run(&mut sandbox(&world, engine, &project, &line)).success("check");
            let said = format!("<Max open files {number}>");
            assert!(output.stderr.contains(&said), "{engine}, {said}:\n{}", output.stderr);
        };
        shown("", 100);
        policy(&world, &project, "[limits]\nopen-files = 200\nwall-time = \"3h\"\n");
        let asked = [
            "needs your trust",
            "cargo-sandbox.toml:2: limits.open-files = \"200\"",
            "all jobs may use up more: `open-files` is 200, and 100 without this",
        ];
        let output = fails(&mut sandbox(&world, engine, &project, "check"), &asked);
        assert!(!output.stderr.contains("wall-time"), "{}", output.stderr);
        fails(
            sandbox(&world, engine, &project, "check").env("CI", "true"),
            &["hint: if you want that: `cargo-sandbox self trust --hash "],
        );
        // The user says more himself: nothing to ask for.
        shown("--sandbox-limit open-files=300", 200);
        trust(&world, engine, &project);
        shown("", 200);
        shown("--sandbox-limit open-files=150", 150);
        world.stop(engine, &project);
    }
}

/// What the command line takes away is no reason to ask for what `self trust` does not show.
#[test]
fn what_is_asked_for_is_what_self_trust_shows_whatever_the_command_line_says() {
    let Some(world) = world("policy-option") else { return };
    let engine = Engine::Native;
    let project = project(&world, "optional", &Parts { script: SCRIPT, ..Parts::default() });
    world.write(&project.join("mode"), "show");
    policy(&world, &project, "[packages.optional.build-script]\nlimits = { wall-time = \"2h\" }\n");
    let check = "--sandbox-limit wall-time=1h check";
    run(&mut sandbox(&world, engine, &project, check)).success("less than without the option");
    let nothing = run(&mut sandbox(&world, engine, &project, "self trust")).success("self trust");
    assert!(nothing.stdout.contains("nothing in"), "{}", nothing.stdout);
    // Trusted, it gives no more than the command line: two seconds.
    policy(&world, &project, "[packages.optional.build-script]\nlimits = { wall-time = \"9h\" }\n");
    fails(&mut sandbox(&world, engine, &project, check), &["limits = { wall-time = \"9h\" }"]);
    trust(&world, engine, &project);
    run(&mut sandbox(&world, engine, &project, check)).success("trusted");
    world.write(&project.join("mode"), "time");
    fails(
        &mut sandbox(&world, engine, &project, "--sandbox-limit wall-time=2s check"),
        &["`wall-time`, which is 2s by --sandbox-limit"],
    );
    world.stop(engine, &project);
}

#[test]
fn an_engine_is_the_repositorys_choice_where_the_user_has_none_and_trusts_it() {
    if need(Engine::Docker.here()).is_none() {
        return;
    }
    let Some(world) = world("policy-engine") else { return };
    let project = project(&world, "engines", &Parts::default());
    let open = |line: &str| {
        let mut command = world.sandbox_without_engine(Engine::Docker, &project);
        command.args(line.split_whitespace());
        command
    };
    let made_by = |engine: &str, other: &str| {
        let status = run(&mut open("self status --format json")).success("self status").stdout;
        let by = |engine: &str| status.contains(&format!("\"engine\": \"{engine}\""));
        assert!(by(engine) && !by(other), "{status}");
        run(&mut open("self stop")).success("self stop");
    };
    policy(&world, &project, "engine = \"native\"\n");
    let asked = ["cargo-sandbox.toml:1: engine = \"native\"", "made by the native engine"];
    fails(&mut open("check"), &asked);
    fails(open("check").env("CI", "true"), &["cargo-sandbox self trust --hash "]);
    // The user has chosen, and is not asked.
    run(open("check").env("CARGO_SANDBOX_ENGINE", "docker")).success("chosen by a variable");
    made_by("docker", "native");
    configure(&world, "engine = \"docker\"\n");
    run(&mut open("check --release")).success("chosen by the user's file");
    made_by("docker", "native");
    configure(&world, "");
    trust(&world, Engine::Docker, &project);
    run(&mut open("test")).success("trusted");
    made_by("native", "docker");
    let doctor = run(&mut open("self doctor")).success("self doctor").stdout;
    assert!(doctor.contains("native (selected by ") && doctor.contains("cargo-sandbox.toml:1)"), "{doctor}");
    run(&mut open("self stop")).success("self stop");

    // To insist on docker takes away that the native one may be taken, and needs no trust.
    policy(&world, &project, "engine = \"docker\"\n");
    run(&mut open("test --release")).success("docker");
    made_by("docker", "native");
    let mut nowhere = open("bench");
    fails(
        nowhere.env("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
        &["could not use the docker engine, which ", "cargo-sandbox.toml:1 wants"],
    );
}

#[test]
fn an_image_of_the_repositorys_is_used_after_trust() {
    let engine = Engine::Docker;
    if need(engine.here()).is_none() {
        return;
    }
    let Some(world) = world("policy-image") else { return };
    let Some(image) = HostImage::new(&world, "policy") else { return };
    // Compiles in that image alone.
    let program = "fn main() { let _made = include_str!(\"/etc/mark\"); }\n";
    let project = project(&world, "imaged", &Parts { program, ..Parts::default() });
    fs::remove_file(project.join("build.rs")).expect("no script: the image has no linker");
    fails(&mut sandbox(&world, engine, &project, "check"), &["/etc/mark"]);
    policy(&world, &project, &format!("# ours\nimage = \"{}\"\n", image.name));
    let asked = [
        &format!("cargo-sandbox.toml:2: image = \"{}\"", image.name),
        "all jobs use the programs and libraries of the image",
    ];
    fails(&mut sandbox(&world, engine, &project, "check"), &asked);
    let shown = run(&mut sandbox(&world, engine, &project, "self trust")).stdout;
    assert!(asked.iter().all(|asked| shown.contains(*asked)), "{shown}");
    trust(&world, engine, &project);
    run(&mut sandbox(&world, engine, &project, "check")).success("in the image");
    let explained = run(&mut sandbox(&world, engine, &project, "self explain imaged")).stdout;
    let line = explained.lines().find(|line| line.contains(&image.name)).expect("the image");
    assert!(line.ends_with("cargo-sandbox.toml:2"), "{line}");
    // The user's own choice comes first.
    fails(
        &mut sandbox(&world, engine, &project, "--sandbox-image cargo-sandbox-test-none:1 check --release"),
        &["there is no image cargo-sandbox-test-none:1"],
    );
    fails(
        &mut sandbox(&world, Engine::Native, &project, "check --release"),
        &["the native engine pulls no images", "self explain"],
    );
    world.stop(engine, &project);
}

/// Nobody is asked where plain cargo runs: stricter limits hold, and an image, an engine and wider limits are not given.
#[test]
fn plain_cargo_has_less_and_nothing_else_without_trust() {
    let Some(world) = world("policy-container-plain") else { return };
    let project = project(&world, "plainly", &Parts { script: SCRIPT, ..Parts::default() });
    world.write(&project.join("mode"), "show");
    let limits = "[limits]\nopen-files = 99\nfile-size = \"none\"\n";
    policy(&world, &project, &format!("image = \"cargo-sandbox-test-none:1\"\n{limits}"));
    let wrapper = support::tool::front_end().with_file_name("cargo-sandbox-rustc");
    let mut command = world.plain(&project);
    let output = run(command.arg("build").env("RUSTC_WRAPPER", wrapper)).success("build");
    for said in ["<Max open files 99>", "<Max file size 17179869184>", "asks for what you do not trust"] {
        assert!(output.stderr.contains(said), "{said}:\n{}", output.stderr);
    }
    world.stop(Engine::Native, &project);
}
