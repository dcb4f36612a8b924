//! What is in each of the two containers, compared with what `docs/publish.md` lists.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::support::run::{run, run_with};
use super::support::world::World;
use super::{engines, package, sandbox, scene, users};

/// In the place of a toolchain's cargo: what it is in the Publish container it says there, elsewhere it is cargo.
const PROBE: &str = include_str!("probe.rs");

#[test]
fn the_publish_container_is_what_the_page_says() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((mut world, server)) = scene("publish-world", &user) else { return };
        let project =
            package(&world, "shown", "", &[("target/debug/artifact", "an artifact\n"), (".env", "A=1\n")]);
        run(world.command("git").args(["init", "--quiet"]).current_dir(&project)).success("git init");
        run(world.plain(&project).args(["info", "--registry", "mine", "shown"]));
        world.toolchain = toolchain_with_probe(&world);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = sandbox(
            &world,
            engine,
            &project,
            &server.token,
            "publish --registry mine --no-verify --allow-dirty",
        );
        command.env("AWS_SECRET_ACCESS_KEY", "secret");
        let ask = format!("CARGO_HTTP_{}", "USER_AGENT");
        // The one variable of the user's that the probe reads: which ports to try.
        command.env(&ask, format!("{} {}", server.port, closed.local_addr().unwrap().port()));
        let output = run(&mut command);
        let said = output.success("publish").stdout;
        assert!(!said.contains(&server.token) && !said.contains("secret"), "{said}");

        let listed = |kind: &str| -> BTreeSet<String> {
            said.lines()
                .filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))
                .map(str::to_owned)
                .collect()
        };
        let page = Page::read(
            "publish-container",
            &[("<toolchain>", world.toolchain.clone()), ("<project>", project.canonicalize().unwrap())],
        );
        page.compare("read", &listed("read"), &said);
        page.compare("write", &listed("write"), &said);
        page.compare("execute", &listed("execute"), &said);
        let variables = Page::read("publish-variables", &[]);
        variables.compare("set", &listed("variable"), &said);
        // What is reached: the registry, and nothing beside it.
        let reached: Vec<String> = listed("reached").into_iter().collect();
        assert_eq!(reached, [format!("127.0.0.1:{}", server.port)], "{said}");
        assert_eq!(listed("interface").into_iter().collect::<Vec<_>>(), ["lo"], "{said}");
        assert!(!said.contains("artifact"), "artifacts are not shown: {said}");
        // Standard streams, and the one by which cargo asks for the token.
        assert_eq!(listed("descriptor").into_iter().collect::<Vec<_>>(), ["0", "1", "2", "250"], "{said}");
        assert_eq!(listed("processes").into_iter().collect::<Vec<_>>(), ["2"], "{said}");

        // Whoever logs in is in the same container, and the token is not.
        let mut command = world.sandbox(engine, &project);
        command.args(["login", "--registry", "mine"]).env(&ask, server.port.to_string());
        let input = format!("{}\n", server.token);
        let said = run_with(&mut command, Some(&input)).success("login").stdout;
        assert!(!said.contains(&server.token), "{said}");
        let reached = said.lines().filter(|line| line.starts_with("reached ")).collect::<Vec<_>>();
        assert_eq!(reached, [format!("reached 127.0.0.1:{}", server.port)], "{said}");
        assert!(!said.contains(&project.join("Cargo.toml").display().to_string()), "no sources: {said}");
        world.stop(engine, &project);
    }
}

