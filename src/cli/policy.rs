//! Which policy holds for a project: the layers, from where they are kept.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::policy::containers::{Own, Settings};
use crate::policy::known::KnownPackages;
use crate::policy::layers::{Policy, Source, Written};
use crate::policy::paths::Places;
use crate::policy::question::Question;
use crate::policy::repository::RepositoryPolicy;
use crate::policy::user::UserConfig;

use super::FrontEnd;

/// What a project's policy depends on beside the front end.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The project's root.
    pub root: &'a Path,
    /// Its target directory; none where it is not known yet.
    pub target_dir: Option<&'a Path>,
    /// The toolchain; none where it is not known yet.
    pub sysroot: Option<&'a Path>,
    /// What the user says of containers.
    pub own: &'a Own,
}

/// A policy, and what of the repository's needs trust.
#[derive(Debug)]
pub struct Found {
    /// What holds: the repository's widens where it is trusted.
    pub policy: Policy,
    /// What a policy can grant here depends on.
    pub places: Places,
    /// What the project's containers are made by, from and to.
    pub settings: Settings,
    /// What needs trust, trusted or not.
    pub question: Option<Question>,
    /// Whether there is something that is not trusted.
    pub open: bool,
}

/// The policy of a project.
///
/// # Errors
/// When a file cannot be read, is not understood, or grants what nobody can grant.
pub fn of_project(front_end: &FrontEnd, ground: &Ground<'_>) -> anyhow::Result<Found> {
    let places = places(front_end, ground)?;
    let settings = ground.own.settings(None);
    let users = users(front_end)?;
    let without = Policy::new(&users, &places, ground.own.base(&settings))?;
    let Some(own) = RepositoryPolicy::read(ground.root, &without, ground.own)? else {
        return Ok(Found { policy: without, places, settings, question: None, open: false });
    };
    let RepositoryPolicy { mut written, question } = own;
    if let Some(question) = &question {
        let trusted = front_end.trust_store()?.of(ground.root).context("failed to read what you trust")?;
        written.trusted = trusted.covers(question);
    }
    if written.trusted {
        places.create_written(&written.file).context("failed to create what the policy lets jobs write")?;
    }
    let open = !written.trusted;
    let settings = ground.own.settings(Some(&written));
    let base = ground.own.base(&settings);
    let policy = Policy::new(&[users, vec![written]].concat(), &places, base)?;
    Ok(Found { policy, places, settings, question, open })
}

/// The layers that come before the repository's.
fn users(front_end: &FrontEnd) -> anyhow::Result<Vec<Written>> {
    let path = front_end.user_config()?;
    let config = UserConfig::read(&path)?;
    let file = config.policy();
    let own = Written { source: Source::User, path, text: config.text, file, trusted: true };
    let known = KnownPackages::shipped().context("the list of known packages is broken")?;
    Ok(vec![known.layer(), own])
}

fn places(front_end: &FrontEnd, ground: &Ground<'_>) -> anyhow::Result<Places> {
    let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let state = front_end.state()?.projects();
    let mut own = vec![state.parent().unwrap_or(&state).to_owned()];
    own.extend(front_end.user_config()?.parent().map(Path::to_owned));
    let trust = front_end.trust_store()?;
    own.push(trust.directory().parent().unwrap_or(trust.directory()).to_owned());
    Ok(Places {
        root: ground.root.to_owned(),
        target_dir: ground.target_dir.map_or_else(|| ground.root.join("target"), Path::to_owned),
        home: real(front_end.user()?.home),
        cargo_home: front_end.cargo_home()?,
        sysroot: ground.sysroot.map(Path::to_owned).unwrap_or_default(),
        own: own.into_iter().map(real).collect(),
    })
}
