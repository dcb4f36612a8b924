//! Containers that come and go.

use std::fs;
use std::path::Path;

use super::support::need;
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::{User, World};
use super::{alone, rounds, survey};

/// All files of this tool's own below a directory, but for what cargo builds.
fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let own = entries.filter(|entry| entry.file_name() != "build");
    own.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[test]
fn containers_leave_nothing() {
    let _turn = alone();
    let Some(user) = need(User::root()) else { return };
    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let Some(world) = need(World::new(&format!("soak-restarts-{engine}"), &user)) else { return };
        let project = world.work().join("project");
        world.write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
        );
        let round = |number: usize| {
            world.write(&project.join("src/main.rs"), &format!("fn main() {{ println!(\"{number}\"); }}\n"));
            let output = run(world.sandbox(engine, &project).args(["run", "--quiet"])).success("run");
            assert_eq!(output.stdout, format!("{number}\n"));
            world.stop(engine, &project);
        };
        round(0);
        let (mut mounts, before) = (survey::mounts(), files(&world.state()));
        for number in 1..=rounds(3, 100) {
            round(number);
            assert!(world.status(engine, &project).running.is_empty(), "{engine}: round {number}");
        }
        // Those of other tests' containers, which wait for a while before they end, may go meanwhile.
        let mut new = survey::mounts();
        new.retain(|place| match mounts.iter().position(|known| known == place) {
            Some(at) => {
                mounts.swap_remove(at);
                false
            }
            None => true,
        });
        assert!(new.is_empty(), "{engine}: mounts at {new:?}");
        assert_eq!(files(&world.state()), before, "{engine}: files");
        assert_eq!(survey::agents(&world.home), Vec::<u32>::new(), "{engine}: processes");
    }
}
