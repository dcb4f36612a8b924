//! A real program from the registry, installed: the same bytes, and the same in cargo's lists.

use crate::projects::Project;
use crate::support::run::run;
use crate::support::tool::Engine;
use crate::support::world::{User, World};
use crate::support::{ci, need, note, tree};

/// To optimize takes most of the time.
const QUICK: [(&str, &str); 1] = [("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")];

#[test]
fn an_installed_program_is_cargos_byte_for_byte() {
    if !ci() && !crate::full() {
        return note("skipped: to install a program three times takes a minute; CSB_PARITY=full does it");
    }
    let Some(user) = need(User::ordinary()) else { return };
    let Some(seed) = need(Project::named("pulldown-cmark").seed()) else { return };
    let Some(world) = need(World::new("install", &user).map(World::incremental)) else { return };
    world.copy(&seed.cargo_home, &world.home.join(".cargo"));
    // The index must be asked for the newest version, and the archives are there.
    let words = ["install", "--locked", "--version", "0.13.0", "pulldown-cmark", "--root"];
    let plain = world.home.join("plain");
    run(world.plain(&world.work()).envs(QUICK).args(words).arg(&plain)).success("cargo install");
    let expected = tree::read(&plain, &|_| true);
    for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
        let root = world.home.join(engine.to_string());
        let output = run(world.sandbox(engine, &world.work()).envs(QUICK).args(words).arg(&root));
        let said = output.success("cargo-sandbox install").stderr;
        assert!(tree::read(&root, &|_| true) == expected, "not the same on {engine}:\n{said}");
    }
}
