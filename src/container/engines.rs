//! Choosing an engine.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::docker::{DockerEndpoints, DockerEngine};
use super::native::NativeEngine;
use super::{Engine, EngineError, EngineKind};

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
    /// Docker's that answered when the engine was chosen: to ask a daemon about itself takes ten milliseconds.
    answered: Mutex<Option<DockerEngine>>,
}

impl Engines {
    /// The engines by what the user selects.
    pub fn new(selection: Selection, endpoints: DockerEndpoints, projects: PathBuf) -> Self {
        Self { selection, selected_by: None, endpoints, projects, answered: Mutex::default() }
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

    /// The kind that a new container is to be made by.
    ///
    /// # Errors
    /// When the selected engine is not there.
    pub fn choose(&self) -> anyhow::Result<EngineKind> {
        let docker = |engine| {
            *self.answered() = Some(engine);
            EngineKind::Docker
        };
        match self.selection {
            Selection::Native => Ok(EngineKind::Native),
            Selection::Docker => match DockerEngine::connect(&self.endpoints, PATIENCE) {
                Ok(engine) => Ok(docker(engine)),
                Err(error) => {
                    let who = self.selected_by.as_ref().map(|who| format!(", which {who} wants"));
                    Err(explain(&format!("use the docker engine{}", who.unwrap_or_default()), &error))
                }
            },
            Selection::Auto => {
                Ok(DockerEngine::connect(&self.endpoints, AUTO_PATIENCE).map_or(EngineKind::Native, docker))
            }
        }
    }

    fn answered(&self) -> MutexGuard<'_, Option<DockerEngine>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An engine.
    ///
    /// # Errors
    /// When it is not there.
    pub fn engine(&self, kind: EngineKind) -> Result<Box<dyn Engine>, EngineError> {
        Ok(match kind {
            EngineKind::Docker => Box::new(match self.answered().take() {
                Some(engine) => engine,
                None => DockerEngine::connect(&self.endpoints, PATIENCE)?,
            }),
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
