//! Whichever engine runs the containers.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    ArchiveFormat, Capabilities, Chunk, Container, ContainerId, ContainerRecord, ContainerSpec,
    ContainerState, Engine, EngineError, ExecSpec, ImageArchive, ImageConfig, ImageId, ImageRecord,
    Interaction, Progress, Reference, SnapshotId, SnapshotRecord,
    docker::{Docker, DockerContainer},
    embedded::{Embedded, EmbeddedContainer},
};

/// One of the engines, chosen at run time.
#[derive(Debug, Clone)]
pub enum AnyEngine {
    /// A Docker daemon, or Podman's socket.
    Docker(Docker),
    /// The engine within this program.
    Embedded(Embedded),
}

/// A container of one of the engines.
#[derive(Debug, Clone)]
pub enum AnyContainer {
    /// Of a Docker daemon.
    Docker(DockerContainer),
    /// Of the engine within this program.
    Embedded(EmbeddedContainer),
}

/// Calls the same method of whichever engine or container it is.
macro_rules! each {
    ($kind:ident, $self:expr, $it:ident => $call:expr) => {
        match $self {
            $kind::Docker($it) => $call,
            $kind::Embedded($it) => $call,
        }
    };
}

impl Engine for AnyEngine {
    type Container = AnyContainer;

    fn capabilities(&self) -> Capabilities {
        each!(AnyEngine, self, it => it.capabilities())
    }

    async fn describe(&self) -> Result<String, EngineError> {
        each!(AnyEngine, self, it => it.describe().await)
    }

    async fn image(&self, name: &str) -> Result<Option<ImageRecord>, EngineError> {
        each!(AnyEngine, self, it => it.image(name).await)
    }

    async fn pull(&self, reference: &Reference, progress: Progress<'_>) -> Result<ImageRecord, EngineError> {
        each!(AnyEngine, self, it => it.pull(reference, progress).await)
    }

    async fn push(&self, reference: &Reference, progress: Progress<'_>) -> Result<(), EngineError> {
        each!(AnyEngine, self, it => it.push(reference, progress).await)
    }

    async fn load(&self, archive: ImageArchive) -> Result<ImageRecord, EngineError> {
        each!(AnyEngine, self, it => it.load(archive).await)
    }

    async fn save(
        &self,
        names: &[String],
        format: ArchiveFormat,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        each!(AnyEngine, self, it => it.save(names, format, path, progress).await)
    }

    async fn tag(&self, image: &ImageId, name: &Reference) -> Result<(), EngineError> {
        each!(AnyEngine, self, it => it.tag(image, name).await)
    }

    async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        each!(AnyEngine, self, it => it.remove_image(name).await)
    }

    async fn images(&self, labels: &BTreeMap<String, String>) -> Result<Vec<ImageId>, EngineError> {
        each!(AnyEngine, self, it => it.images(labels).await)
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<AnyContainer, EngineError> {
        match self {
            Self::Docker(engine) => engine.create(spec).await.map(AnyContainer::Docker),
            Self::Embedded(engine) => engine.create(spec).await.map(AnyContainer::Embedded),
        }
    }

    async fn restore(
        &self,
        spec: &ContainerSpec,
        snapshot: &SnapshotId,
    ) -> Result<AnyContainer, EngineError> {
        match self {
            Self::Docker(engine) => engine.restore(spec, snapshot).await.map(AnyContainer::Docker),
            Self::Embedded(engine) => engine.restore(spec, snapshot).await.map(AnyContainer::Embedded),
        }
    }

    async fn snapshots(&self, labels: &BTreeMap<String, String>) -> Result<Vec<SnapshotRecord>, EngineError> {
        each!(AnyEngine, self, it => it.snapshots(labels).await)
    }

    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<(), EngineError> {
        each!(AnyEngine, self, it => it.remove_snapshot(snapshot).await)
    }

    async fn containers(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<ContainerRecord>, EngineError> {
        each!(AnyEngine, self, it => it.containers(labels).await)
    }

    fn container(&self, record: &ContainerRecord) -> AnyContainer {
        match self {
            Self::Docker(engine) => AnyContainer::Docker(engine.container(record)),
            Self::Embedded(engine) => AnyContainer::Embedded(engine.container(record)),
        }
    }
}

impl Container for AnyContainer {
    fn id(&self) -> &ContainerId {
        each!(AnyContainer, self, it => it.id())
    }

    fn name(&self) -> &str {
        each!(AnyContainer, self, it => it.name())
    }

    async fn state(&self) -> Result<Option<ContainerState>, EngineError> {
        each!(AnyContainer, self, it => it.state().await)
    }

    async fn logs(&self, lines: usize) -> Result<String, EngineError> {
        each!(AnyContainer, self, it => it.logs(lines).await)
    }

    async fn warm_up(&self) {
        each!(AnyContainer, self, it => it.warm_up().await);
    }

    async fn exec(&self, spec: ExecSpec, chunks: mpsc::Sender<Chunk>) -> Result<i64, EngineError> {
        each!(AnyContainer, self, it => it.exec(spec, chunks).await)
    }

    async fn converse(
        &self,
        spec: ExecSpec,
        input: &mut mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        each!(AnyContainer, self, it => it.converse(spec, input, chunks).await)
    }

    async fn interact(&self, spec: ExecSpec, interaction: Interaction) -> Result<i64, EngineError> {
        each!(AnyContainer, self, it => it.interact(spec, interaction).await)
    }

    async fn put(&self, at: &str, tar: Bytes) -> Result<(), EngineError> {
        each!(AnyContainer, self, it => it.put(at, tar).await)
    }

    async fn get(&self, path: &str) -> Result<Bytes, EngineError> {
        each!(AnyContainer, self, it => it.get(path).await)
    }

    async fn export(&self, to: &Path) -> Result<(), EngineError> {
        each!(AnyContainer, self, it => it.export(to).await)
    }

    async fn commit(
        &self,
        config: &ImageConfig,
        name: Option<&Reference>,
        newest: Option<i64>,
    ) -> Result<ImageRecord, EngineError> {
        each!(AnyContainer, self, it => it.commit(config, name, newest).await)
    }

    async fn snapshot(&self, labels: &BTreeMap<String, String>) -> Result<SnapshotId, EngineError> {
        each!(AnyContainer, self, it => it.snapshot(labels).await)
    }

    async fn start(&self) -> Result<(), EngineError> {
        each!(AnyContainer, self, it => it.start().await)
    }

    async fn stop(&self, grace: std::time::Duration) -> Result<(), EngineError> {
        each!(AnyContainer, self, it => it.stop(grace).await)
    }

    async fn remove(self) -> Result<(), EngineError> {
        each!(AnyContainer, self, it => it.remove().await)
    }
}
