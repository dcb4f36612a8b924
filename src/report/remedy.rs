//! What a policy would say to allow what was refused: nothing that no policy can grant is proposed.

use std::path::{Path, PathBuf};

use super::denial::{Denial, Sort};
use crate::policy::paths::{PathRight, Places};

/// How something that was refused could be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// By this key of a policy, with this in its list.
    Line(&'static str, String),
    /// Not at all; why, in words that follow a colon, where the sort of thing does not say it.
    None(Option<String>),
}

impl Remedy {
    /// For one refusal in a project with such places.
    pub fn of(denial: &Denial, places: &Places) -> Self {
        let right = match denial.sort {
            Sort::Network => return Self::Line("network", denial.what.clone()),
            Sort::Env => return Self::Line("env", denial.what.clone()),
            Sort::Call | Sort::Socket => return Self::None(None),
            Sort::Read => PathRight::Read,
            Sort::Execute => PathRight::Execute,
            Sort::Write | Sort::Make => PathRight::Write,
        };
        let wanted = Path::new(&denial.what);
        let path = named(wanted, denial.sort, places);
        let judged = match path.to_str().map(str::parse) {
            Some(Ok(granted)) => places.judge(&granted, right),
            Some(Err(reason)) => Err(reason),
            None => Err("is no text".to_owned()),
        };
        match judged {
            // The repository's file is read on other machines, too.
            Ok(_) => {
                let own = path.strip_prefix(&places.root).ok().filter(|own| !own.as_os_str().is_empty());
                Self::Line(right.name(), own.unwrap_or(&path).display().to_string())
            }
            Err(reason) if path == wanted => Self::None(Some(format!("it {reason}"))),
            Err(reason) => Self::None(Some(format!("`{}` {reason}", path.display()))),
        }
    }

    /// The key and the entry of its list, if there are such.
    pub fn line(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Line(key, entry) => Some((key, entry)),
            Self::None(_) => None,
        }
    }

    /// Why no policy allows it, where that is not said of its sort.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::None(reason) => reason.as_deref(),
            Self::Line(..) => None,
        }
    }
}

/// The path that a policy has to name: without links, as policies want it; and for a file that is to be made its
/// directory, since one that is not there can be granted to nobody. A directory in the project is made by the policy.
fn named(wanted: &Path, sort: Sort, places: &Places) -> PathBuf {
    if let Ok(real) = wanted.canonicalize() {
        return real;
    }
    let directory = wanted.parent().map(|parent| parent.canonicalize().unwrap_or_else(|_| parent.to_owned()));
    match directory {
        Some(directory) if sort == Sort::Write => directory,
        Some(directory) if sort == Sort::Make && !directory.starts_with(&places.root) => directory,
        _ => wanted.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn nothing_is_proposed_that_no_policy_grants() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let at = |name: &str| base.join(name);
        for name in
            ["p/src", "p/generated", "p/target/debug", "h/.ssh", "h/data", "h/.cargo/registry", "h/own"]
        {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["p/generated/old.rs", "h/.ssh/id", "h/.netrc", "h/data/settings"] {
            fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink(at("h/data"), at("h/link")).unwrap();
        let places = Places {
            root: at("p"),
            target_dir: at("p/target"),
            home: at("h"),
            cargo_home: at("h/.cargo"),
            sysroot: PathBuf::new(),
            own: vec![at("h/own")],
        };
        let of = |sort, name: &str| {
            let what = at(name).display().to_string();
            Remedy::of(&Denial { sort, what, note: String::new() }, &places)
        };
        let line = |key, name: &str| {
            Remedy::Line(
                key,
                name.strip_prefix("p/").map_or_else(|| at(name).display().to_string(), str::to_owned),
            )
        };
        assert_eq!(of(Sort::Read, "h/data/settings"), line("read", "h/data/settings"));
        assert_eq!(of(Sort::Read, "h/link/settings"), line("read", "h/data/settings"), "without links");
        assert_eq!(of(Sort::Write, "p/generated/old.rs"), line("write", "p/generated/old.rs"));
        assert_eq!(of(Sort::Write, "p/generated/new.rs"), line("write", "p/generated"), "its directory");
        assert_eq!(of(Sort::Make, "p/snapshots"), line("write", "p/snapshots"), "the policy makes it");
        assert_eq!(of(Sort::Make, "h/data/new"), line("write", "h/data"), "nobody else does");

        let refused = |sort, name: &str| match of(sort, name) {
            Remedy::None(Some(reason)) => reason,
            other => panic!("{name}: {other:?}"),
        };
        for (sort, name, because) in [
            (Sort::Read, "h/.ssh/id", "it is where credentials are (`~/.ssh`), or above that"),
            (Sort::Read, "h/.netrc", "it is where credentials are"),
            (Sort::Write, "h/.cargo/registry/new", "registry` is in CARGO_HOME"),
            (Sort::Write, "h/own/build/new", "build` is where cargo-sandbox keeps its own"),
            (Sort::Write, "p/src/made.rs", "src` is obeyed on this machine, or compiled (`src`)"),
            (Sort::Write, "p/made.rs", "p` is the whole project"),
            (Sort::Make, "p/target/debug/made", "it is the target directory"),
            (Sort::Write, "h/made", "h` is your home directory"),
        ] {
            assert!(refused(sort, name).contains(because), "{name}: {}", refused(sort, name));
        }
        let other =
            |sort, what: &str| Remedy::of(&Denial { sort, what: what.into(), note: String::new() }, &places);
        assert_eq!(other(Sort::Network, "a.example:443"), Remedy::Line("network", "a.example:443".into()));
        assert_eq!(other(Sort::Call, "ptrace"), Remedy::None(None));
        assert_eq!(
            other(Sort::Read, "/proc/1/mem"),
            Remedy::None(Some("it is the system's own (`/proc`), or above that".into()))
        );
    }
}
