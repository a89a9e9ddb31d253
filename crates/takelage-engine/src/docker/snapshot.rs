//! Snapshots: images without a name, marked by a label.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::ListImagesOptionsBuilder;

use super::{commit::Layers, connection::Daemon, container::DockerContainer};
use crate::{ContainerSpec, EngineError, History, ImageId, Operation, SnapshotId, SnapshotRecord};

/// The label that an image has if it is a snapshot; its value is the id of the image below all snapshots.
///
/// A container has the labels of its image, and what is committed of it those of the container. So a restored container has
/// this one without a value, or half of a commit would be taken for a snapshot.
pub(super) const LABEL: &str = "takelage.snapshot";
/// The label of a container that began as a snapshot; its value is the id of the image below all snapshots.
pub(super) const RESTORED: &str = "takelage.restored";

/// An image with so many layers is not put anything on any more. Docker takes 125, and a commit needs two.
const HIGHEST: usize = 120;

/// Whether labels are those of a snapshot.
pub(super) fn is_one(labels: &HashMap<String, String>) -> bool {
    labels.get(LABEL).is_some_and(|below| !below.is_empty())
}

impl DockerContainer {
    /// Takes a snapshot, which has the configuration of the image below it.
    pub(super) async fn take_snapshot(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<SnapshotId, EngineError> {
        let daemon = &self.daemon;
        let inspect = daemon.api.inspect_container(&self.id.0, None).await;
        let inspect = inspect.map_err(|error| self.failure(Operation::Snapshot, error))?;
        let from = daemon.present(Operation::Snapshot, &inspect.image.unwrap_or_default()).await?;
        let is_high = from.config.layers.len() >= HIGHEST;
        let below = match from.config.labels.get(LABEL) {
            Some(below) => daemon.present(Operation::Snapshot, below).await?,
            None => from,
        };
        let mut config = below.config;
        config.labels.extend(labels.clone());
        config.labels.insert(LABEL.to_owned(), below.id.to_string());
        config.history.push(History {
            // Two snapshots of the same files are two.
            created: Some(jiff::Timestamp::now().to_string()),
            created_by: Some(format!("takelage: snapshot {}", self.name)),
            ..History::default()
        });
        let layers = if is_high { Layers::Flat } else { Layers::Stacked };
        let made = Box::pin(self.commit_as(&config, None, layers)).await?;
        Ok(SnapshotId(made.id.to_string()))
    }
}

impl Daemon {
    /// Lists the snapshots that carry all these labels.
    pub(super) async fn snapshots(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<SnapshotRecord>, EngineError> {
        let options = ListImagesOptionsBuilder::new().filters(&super::images::carrying(labels)).build();
        let list = self.api.list_images(Some(options)).await;
        let list = list.map_err(|error| self.failure(Operation::ListSnapshots, &self.endpoint, error))?;
        let record = |image: bollard::models::ImageSummary| {
            let below = image.labels.get(LABEL)?.parse().ok()?;
            let labels = image.labels.into_iter().filter(|(name, _)| name != LABEL).collect();
            Some(SnapshotRecord { id: SnapshotId(image.id), image: ImageId(below), labels })
        };
        Ok(list.into_iter().filter_map(record).collect())
    }

    /// Returns the specification of a container that begins as the snapshot is.
    pub(super) async fn restoring(
        &self,
        spec: &ContainerSpec,
        id: &SnapshotId,
    ) -> Result<ContainerSpec, EngineError> {
        let Some(image) = self.snapshot(id).await? else {
            return Err(EngineError::NoSuchSnapshot { id: id.clone() });
        };
        if image.config.labels.get(LABEL) == Some(&spec.image.to_string()) {
            let mut spec = ContainerSpec { image: image.id, ..spec.clone() };
            let below = image.config.labels.get(LABEL).cloned().unwrap_or_default();
            spec.labels.extend([(LABEL.to_owned(), String::new()), (RESTORED.to_owned(), below)]);
            return Ok(spec);
        }
        Err(EngineError::Unsupported {
            name: spec.name.clone(),
            reason: format!("snapshot `{id}` is not of image `{}`", spec.image),
        })
    }

    /// Removes a snapshot. Images of containers stay until those are gone; what is no snapshot is left alone.
    pub(super) async fn remove_snapshot(&self, id: &SnapshotId) -> Result<(), EngineError> {
        match self.snapshot(id).await? {
            Some(image) => self.remove_image(&image.id.to_string()).await,
            None => Ok(()),
        }
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<crate::ImageRecord>, EngineError> {
        let image = self.image(&id.0).await?;
        Ok(image.filter(|image| image.config.labels.get(LABEL).is_some_and(|below| !below.is_empty())))
    }
}
