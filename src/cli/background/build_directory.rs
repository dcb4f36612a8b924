//! The build directory of a plain cargo, which it found by the order of the cargo book.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::broker::Session;
use crate::broker::session::normalized;
use crate::cargo::CargoCommand;
use crate::cargo::configuration::Configuration;
use crate::cli::FrontEnd;
use crate::cli::cargo_command::target_dir;
use crate::project::{planted, record};

/// Where this cargo builds: the order of the cargo book, and the target directory where nothing is said.
pub(super) fn of(
    front_end: &FrontEnd,
    command: &CargoCommand,
    configuration: &Configuration,
    session: &Session,
) -> anyhow::Result<PathBuf> {
    let variable = front_end.variable("CARGO_BUILD_BUILD_DIR").filter(|value| !value.is_empty());
    let configured = configuration.build_dir().map(|(base, value)| (base.to_owned(), value.into()));
    let Some((base, value)) = variable.map(|value| (front_end.cwd.clone(), value.to_owned())).or(configured)
    else {
        return as_named(&named_target_dir(front_end, command, configuration, session), &session.target_dir);
    };
    let text = value.to_string_lossy();
    let text = text.replace("{workspace-root}", &session.project.root.to_string_lossy());
    let text = text.replace("{cargo-cache-home}", &session.cargo_home.to_string_lossy());
    if text.contains('{') {
        bail!(
            "`build.build-dir` is `{text}`, which is not understood\n\nhint: name the directory without braces, or start \
             the build with `cargo-sandbox`"
        );
    }
    let named = base.join(text);
    let resolved = planted::TargetDir { path: named.clone(), users: true }.resolve(&session.project.root)?;
    if variable.is_none() && !resolved.starts_with(&session.project.root) && !is_own(session, &resolved) {
        bail!(
            "the build directory is `{}`, outside of the project `{}`, and a configuration file says so\n\nhint: if you \
             want it there, say it yourself: CARGO_BUILD_BUILD_DIR",
            resolved.display(),
            session.project.root.display()
        );
    }
    as_named(&named, &resolved)
}

/// Whether a directory is one that this tool made: of this project, or of one above it that the configuration is for.
/// A repository could name any other project's: their names can be guessed.
fn is_own(session: &Session, build: &Path) -> bool {
    let own = |id: &str| {
        let above = session.directories.of_other(id);
        let root = record::read(&above).map(|record| record.root);
        above.build() == build && root.is_some_and(|root| session.project.root.starts_with(root))
    };
    let projects = session.directories.path().parent().unwrap_or(Path::new("/"));
    let id = build.strip_prefix(projects).ok().and_then(|below| below.iter().next()?.to_str());
    id.is_some_and(own)
}

/// As cargo names it: what it says to compilers starts so.
fn named_target_dir(
    front_end: &FrontEnd,
    command: &CargoCommand,
    configuration: &Configuration,
    session: &Session,
) -> PathBuf {
    target_dir(front_end, command, configuration, &session.project).path
}

/// cargo passes a directory on as it is named: a link on the way would have every path look foreign.
fn as_named(named: &Path, resolved: &Path) -> anyhow::Result<PathBuf> {
    if normalized(named).as_deref() == Some(resolved) {
        return Ok(resolved.to_owned());
    }
    bail!(
        "`{}` leads to `{}` by a symbolic link, and cargo calls what is in it by the first name\n\nhint: name it by the \
         second one (CARGO_TARGET_DIR), or start the build with `cargo-sandbox`",
        named.display(),
        resolved.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_must_be_named_as_it_is() {
        assert_eq!(as_named(Path::new("/a/./b"), Path::new("/a/b")).unwrap(), Path::new("/a/b"));
        assert!(as_named(Path::new("/link/b"), Path::new("/a/b")).is_err());
    }
}
