//! `[native] packages`: libraries of the distribution that this machine does not have, seen by jobs without being
//! installed. Of real packages, from the mirror that this machine's apt is configured for.

mod image;
mod library;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use library::Library;
use support::line;
use support::need;
use support::run::{Output, fails, run, spawn};
use support::tool::{Engine, each_engine};
use support::world::{User, World};

/// Writes the user's own configuration.
fn configure(world: &World, text: &str) {
    world.write(&world.home.join(".config/cargo-sandbox/config.toml"), text);
}

fn sandbox(world: &World, engine: Engine, project: &Path, line: &str) -> Command {
    line::sandbox(world, engine, project, line)
}

/// Where the roots are.
fn roots(world: &World) -> Vec<PathBuf> {
    let all = fs::read_dir(world.state().join("packages/roots")).into_iter().flatten().flatten();
    all.map(|entry| entry.path()).collect()
}

/// Everything that a build makes goes, so that the next one needs the library again.
fn clean(world: &World, engine: Engine, project: &Path) {
    run(&mut sandbox(world, engine, project, "clean")).success("clean");
}

#[track_caller]
fn built(output: Output, library: &Library) -> Output {
    let output = output.success("run");
    let line = format!("{} says ", library.pkg_config);
    assert!(
        output.stdout.lines().any(|said| said.len() > line.len() && said.starts_with(&line)),
        "{}",
        output.stdout
    );
    output
}

#[test]
fn a_listed_package_is_fetched_once_and_used_without_being_installed() {
    let Some(library) = need(Library::absent()) else { return };
    each_engine("packages-listed", |world, engine| {
        let project = library.project(world, "listed");
        // What is wanted can be done without on no way: neither by cargo itself nor by this tool.
        let plain = run(world.plain(&project).arg("build"));
        assert_ne!(plain.code(), 0, "{}", plain.stderr);
        let offered = format!("`native.packages = [\"{}\"]`", library.package);
        fails(
            &mut sandbox(world, engine, &project, "build"),
            &["is not installed on this machine", &offered],
        );

        let text = format!("[native]\npackages = [\"{}\"]\n", library.package);
        world.write(&project.join("cargo-sandbox.toml"), &text);
        let asked = format!("cargo-sandbox.toml:2: native.packages = [\"{}\"]", library.package);
        let words = ["needs your trust", &asked, "are fetched where they are not installed"];
        fails(&mut sandbox(world, engine, &project, "run"), &words);
        assert!(roots(world).is_empty(), "fetched without trust");
        run(&mut sandbox(world, engine, &project, "self trust --yes")).success("self trust");

        let first = built(run(&mut sandbox(world, engine, &project, "run")), &library);
        for verb in ["    Fetching system packages ", "   Unpacking system packages "] {
            assert!(first.stderr.contains(verb), "{}", first.stderr);
        }
        assert!(library.is_absent(), "it was installed on this machine");
        let [root] = &*roots(world) else { panic!("{:?}", roots(world)) };
        let list = fs::read_to_string(root.join("packages")).expect("list of packages");
        assert!(list.lines().any(|line| line.starts_with(&format!("{} ", library.package))), "{list}");

        // From the cache, also without network.
        clean(world, engine, &project);
        let again = built(run(&mut sandbox(world, engine, &project, "run --offline")), &library);
        assert!(!again.stderr.contains("system packages"), "{}", again.stderr);
        let explained = run(&mut sandbox(world, engine, &project, "self explain x")).success("self explain");
        let line = explained.stdout.lines().find(|line| line.contains(library.package)).expect("packages");
        assert!(
            line.trim_start().starts_with("packages ") && line.ends_with("cargo-sandbox.toml:2, [native]"),
            "{line}"
        );

        // Another project of the user's has nothing of it.
        let other = library.project(world, "other");
        fails(&mut sandbox(world, engine, &other, "build"), &["is not installed on this machine"]);
        world.stop(engine, &other);

        // And nobody has it once it is not used any more.
        world.stop(engine, &project);
        run(&mut sandbox(world, engine, &project, "self prune")).success("self prune");
        assert_eq!(roots(world).len(), 1, "it is used");
        fs::remove_dir_all(&project).expect("project");
        run(&mut sandbox(world, engine, &world.work(), "self prune")).success("self prune");
        assert!(roots(world).is_empty(), "{:?}", roots(world));
    });
}

