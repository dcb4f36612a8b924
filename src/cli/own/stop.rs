//! `self stop`.

use anyhow::bail;

use crate::container::engines::explain;

use super::Context;

/// Ends containers at once, with what runs in them.
pub fn run(context: &Context, all: bool) -> anyhow::Result<u8> {
    let project = if all { None } else { Some(context.needed_project(", or say `--all`")?) };
    let mut stopped = 0;
    let mut failed = Vec::new();
    for engine in context.engines.available() {
        let containers = match engine.list() {
            Ok(containers) => containers,
            Err(error) => {
                failed.push(explain("list the containers", &error).to_string());
                continue;
            }
        };
        for container in
            containers.iter().filter(|one| project.is_none_or(|project| project.id == one.project))
        {
            match engine.remove(container) {
                Ok(()) => {
                    println!("stopped {} ({})", container.name, engine.kind());
                    stopped += 1;
                }
                Err(error) => failed.push(explain(&format!("stop {}", container.name), &error).to_string()),
            }
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    if stopped == 0 {
        println!("no container runs");
    }
    Ok(0)
}
