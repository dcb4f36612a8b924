//! Which packages of the system the containers of a command show, and where they come from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cargo::{CargoCommand, CommandKind};
use crate::container::Image;
use crate::container::host::SystemWorld;
use crate::container::packages::{self, PackageRoot, Request, Store};
use crate::missing::{Distribution, Missing};
use crate::policy::bar::Bar;
use crate::policy::containers::Settings;
use crate::policy::native::{PackageName, SystemPackages};
use crate::project::{ProjectDirectories, StateDirectory};

use super::FrontEnd;
use super::dependency_graph::Question;
use super::vetted::Vetted;

/// By these a user says how programs reach the network; apt takes them as cargo does.
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// What is known where packages are asked for.
pub struct Scene<'a> {
    /// The user.
    pub front_end: &'a FrontEnd,
    /// The command.
    pub command: &'a CargoCommand,
    /// All that is known of it, where cargo can be asked.
    pub vetted: Option<&'a Vetted<'a>>,
    /// What may be missing of confinement.
    pub bar: &'a Bar,
    /// What containers show of the system.
    pub system: &'a SystemWorld,
    /// The project's root.
    pub root: &'a Path,
    /// The project's own directories.
    pub directories: &'a ProjectDirectories,
}

/// The packages that jobs see beside what is installed. They are fetched for a command that has jobs; another one takes
/// what is there.
///
/// # Errors
/// When they cannot be had.
pub fn provide(
    scene: &Scene<'_>,
    state: &StateDirectory,
    settings: &Settings,
) -> anyhow::Result<Option<PackageRoot>> {
    let compiles = scene.command.kind != CommandKind::Host;
    let mut names = BTreeSet::new();
    let mut by = BTreeSet::new();
    for said in &settings.packages {
        match &said.value {
            SystemPackages::Named(named) => names.extend(named.iter().cloned()),
            SystemPackages::Auto => names.extend(needed(scene, compiles)?),
        }
        by.insert(said.by.to_string());
    }
    if names.is_empty() {
        return Ok(None);
    }
    let by: Vec<String> = by.into_iter().collect();
    if !matches!(settings.image.value, Image::Host) {
        refuse_image(&settings.image.value, &names, &by.join(" and "))?;
    }
    let store = Store::open(state.packages()).context("failed to make the directory of system packages")?;
    let variable = |name: &&str| Some((OsString::from(name), scene.front_end.variable(name)?.to_owned()));
    let request = Request {
        names,
        by: by.join(" and "),
        offline: scene.command.offline || is_offline(scene.front_end),
        quiet: scene.command.quiet,
        proxies: PROXIES.iter().filter_map(variable).collect(),
        bar: scene.bar,
        system: scene.system,
    };
    let found =
        if compiles { packages::provide(&store, &request)? } else { packages::known(&store, &request) };
    packages::used_by(scene.directories.path(), found.as_ref())
        .context("failed to write down which packages are used")?;
    Ok(found)
}

/// The packages that the dependency graph needs, by the names that this machine's distribution has for them.
fn needed(scene: &Scene<'_>, compiles: bool) -> anyhow::Result<BTreeSet<PackageName>> {
    let Scene { root, command, vetted, directories, .. } = *scene;
    let needs = Question { root, directory: directories.path(), command, vetted, compiles }.answer()?;
    let distribution = Distribution::read(Path::new("/etc/os-release"));
    // A program of the user's own making need not be of a package.
    let is_there = |need: &Missing| matches!(need, Missing::Program(name) if PROGRAMS.iter().any(|path| Path::new(path).join(name).exists()));
    let missing = needs.iter().filter(|need| !is_there(need));
    Ok(missing.filter_map(|need| distribution.package(need)?.parse().ok()).collect())
}

/// Where jobs find programs of this machine's.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// As cargo understands the variable.
fn is_offline(front_end: &FrontEnd) -> bool {
    front_end.variable("CARGO_NET_OFFLINE").is_some_and(|value| value == "true" || value == "1")
}

fn refuse_image(image: &Image, names: &BTreeSet<PackageName>, by: &str) -> anyhow::Result<()> {
    let names: Vec<&str> = names.iter().map(PackageName::as_str).collect();
    bail!(
        "{by} asks for the system packages {}, which cannot be added to the image `{image}`\n\nhint: build an image that has them",
        names.join(", ")
    )
}
