//! What arrives at the registry is what cargo packs, and others can use it.

use std::fs;

use super::server::Server;
use super::support::run::run;
use super::support::world::World;
use super::{engines, know, need, package, sandbox, scene, users};

/// Published, seen, used, owned, taken back: the whole life of a crate.
#[test]
fn a_crate_is_published_and_a_project_depends_on_it() {
    for user in users() {
        for engine in engines() {
            let Some((world, server)) = scene(&format!("publish-{engine}"), &user) else { return };
            let project = package(
                &world,
                "greeter",
                "readme = \"README.md\"\n",
                &[
                    ("src/lib.rs", "/// A greeting.\npub fn greet() -> &'static str {\n    \"hello\"\n}\n"),
                    ("README.md", "# greeter\n"),
                    (
                        "build.rs",
                        "fn main() {\n    println!(\"cargo::rustc-cfg=scripted\");\n    println!(\"cargo::rustc-check-cfg=cfg(scripted)\");\n}\n",
                    ),
                ],
            );
            let output =
                run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine"));
            let output = output.success("publish");
            assert!(output.stderr.contains("Published greeter v0.1.0"), "{}", output.stderr);
            // What cargo would have sent.
            let plain = world.home.join("plain");
            run(world.plain(&project).args(["package", "--no-verify"]).env("CARGO_TARGET_DIR", &plain))
                .success("cargo package");
            let honest = fs::read(plain.join("package/greeter-0.1.0.crate")).expect("archive");
            assert!(server.archive("greeter", "0.1.0").expect("published") == honest, "{user:?} {engine}");
            assert_eq!(server.uploads(), 1);

            let app = package(
                &world,
                "app",
                "[dependencies]\ngreeter = { version = \"0.1\", registry = \"mine\" }\n",
                &[("src/main.rs", "fn main() {\n    println!(\"{}\", greeter::greet());\n}\n")],
            );
            let output = run(world.sandbox(engine, &app).args(["run", "--quiet"])).success("run");
            assert_eq!(output.stdout, "hello\n");

            // The container of the upload is gone, and its directories.
            let projects = fs::read_dir(world.state().join("projects")).expect("projects");
            let names: Vec<_> = projects.map(|entry| entry.unwrap().file_name()).collect();
            assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("once-")), "{names:?}");
            world.stop(engine, &project);
            world.stop(engine, &app);
        }
    }
}

/// Three crates that depend on each other, none of them there before.
#[test]
fn a_workspace_is_published_in_order() {
    let Some(user) = users().pop() else { return };
    for engine in engines() {
        let Some((world, server)) = scene("publish-workspace", &user) else { return };
        let root = world.work().join("three");
        world.write(
            &root.join("Cargo.toml"),
            "[workspace]\nmembers = [\"above\", \"middle\", \"private\", \"zero-base\"]\nresolver = \"3\"\n",
        );
        let on = |name: &str| {
            format!(
                "[dependencies]\n{name} = {{ path = \"../{name}\", version = \"0.1\", registry = \"mine\" }}\n"
            )
        };
        // In an order that is not that of their names.
        package(&world, "three/zero-base", "", &[]);
        package(&world, "three/middle", &on("zero-base"), &[("src/lib.rs", "pub use zero_base::nothing;\n")]);
        package(&world, "three/above", &on("middle"), &[("src/lib.rs", "pub use middle::nothing;\n")]);
        package(&world, "three/private", "publish = false\n", &[]);
        let output =
            run(&mut sandbox(&world, engine, &root, &server.token, "publish --workspace --registry mine"));
        let output = output.success("publish --workspace");
        let order: Vec<&str> = output.stderr.lines().filter(|line| line.contains("Published ")).collect();
        let at = |name: &str| {
            let found = order.iter().position(|line| line.contains(name));
            found.unwrap_or_else(|| panic!("{name}: {}", output.stderr))
        };
        assert!(at("zero-base") < at("middle") && at("middle") < at("above"), "{}", output.stderr);
        assert_eq!(server.published(), ["above", "middle", "zero-base"]);
        world.stop(engine, &root);
    }
}

/// In a directory of a git repository, which the archive then names: the commit, and what git ignores, are the same in the
/// Publish container.
#[test]
fn a_package_in_a_git_repository_names_its_commit() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-git", &user) else { return };
        world.write(
            &world.home.join(".gitconfig"),
            "[user]\n\tname = a\n\temail = a@b\n[core]\n\texcludesFile = ~/.ignored\n",
        );
        world.write(&world.home.join(".ignored"), "scratch-*\n");
        let top = world.work().join("repository");
        world.write(&top.join(".gitignore"), "target\n");
        let project = package(&world, "repository/sub/committed", "", &[("scratch-pad", "ignored\n")]);
        for line in ["init --quiet", "add .", "commit --quiet --message first"] {
            run(world.command("git").args(line.split(' ')).current_dir(&top)).success(line);
        }
        let output = run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine"));
        output.success("publish");
        let plain = world.home.join("plain");
        run(world.plain(&project).args(["package", "--no-verify"]).env("CARGO_TARGET_DIR", &plain))
            .success("cargo package");
        let archive = plain.join("package/committed-0.1.0.crate");
        let list = run(world.command("tar").arg("-tzf").arg(&archive)).success("tar").stdout;
        assert!(list.contains(".cargo_vcs_info.json") && !list.contains("scratch-pad"), "{list}");
        assert!(server.archive("committed", "0.1.0").expect("published") == fs::read(&archive).unwrap());
        world.stop(engine, &project);
    }
}

/// A registry that lets nobody read without a token: the host's cargo reads it, and no job sees the token.
#[test]
fn a_private_registry_is_read_and_published_to() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some(world) = need(World::new("publish-private", &user)) else { return };
        let Some(server) = need(Server::start(&world.home.join("registry"), true)) else { return };
        know(&world, &server);
        let spy = "fn main() {\n    for (name, value) in std::env::vars_os() {\n        \
                   println!(\"cargo::warning=variable {name:?}={value:?}\");\n    }\n    \
                   println!(\"cargo::rerun-if-env-changed=CARGO_REGISTRIES_MINE_TOKEN\");\n}\n";
        let library = package(&world, "private-library", "", &[("build.rs", spy)]);
        let publish = "publish --registry mine";
        let output = run(&mut sandbox(&world, engine, &library, &server.token, publish)).success("publish");
        assert!(output.stderr.contains("variable "), "the script has spoken: {}", output.stderr);
        assert!(!output.stderr.contains(&server.token), "{}", output.stderr);

        let app = package(
            &world,
            "private-app",
            "[dependencies]\nprivate-library = { version = \"0.1\", registry = \"mine\" }\n",
            &[("build.rs", spy)],
        );
        // Without a token nothing is read: the registry checks it.
        let output = run(world.sandbox(engine, &app).arg("build"));
        assert_ne!(output.code(), 0, "{}", output.stderr);
        let output = run(&mut sandbox(&world, engine, &app, &server.token, "build -vv")).success("build");
        assert!(output.stderr.contains("private-library") && output.stderr.contains("variable "));
        assert!(!output.stderr.contains(&server.token), "{}", output.stderr);
        world.stop(engine, &library);
        world.stop(engine, &app);
    }
}
