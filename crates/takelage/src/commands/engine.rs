//! Which engine runs the containers, and why.

use std::path::{Path, PathBuf};

use takelage_config::{EngineChoice, Project};
use takelage_engine::docker::{self, Docker};

use crate::{failure::Failure, settings::Settings};

/// The engine in use.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The engine.
    pub(crate) engine: Docker,
    /// Why this one, as the end of a sentence.
    pub(crate) why: &'static str,
}

/// Chooses the engine: what `--engine` says, else the project file, else what there is.
pub(crate) async fn choose(
    settings: &Settings,
    project: Option<&Project>,
    scratch: &Path,
) -> Result<Chosen, Failure> {
    let (choice, why) = match (settings.engine, project.map(|project| project.engine)) {
        (Some(choice), _) if choice != EngineChoice::Auto => (choice, "named by `--engine`"),
        (None, Some(choice)) if choice != EngineChoice::Auto => (choice, "named by the project file"),
        _ => (EngineChoice::Auto, "the only engine of this version"),
    };
    if choice == EngineChoice::Embedded {
        return Err(Failure::NoEmbeddedEngine);
    }
    let config_dir = settings
        .variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| settings.variable("HOME").map(|home| Path::new(home).join(".docker")));
    let verify = settings.variable("DOCKER_TLS_VERIFY").is_some();
    let certificates =
        settings.variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| config_dir.clone());
    let docker = docker::Settings {
        host: settings.variable("DOCKER_HOST").map(str::to_owned),
        tls: certificates.filter(|_| verify),
        config_dir,
        scratch: scratch.to_owned(),
    };
    Ok(Chosen { engine: Docker::connect(&docker).await?, why })
}