#[test]
fn the_build_container_of_a_verify_build_is_what_the_page_says() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-build-world", &user) else { return };
        let script = "fn main() {\n    for line in std::fs::read_to_string(\"/proc/self/mountinfo\").unwrap().lines() {\n        \
                      let parts: Vec<&str> = line.split(' ').collect();\n        let kind = if parts[5].starts_with(\"rw\") { \"write\" } else { \"read\" };\n        \
                      println!(\"cargo::warning={kind} {}\", parts[4]);\n    }\n    for (name, _) in std::env::vars_os() {\n        \
                      println!(\"cargo::warning=variable {}\", name.display());\n    }\n    \
                      for line in std::fs::read_to_string(\"/proc/net/dev\").unwrap().lines().skip(2) {\n        \
                      println!(\"cargo::warning=interface {}\", line.split(':').next().unwrap().trim());\n    }\n}\n";
        let project = package(&world, "verified", "", &[("build.rs", script)]);
        let output =
            run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine --dry-run"));
        let said = output.success("dry run").stderr;
        let listed = |kind: &str| -> BTreeSet<String> {
            let prefix = format!("verified@0.1.0: {kind} ");
            let found =
                said.lines().filter_map(|line| line.split_once(&prefix).map(|(_, rest)| rest.to_owned()));
            found.collect()
        };
        let state = fs::read_dir(world.state().join("projects")).unwrap().next().unwrap().unwrap().path();
        let page = Page::read(
            "build-container",
            &[
                ("<toolchain>", world.toolchain.clone()),
                ("<project>", project.canonicalize().unwrap()),
                ("<cargo home>", world.home.join(".cargo")),
                ("<state>", state),
            ],
        );
        page.compare("read", &listed("read"), &said);
        page.compare("write", &listed("write"), &said);
        Page::read("build-variables", &[]).compare("set", &listed("variable"), &said);
        assert_eq!(listed("interface").into_iter().collect::<Vec<_>>(), ["lo"], "{said}");
        world.stop(engine, &project);
    }
}

/// A toolchain like the world's, with the probe in the place of its cargo.
fn toolchain_with_probe(world: &World) -> PathBuf {
    let toolchain = world.home.join("toolchain");
    // More than a gigabyte: by links where they are possible, which root's files only let root make.
    let copy = |how: &[&str]| {
        fs::create_dir_all(&toolchain).expect("directory");
        let parts = ["bin", "lib"].map(|name| world.toolchain.join(name));
        run(std::process::Command::new("cp").arg("--archive").args(how).args(parts).arg(&toolchain))
    };
    if copy(&["--link"]).code() != 0 {
        let _ = fs::remove_dir_all(&toolchain);
        copy(&[]).success("cp");
    }
    let (source, probe) = (world.home.join("probe.rs"), world.home.join("probe"));
    world.write(&source, PROBE);
    run(world
        .command(world.toolchain.join("bin/rustc"))
        .args(["--edition=2024", "-o"])
        .arg(&probe)
        .arg(&source))
    .success("rustc");
    let cargo = toolchain.join("bin/cargo");
    fs::rename(&cargo, toolchain.join("bin/real-cargo")).expect("cargo");
    fs::copy(&probe, &cargo).expect("probe");
    toolchain
}

/// A list of `docs/publish.md`, between a comment with its name and the next empty line.
struct Page {
    name: String,
    rows: Vec<(String, String)>,
}

impl Page {
    fn read(name: &str, places: &[(&str, PathBuf)]) -> Self {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/publish.md")).expect("page");
        let start = text.find(&format!("<!-- {name} -->")).unwrap_or_else(|| panic!("no list {name}"));
        let rows = text[start..]
            .lines()
            .skip(1)
            .skip_while(|line| !line.starts_with("| `"))
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(str::trim);
                let mut path = cells.next().expect("a path").trim_matches('`').to_owned();
                for (place, real) in places {
                    path = path.replace(place, &real.display().to_string());
                }
                (path, cells.next().expect("rights").to_owned())
            })
            .collect();
        Self { name: name.to_owned(), rows }
    }

    /// Everything that was found is on the page, and everything on it that must be there was found.
    fn compare(&self, right: &str, found: &BTreeSet<String>, said: &str) {
        let rows: Vec<&(String, String)> = self
            .rows
            .iter()
            .filter(|(_, rights)| rights.split([',', ' ', ':']).any(|one| one == right))
            .collect();
        for one in found {
            assert!(
                rows.iter().any(|(pattern, _)| fits(pattern, one)),
                "{}: `{one}` is not on the page as `{right}`\n{said}",
                self.name
            );
        }
        for (pattern, rights) in rows {
            let optional = rights.contains("where");
            assert!(
                optional || found.iter().any(|one| fits(pattern, one)),
                "{}: `{pattern}` is on the page as `{right}` and was not found\n{said}",
                self.name
            );
        }
    }
}

/// `*` at the end stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}
