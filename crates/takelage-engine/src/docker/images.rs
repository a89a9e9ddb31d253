//! Images: looked up, fetched, sent, loaded, saved, named and removed.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use bollard::{
    body_try_stream,
    errors::Error,
    query_parameters::{
        CreateImageOptionsBuilder, ImportImageOptionsBuilder, ListContainersOptionsBuilder,
        ListImagesOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
    },
};
use futures_util::{StreamExt, TryStreamExt};
use takelage_model::label;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::{
    connection::{Daemon, Docker},
    container::DockerContainer,
    errors::{refusal, status, unwritable},
    record, snapshot,
    transfer::{self, DownloadError},
};
use crate::{
    ArchiveError, ArchiveFormat, Capabilities, ContainerRecord, ContainerSpec, Engine, EngineError,
    ImageArchive, ImageId, ImageRecord, Operation, Progress, Reference, SnapshotId, SnapshotRecord,
};

impl Engine for Docker {
    type Container = DockerContainer;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            private_networks: true,
            newest_time: false,
            control_groups: true,
            all_ids: true,
            image_volumes: true,
        }
    }

    async fn describe(&self) -> Result<String, EngineError> {
        self.daemon.describe().await
    }

    async fn image(&self, name: &str) -> Result<Option<ImageRecord>, EngineError> {
        self.daemon.image(name).await
    }

    async fn pull(&self, reference: &Reference, progress: Progress<'_>) -> Result<ImageRecord, EngineError> {
        self.daemon.pull(reference, progress).await
    }

    async fn push(&self, reference: &Reference, progress: Progress<'_>) -> Result<(), EngineError> {
        self.daemon.push(reference, progress).await
    }

    async fn load(&self, archive: ImageArchive) -> Result<ImageRecord, EngineError> {
        self.daemon.load(archive).await
    }

    async fn save(
        &self,
        names: &[String],
        format: ArchiveFormat,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        self.daemon.save(names, format, path, progress).await
    }

    async fn tag(&self, image: &ImageId, name: &Reference) -> Result<(), EngineError> {
        let written = name.as_str();
        if name.digest().is_some() {
            let message = "a name with a digest cannot be given";
            return Err(refusal(Operation::Tag, written.to_owned(), message, None));
        }
        let options = TagImageOptionsBuilder::new().repo(name.name()).tag(name.tag()).build();
        self.daemon.api.tag_image(&image.to_string(), Some(options)).await.map_err(|error| {
            match status(&error) {
                Some(404) => {
                    EngineError::NoSuchImage { name: image.to_string(), message: super::errors::text(&error) }
                }
                _ => self.daemon.failure(Operation::Tag, written, error),
            }
        })
    }

    async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        self.daemon.remove_image(name).await
    }

    async fn images(&self, labels: &BTreeMap<String, String>) -> Result<Vec<ImageId>, EngineError> {
        self.daemon.images(labels).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<DockerContainer, EngineError> {
        self.daemon.create(spec).await
    }

    async fn restore(
        &self,
        spec: &ContainerSpec,
        snapshot: &SnapshotId,
    ) -> Result<DockerContainer, EngineError> {
        self.daemon.create(&self.daemon.restoring(spec, snapshot).await?).await
    }

    async fn snapshots(&self, labels: &BTreeMap<String, String>) -> Result<Vec<SnapshotRecord>, EngineError> {
        self.daemon.snapshots(labels).await
    }

    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<(), EngineError> {
        self.daemon.remove_snapshot(snapshot).await
    }

    async fn containers(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<ContainerRecord>, EngineError> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(&carrying(labels)).build();
        let list = self.daemon.api.list_containers(Some(options)).await;
        let list =
            list.map_err(|error| self.daemon.failure(Operation::List, &self.daemon.endpoint, error))?;
        Ok(list.into_iter().filter_map(record::container).collect())
    }

    fn container(&self, record: &ContainerRecord) -> DockerContainer {
        let network = record.labels.get(label::NETWORK).cloned();
        DockerContainer::new(self.daemon.clone(), record.id.clone(), record.name.clone(), network)
    }
}

