//! Which packages of the system the containers of a command show, and where they come from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cargo::{CargoCommand, CommandKind};
use crate::container::host::SystemWorld;
use crate::container::packages::{self, PackageRoot, Request, Store};
use crate::container::{Additions, Image};
use crate::missing::{Distribution, MANAGERS, Manager, Missing};
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

/// What jobs see of the packages that are asked for.
pub struct Provided {
    /// What containers are made from: the same image, or one that has the packages.
    pub image: Image,
    /// Packages that are shown in the host's world.
    pub root: Option<PackageRoot>,
}

/// The packages that jobs see beside what is installed, where containers are made from `image`. They are fetched for a
/// command that has jobs; another one takes what is there. An image gets them later, by its engine.
///
/// # Errors
/// When they cannot be had.
pub fn provide(
    scene: &Scene<'_>,
    state: &StateDirectory,
    settings: &Settings,
    image: Image,
) -> anyhow::Result<Provided> {
    let compiles = scene.command.kind != CommandKind::Host;
    let mut names = BTreeSet::new();
    let mut needs = Vec::new();
    let mut by = BTreeSet::new();
    for said in &settings.packages {
        match &said.value {
            SystemPackages::Named(named) => names.extend(named.iter().cloned()),
            SystemPackages::Auto => needs = needed(scene, compiles)?,
        }
        by.insert(said.by.to_string());
    }
    let by = by.into_iter().collect::<Vec<_>>().join(" and ");
    match &image {
        Image::Host => {}
        _ if names.is_empty() && needs.is_empty() => return Ok(Provided { image, root: None }),
        Image::File(file) => bail!(
            "{by} asks for packages of the system, which cannot be added to the image `{file}` in the OCI layout\n\nhint: build \
             one that has them; or take an image by its name, or a Dockerfile, with the docker engine"
        ),
        Image::Named(_) | Image::Built(_) | Image::Extended(..) => {
            return Ok(Provided {
                image: Image::Extended(Box::new(image), additions(&names, &needs)),
                root: None,
            });
        }
    }
    let distribution = Distribution::read(Path::new("/etc/os-release"));
    let missing = needs.iter().filter(|need| !is_there(need));
    names.extend(missing.filter_map(|need| distribution.package(need)?.parse().ok()));
    if names.is_empty() {
        packages::used_by(scene.directories.path(), None)
            .context("failed to write down which packages are used")?;
        return Ok(Provided { image, root: None });
    }
    let store = Store::open(state.packages()).context("failed to make the directory of system packages")?;
    let variable = |name: &&str| Some((OsString::from(name), scene.front_end.variable(name)?.to_owned()));
    let request = Request {
        names,
        by,
        offline: scene.command.offline || is_offline(scene.front_end),
        quiet: scene.command.quiet,
        proxies: PROXIES.iter().filter_map(variable).collect(),
        bar: scene.bar,
        system: scene.system,
    };
    let root =
        if compiles { packages::provide(&store, &request)? } else { packages::known(&store, &request) };
    packages::used_by(scene.directories.path(), root.as_ref())
        .context("failed to write down which packages are used")?;
    Ok(Provided { image, root })
}

/// What an image gets: the names as they are, and what the graph needs by each distribution's own.
fn additions(names: &BTreeSet<PackageName>, needs: &[Missing]) -> Additions {
    let of = |manager: &Manager| {
        let named = names.iter().map(|name| name.as_str().to_owned());
        let needed = needs.iter().filter_map(|need| manager.distribution.package(need)).map(str::to_owned);
        named.chain(needed).collect()
    };
    Additions { names: MANAGERS.iter().map(of).collect() }
}

/// What the dependency graph needs of the system.
fn needed(scene: &Scene<'_>, compiles: bool) -> anyhow::Result<Vec<Missing>> {
    let Scene { root, command, vetted, directories, .. } = *scene;
    Question { root, directory: directories.path(), command, vetted, compiles }.answer()
}

/// Whether this machine has a program, which need not be of a package.
fn is_there(need: &Missing) -> bool {
    matches!(need, Missing::Program(name) if PROGRAMS.iter().any(|path| Path::new(path).join(name).exists()))
}

/// Where jobs find programs of this machine's.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// As cargo understands the variable.
fn is_offline(front_end: &FrontEnd) -> bool {
    front_end.variable("CARGO_NET_OFFLINE").is_some_and(|value| value == "true" || value == "1")
}
