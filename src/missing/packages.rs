//! The table of packages, `packages.toml`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::distribution::KNOWN;
use super::recognise::Missing;

/// What a package brings, and its name in each distribution.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Package {
    /// Programs.
    #[serde(default)]
    programs: Vec<String>,
    /// Names of `.pc` files.
    #[serde(default)]
    pkg_config: Vec<String>,
    /// What stands behind `-l`.
    #[serde(default)]
    libraries: Vec<String>,
    /// What is included; one that ends with `/` stands for all below it.
    #[serde(default)]
    headers: Vec<String>,
    /// The name in Debian and Ubuntu; empty where there is none, here and below.
    pub debian: String,
    /// In Fedora.
    pub fedora: String,
    /// In Arch.
    pub arch: String,
    /// In Alpine.
    pub alpine: String,
    /// In nixpkgs.
    pub nix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    package: Vec<Package>,
}

fn table() -> &'static [Package] {
    static TABLE: OnceLock<Vec<Package>> = OnceLock::new();
    // It is part of the program; a unit test reads it.
    TABLE.get_or_init(|| {
        toml::from_str::<Table>(include_str!("packages.toml")).map_or(Vec::new(), |it| it.package)
    })
}

/// The package that brings what is missing.
pub fn providing(missing: &Missing) -> Option<&'static Package> {
    table().iter().find(|package| match missing {
        Missing::Program(name) => package.programs.contains(name),
        Missing::PkgConfig(name) => package.pkg_config.contains(name),
        Missing::Library(name) => package.libraries.contains(name),
        Missing::Header(name) => package
            .headers
            .iter()
            .any(|header| header == name || (header.ends_with('/') && name.starts_with(header.as_str()))),
    })
}

/// Something that a package of nixpkgs brings.
pub fn brought_by_nix(name: &str) -> Option<Missing> {
    let package = table().iter().find(|package| !name.is_empty() && package.nix == name)?;
    let first = |names: &[String]| names.first().cloned();
    first(&package.pkg_config)
        .map(Missing::PkgConfig)
        .or_else(|| first(&package.libraries).map(Missing::Library))
        .or_else(|| first(&package.programs).map(Missing::Program))
        .or_else(|| first(&package.headers).map(Missing::Header))
}

/// The names of the package in all distributions, for people.
pub fn everywhere(missing: &Missing) -> String {
    let Some(package) = providing(missing) else { return "not known here".to_owned() };
    let names = KNOWN.iter().filter_map(|(distribution, name)| {
        distribution.name_of(package).map(|package| format!("{name}: {package}"))
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::distribution::Distribution;
    use super::*;

    #[test]
    fn the_table_can_be_read_and_names_nothing_twice() {
        let table: Table = toml::from_str(include_str!("packages.toml")).unwrap();
        let mut seen = BTreeSet::new();
        for package in &table.package {
            let kinds = [&package.programs, &package.pkg_config, &package.libraries, &package.headers];
            assert!(kinds.iter().any(|names| !names.is_empty()), "{} brings nothing", package.debian);
            for (kind, name) in
                kinds.iter().enumerate().flat_map(|(kind, all)| all.iter().map(move |name| (kind, name)))
            {
                assert!(seen.insert((kind, name.clone())), "{name} is there twice");
            }
            for (distribution, _) in KNOWN {
                // They become words of a shell.
                let plain = |name: &str| {
                    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
                };
                let name = distribution.name_of(package).unwrap_or_default();
                assert!(plain(name) && !name.starts_with('-') || distribution == Distribution::Nix, "{name}");
            }
            let known =
                KNOWN.iter().filter(|(distribution, _)| distribution.name_of(package).is_some()).count();
            assert!(known >= 4, "{}: where else?", package.debian);
        }
    }
}
