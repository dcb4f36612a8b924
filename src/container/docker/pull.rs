//! Fetching an image: by the engine, which knows registries, their certificates and its mirrors.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::connection::Connection;
use super::errors::explain;
use crate::container::EngineError;

/// Pulls an image, and shows how far it is where somebody looks.
///
/// # Errors
/// When the engine cannot get it, or gets something else than the digest in its name says.
pub(super) async fn pull(connection: &Connection, name: &str) -> Result<(), EngineError> {
    let failed = |error| {
        explain(&format!("there is no image {name} on this machine, and it cannot be pulled"), &error).hint(
            format!(
                "where the registry wants to know who you are: `{} pull {name}`",
                connection.facts.flavour.command()
            ),
        )
    };
    let options = CreateImageOptionsBuilder::new().from_image(&exact(name)).build();
    let mut answers = Box::pin(connection.docker.create_image(Some(options), None, None));
    let mut bar = Bar::new(name);
    while let Some(answer) = answers.next().await {
        bar.show(&answer.map_err(failed)?);
    }
    Ok(())
}

/// With a tag: an engine takes a name without one for all tags that there are.
fn exact(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

/// The progress of all layers together.
struct Bar {
    bar: ProgressBar,
    /// Bytes that are there, and bytes in all, of each layer.
    layers: HashMap<String, (u64, u64)>,
}

impl Bar {
    fn new(name: &str) -> Self {
        // In cargo's own form.
        if !io::stderr().is_terminal() {
            eprintln!("{:>12} image {name}", "Pulling");
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{prefix:>12} image {msg} [{bar:25}] {bytes}/{total_bytes}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix("Pulling");
        bar.set_message(name.to_owned());
        Self { bar, layers: HashMap::new() }
    }

    fn show(&mut self, answer: &CreateImageInfo) {
        let (Some(layer), Some(detail)) = (&answer.id, &answer.progress_detail) else { return };
        // What is unpacked has come already.
        if answer.status.as_deref() != Some("Downloading") {
            return;
        }
        let bytes = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        self.layers.insert(layer.clone(), (bytes(detail.current), bytes(detail.total)));
        let sum = |of: fn(&(u64, u64)) -> u64| self.layers.values().map(of).sum();
        self.bar.set_length(sum(|layer| layer.1));
        self.bar.set_position(sum(|layer| layer.0));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_image() {
        assert_eq!(exact("debian"), "debian:latest");
        assert_eq!(exact("host:5000/debian"), "host:5000/debian:latest");
        for name in ["debian:13", "host:5000/debian:13", "debian@sha256:00"] {
            assert_eq!(exact(name), name);
        }
    }
}
