//! The list of known packages: each entry is needed for the version that it names.

use cargo_sandbox::policy::known::{KnownPackage, KnownPackages};

use super::*;

/// A project that depends on a package, from the registry or as a copy in the repository.
fn user(world: &World, entry: &KnownPackage, copy: Option<&Path>) -> PathBuf {
    let package = entry.package.to_string();
    let name = package.split('@').next().expect("a name");
    let project = world.work().join(format!("{}-{name}", if copy.is_some() { "copied" } else { "fetched" }));
    let from = match copy {
        Some(_) => format!("path = \"{name}\""),
        None => format!("version = \"={}\"", entry.shown.with),
    };
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{name} = {{ \
         {from}, features = {:?} }}\n",
        entry.shown.features
    );
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("src/main.rs"), NOTHING);
    if let Some(copy) = copy {
        world.copy(copy, &project.join(name));
    }
    project
}

#[test]
fn each_entry_is_needed_for_the_version_that_it_names() {
    let Some(world) = world("policy-known") else { return };
    let known = KnownPackages::shipped().expect("the list");
    assert!(!known.entry.is_empty());
    for entry in &known.entry {
        let package = entry.package.to_string();
        let name = package.split('@').next().expect("a name");
        let build = |project: &Path| {
            let mut command = sandbox(&world, Engine::Native, project, "check");
            let output = run(command.envs(&entry.shown.variables));
            output.stderr + &output.stdout
        };
        let fetched = user(&world, entry, None);
        let with = build(&fetched);
        assert!(with.contains(&entry.shown.says), "{package} with its entry:\n{with}");
        let explained = run(&mut sandbox(&world, Engine::Native, &fetched, &format!("self explain {name}")));
        assert!(explained.stdout.contains("the list of known packages"), "{}", explained.stdout);

        // cargo has unpacked it.
        let sources = world.home.join(".cargo/registry/src");
        let index = fs::read_dir(&sources).expect("index").next().expect("index").expect("index").path();
        let unpacked = index.join(format!("{name}-{}", entry.shown.with));
        let copied = user(&world, entry, Some(&unpacked));
        let without = build(&copied);
        assert!(!without.contains(&entry.shown.says), "{package} does not need its entry:\n{without}");
        for project in [fetched, copied] {
            world.stop(Engine::Native, &project);
        }
    }
}
