//! Programs that a repository's nextest configuration names for this machine.

use super::*;

const ENGINE: Engine = Engine::Native;

/// A package with a test that leaves a trace in the home directory, and this configuration.
fn configured(world: &World, configuration: &str) -> PathBuf {
    let test = "#[test] fn own() { let _refused = std::fs::write(\"HOME/raw\", \"\"); }\n";
    let test = test.replace("HOME", world.home.to_str().expect("UTF-8"));
    let project = package(world, "scripted", "", &[("src/lib.rs", test.as_str())]);
    world.write(&project.join(".config/nextest.toml"), configuration);
    project
}

#[track_caller]
fn stopped(world: &World, project: &Path, words: &[&str]) {
    for line in ["nextest run", "nextest list"] {
        let output = run(&mut sandbox(world, ENGINE, project, line));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        says(&output, &["needs your trust", "hint: ", "cargo-sandbox self trust"]);
        says(&output, words);
    }
}

#[test]
fn a_setup_script_needs_trust_and_then_has_cargos_rights() {
    for world in native_worlds("setup-script", &["nextest"]) {
        let project = configured(
            &world,
            "experimental = [\"setup-scripts\"]\n[scripts.setup.mine]\ncommand = \"sh setup.sh\"\n\
             [[profile.default.scripts]]\nfilter = \"all()\"\nsetup = \"mine\"\n",
        );
        let (inside, outside) = (project.join("trace"), world.home.join("trace"));
        let text = format!("echo > '{}'; echo > '{}'; exit 0", inside.display(), outside.display());
        script(&world, &project.join("setup.sh"), &text);
        run(&mut plain(&world, &project, "nextest run")).success("control: cargo nextest run");
        assert!(left(&inside) && left(&outside), "control: nextest starts it");

        stopped(&world, &project, &[".config/nextest.toml:2: scripts.setup.mine", "sh setup.sh"]);
        assert!(!left(&inside));
        run(&mut sandbox(&world, ENGINE, &project, "test")).success("another command does not read the file");

        run(&mut sandbox(&world, ENGINE, &project, "self trust --yes")).success("self trust");
        let output = run(&mut sandbox(&world, ENGINE, &project, "nextest run"));
        output.success("what is trusted works");
        assert!(left(&inside) && !left(&outside), "in the project, and nowhere else");
        world.stop(ENGINE, &project);
    }
}

#[test]
fn a_wrapper_script_needs_trust_and_executes_no_test_on_this_machine() {
    for world in native_worlds("wrapper-script", &["nextest"]) {
        let text = |runner: &str| {
            format!(
                "experimental = [\"wrapper-scripts\"]\n\
                 [scripts.wrapper.mine]\ncommand = \"sh wrap.sh\"\ntarget-runner = \"{runner}\"\n\
                 [[profile.default.scripts]]\nfilter = \"all()\"\nrun-wrapper = \"mine\"\n"
            )
        };
        let project = configured(&world, &text("ignore"));
        let (trace, raw) = (project.join("trace"), world.home.join("raw"));
        script(&world, &project.join("wrap.sh"), &format!(": > '{}'\nexec \"$@\"", trace.display()));
        run(&mut plain(&world, &project, "nextest run")).success("control: cargo nextest run");
        assert!(left(&trace) && left(&raw), "control: nextest starts it, and it the test");

        stopped(&world, &project, &[".config/nextest.toml:2: scripts.wrapper.mine", "in place of tests"]);
        assert!(!left(&trace));

        // Past the runner it has nothing that the kernel lets it execute.
        run(&mut sandbox(&world, ENGINE, &project, "self trust --yes")).success("self trust");
        let output = run(&mut sandbox(&world, ENGINE, &project, "nextest run"));
        assert_eq!(output.code(), 100, "{}", output.stderr);
        says(&output, &["Permission denied"]);
        assert!(left(&trace) && !left(&raw));

        world.write(&project.join(".config/nextest.toml"), &text("within-wrapper"));
        run(&mut sandbox(&world, ENGINE, &project, "self trust --yes")).success("self trust");
        let output = run(&mut sandbox(&world, ENGINE, &project, "nextest run"));
        output.success("before the runner it works");
        assert!(left(&trace) && !left(&raw));
        world.stop(ENGINE, &project);
    }
}

#[test]
fn a_place_outside_needs_trust_and_is_not_written_all_the_same() {
    for world in native_worlds("store", &["nextest"]) {
        let victim = world.home.join("victim");
        let text =
            format!("store.dir = \"{}\"\n[profile.default.junit]\npath = \"junit.xml\"\n", victim.display());
        let project = configured(&world, &text);
        run(&mut plain(&world, &project, "nextest run")).success("control: cargo nextest run");
        assert!(victim.join("default/junit.xml").exists(), "control: nextest writes there");
        world::remove(&victim);
        stopped(&world, &project, &[".config/nextest.toml:1: store.dir"]);
        run(&mut sandbox(&world, ENGINE, &project, "self trust --yes")).success("self trust");
        run(&mut sandbox(&world, ENGINE, &project, "nextest run"));
        assert!(!victim.exists(), "trust is not a place that cargo may write");
        world.stop(ENGINE, &project);
    }
}
