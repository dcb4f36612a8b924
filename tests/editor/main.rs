//! `self rust-analyzer`: real sessions of the Language Server Protocol with a real server, as an editor has them, and
//! repositories that attack through it.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod forged;
mod hostile;
mod session;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::need;
use support::tool::Engine;
use support::world::{User, World};

/// rust-analyzer: the one that `CSB_TEST_RUST_ANALYZER` names, else the toolchain's.
fn server(world: &World) -> Result<PathBuf, String> {
    let named = std::env::var_os("CSB_TEST_RUST_ANALYZER").map(PathBuf::from);
    let path = named.unwrap_or_else(|| world.toolchain.join("bin/rust-analyzer"));
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("there is no rust-analyzer at `{}` (CSB_TEST_RUST_ANALYZER)", path.display())),
    }
}

/// A world with a server, for an ordinary user on every engine, and for root on the native one.
fn worlds(name: &str) -> Vec<(World, Engine, PathBuf)> {
    let ordinary = need(User::ordinary());
    let root = need(User::root()).filter(|root| ordinary.as_ref() != Some(root));
    let engines: Vec<_> = Engine::ALL.into_iter().filter_map(|engine| need(engine.here())).collect();
    let of_ordinary =
        ordinary.iter().flat_map(|user| engines.iter().map(move |engine| (user.clone(), *engine)));
    let all = of_ordinary.chain(root.map(|root| (root, Engine::Native)));
    all.filter_map(|(user, engine)| {
        let world = need(World::new(&format!("{name}-{engine}"), &user))?;
        let server = need(server(&world))?;
        Some((world, engine, server))
    })
    .collect()
}

/// `cargo-sandbox self rust-analyzer` with this server, in a project.
fn confined(world: &World, engine: Engine, project: &Path, server: &Path) -> Command {
    let mut command = world.sandbox(engine, project);
    command.args(["self", "rust-analyzer", "--server"]).arg(server);
    command
}

/// A package of macros, as part of the project at `project`.
fn macros(world: &World, project: &Path, source: &str) {
    world.write(
        &project.join("macros/Cargo.toml"),
        "[package]\nname = \"macros\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n",
    );
    world.write(&project.join("macros/src/lib.rs"), source);
}

/// The manifest of a project with these macros and these dependencies.
fn manifest(dependencies: &str) -> String {
    format!(
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\nmembers = \
         [\"macros\"]\n[dependencies]\nmacros = {{ path = \"macros\" }}\n{dependencies}\n"
    )
}