#[test]
fn jobs_cannot_write_what_is_shown_to_them() {
    let Some(library) = need(Library::absent()) else { return };
    each_engine("packages-written", |world, engine| {
        let text = format!("[native]\npackages = [\"{}\"]\n", library.package);
        configure(world, &text);
        let project = library.project(world, "honest");
        built(run(&mut sandbox(world, engine, &project, "run")), &library);
        let [root] = &*roots(world) else { panic!("{:?}", roots(world)) };
        let header = root.join("root/usr/include").join(library.header);
        let before = fs::read(&header).expect("the header");
        // What the user himself can do, so that it is the container that refuses.
        let own = world.command("sh").args(["-c", "test -w \"$1\"", "sh"]).arg(&header).status().expect("sh");
        assert!(own.success());

        let places = [
            Path::new("/usr/include").join(library.header),
            Path::new("/usr/include/planted.h").to_owned(),
            header.clone(),
            root.join("root/usr/include/planted.h"),
        ];
        let script = format!(
            "fn main() {{\n    for path in {places:?} {{\n        let written = std::fs::write(path, \"mine\").is_ok();\n        let seen = \
             std::fs::read(path).is_ok();\n        println!(\"cargo::warning=<{{path}}: {{written}} {{seen}}>\");\n    }}\n}}\n"
        );
        let hostile = world.work().join("hostile");
        let manifest =
            "[package]\nname = \"hostile\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
        world.write(&hostile.join("Cargo.toml"), manifest);
        world.write(&hostile.join("build.rs"), &script);
        world.write(&hostile.join("src/lib.rs"), "");
        let output = run(&mut sandbox(world, engine, &hostile, "check")).success("check");
        for (path, seen) in places.iter().zip([true, false, false, false]) {
            let line = format!("<{}: false {seen}>", path.display());
            assert!(output.stderr.contains(&line), "{line}\n{}", output.stderr);
        }
        assert_eq!(fs::read(&header).expect("the header"), before);
        world.stop(engine, &hostile);
        world.stop(engine, &project);
    });
}

#[test]
fn what_is_no_name_of_a_package_is_refused_where_it_stands() {
    let Some(world) = need(User::ordinary().and_then(|user| World::new("packages-names", &user))) else {
        return;
    };
    let project = world.work().join("names");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"names\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    world.write(&project.join("src/lib.rs"), "");
    for name in [
        "-oDir::Etc::sourcelist=/tmp/x",
        "--allow-unauthenticated",
        "libc6-dev=1",
        "libc6-dev/sid",
        "libc6-dev:i386",
        "libc6-dev-",
        "./evil.deb",
        "/tmp/evil.deb",
        "lib*",
        "a;id",
    ] {
        let text = format!("[native]\npackages = [\n  \"libc6-dev\",\n  \"{name}\",\n]\n");
        world.write(&project.join("cargo-sandbox.toml"), &text);
        let words = ["cargo-sandbox.toml` is not valid, line 4, column 3", "is no name of a package"];
        fails(&mut sandbox(&world, Engine::Native, &project, "check"), &words);
    }
    fs::remove_file(project.join("cargo-sandbox.toml")).expect("policy");
    // A name that apt would take for a pattern, if nobody looked.
    {
        let name = "lib.+-dev";
        configure(&world, &format!("[native]\npackages = [\"{name}\"]\n"));
        let unknown = format!("apt knows no package `{name}`");
        let output = fails(
            &mut sandbox(&world, Engine::Native, &project, "check"),
            &[&unknown, "config.toml:2, [native]", "hint:"],
        );
        assert!(output.stderr.contains("    Updating the lists of system packages"), "{}", output.stderr);
    }
    assert!(roots(&world).is_empty());
}

