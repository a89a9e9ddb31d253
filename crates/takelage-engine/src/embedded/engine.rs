//! The embedded engine: the contract without a daemon.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cgroup,
    container::EmbeddedContainer,
    end::Freeing,
    launch::Launcher,
    record::{self, Directory},
    rootless,
    snapshot::Extent,
    store::{Freed, Store, Usage},
};
use crate::{
    ArchiveFormat, Capabilities, ContainerId, ContainerRecord, ContainerSpec, Engine, EngineError,
    ImageArchive, ImageId, ImageRecord, Operation, Progress, Reference, SnapshotId, SnapshotRecord, docker,
    registry::{self, Registries},
};

/// What the engine needs from its surroundings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where images and containers are, on a file system that can carry an overlay. Several processes may share it.
    pub root: PathBuf,
    /// The program to start once more for what must not happen in this one. The first thing that it does must be
    /// [`helper`](super::helper()).
    pub program: PathBuf,
    /// The directory of the user's Docker configuration, with the logins of registries.
    pub config_dir: Option<PathBuf>,
    /// Where to look before a registry (`docker.io`): `https://HOST[:PORT][/PATH]`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Where a Docker engine may run that has images which are not here.
    pub docker: Option<docker::Settings>,
}

/// The engine within this program.
#[derive(Debug, Clone)]
pub struct Embedded {
    pub(super) shared: Arc<Shared>,
}

/// What an engine and its containers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) registries: Registries,
    pub(super) launcher: Launcher,
    /// Where the containers are.
    pub(super) containers: PathBuf,
    /// Where the networks are.
    pub(super) networks: PathBuf,
    /// Where the snapshots are.
    pub(super) snapshots: PathBuf,
    /// Where the volumes are.
    pub(super) volumes: PathBuf,
    /// Where directories wait to be removed.
    pub(super) trash: PathBuf,
    /// What is being removed from there.
    pub(super) freeing: Freeing,
    pub(super) docker: Option<docker::Settings>,
}

impl Embedded {
    /// Opens the engine's store, and removes what processes that were killed have left in it.
    pub async fn open(settings: &Settings) -> Result<Self, EngineError> {
        let launcher = Launcher { program: settings.program.clone() };
        let failed = |error: std::io::Error| {
            super::container::failure(Operation::Connect, &settings.root.to_string_lossy(), error.into())
        };
        let store = Store::open(&settings.root, launcher.clone())
            .await
            .map_err(|error| error.into_engine(Operation::Connect, &settings.root.to_string_lossy()))?;
        let (containers, snapshots) = (store.containers(), store.snapshots());
        let shared = Shared {
            store,
            registries: Registries::new(registry::Settings {
                config_dir: settings.config_dir.clone(),
                mirrors: settings.mirrors.clone(),
                ..registry::Settings::default()
            }),
            launcher,
            containers,
            networks: settings.root.join("networks"),
            snapshots,
            volumes: settings.root.join("volumes"),
            trash: settings.root.join("trash"),
            freeing: Freeing::default(),
            docker: settings.docker.clone(),
        };
        fs_err::tokio::create_dir_all(&shared.trash).await.map_err(failed)?;
        let engine = Self { shared: Arc::new(shared) };
        engine.shared.sweep().await.map_err(failed)?;
        Ok(engine)
    }

    /// Says what the store takes and how much of it nobody needs.
    pub async fn usage(&self) -> Result<Usage, EngineError> {
        let usage = self.shared.store.usage().await;
        let mut usage =
            usage.map_err(|error| error.into_engine(Operation::ListImages, "the embedded engine"))?;
        let snapshots = self.shared.snapshot_usage().await.map_err(|error| {
            super::container::failure(Operation::ListSnapshots, "the embedded engine", error.into())
        })?;
        (usage.snapshots, usage.snapshot_bytes) = (snapshots.count, snapshots.bytes);
        usage.unneeded.snapshots = snapshots.unneeded.0;
        usage.unneeded.bytes += snapshots.unneeded.1;
        usage.volumes = self.shared.volume_usage().await.map_err(|error| {
            super::container::failure(Operation::ListVolumes, "the embedded engine", error.into())
        })?;
        for volume in usage.volumes.iter().filter(|volume| volume.containers.is_empty()) {
            usage.unneeded.volumes += 1;
            usage.unneeded.bytes += volume.size;
        }
        Ok(usage)
    }

    /// Removes what no name, container or running process needs.
    pub async fn prune(&self) -> Result<Freed, EngineError> {
        // They need layers, so they come first.
        let (snapshots, bytes) = self.shared.sweep_snapshots(Extent::Idle).await.map_err(|error| {
            super::container::failure(Operation::RemoveSnapshot, "what nobody needs", error.into())
        })?;
        let (volumes, data) = self.shared.sweep_volumes().await.map_err(|error| {
            super::container::failure(Operation::RemoveVolume, "what nobody needs", error.into())
        })?;
        let freed = self.shared.store.gc().await;
        let freed = freed.map_err(|error| error.into_engine(Operation::RemoveImage, "what nobody needs"))?;
        Ok(Freed { snapshots, volumes, bytes: freed.bytes + bytes + data, ..freed })
    }

