//! `list`: the images of the project and their state.

use serde::Serialize;
use takelage_config::{Origin, Project};
use takelage_engine::{Engine, EngineError};
use takelage_model::{Digest, ImageName};

use crate::{
    session::identity,
    steps::{Purpose, containers, is, own_name},
};

/// One image, as `list --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: ImageName,
    /// What it is based on, in the words of the project file.
    pub from: String,
    /// Whether there is a produced image.
    pub state: State,
    /// The produced image.
    pub digest: Option<Digest>,
    /// The names it has or gets.
    pub tags: Vec<String>,
    /// The container that `develop` keeps.
    pub container: Option<String>,
}

/// Whether there is a produced image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The engine has it.
    Produced,
    /// It has to be produced.
    Missing,
}

impl State {
    /// Returns the word that users read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Produced => "produced",
            Self::Missing => "missing",
        }
    }
}

/// Lists the images of a project in the order of the chain. It needs no session: it only looks.
pub async fn list<E: Engine>(engine: &E, project: &Project) -> Result<Vec<Listed>, EngineError> {
    let id = identity(project);
    let containers = containers(engine, &id).await?;
    let mut listed = Vec::new();
    for image in project.images.values() {
        let record = engine.image(&own_name(&id, &image.name)).await?;
        let kept = containers.iter().find(|record| is(record, &image.name, Some(Purpose::Develop)));
        listed.push(Listed {
            name: image.name.clone(),
            from: origin(&image.from),
            state: if record.is_some() { State::Produced } else { State::Missing },
            digest: record.map(|record| record.id.0),
            tags: image.tags.clone(),
            container: kept.map(|record| record.name.clone()),
        });
    }
    Ok(listed)
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Bootstrap(bootstrap) => format!("bootstrap {}", bootstrap.suite),
        Origin::Image(name) => name.to_string(),
        Origin::Reference(name) => name.clone(),
        Origin::File { path, .. } => path.display().to_string(),
    }
}
