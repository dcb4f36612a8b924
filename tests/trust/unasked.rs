//! What needs no trust: it builds with no question, and nothing of it runs on this machine.

use super::*;

#[test]
fn a_vendored_project_builds_with_no_question() {
    // Build scripts, a procedural macro, a library.
    let dependencies =
        "[dependencies]\nanyhow = \"1\"\nserde = { version = \"1\", features = [\"derive\"] }\n\n[workspace]";
    for world in worlds("vendored") {
        let project = project(&world, "vendored", "");
        let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
        world.write(&project.join("Cargo.toml"), &manifest.replace("[workspace]", dependencies));
        world.write(
            &project.join("src/main.rs"),
            "#[derive(serde::Serialize)]\nstruct S;\nfn main() -> anyhow::Result<()> { let _ = S; println!(\"ran\"); Ok(()) }\n",
        );
        let vendor = run(world.plain(&project).arg("vendor"));
        if !vendor.status.success() {
            assert!(need::<()>(Err(format!("no registry to vendor from: {}", vendor.stderr))).is_none());
            return;
        }
        configure(&world, &project, &vendor.stdout);
        assert!(vendor.stdout.contains("replace-with = \"vendored-sources\""), "{}", vendor.stdout);
        // Nothing is left but what is in the project.
        fs::remove_dir_all(world.home.join(".cargo")).expect("CARGO_HOME");
        let output = run(&mut sandbox(&world, &project, "run --offline")).success("cargo-sandbox run");
        assert_eq!(output.stdout, "ran\n");
        assert!(!output.stderr.contains("trust"), "{}", output.stderr);
        let output = run(&mut sandbox(&world, &project, "self trust")).success("self trust");
        assert!(output.stdout.contains("nothing in"), "{}", output.stdout);
        world.stop(ENGINE, &project);
    }
}

#[test]
fn programs_in_the_place_of_the_compiler_are_handled() {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for world in worlds("handled") {
        let project = project(&world, "handled", "");
        let program = Program::new(&world, &project);
        let (path, build) = (program.path.display(), world.home.join("elsewhere"));
        for text in [
            format!("[build]\nrustc-wrapper = \"{path}\"\n"),
            format!("[build]\nrustc-workspace-wrapper = \"{path}\"\n"),
            format!("[target.{triple}]\nrunner = \"{path}\"\n"),
            format!("[target.'cfg(unix)']\nrunner = [\"{path}\"]\n"),
            // What `self setup` writes: all of it at once, and a build directory.
            format!(
                "[build]\nrustc-wrapper = \"{path}\"\nrustdoc = \"{path}\"\nbuild-dir = \"{}\"\n\
                 [target.{triple}]\nrunner = \"{path}\"\n",
                build.display()
            ),
        ] {
            configure(&world, &project, &text);
            run(&mut plain(&world, &project, "run")).success("control: cargo run");
            assert!(program.ran(), "control: {text}");
            let _control = fs::remove_dir_all(&build);
            let _control = fs::remove_dir_all(world.home.join("plain"));
            let output = run(&mut sandbox(&world, &project, "run")).success(&text);
            assert_eq!(output.stdout, "ran\n", "{text}");
            assert!(!program.ran() && !build.exists(), "{text}");
        }
        world.stop(ENGINE, &project);
    }
}

#[test]
fn a_linker_runs_in_the_container() {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for world in worlds("linker") {
        let project = project(&world, "linked", "");
        let program = Program::in_front_of(&world, &project, "cc");
        configure(&world, &project, &format!("[target.{triple}]\nlinker = \"./program\"\n"));
        run(&mut plain(&world, &project, "run")).success("control: cargo run");
        assert!(program.ran(), "control: on this machine");
        let output = run(&mut sandbox(&world, &project, "run")).success("cargo-sandbox run");
        assert_eq!(output.stdout, "ran\n");
        assert!(!program.ran());
        world.stop(ENGINE, &project);
    }
}