#[test]
fn without_network_an_error_says_what_is_missing() {
    let Some(library) = need(Library::absent()) else { return };
    let Some(world) = need(User::ordinary().and_then(|user| World::new("packages-offline", &user))) else {
        return;
    };
    configure(&world, &format!("[native]\npackages = [\"{}\"]\n", library.package));
    let project = library.project(&world, "offline");
    let install = format!("`apt install {}`", library.package);
    let words = [
        "are neither installed nor in the cache",
        library.package,
        "hint: run it once without `--offline`",
        &install,
    ];
    fails(&mut sandbox(&world, Engine::Native, &project, "build --offline"), &words);
    fails(sandbox(&world, Engine::Native, &project, "build").env("CARGO_NET_OFFLINE", "true"), &words);
    assert!(roots(&world).is_empty());
    // A network that leads nowhere: apt's own words.
    let nowhere = |line: &str| {
        let mut command = sandbox(&world, Engine::Native, &project, line);
        command.env("http_proxy", "http://127.0.0.1:9").env("https_proxy", "http://127.0.0.1:9");
        command
    };
    let words =
        ["failed to get the packages that", "config.toml:2, [native]", "hint: `apt-get --simulate install"];
    fails(&mut nowhere("build"), &words);
    assert!(roots(&world).is_empty());
    // Once there is something it is better than nothing, also where apt would take another version by now.
    built(run(&mut sandbox(&world, Engine::Native, &project, "run")), &library);
    let [root] = &*roots(&world) else { panic!("{:?}", roots(&world)) };
    let list = fs::read_to_string(root.join("packages")).expect("list of packages");
    let older: String = list.lines().map(|line| format!("an-older-{line}\n")).collect();
    world.write(&root.join("packages"), &older);
    for entry in fs::read_dir(world.state().join("packages/requests")).expect("requests").flatten() {
        fs::rename(entry.path(), entry.path().with_file_name("0")).expect("of another time");
    }
    clean(&world, Engine::Native, &project);
    built(run(&mut sandbox(&world, Engine::Native, &project, "run --offline")), &library);
    clean(&world, Engine::Native, &project);
    let output = built(run(&mut nowhere("run")), &library);
    assert!(
        output.stderr.contains("warning: going on with those that were fetched before"),
        "{}",
        output.stderr
    );
    world.stop(Engine::Native, &project);
    // What needs no job needs no package.
    run(&mut sandbox(&world, Engine::Native, &project, "tree --offline")).success("tree");
}

#[test]
fn what_is_installed_is_not_fetched() {
    let Some(world) = need(User::ordinary().and_then(|user| World::new("packages-installed", &user))) else {
        return;
    };
    configure(&world, "[native]\npackages = [\"libc6-dev\"]\n");
    let project = world.work().join("installed");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"installed\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    world.write(&project.join("src/lib.rs"), "");
    let output = run(&mut sandbox(&world, Engine::Native, &project, "check --offline")).success("check");
    assert!(!output.stderr.contains("system packages"), "{}", output.stderr);
    assert!(roots(&world).is_empty());
    world.stop(Engine::Native, &project);
}

