//! Images of a Docker engine that runs on the same machine: what was built or pulled there need not be fetched again.

use super::engine::Embedded;
use crate::{Engine as _, EngineError, ImageRecord, Operation, Reference, docker::Docker};

impl Embedded {
    /// Copies an image from the Docker engine. `None`: there is no engine, or it does not have the image.
    pub(super) async fn import(&self, reference: &Reference) -> Result<Option<ImageRecord>, EngineError> {
        let Some(settings) = &self.shared.docker else { return Ok(None) };
        let Ok(docker) = Docker::connect(settings).await else { return Ok(None) };
        // Whatever is wrong with Docker is no reason not to ask the registry.
        if !matches!(docker.image(reference.as_str()).await, Ok(Some(_))) {
            return Ok(None);
        }
        let named = (reference.digest().is_none()).then_some(reference);
        let loaded = self.shared.store.load_stream(docker.export(reference.as_str()), named).await;
        loaded.map(Some).map_err(|error| error.into_engine(Operation::Pull, reference.as_str()))
    }
}
