//! `cargo install` runs the build scripts of what it installs with all rights of the user.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::run::run;
use super::support::world::World;
use super::{ENGINE, package, worlds};

/// A git repository with a program that says what its build script could do.
fn repository(world: &World, script: &str) -> PathBuf {
    let tool = package(world, "tool", script);
    world.write(&tool.join("src/main.rs"), "fn main() { println!(\"{}\", env!(\"SEEN\")) }\n");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        run(world.command("/usr/bin/git").args(identity).args(arguments).current_dir(&tool)).success("git");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "tool"]);
    tool
}

#[test]
fn an_installed_crate_reads_no_project_and_plants_no_program() {
    for world in worlds("install-attack") {
        let project = package(&world, "here", "");
        let secret = project.join("secret");
        world.write(&secret, "precious");
        let bin = world.home.join(".cargo/bin");
        let planted = bin.join("planted");
        let script = format!(
            "    let read = std::fs::read_to_string({secret:?}).is_ok();\n    let _ = std::fs::create_dir_all({bin:?});\n    \
             let wrote = std::fs::write({planted:?}, \"evil\").is_ok();\n    \
             println!(\"cargo:rustc-env=SEEN=read {{read}} wrote {{wrote}}\");"
        );
        let tool = repository(&world, &script);
        let installed = |command: &mut Command, root: &Path| {
            let url = format!("file://{}", tool.display());
            let output = run(command.args(["install", "--debug", "--git", &url, "--root"]).arg(root));
            output.success("install");
            let program = root.join("bin/tool");
            let metadata = program.symlink_metadata().expect("installed");
            assert!(metadata.is_file() && metadata.nlink() == 1 && metadata.mode() & 0o6000 == 0);
            run(&mut world.command(&program)).success("the installed program").stdout
        };
        let said = installed(&mut world.plain(&project), &world.home.join("plain"));
        assert_eq!(said, "read true wrote true\n", "control: it may all that the user may");
        assert!(planted.exists());
        std::fs::remove_file(&planted).expect("planted");

        let said = installed(&mut world.sandbox(ENGINE, &project), &world.home.join("root"));
        assert_eq!(said, "read false wrote false\n");
        assert!(!planted.exists());
    }
}
