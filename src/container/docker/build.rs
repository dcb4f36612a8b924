//! Building an image of a Dockerfile, by the engine.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IsTerminal as _};

use bollard::body_full;
use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::connection::Connection;
use super::errors::explain;
use super::{image, labels};
use crate::container::image::recipe;
use crate::container::{EngineError, Recipe};

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
    let options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .t(&name)
        .rm(true)
        .forcerm(true)
        .labels(&HashMap::from([(labels::IMAGE, "built")]))
        .build();
    let mut answers = Box::pin(connection.docker.build_image(options, None, Some(body_full(context.into()))));
    let mut progress = Progress::new(recipe);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => progress.show(&answer),
            Err(error) => {
                let mut failed = explain(&format!("cannot build {}", recipe.file.display()), &error);
                failed.message.push_str(&progress.last_words());
                return Err(failed);
            }
        }
    }
    drop(progress);
    let message = format!("the engine has built {} and does not know the image", recipe.file.display());
    image::find(connection, &name).await?.ok_or_else(|| EngineError::failed(message))
}

/// What is being done, in one line.
struct Progress {
    bar: ProgressBar,
    last: VecDeque<String>,
}

impl Progress {
    fn new(recipe: &Recipe) -> Self {
        let name = recipe.file.display();
        if !io::stderr().is_terminal() {
            eprintln!("{:>12} image {name}", "Building");
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} image {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix("Building");
        bar.set_message(name.to_string());
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
