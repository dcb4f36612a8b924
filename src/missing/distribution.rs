//! Which distribution this is, as `os-release(5)` says, and how one installs there.

use std::fs;
use std::path::Path;

use super::packages::{self, Package};
use super::recognise::Missing;

/// A family of distributions with the same packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Debian, Ubuntu and what is made from them.
    Debian,
    /// Fedora, Red Hat and theirs.
    Fedora,
    /// Arch and its.
    Arch,
    /// Alpine.
    Alpine,
    /// NixOS.
    Nix,
    /// Any other.
    Unknown,
}

/// All whose packages are known, with their names for people.
pub const KNOWN: [(Distribution, &str); 5] = [
    (Distribution::Debian, "Debian"),
    (Distribution::Fedora, "Fedora"),
    (Distribution::Arch, "Arch"),
    (Distribution::Alpine, "Alpine"),
    (Distribution::Nix, "Nix"),
];

/// What installs packages in an image.
#[derive(Debug)]
pub struct Manager {
    /// Whose packages.
    pub distribution: Distribution,
    /// The program by which it is known.
    pub program: &'static str,
    /// The command, before the names.
    pub install: &'static str,
}

/// Those that are known.
pub const MANAGERS: [Manager; 4] = [
    Manager {
        distribution: Distribution::Debian,
        program: "apt-get",
        install: "apt-get update; apt-get install --yes --no-install-recommends --",
    },
    Manager { distribution: Distribution::Fedora, program: "dnf", install: "dnf install --assumeyes --" },
    Manager { distribution: Distribution::Alpine, program: "apk", install: "apk add --no-cache --" },
    Manager {
        distribution: Distribution::Arch,
        program: "pacman",
        install: "pacman --sync --refresh --needed --noconfirm --",
    },
];

impl Distribution {
    /// What an `os-release` file says; unknown where there is none.
    pub fn read(os_release: &Path) -> Self {
        fs::read_to_string(os_release).map_or(Self::Unknown, |text| Self::parse(&text))
    }

    fn parse(os_release: &str) -> Self {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\''])
        };
        let names = value("ID").split_whitespace().chain(value("ID_LIKE").split_whitespace());
        names
            .filter_map(|name| match name {
                "debian" | "ubuntu" => Some(Self::Debian),
                "fedora" | "rhel" | "centos" => Some(Self::Fedora),
                "arch" => Some(Self::Arch),
                "alpine" => Some(Self::Alpine),
                "nixos" => Some(Self::Nix),
                _ => None,
            })
            .next()
            .unwrap_or(Self::Unknown)
    }

    /// The name that a package has here, if it has one.
    pub fn name_of(self, package: &Package) -> Option<&str> {
        let name = match self {
            Self::Debian => &package.debian,
            Self::Fedora => &package.fedora,
            Self::Arch => &package.arch,
            Self::Alpine => &package.alpine,
            Self::Nix => &package.nix,
            Self::Unknown => return None,
        };
        (!name.is_empty()).then_some(name.as_str())
    }

    /// What to do, in words that follow a semicolon.
    pub fn command(self, missing: &Missing) -> String {
        let package = packages::providing(missing);
        match package.and_then(|package| self.name_of(package)) {
            Some(name) => format!("`{} {name}`", self.installs()),
            None if self == Self::Unknown && package.is_some() => {
                format!("the package that has it is, elsewhere, {}", packages::everywhere(missing))
            }
            None if self == Self::Unknown => "the package that has it is not known here".to_owned(),
            None => format!("`{}` names the package that has it", self.searches(&missing.file())),
        }
    }

    /// The package that brings what is missing, where jobs can see one that is not installed.
    pub fn shown_without_installing(self, missing: &Missing) -> Option<&'static str> {
        if self == Self::Debian { self.package(missing) } else { None }
    }

    /// The package that brings something here.
    pub fn package(self, missing: &Missing) -> Option<&'static str> {
        self.name_of(packages::providing(missing)?)
    }

    /// The command that installs packages of these names here.
    pub fn installing(self, names: &[&str]) -> String {
        format!("{} {}", self.installs(), names.join(" "))
    }

    fn installs(self) -> &'static str {
        match self {
            Self::Debian | Self::Unknown => "apt install",
            Self::Fedora => "dnf install",
            Self::Arch => "pacman -S",
            Self::Alpine => "apk add",
            Self::Nix => "nix-shell -p",
        }
    }

    fn searches(self, file: &str) -> String {
        match self {
            Self::Debian | Self::Unknown => format!("apt-file search {file}"),
            Self::Fedora => format!("dnf provides '*/{file}'"),
            Self::Arch => format!("pacman -F {file}"),
            Self::Alpine => format!("apk search --exact cmd:{file} so:{file} pc:{file}"),
            Self::Nix => format!("nix-locate {file}"),
        }
    }
}
