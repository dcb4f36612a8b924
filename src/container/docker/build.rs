//! Building an image of a Dockerfile, or one with packages, by the engine.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use bollard::body_full;
use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::connection::Connection;
use super::errors::explain;
use super::{image, labels};
use crate::container::image::{Hashing, recipe};
use crate::container::{Additions, EngineError, Image, Recipe};
use crate::missing::{MANAGERS, Manager};

/// Names of what is built. `localhost/` keeps Podman from putting a registry before it.
const REPOSITORY: &str = "localhost/cargo-sandbox-built";

/// How many lines of what a failed build has said are shown.
const LAST_LINES: usize = 40;

/// The identifier of what a recipe gives; built first if it is not there.
///
/// # Errors
/// When the engine cannot build it, with the last that it said.
pub(super) async fn built(connection: &Connection, recipe: &Recipe) -> Result<String, EngineError> {
    let name = format!("{REPOSITORY}:{}", recipe.digest.trim_start_matches("sha256:"));
    if let Some(id) = image::find(connection, &name).await? {
        return Ok(id);
    }
    let mut context = Vec::new();
    let cannot =
        |error| EngineError::failed(format!("cannot read what {} needs: {error}", recipe.file.display()));
    recipe::archive(recipe, &mut context).map_err(cannot)?;
    build(connection, &name, &recipe.file.display().to_string(), context).await
}

/// Names of images with packages.
const WITH_PACKAGES: &str = "localhost/cargo-sandbox-packages";

/// The identifier of an image with packages; built first if it is not there. `id` is the base's.
///
/// # Errors
/// When the engine cannot build it: the image has no package manager that is known, or that one does not know a package.
pub(super) async fn extended(
    connection: &Connection,
    base: &Image,
    id: &str,
    additions: &Additions,
) -> Result<String, EngineError> {
    let text = dockerfile(id, additions);
    let mut hashing = Hashing::default();
    let _infallible = hashing.write_all(text.as_bytes());
    let name = format!("{WITH_PACKAGES}:{}", hashing.finish());
    if let Some(id) = image::find(connection, &name).await? {
        return Ok(id);
    }
    let context =
        archive(&text).map_err(|error| EngineError::failed(format!("cannot write a Dockerfile: {error}")))?;
    build(connection, &name, &format!("{base} with packages"), context).await.map_err(|error| {
        error.hint(
            "the names in `[native] packages` are those of the image's distribution, which the engine fetches from its \
             mirrors; one that was built before is used without network",
        )
    })
}

/// A Dockerfile for the packages, whichever manager the image has. All names are of letters, digits and `+.-_`.
fn dockerfile(id: &str, additions: &Additions) -> String {
    let mut script = String::from("set -e; ");
    for (manager, names) in MANAGERS.iter().zip(&additions.names) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Manager { program, install, .. } = manager;
        let names = names.join(" ");
        let _infallible =
            write!(script, "if command -v {program} >/dev/null; then {install} {names}; exit 0; fi; ");
    }
    script.push_str("echo 'the image has no package manager that is known here' >&2; exit 1");
    // What the image says of its user is not for this step, and no container of this tool's goes by it.
    format!("FROM {id}\nUSER 0:0\nENV DEBIAN_FRONTEND=noninteractive\nRUN {script}\n")
}

fn archive(dockerfile: &str) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(dockerfile.len() as u64);
    builder.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())?;
    builder.into_inner()
}

/// Has a context built, under a name.
async fn build(
    connection: &Connection,
    name: &str,
    what: &str,
    context: Vec<u8>,
) -> Result<String, EngineError> {
    let options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .t(name)
        .rm(true)
        .forcerm(true)
        .labels(&HashMap::from([(labels::IMAGE, "built")]))
        .build();
    let mut answers = Box::pin(connection.docker.build_image(options, None, Some(body_full(context.into()))));
    let mut progress = Progress::new(what);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => progress.show(&answer),
            Err(error) => {
                let mut failed = explain(&format!("cannot build {what}"), &error);
                failed.message.push_str(&progress.last_words());
                return Err(failed);
            }
        }
    }
    drop(progress);
    let message = format!("the engine has built {what} and does not know the image");
    image::find(connection, name).await?.ok_or_else(|| EngineError::failed(message))
}

/// What is being done, in one line.
struct Progress {
    bar: ProgressBar,
    last: VecDeque<String>,
}

impl Progress {
    fn new(name: &str) -> Self {
        if !io::stderr().is_terminal() {
            eprintln!("{:>12} image {name}", "Building");
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} image {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix("Building");
        bar.set_message(name.to_owned());
        Self { bar, last: VecDeque::new() }
    }

    fn show(&mut self, answer: &BuildInfo) {
        for line in answer.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty())
        {
            // A program of the image's may have said it.
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            self.bar.set_message(line.clone());
            self.bar.tick();
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(line);
        }
    }

    fn last_words(&self) -> String {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        if lines.is_empty() { String::new() } else { format!("\n--- the engine said\n{}", lines.join("\n")) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manager_installs_what_it_has_a_name_for() {
        let names = ["a1", "b1", "c1", "d1"].map(|name| [name.to_owned()].into()).into();
        let text = dockerfile("sha256:0", &Additions { names });
        assert!(text.starts_with("FROM sha256:0\nUSER 0:0\n"), "{text}");
        for (manager, name) in MANAGERS.iter().zip(["a1", "b1", "c1", "d1"]) {
            let part = format!(
                "if command -v {} >/dev/null; then {} {name}; exit 0; fi;",
                manager.program, manager.install
            );
            assert!(text.contains(&part), "{part}\n{text}");
        }
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
