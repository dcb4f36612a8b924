//! `shell.nix` and `flake.nix`.

use super::support::debian;
use super::support::run::fails;
use super::*;

#[test]
fn a_crate_builds_with_what_its_shell_nix_gives() {
    for (world, engine) in worlds("shell-nix") {
        let project = project(&world);
        // As without any provider: nothing of this machine has that library.
        fails(world.sandbox(engine, &project).arg("build"), &["pkg-config failed"]);

        let more = "  LD_PRELOAD = \"/nix/store/evil.so\";\n  RUSTC_WRAPPER = \"/nix/store/evil\";";
        world.write(&project.join("shell.nix"), &shell(more));
        let policy = "[native]\nprovider = \"nix\"\n";
        world.write(&project.join("cargo-sandbox.toml"), policy);
        let asked = ["needs your trust", "native.provider = \"nix\"", "nix evaluates the project's"];
        fails(world.sandbox(engine, &project).env("CI", "true").arg("run"), &asked);
        assert!(stores(&world).is_empty(), "evaluated without trust");
        cargo(&world, engine, &project, &["self", "trust", "--yes"]).success("trust");

        let first = cargo(&world, engine, &project, &["run"]).success("run");
        assert_eq!(first.stdout, SAYS, "{}", first.stderr);
        assert!(first.stderr.contains("  Evaluating "), "{}", first.stderr);
        let withheld = "note: no job gets these variables of the environment that nix gives";
        let note = first.stderr.lines().find(|line| line.starts_with(withheld));
        assert!(note.is_some_and(|note| note.ends_with("`LD_PRELOAD`, `RUSTC_WRAPPER`")), "{}", first.stderr);

        let explained =
            cargo(&world, engine, &project, &["self", "explain", "app"]).success("explain").stdout;
        for line in ["    provider  nix ", "    env       GREETING=hello\n", "    withheld  LD_PRELOAD\n"] {
            assert!(explained.contains(line), "{line} is not in:\n{explained}");
        }

        // Nothing has changed: nothing is evaluated, also without a network, and nothing is built.
        let again = cargo(&world, engine, &project, &["run", "--offline"]).success("run again");
        assert_eq!(again.stdout, SAYS);
        assert!(
            !again.stderr.contains("Evaluating") && !again.stderr.contains("Compiling"),
            "{}",
            again.stderr
        );

        // Another environment: what looked at it is built again.
        world.write(&project.join("shell.nix"), &shell("").replace("return 42", "return 43"));
        let changed = cargo(&world, engine, &project, &["run"]).success("run with another");
        assert!(changed.stdout.starts_with("43 "), "{}", changed.stdout);
        assert!(changed.stderr.contains("  Evaluating "), "{}", changed.stderr);
        // Where plain cargo runs, its jobs get the same.
        let plain = world
            .wrapped(engine, &project)
            .arg("build")
            .env("CARGO_TARGET_DIR", world.home.join("plain"))
            .output();
        let plain = plain.expect("cargo runs");
        assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
        world.stop(engine, &project);
    }
}

/// `fix` works on a copy, with what the project has.
#[test]
fn what_is_fixed_builds_with_it_as_well() {
    let Some(world) = world("provider-fix") else { return };
    let project = project(&world);
    world.write(&project.join("shell.nix"), &shell(""));
    wants(&world, "nix");
    let main = project.join("src/main.rs");
    let text =
        fs::read_to_string(&main).expect("written").replace("println", "let mut unused = 1;\n    println");
    world.write(&main, &text.replace("\", answer()", "\", answer() + unused - 1"));
    cargo(&world, Engine::Native, &project, &["fix", "--allow-no-vcs"]).success("fix");
    let fixed = fs::read_to_string(&main).expect("there");
    assert!(fixed.contains("let unused = 1;"), "{fixed}");
    world.stop(Engine::Native, &project);
}

/// The same with a flake; it is made of what belongs to expressions, and of no source.
#[test]
fn a_crate_builds_with_what_its_flake_gives() {
    let Some(world) = world("flake") else { return };
    let project = project(&world);
    let flake = "{ outputs = { self }: { devShells.x86_64-linux.default = import ./shell.nix; }; }\n";
    world.write(&project.join("flake.nix"), flake);
    world.write(
        &project.join("shell.nix"),
        &shell("  SELF = builtins.readDir ./.;")
            .replace("SELF = ", "SELF = toString (builtins.attrNames (")
            .replace("./.;", "./.));"),
    );
    wants(&world, "nix");
    let output = cargo(&world, Engine::Native, &project, &["run"]).success("run");
    assert_eq!(output.stdout, SAYS, "{}", output.stderr);
    assert!(output.stderr.contains("flake.nix (nix)"), "{}", output.stderr);
    assert!(!project.join("flake.lock").exists(), "nothing is written into the project");
    let [store] = &*stores(&world) else { panic!("one store") };
    let sources = fs::read_dir(store).expect("a store").flatten().map(|entry| entry.path());
    let sources: Vec<_> = sources.filter(|path| path.join("flake.nix").exists()).collect();
    let [source] = &*sources else { panic!("one source: {sources:?}") };
    assert!(
        source.join("shell.nix").exists()
            && !source.join("src").exists()
            && !source.join("build.rs").exists()
    );

    // What belongs to a project that is gone goes, its store included.
    world.stop(Engine::Native, &project);
    fs::remove_dir_all(&project).expect("removed");
    run(world.sandbox(Engine::Native, &world.work()).args(["self", "prune"])).success("prune");
    assert!(stores(&world).is_empty());
}

/// An image of the system, and on top of it what Nix gives. `image` insists on the one, and wants nothing of the other.
#[test]
fn an_image_and_what_nix_gives_go_together() {
    let (Some(engine), Some(world)) = (need(Engine::Docker.here()), world("nix-image")) else { return };
    let packages = ["libc6", "libgcc-s1", "zlib1g", "dash", "gcc", "libc6-dev"];
    let without = ["perl-base", "debconf", "dpkg", "tar", "debianutils"];
    let links = [("usr/share/provider-mark", "image"), ("bin/sh", "dash"), ("usr/bin/cc", "gcc")];
    let image = debian::Image::of("provider", &world.home.join("scratch"), &packages, &without, &links);
    let Some(image) = image else { return };
    let project = project(&world);
    fs::remove_file(project.join("build.rs")).expect("removed");
    let main = r#"
fn main() {
    let mark = std::fs::read_link("/usr/share/provider-mark").map_or("host".into(), |mark| mark.display().to_string());
    let tool = std::process::Command::new("answer-config").output();
    let tool = tool.map_or("nothing".into(), |output| String::from_utf8(output.stdout).unwrap());
    println!("{mark} {}", tool.trim());
}
"#;
    world.write(&project.join("src/main.rs"), main);
    world.write(&project.join("shell.nix"), &shell(""));
    for (provider, says) in [("nix", "image from-the-store\n"), ("image", "image nothing\n")] {
        wants(&world, provider);
        let output = cargo(&world, engine, &project, &["--sandbox-image", image.name(), "run"]);
        assert_eq!(output.success(provider).stdout, says, "{provider}");
    }
    world.stop(engine, &project);
}