#[test]
fn two_at_once_and_one_that_is_interrupted_leave_whole_roots() {
    let Some(library) = need(Library::absent()) else { return };
    let Some(world) = need(User::ordinary().and_then(|user| World::new("packages-at-once", &user))) else {
        return;
    };
    configure(&world, &format!("[native]\npackages = [\"{}\"]\n", library.package));
    let projects = ["one", "two", "three"].map(|name| library.project(&world, name));
    let whole =
        || roots(&world).iter().all(|root| root.join("packages").is_file() && root.join("root/usr").is_dir());
    let scratch = world.state().join("packages/scratch");
    let interrupted = spawn(&mut sandbox(&world, Engine::Native, &projects[2], "check"));
    // As soon as there is something half done.
    let something = || fs::read_dir(&scratch).is_ok_and(|mut entries| entries.next().is_some());
    for _ in 0..2000 {
        if something() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupted.signal_group(libc::SIGINT);
    let output = interrupted.wait(Duration::from_secs(60));
    assert_ne!(output.code(), 0, "{}", output.stderr);
    assert!(whole(), "{:?}", roots(&world));

    let running = [&projects[0], &projects[1]]
        .map(|project| spawn(&mut sandbox(&world, Engine::Native, project, "run")));
    for running in running {
        built(running.wait(Duration::from_secs(300)), &library);
    }
    assert!(whole() && roots(&world).len() == 1, "{:?}", roots(&world));
    assert!(!something(), "something half done is left");
    projects.iter().for_each(|project| world.stop(Engine::Native, project));
}

#[test]
fn what_the_dependency_graph_needs_is_fetched() {
    let Some((library, key)) = need(Library::absent_with_key()) else { return };
    each_engine("packages-auto", |world, engine| {
        let asked = "[native]\npackages = \"auto\"\n";
        // A crate that is known by the key of what it links, one that says what it needs, and one that nobody knows.
        let known = library.project_that_says(world, "known", &format!("links = \"{key}\"\n"));
        let says = format!("\n[package.metadata.system-deps]\n{} = \"0\"\n", library.pkg_config);
        let says = library.project_that_says(world, "says", &says);
        let unknown = library.project(world, "unknown");

        world.write(&known.join("cargo-sandbox.toml"), asked);
        let words = [
            "needs your trust",
            "cargo-sandbox.toml:2: native.packages = \"auto\"",
            "from a list that comes with this tool",
        ];
        fails(&mut sandbox(world, engine, &known, "run"), &words);
        fs::remove_file(known.join("cargo-sandbox.toml")).expect("policy");
        assert!(roots(world).is_empty());

        configure(world, asked);
        for project in [&known, &says] {
            let first = built(run(&mut sandbox(world, engine, project, "run")), &library);
            let line = "   Examining the dependency graph for system packages\n";
            assert_eq!(first.stderr.matches(line).count(), 1, "{}", first.stderr);
            clean(world, engine, project);
            let again = built(run(&mut sandbox(world, engine, project, "run --offline")), &library);
            assert!(!again.stderr.contains("system packages"), "{}", again.stderr);
            world.stop(engine, project);
        }
        assert_eq!(roots(world).len(), 1, "the same packages, once");
        fails(&mut sandbox(world, engine, &unknown, "build"), &["is not installed on this machine"]);
        world.stop(engine, &unknown);

        // A manifest that changes asks again; names that are none of the list's are nobody's packages.
        let text = fs::read_to_string(unknown.join("Cargo.toml")).expect("manifest");
        let hostile = "\n[package.metadata.system-deps]\nopenssh-server = \"1\"\n\n[package.metadata.riff]\nbuild-inputs = [\"-oX=y\", \"sudo\"]\n";
        world.write(&unknown.join("Cargo.toml"), &format!("{text}{hostile}"));
        fails(&mut sandbox(world, engine, &unknown, "build"), &["is not installed on this machine"]);
        assert_eq!(roots(world).len(), 1, "something of a hostile crate's choice was fetched");
        let riff = format!("\n[package.metadata.riff]\nbuild-inputs = [\"{key}\"]\n");
        world.write(&unknown.join("Cargo.toml"), &format!("{text}{riff}"));
        built(run(&mut sandbox(world, engine, &unknown, "run")), &library);
        world.stop(engine, &unknown);
    });
}

/// Root's jobs are others than root, with other rights to files.
#[test]
fn roots_jobs_see_them_as_well() {
    let Some(library) = need(Library::absent()) else { return };
    let Some(root) = need(User::root()) else { return };
    for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
        let Some(world) = need(World::new(&format!("packages-root-{engine}"), &root)) else { return };
        configure(&world, &format!("[native]\npackages = [\"{}\"]\n", library.package));
        let project = library.project(&world, "of-root");
        built(run(&mut sandbox(&world, engine, &project, "run")), &library);
        assert!(library.is_absent(), "it was installed on this machine");
        world.stop(engine, &project);
    }
}