    pub(super) fn of_directory(&self, directory: Directory, id: String, name: String) -> EmbeddedContainer {
        EmbeddedContainer::new(self.shared.clone(), ContainerId(id), name, directory)
    }
}

impl Engine for Embedded {
    type Container = EmbeddedContainer;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            private_networks: !rootless::is_needed(),
            newest_time: true,
            control_groups: cgroup::host() != cgroup::Host::None,
            all_ids: !rootless::is_needed(),
            image_volumes: false,
        }
    }

    async fn describe(&self) -> Result<String, EngineError> {
        Ok(format!("embedded engine {}", env!("CARGO_PKG_VERSION")))
    }

    async fn image(&self, name: &str) -> Result<Option<ImageRecord>, EngineError> {
        let found = self.shared.store.image(name).await;
        found.map_err(|error| error.into_engine(Operation::InspectImage, name))
    }

    async fn pull(&self, reference: &Reference, progress: Progress<'_>) -> Result<ImageRecord, EngineError> {
        if let Some(image) = self.import(reference).await? {
            return Ok(image);
        }
        let pulled = self.shared.registries.pull(&self.shared.store, reference, progress).await;
        pulled.map_err(|error| error.into_engine(Operation::Pull, reference.as_str()))
    }

    async fn push(&self, reference: &Reference, progress: Progress<'_>) -> Result<(), EngineError> {
        let pushed = self.shared.registries.push(&self.shared.store, reference, progress).await;
        pushed.map_err(|error| error.into_engine(Operation::Push, reference.as_str()))
    }

    async fn load(&self, archive: ImageArchive) -> Result<ImageRecord, EngineError> {
        let object = archive.id().to_string();
        let loaded = self.shared.store.load(archive).await;
        loaded.map_err(|error| error.into_engine(Operation::Load, &object))
    }

    async fn save(
        &self,
        names: &[String],
        format: ArchiveFormat,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let saved = self.shared.store.save(names, format, path, progress).await;
        saved.map_err(|error| error.into_engine(Operation::Save, &names.join(" ")))
    }

    async fn tag(&self, image: &ImageId, name: &Reference) -> Result<(), EngineError> {
        let tagged = self.shared.store.tag(*image, name).await;
        tagged.map_err(|error| error.into_engine(Operation::Tag, name.as_str()))
    }

    async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let removed = self.shared.store.remove(name).await;
        removed.map_err(|error| error.into_engine(Operation::RemoveImage, name))
    }

    async fn images(&self, labels: &BTreeMap<String, String>) -> Result<Vec<ImageId>, EngineError> {
        let listed = self.shared.store.images(labels).await;
        listed.map_err(|error| error.into_engine(Operation::ListImages, "the embedded engine"))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<EmbeddedContainer, EngineError> {
        self.create_container(spec, None).await
    }

    async fn restore(
        &self,
        spec: &ContainerSpec,
        snapshot: &SnapshotId,
    ) -> Result<EmbeddedContainer, EngineError> {
        self.create_container(spec, Some(snapshot)).await
    }

    async fn snapshots(&self, labels: &BTreeMap<String, String>) -> Result<Vec<SnapshotRecord>, EngineError> {
        let failed = |error: std::io::Error| {
            super::container::failure(Operation::ListSnapshots, "the embedded engine", error.into())
        };
        let mut found = Vec::new();
        for place in self.shared.places().map_err(failed)? {
            let Some(snapshot) = place.snapshot().map_err(failed)? else { continue };
            if labels.iter().all(|(key, value)| snapshot.labels.get(key) == Some(value)) {
                let (image, labels) = (snapshot.image, snapshot.labels);
                found.push(SnapshotRecord { id: place.id(), image, labels });
            }
        }
        Ok(found)
    }

    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<(), EngineError> {
        let Some(place) = self.shared.place(snapshot) else { return Ok(()) };
        let removed = self.shared.remove_place(&place).await;
        removed
            .map_err(|error| super::container::failure(Operation::RemoveSnapshot, &snapshot.0, error.into()))
    }

    async fn containers(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<ContainerRecord>, EngineError> {
        let failed = |error: std::io::Error| {
            super::container::failure(Operation::List, "the embedded engine", error.into())
        };
        let mut found = Vec::new();
        for directory in record::all(&self.shared.containers).map_err(failed)? {
            let Some(record) = directory.record().map_err(failed)? else { continue };
            if labels.iter().all(|(key, value)| record.labels.get(key) == Some(value)) {
                found.push(ContainerRecord {
                    running: directory.is_running().map_err(failed)?,
                    id: ContainerId(record.id),
                    name: record.name,
                    image: record.image.to_string(),
                    labels: record.labels,
                });
            }
        }
        Ok(found)
    }

    fn container(&self, record: &ContainerRecord) -> EmbeddedContainer {
        let directory = Directory(self.shared.containers.join(&record.id.0));
        self.of_directory(directory, record.id.0.clone(), record.name.clone())
    }
}
