//! How much of the promised confinement may be missing: nothing, unless the user's own configuration says so.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::agent::OLDEST_LANDLOCK_ABI;

use super::nearest;

/// What a kernel or an engine may not have, and what the user can allow to be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Weakness {
    /// Landlock is there, and too old to keep files from being emptied (below Linux 6.2).
    #[serde(rename = "landlock-level")]
    LandlockLevel,
    /// No Landlock at all.
    #[serde(rename = "landlock")]
    Landlock,
    /// Jobs cannot have a process tree, a `/proc` and a `/tmp` of their own.
    #[serde(rename = "job-namespaces")]
    JobNamespaces,
}

impl Weakness {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LandlockLevel, Self::Landlock, Self::JobNamespaces];

    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LandlockLevel => "landlock-level",
            Self::Landlock => "landlock",
            Self::JobNamespaces => "job-namespaces",
        }
    }

    /// What is missing on a kernel with this Landlock ABI (0: none).
    pub fn of_landlock(abi: i32) -> Option<Self> {
        match abi {
            ..=0 => Some(Self::Landlock),
            abi if abi < OLDEST_LANDLOCK_ABI => Some(Self::LandlockLevel),
            _ => None,
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LandlockLevel => "an old Landlock, so that files that may not be written can be emptied",
            Self::Landlock => "no Landlock, so that cargo and jobs may touch all that is in their view",
            Self::JobNamespaces => "no namespaces of their own for jobs, which see each other's processes",
        })
    }
}

impl std::str::FromStr for Weakness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|weakness| weakness.name() == text).ok_or_else(|| {
            let hint = nearest::hint(text, &Self::ALL.map(Self::name));
            format!("`{text}` is nothing that can be allowed to be missing\n\n{hint}")
        })
    }
}

/// What a command does about missing confinement.
#[derive(Debug, Default)]
pub struct Bar {
    allowed: BTreeSet<Weakness>,
    quiet: bool,
    /// What this command has said already.
    said: Mutex<BTreeSet<Weakness>>,
}

impl Bar {
    /// A bar that lets `allowed` be missing; with `quiet` it does not say so.
    pub fn new(allowed: &BTreeSet<Weakness>, quiet: bool) -> Self {
        Self { allowed: allowed.clone(), quiet, said: Mutex::default() }
    }

    /// The Landlock ABI that is needed.
    pub fn landlock_abi(&self) -> i32 {
        landlock_abi(&self.allowed)
    }

    /// What may be missing.
    pub fn allowed(&self) -> &BTreeSet<Weakness> {
        &self.allowed
    }

    /// Whether this may be missing. No Landlock is less than an old one.
    pub fn allows(&self, weakness: Weakness) -> bool {
        self.allowed.contains(&weakness)
            || (weakness == Weakness::LandlockLevel && self.allowed.contains(&Weakness::Landlock))
    }

    /// Says in one line what is missing and allowed to be, once per command. What is not allowed is for the
    /// caller to refuse.
    pub fn admit(&self, missing: &BTreeSet<Weakness>) {
        let Ok(mut said) = self.said.lock() else { return };
        let new: Vec<Weakness> = missing.difference(&said).copied().collect();
        if !new.is_empty() && !self.quiet {
            let list: Vec<String> =
                new.iter().map(|weakness| format!("{weakness} (`{}`)", weakness.name())).collect();
            eprintln!(
                "warning: confinement is weaker than promised, as your configuration allows: {}",
                list.join("; ")
            );
        }
        said.extend(new);
    }
}

/// The Landlock ABI that is needed where `allowed` may be missing.
pub fn landlock_abi(allowed: &BTreeSet<Weakness>) -> i32 {
    if allowed.contains(&Weakness::Landlock) {
        0
    } else if allowed.contains(&Weakness::LandlockLevel) {
        1
    } else {
        OLDEST_LANDLOCK_ABI
    }
}

/// How to allow `weakness`, for errors.
pub fn hint(weakness: Weakness) -> String {
    format!(
        "hint: to go on with less, write `allow-weaker-confinement = [\"{}\"]` into your own configuration (see \
         `cargo-sandbox self doctor`)",
        weakness.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_serde_has_the_same() {
        for weakness in Weakness::ALL {
            assert_eq!(weakness.name().parse(), Ok(weakness));
            assert_eq!(serde_json::to_value(weakness).unwrap(), weakness.name());
        }
        assert!("landlok".parse::<Weakness>().unwrap_err().contains("did you mean `landlock`?"));
    }

    #[test]
    fn nothing_may_be_missing_by_default() {
        let bar = Bar::default();
        assert_eq!(bar.landlock_abi(), OLDEST_LANDLOCK_ABI);
        assert!(Weakness::ALL.iter().all(|weakness| !bar.allows(*weakness)));
    }

    #[test]
    fn no_landlock_is_less_than_an_old_one_and_not_the_other_way() {
        let none = Bar::new(&[Weakness::Landlock].into(), true);
        assert!(none.allows(Weakness::LandlockLevel) && none.landlock_abi() == 0);
        let old = Bar::new(&[Weakness::LandlockLevel].into(), true);
        assert!(!old.allows(Weakness::Landlock) && old.landlock_abi() == 1);
        assert_eq!(
            [0, 1, 2, 3].map(Weakness::of_landlock),
            [Some(Weakness::Landlock), Some(Weakness::LandlockLevel), Some(Weakness::LandlockLevel), None]
        );
    }
}
