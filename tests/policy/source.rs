//! `generates-source`: a build script that writes source code into its own package.

use super::*;

/// The package, and what another one would see of what its script has written.
struct Generator {
    /// As cargo unpacks it for every project.
    checkout: PathBuf,
    user: PathBuf,
    other: PathBuf,
}

/// It writes a module of its own, once: one that is there was left by somebody.
const SCRIPT: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let made = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("src/made.rs");
    assert!(!made.exists(), "left by an earlier script");
    std::fs::write(made, "pub const MADE: &str = \"by the script\";\n").unwrap();
}
"#;

const GRANT: &str = "[packages.generator.build-script]\ngenerates-source = true\n";

impl Generator {
    fn new(world: &World) -> Self {
        let repository = world.home.join("generator");
        let manifest = |name: &str, rest: &str| {
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n{rest}"
            )
        };
        world.write(&repository.join("Cargo.toml"), &manifest("generator", ""));
        world.write(&repository.join("build.rs"), SCRIPT);
        world.write(&repository.join("src/lib.rs"), "mod made;\npub use made::MADE;\n");
        world.commit(&repository);
        let dependency =
            format!("[dependencies]\ngenerator = {{ git = \"file://{}\" }}\n", repository.display());
        let program = "fn main() {\n    println!(\"made {}\", generator::MADE);\n}\n";
        let [user, other] = ["user", "other"].map(|name| {
            let project = world.work().join(name);
            world.write(&project.join("Cargo.toml"), &manifest(name, &dependency));
            world.write(&project.join("src/main.rs"), program);
            project
        });
        for project in [&user, &other] {
            run(world.plain(project).arg("fetch")).success("fetch");
        }
        let below = |directory: PathBuf| {
            fs::read_dir(directory).expect("directory").next().expect("one").expect("entry").path()
        };
        let checkout = below(below(world.home.join(".cargo/git/checkouts")));
        Self { checkout, user, other }
    }

    fn made(&self) -> PathBuf {
        self.checkout.join("src/made.rs")
    }
}

#[test]
fn source_that_a_script_writes_is_its_own_packages_in_one_project() {
    for world in worlds("policy-source") {
        let generator = Generator::new(&world);
        let Generator { user, other, .. } = &generator;
        // Under cargo all projects are compiled with it from then on.
        run(&mut line::plain(&world, user, "check")).success("control");
        assert!(generator.made().exists());
        fs::remove_file(generator.made()).expect("removed");

        policy(&world, user, GRANT);
        fails(
            &mut sandbox(&world, Engine::Native, user, "check"),
            &[
                "needs your trust",
                "build scripts of `generator` write source code that their own package is compiled with",
            ],
        );
        trust(&world, Engine::Native, user);

        for engine in engines() {
            let check = |project: &Path| sandbox(&world, engine, project, "check");
            let absent = ["file not found for module `made`"];
            policy(&world, user, "");
            let indented: String = GRANT.lines().map(|line| format!("    {line}\n")).collect();
            fails(&mut check(user), &[absent[0], &indented.replace("generator", "\"generator\"")]);

            policy(&world, user, GRANT);
            for _ in 0..2 {
                // It has to run again, and finds nothing of what it wrote before.
                run(&mut sandbox(&world, engine, user, "clean -p generator")).success("clean -p");
                let output = run(&mut sandbox(&world, engine, user, "run")).success("granted");
                assert!(output.stdout.contains("made by the script"), "{}", output.stdout);
            }
            let fresh = run(&mut check(user)).success("checked").stderr
                + &run(&mut check(user)).success("fresh").stderr;
            assert_eq!(fresh.matches("Checking generator").count(), 1, "{fresh}");
            run(&mut sandbox(&world, engine, user, "doc")).success("rustdoc");

            // Nobody else has it: another package of the project, another project, this machine.
            assert!(!generator.made().exists());
            let program = fs::read_to_string(user.join("src/main.rs")).expect("program");
            let reads = format!("const _: &str = include_str!({:?});\n{program}", generator.made());
            world.write(&user.join("src/main.rs"), &reads);
            fails(&mut check(user), &["couldn't read"]);
            world.write(&user.join("src/main.rs"), &program);
            fails(&mut check(other), &absent);
            for project in [user, other] {
                world.stop(engine, project);
                run(&mut sandbox(&world, engine, project, "clean")).success("clean");
            }
        }
    }
}
