//! The labels by which this tool knows its own again. They are public: people filter by them.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::ContainerSummary;

use crate::container::{ContainerInfo, ContainerSpec};

/// On images that this tool made: `host` for the one that shows the host's own system, `built` for one of a Dockerfile.
pub const IMAGE: &str = "io.cargo-sandbox.image";
/// The project's identity; what makes a container one of ours.
pub const PROJECT: &str = "io.cargo-sandbox.project";
/// The project's canonical root.
pub const PROJECT_ROOT: &str = "io.cargo-sandbox.project-root";
/// What the container was made to.
pub const FINGERPRINT: &str = "io.cargo-sandbox.fingerprint";
/// The version of this tool that made it.
pub const VERSION: &str = "io.cargo-sandbox.version";
/// The user who had it made: several share one daemon.
pub const UID: &str = "io.cargo-sandbox.uid";

/// The labels of a container made to `spec`.
pub(super) fn of(spec: &ContainerSpec) -> HashMap<String, String> {
    let labels = [
        (PROJECT, spec.project.clone()),
        (PROJECT_ROOT, spec.project_root.to_string_lossy().into_owned()),
        (FINGERPRINT, spec.fingerprint()),
        (VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (UID, own_uid()),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

/// This user, as a label says it.
pub(super) fn own_uid() -> String {
    rustix::process::getuid().as_raw().to_string()
}

/// A filter for things that carry every one of `labels` (`name`, or `name=value`).
pub(super) fn filter(labels: &[String]) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.to_vec())])
}

/// A container from a daemon's list.
pub(super) fn info(summary: ContainerSummary) -> Option<ContainerInfo> {
    let labels = summary.labels.unwrap_or_default();
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let running = summary.state.is_some_and(|state| state.to_string() == "running");
    Some(ContainerInfo {
        id: summary.id?,
        name: name.trim_start_matches('/').to_owned(),
        project: labels.get(PROJECT)?.clone(),
        project_root: PathBuf::from(labels.get(PROJECT_ROOT).cloned().unwrap_or_default()),
        running,
    })
}
