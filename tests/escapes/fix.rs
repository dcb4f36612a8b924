//! `cargo fix` writes what compilers' messages suggest, and macros write those as they like.

use std::path::PathBuf;

use super::directives::{forged_suggestion, macro_that_says};
use super::support::run::run;
use super::support::world::World;
use super::{ENGINE, worlds};

const FIX: [&str; 3] = ["fix", "--allow-no-vcs", "--broken-code"];

/// What the compiler itself suggests to change.
const UNTIDY: &str = "said::said!();\npub fn untidy() {\n    let mut x = 1;\n    let _ = x;\n}\n";

#[test]
fn a_macro_that_suggests_to_change_a_file_of_the_home_directory_changes_none() {
    for world in worlds("fix-suggestion") {
        let victim = world.home.join("victim.rs");
        let suggestion = forged_suggestion(&victim);
        let say = format!("eprintln!(\"{{}}\", r##\"{suggestion}\"##);");
        let project = macro_that_says(&world, "suggester", &say);
        world.write(&project.join("src/main.rs"), UNTIDY);
        let fix = |command: &mut std::process::Command| {
            world.write(&victim, "precious\n");
            let output = run(command.args(FIX));
            (output, std::fs::read_to_string(&victim).expect("victim"))
        };
        let plain = fix(world.plain(&project).env("CARGO_TARGET_DIR", world.home.join("plain")));
        assert_eq!(plain.1, "replaced\n", "control: cargo writes what a macro suggests");
        let (output, victim) = fix(&mut world.sandbox(ENGINE, &project));
        assert_eq!(victim, "precious\n", "{}", output.stderr);
        output.success("cargo-sandbox fix");
    }
}

/// A project whose macro writes wherever it can when its program is compiled.
fn writer(world: &World, name: &str) -> (PathBuf, Vec<PathBuf>) {
    let project = world.work().join(name);
    let places: Vec<PathBuf> = [
        "../outside.rs",
        "../../.bashrc",
        ".git/hooks/pre-commit",
        ".cargo/config.toml",
        "cargo-sandbox.toml",
        "Cargo.toml",
        "other/src/lib.rs",
        "src/new.rs",
    ]
    .map(|place| project.join(place))
    .into();
    let write = places
        .iter()
        .map(|place| {
            format!(
                "let place = std::path::Path::new({place:?});\nlet _ = std::fs::create_dir_all(place.parent().unwrap());\n\
                 let old = std::fs::read_to_string(place).unwrap_or_default();\n\
                 let _ = std::fs::write(place, old + \"# planted\\n\");\n"
            )
        })
        .collect::<String>();
    let made = macro_that_says(world, name, &write);
    assert_eq!(made, project);
    world.write(&project.join("src/main.rs"), UNTIDY);
    world.write(&project.join("other/Cargo.toml"), "[package]\nname = \"other\"\nversion = \"0.1.0\"\n");
    world.write(&project.join("other/src/lib.rs"), "");
    world.write(&project.join(".git/HEAD"), "ref: refs/heads/main\n");
    (project, places)
}

fn planted(places: &[PathBuf]) -> Vec<String> {
    let planted =
        |place: &&PathBuf| std::fs::read_to_string(place).is_ok_and(|text| text.contains("planted"));
    places.iter().filter(planted).map(|place| place.display().to_string()).collect()
}

#[test]
fn what_a_macro_writes_while_the_project_is_fixed_is_left_behind() {
    left_behind("fix-writes", "fix");
}

/// clippy's command is another way to the same. All packages are fixed, so that none is compiled apart from the others.
#[test]
fn nor_does_clippy_bring_it_out() {
    left_behind("fix-clippy", "clippy --fix -p said -p victim -p kept");
}

fn left_behind(name: &str, line: &str) {
    let words = |leave_out: &str| -> Vec<String> {
        let line = line.replace(&format!(" -p {leave_out}"), "");
        line.split(' ').chain(["--allow-no-vcs", "--broken-code"]).map(str::to_owned).collect()
    };
    for world in worlds(name) {
        let (project, places) = writer(&world, "victim");
        let mut plain = world.plain(&project);
        run(plain.args(words("kept")).env("CARGO_TARGET_DIR", world.home.join("plain"))).success("cargo fix");
        assert_eq!(planted(&places).len(), places.len(), "control: a macro writes where it likes");
        for place in &places {
            std::fs::remove_file(place).expect("planted");
        }

        let (project, places) = writer(&world, "kept");
        let output = run(world.sandbox(ENGINE, &project).args(words("victim")));
        let output = output.success("cargo-sandbox fix");
        assert!(planted(&places).is_empty(), "{:?}\n{}", planted(&places), output.stderr);
        let fixed = std::fs::read_to_string(project.join("src/main.rs")).expect("source");
        assert!(fixed.contains("let x = 1;"), "the honest change is there: {fixed}\n{}", output.stderr);
        for named in ["Cargo.toml", "other/src/lib.rs", "src/new.rs", "cargo-sandbox.toml"] {
            let line = format!("warning: `{named}` was changed while fixing and is left as it was");
            assert!(output.stderr.contains(&line), "{named}: {}", output.stderr);
        }
        let left = std::fs::read_dir(world.state().join("projects")).expect("projects");
        let names: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("once-")), "{names:?}");
    }
}