impl Docker {
    /// Reads an image as a docker-archive.
    pub(crate) fn export(&self, name: &str) -> impl AsyncRead + Unpin + use<> {
        let stream = self.daemon.api.export_image(name);
        StreamReader::new(Box::pin(stream.map_err(std::io::Error::other)))
    }
}

/// The daemon's filter for what carries all these labels.
pub(super) fn carrying(labels: &BTreeMap<String, String>) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", labels.iter().map(|(name, value)| format!("{name}={value}")).collect())])
}

impl Daemon {
    async fn images(&self, labels: &BTreeMap<String, String>) -> Result<Vec<ImageId>, EngineError> {
        let options = ListImagesOptionsBuilder::new().filters(&carrying(labels)).build();
        let list = self.api.list_images(Some(options)).await;
        let list = list.map_err(|error| self.failure(Operation::ListImages, &self.endpoint, error))?;
        let images = list.iter().filter(|image| !snapshot::is_one(&image.labels));
        Ok(images.filter_map(|image| image.id.parse().ok().map(ImageId)).collect())
    }

    pub(super) async fn image(&self, name: &str) -> Result<Option<ImageRecord>, EngineError> {
        // The name becomes part of the request's address.
        if let Err(error) = name.parse::<Reference>() {
            return Err(refusal(Operation::InspectImage, name.to_owned(), &error.to_string(), None));
        }
        let failed = |error| self.failure(Operation::InspectImage, name, error);
        let inspect = match self.api.inspect_image(name).await {
            Ok(inspect) => inspect,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let id = inspect.id.clone().unwrap_or_default();
        let history = match self.api.image_history(&id).await {
            Ok(history) => history,
            // Podman 4 stumbles over entries without a date.
            Err(error) if status(&error) == Some(500) => {
                tracing::debug!(%error, name, "the image goes without its history");
                Vec::new()
            }
            // With containerd's store, `null` stands for a history without entries.
            Err(Error::JsonDataError { message, .. }) if message.starts_with("invalid type: null") => {
                Vec::new()
            }
            // Removed in between.
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let incomplete =
            || refusal(Operation::InspectImage, name.to_owned(), "its description is incomplete", None);
        record::image(inspect, history).ok_or_else(incomplete).map(Some)
    }

    /// Looks up an image that must be there.
    pub(super) async fn present(&self, operation: Operation, name: &str) -> Result<ImageRecord, EngineError> {
        let gone = || refusal(operation, name.to_owned(), "it is not in the engine's store", None);
        self.image(name).await?.ok_or_else(gone)
    }

    async fn pull(&self, reference: &Reference, progress: Progress<'_>) -> Result<ImageRecord, EngineError> {
        let credentials = self.credentials(Operation::Pull, reference).await?;
        let name = reference.as_str();
        // Without a tag the daemon would fetch all of them.
        let tag = reference.digest().unwrap_or(reference.tag());
        let options = CreateImageOptionsBuilder::new().from_image(reference.name()).tag(tag).build();
        let mut messages = self.api.create_image(Some(options), None, credentials);
        let mut layers = Layers::default();
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.registry_failure(Operation::Pull, name, error))?;
            let detail = message.progress_detail.as_ref();
            let counts = message.status.as_deref() == Some("Downloading");
            layers.report(
                message.id.as_deref(),
                counts,
                detail.and_then(|it| it.current),
                detail.and_then(|it| it.total),
                progress,
            );
        }
        match reference.digest() {
            Some(digest) => self.present(Operation::Pull, &format!("{}@{digest}", reference.name())).await,
            None => self.present(Operation::Pull, name).await,
        }
    }

