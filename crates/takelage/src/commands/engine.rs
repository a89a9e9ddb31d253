//! Which engine runs the containers, and why.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use takelage_config::{EngineChoice, Project};
use takelage_engine::{
    AnyEngine, Engine as _, EngineError,
    docker::{self, Docker},
    embedded::{self, Embedded},
};

use crate::{failure::Failure, settings::Settings};

/// The engine in use.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The engine.
    pub(crate) engine: AnyEngine,
    /// What it calls itself, with its version.
    pub(crate) described: String,
    /// Why this one, as the end of a sentence.
    pub(crate) why: String,
}

/// Chooses the engine: what `--engine` says, else the project file, else Docker where one answers.
pub(crate) async fn choose(
    settings: &Settings,
    project: Option<&Project>,
    scratch: &Path,
) -> Result<Chosen, Failure> {
    let (choice, why) = match (settings.engine, project.map(|project| project.engine)) {
        (Some(choice), _) if choice != EngineChoice::Auto => (choice, "named by `--engine`"),
        (None, Some(choice)) if choice != EngineChoice::Auto => (choice, "named by the project file"),
        _ => (EngineChoice::Auto, "because it answers"),
    };
    let chosen = |engine, described, why: &str| Chosen { engine, described, why: why.to_owned() };
    match choice {
        EngineChoice::Docker => {
            let (engine, described) = docker(settings, scratch).await?;
            Ok(chosen(engine, described, why))
        }
        EngineChoice::Embedded => {
            let (engine, described) = embedded(settings, scratch).await?;
            Ok(chosen(engine, described, why))
        }
        EngineChoice::Auto => match docker(settings, scratch).await {
            Ok((engine, described)) => Ok(chosen(engine, described, why)),
            Err(EngineError::Unavailable { endpoint, .. }) => {
                let (engine, described) = embedded(settings, scratch).await?;
                Ok(chosen(engine, described, &format!("because no Docker engine answers at `{endpoint}`")))
            }
            Err(error) => Err(error.into()),
        },
    }
}

/// Connects to the Docker engine, which must answer.
async fn docker(settings: &Settings, scratch: &Path) -> Result<(AnyEngine, String), EngineError> {
    let engine = Docker::connect(&docker_settings(settings, scratch)).await?;
    let described = engine.describe().await?;
    Ok((AnyEngine::Docker(engine), described))
}

/// Returns the Docker engine, if one answers.
pub(crate) async fn docker_if_any(settings: &Settings, scratch: &Path) -> Option<AnyEngine> {
    docker(settings, scratch).await.ok().map(|(engine, _)| engine)
}

/// Where a Docker engine would be.
fn docker_settings(settings: &Settings, scratch: &Path) -> docker::Settings {
    let verify = settings.variable("DOCKER_TLS_VERIFY").is_some();
    let certificates = settings.variable("DOCKER_CERT_PATH").map(PathBuf::from);
    docker::Settings {
        host: settings.variable("DOCKER_HOST").map(str::to_owned),
        tls: certificates.or_else(|| config_dir(settings)).filter(|_| verify),
        config_dir: config_dir(settings),
        scratch: scratch.to_owned(),
        plain: settings.plain,
    }
}

/// Opens the embedded engine.
async fn embedded(settings: &Settings, scratch: &Path) -> Result<(AnyEngine, String), Failure> {
    let engine = open_embedded(settings, scratch).await?;
    let described = engine.describe().await?;
    Ok((AnyEngine::Embedded(engine), described))
}

/// Opens the embedded engine, whose images and containers are among what takelage remembers.
pub(crate) async fn open_embedded(settings: &Settings, scratch: &Path) -> Result<Embedded, Failure> {
    let embedded = embedded::Settings {
        root: settings.cache()?.join("engine-v1"),
        program: std::env::current_exe().map_err(Failure::OwnProgram)?,
        config_dir: config_dir(settings),
        mirrors: BTreeMap::new(),
        docker: Some(docker_settings(settings, scratch)),
    };
    Ok(Embedded::open(&embedded).await?)
}

/// The directory of the user's Docker configuration.
fn config_dir(settings: &Settings) -> Option<PathBuf> {
    settings
        .variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| settings.variable("HOME").map(|home| Path::new(home).join(".docker")))
}
