//! `self status`.

use std::path::PathBuf;

use serde::Serialize;

use super::{Context, Format};

/// What `--format json` prints. Fields are only ever added.
#[derive(Debug, Serialize)]
struct Status {
    /// The project's root.
    root: PathBuf,
    /// The project's identity.
    project: String,
    /// Where intermediate artifacts are.
    build_dir: PathBuf,
    /// This project's containers.
    containers: Vec<Container>,
}

#[derive(Debug, Serialize)]
struct Container {
    name: String,
    engine: String,
    id: String,
    running: bool,
}

/// Prints where this project's things are.
pub fn run(context: &Context, format: Format) -> anyhow::Result<u8> {
    let project = context.needed_project("")?;
    let mut containers = Vec::new();
    for engine in context.engines.available() {
        // An engine that does not answer has nothing to list.
        for container in engine.list().unwrap_or_default() {
            if container.project == project.id {
                containers.push(Container {
                    name: container.name,
                    engine: engine.kind().to_string(),
                    id: container.id,
                    running: container.running,
                });
            }
        }
    }
    let status = Status {
        root: project.root.clone(),
        project: project.id.clone(),
        build_dir: context.state.project(&project.id).build(),
        containers,
    };
    if format == Format::Json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(0);
    }
    println!("project: {} ({})", status.root.display(), status.project);
    println!("build dir: {}", status.build_dir.display());
    for container in &status.containers {
        let state = if container.running { "running" } else { "stopped" };
        println!("container: {} ({}, {}, {state})", container.name, container.engine, container.id);
    }
    if status.containers.is_empty() {
        println!("container: none; the next job starts one");
    }
    Ok(0)
}
