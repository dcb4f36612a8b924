//! Choosing an engine.

use std::path::PathBuf;
use std::time::Duration;

use super::docker::{DockerEndpoints, DockerEngine};
use super::native::NativeEngine;
use super::{Engine, EngineError, EngineKind};
use crate::project::StateDirectory;

/// How long a daemon may take to answer before `auto` goes on without it.
const AUTO_PATIENCE: Duration = Duration::from_millis(100);

/// How long it may take where it was asked for by name.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the user selects (`--engine`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Docker where its daemon answers, else native
    #[default]
    Auto,
    /// A Docker or Podman daemon on this machine
    Docker,
    /// Namespaces made by cargo-sandbox itself; needs nothing installed
    Native,
}

impl Selection {
    /// As files and options have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Native => "native",
        }
    }
}

/// The engines of this machine, as one user may use them.
#[derive(Debug)]
pub struct Engines {
    selection: Selection,
    /// Who selects it, where that is not the user.
    selected_by: Option<String>,
    endpoints: DockerEndpoints,
    /// The directory of all projects.
    projects: PathBuf,
    /// Where what daemons tell about themselves is kept.
    daemons: PathBuf,
}

impl Engines {
    /// The engines by what the user selects.
    pub fn new(selection: Selection, endpoints: DockerEndpoints, state: &StateDirectory) -> Self {
        let (projects, daemons) = (state.projects(), state.daemons());
        Self { selection, selected_by: None, endpoints, projects, daemons }
    }

    /// Says who selects the engine, where that is not the user.
    #[must_use]
    pub fn selected_by(self, who: Option<String>) -> Self {
        Self { selected_by: who, ..self }
    }

    /// What the user selects.
    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// The kinds that may be used, the preferred one first.
    pub fn preference(&self) -> &'static [EngineKind] {
        match self.selection {
            Selection::Auto => &[EngineKind::Docker, EngineKind::Native],
            Selection::Docker => &[EngineKind::Docker],
            Selection::Native => &[EngineKind::Native],
        }
    }

    /// The engine that a new container is to be made by.
    ///
    /// # Errors
    /// When the selected one is not there.
    pub fn choose(&self) -> anyhow::Result<Box<dyn Engine>> {
        self.chosen(|patience| DockerEngine::connect(&self.endpoints, patience))
    }

    /// The same, for starting a container at once: what a daemon told an earlier command is not asked again.
    ///
    /// # Errors
    /// When the selected one is not there.
    pub fn choose_to_start(&self) -> anyhow::Result<Box<dyn Engine>> {
        self.chosen(|patience| DockerEngine::connect_to_start(&self.endpoints, patience, &self.daemons))
    }

    fn chosen(
        &self,
        docker: impl Fn(Duration) -> Result<DockerEngine, EngineError>,
    ) -> anyhow::Result<Box<dyn Engine>> {
        let boxed = |docker| Box::new(docker) as Box<dyn Engine>;
        let engine = match self.selection {
            Selection::Native => self.engine(EngineKind::Native),
            Selection::Docker => docker(PATIENCE).map(boxed),
            Selection::Auto => match docker(AUTO_PATIENCE) {
                Ok(docker) => Ok(boxed(docker)),
                Err(_) => self.engine(EngineKind::Native),
            },
        };
        engine.map_err(|error| {
            let who = self.selected_by.as_ref().map(|who| format!(", which {who} wants"));
            explain(&format!("use the {} engine{}", self.selection.name(), who.unwrap_or_default()), &error)
        })
    }

    /// An engine.
    ///
    /// # Errors
    /// When it is not there.
    pub fn engine(&self, kind: EngineKind) -> Result<Box<dyn Engine>, EngineError> {
        Ok(match kind {
            EngineKind::Docker => Box::new(DockerEngine::connect(&self.endpoints, PATIENCE)?),
            EngineKind::Native => Box::new(NativeEngine::new(self.projects.clone())),
        })
    }

    /// Every engine that answers, for lists; what is not there is left out.
    pub fn available(&self) -> Vec<Box<dyn Engine>> {
        let mut engines: Vec<Box<dyn Engine>> = Vec::new();
        if let Ok(docker) = DockerEngine::connect(&self.endpoints, AUTO_PATIENCE) {
            engines.push(Box::new(docker));
        }
        engines.push(Box::new(NativeEngine::new(self.projects.clone())));
        engines
    }
}

/// An engine's error as people read it: what could not be done, why, and what they can do.
pub fn explain(what: &str, error: &EngineError) -> anyhow::Error {
    let mut text = format!("could not {what}: {error}\n");
    for hint in &error.hints {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    anyhow::Error::msg(text.trim_end().to_owned())
}