    async fn push(&self, reference: &Reference, progress: Progress<'_>) -> Result<(), EngineError> {
        let credentials = self.credentials(Operation::Push, reference).await?;
        let name = reference.as_str();
        let options = PushImageOptionsBuilder::new().tag(reference.tag()).build();
        let mut messages = self.api.push_image(reference.name(), Some(options), credentials);
        let mut layers = Layers::default();
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.registry_failure(Operation::Push, name, error))?;
            // The API client leaves the layer's id out of these messages, so only the size tells layers apart.
            let detail = message.progress_detail.as_ref();
            let total = detail.and_then(|it| it.total);
            let id = total.map(|total| total.to_string());
            layers.report(
                id.as_deref(),
                message.status.as_deref() == Some("Pushing"),
                detail.and_then(|it| it.current),
                total,
                progress,
            );
        }
        Ok(())
    }

    /// Loads an archive. The daemon's own id of the result is that of the archive, except where its image store
    /// goes by other digests (containerd's): then the daemon's word is taken.
    pub(super) async fn load(&self, archive: ImageArchive) -> Result<ImageRecord, EngineError> {
        let object = archive.id().to_string();
        let name = archive.name().map(Reference::to_string);
        let (stream, pack) = transfer::upload(archive);
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let messages: Result<Vec<_>, Error> =
            self.api.import_image(options, body_try_stream(stream), None).try_collect().await;
        // The archive's own trouble explains the daemon's.
        let packed = pack.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if let (Err(source), Err(_)) = (&packed, &messages)
            && source.kind() != std::io::ErrorKind::BrokenPipe
        {
            let source = std::io::Error::new(source.kind(), source.to_string());
            return Err(ArchiveError::Unpack { path: self.scratch.clone(), source }.into());
        }
        let messages = messages.map_err(|error| self.failure(Operation::Load, &object, error))?;
        if let Some(image) = self.image(&object).await? {
            return Ok(image);
        }
        if let Some(name) = name {
            return self.present(Operation::Load, &name).await;
        }
        let said: String = messages.into_iter().filter_map(|message| message.stream).collect();
        match said.split_whitespace().find(|word| word.starts_with("sha256:")) {
            Some(id) => self.present(Operation::Load, id).await,
            None => {
                Err(refusal(Operation::Load, object, &format!("the engine did not keep it: {said}"), None))
            }
        }
    }

    /// Stores what the daemon streams in a file.
    pub(super) async fn download(
        &self,
        operation: Operation,
        object: &str,
        stream: impl futures_util::Stream<Item = Result<bytes::Bytes, Error>> + Send,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        transfer::download(Box::pin(stream), path, |bytes| progress(bytes, None)).await.map_err(|error| {
            match error {
                DownloadError::Daemon(error) => self.failure(operation, object, error),
                DownloadError::File(error) => unwritable(operation, object, path, &error),
            }
        })
    }

    pub(super) async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        if let Err(error) = name.parse::<Reference>() {
            return Err(refusal(Operation::RemoveImage, name.to_owned(), &error.to_string(), None));
        }
        // An id with several names is removed by force only; images that containers use are refused all the same.
        // Untagged parents stay: they are others' business.
        let options = RemoveImageOptionsBuilder::new().force(true).noprune(true).build();
        match self.api.remove_image(name, Some(options), None).await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.failure(Operation::RemoveImage, name, error)),
        }
    }
}

/// Progress of an image's layers, added up.
#[derive(Default)]
struct Layers {
    layers: HashMap<String, (u64, u64)>,
}

impl Layers {
    fn report(
        &mut self,
        id: Option<&str>,
        counts: bool,
        current: Option<i64>,
        total: Option<i64>,
        progress: Progress<'_>,
    ) {
        let size = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let Some(id) = id else { return };
        match (counts, size(current)) {
            (true, Some(current)) => {
                let total = size(total).unwrap_or(0).max(current);
                // Layers of one size count once when they are sent; never go back for it.
                let layer = self.layers.entry(id.to_owned()).or_default();
                *layer = (layer.0.max(current), layer.1.max(total));
            }
            // Done or extracting: all of it has come.
            _ => match self.layers.get_mut(id) {
                Some((current, total)) => *current = *total,
                None => return,
            },
        }
        let sum = self.layers.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        progress(sum.0, Some(sum.1));
    }
}
