//! Committing a container with exactly the metadata that the caller wants.
//!
//! The API's commit mixes the container's own command, labels, environment and host name into the image, and cannot
//! express "no entrypoint" at all. So it is used for one thing only, to turn the container's changes into a layer:
//!
//! 1. commit to an image without a name, and see which layers it has;
//! 2. write the configuration that the caller wants, with these layers;
//! 3. load it as a docker-archive. Docker does not read the files of layers that it has, so there are none in the
//!    archive. Where the engine insists (containerd's image store, Podman), the image is saved and loaded
//!    again with its files under the new configuration;
//! 4. remove the image without a name. Layers are counted, so what the new image needs stays.

use bollard::{models::ContainerConfig, query_parameters::CommitContainerOptionsBuilder};

use super::container::DockerContainer;
use crate::{ArchiveKind, EngineError, ImageArchive, ImageConfig, ImageFile, ImageRecord, Operation};

impl DockerContainer {
    /// Makes an image of the container's file system and `config`, whose layers are filled in.
    ///
    /// The last entry of `config.history` stands for the new layer. A container without changes adds no layer,
    /// then the entry is marked as one for metadata.
    pub(super) async fn commit_as(&self, config: &ImageConfig) -> Result<ImageRecord, EngineError> {
        let daemon = &self.daemon;
        let options = CommitContainerOptionsBuilder::new().container(&self.id.0).pause(true).build();
        let committed = daemon.api.commit_container(options, ContainerConfig::default()).await;
        let temporary = committed.map_err(|error| self.failure(Operation::Commit, error))?.id;
        let made = self.rewrite(&temporary, config).await;
        let removed = daemon.remove_image(&temporary).await;
        let made = made?;
        removed?;
        Ok(made)
    }

    /// Makes an image of the layers of `temporary` and `config`.
    async fn rewrite(&self, temporary: &str, config: &ImageConfig) -> Result<ImageRecord, EngineError> {
        let daemon = &self.daemon;
        let mut config = config.clone();
        config.layers = daemon.present(Operation::Commit, temporary).await?.config.layers;
        let layered = config.history.iter().filter(|entry| !entry.empty_layer).count();
        if let Some(last) = config.history.last_mut()
            && !last.empty_layer
            && layered > config.layers.len()
        {
            last.empty_layer = true;
        }
        match daemon.load(ImageArchive::of_stored_layers(&config)).await {
            // The engine wants the layers' files.
            Err(EngineError::Refused { .. }) => {}
            result => return result.map_err(|error| self.while_committing(error)),
        }
        let failed = |source| EngineError::Broken {
            operation: Operation::Commit,
            object: self.name.clone(),
            source: Box::<dyn std::error::Error + Send + Sync>::from(source),
        };
        let scratch = daemon.scratch.clone();
        fs_err::tokio::create_dir_all(&scratch).await.map_err(failed)?;
        let directory = tempfile::Builder::new().prefix("commit-").tempdir_in(&scratch).map_err(failed)?;
        let path = directory.path().join("image.tar");
        let stream = daemon.api.export_image(temporary);
        daemon.download(Operation::Commit, &self.name, stream, &path).await?;
        let open = move || ImageArchive::open(&ImageFile { kind: ArchiveKind::Docker, path }, &scratch);
        let opened = tokio::task::spawn_blocking(open).await;
        let archive = opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        daemon.load(archive.with_config(&config)).await.map_err(|error| self.while_committing(error))
    }

    /// Names the container in an error about an image that has no name.
    fn while_committing(&self, error: EngineError) -> EngineError {
        let (operation, object) = (Operation::Commit, self.name.clone());
        match error {
            EngineError::Refused { message, status, .. } => {
                EngineError::Refused { operation, object, message, status }
            }
            EngineError::Broken { source, .. } => EngineError::Broken { operation, object, source },
            EngineError::DiskFull { .. } => EngineError::DiskFull { operation, object },
            error => error,
        }
    }
}
