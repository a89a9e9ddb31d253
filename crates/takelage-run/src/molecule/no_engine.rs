//! No engine: for scenarios whose own playbooks make their instances, on machines where no engine runs.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use takelage_engine::{
    ArchiveFormat, Capabilities, Chunk, Container, ContainerId, ContainerRecord, ContainerSpec,
    ContainerState, Engine, EngineError, ExecSpec, ImageArchive, ImageConfig, ImageId, ImageRecord, Progress,
    Reference, SnapshotId, SnapshotRecord,
};
use tokio::sync::mpsc;

/// An engine that has nothing and can do nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoEngine;

/// A container that cannot exist.
#[derive(Debug, Clone, Copy)]
pub enum NoContainer {}

fn refuse(object: &str) -> EngineError {
    let reason = "this run has no engine".to_owned();
    EngineError::Unsupported { name: object.to_owned(), reason }
}

impl Engine for NoEngine {
    type Container = NoContainer;

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn describe(&self) -> Result<String, EngineError> {
        Ok("no engine".to_owned())
    }

    async fn image(&self, _: &str) -> Result<Option<ImageRecord>, EngineError> {
        Ok(None)
    }

    async fn pull(&self, reference: &Reference, _: Progress<'_>) -> Result<ImageRecord, EngineError> {
        Err(refuse(&reference.to_string()))
    }

    async fn push(&self, reference: &Reference, _: Progress<'_>) -> Result<(), EngineError> {
        Err(refuse(&reference.to_string()))
    }

    async fn load(&self, _: ImageArchive) -> Result<ImageRecord, EngineError> {
        Err(refuse("an archive"))
    }

    async fn save(
        &self,
        names: &[String],
        _: ArchiveFormat,
        _: &Path,
        _: Progress<'_>,
    ) -> Result<(), EngineError> {
        Err(refuse(&names.join(", ")))
    }

    async fn tag(&self, image: &ImageId, _: &Reference) -> Result<(), EngineError> {
        Err(refuse(&image.to_string()))
    }

    async fn remove_image(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn images(&self, _: &BTreeMap<String, String>) -> Result<Vec<ImageId>, EngineError> {
        Ok(Vec::new())
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<NoContainer, EngineError> {
        Err(refuse(&spec.name))
    }

    async fn restore(&self, spec: &ContainerSpec, _: &SnapshotId) -> Result<NoContainer, EngineError> {
        Err(refuse(&spec.name))
    }

    async fn snapshots(&self, _: &BTreeMap<String, String>) -> Result<Vec<SnapshotRecord>, EngineError> {
        Ok(Vec::new())
    }

    async fn remove_snapshot(&self, _: &SnapshotId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn containers(&self, _: &BTreeMap<String, String>) -> Result<Vec<ContainerRecord>, EngineError> {
        Ok(Vec::new())
    }

    fn container(&self, record: &ContainerRecord) -> NoContainer {
        unreachable!("no record of an engine that lists none: {}", record.name)
    }
}

impl Container for NoContainer {
    fn id(&self) -> &ContainerId {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }

    async fn state(&self) -> Result<Option<ContainerState>, EngineError> {
        match *self {}
    }

    async fn logs(&self, _: usize) -> Result<String, EngineError> {
        match *self {}
    }

    async fn exec(&self, _: ExecSpec, _: mpsc::Sender<Chunk>) -> Result<i64, EngineError> {
        match *self {}
    }

    async fn put(&self, _: &str, _: Bytes) -> Result<(), EngineError> {
        match *self {}
    }

    async fn get(&self, _: &str) -> Result<Bytes, EngineError> {
        match *self {}
    }

    async fn export(&self, _: &Path) -> Result<(), EngineError> {
        match *self {}
    }

    async fn commit(
        &self,
        _: &ImageConfig,
        _: Option<&Reference>,
        _: Option<i64>,
    ) -> Result<ImageRecord, EngineError> {
        match *self {}
    }

    async fn snapshot(&self, _: &BTreeMap<String, String>) -> Result<SnapshotId, EngineError> {
        match *self {}
    }

    async fn start(&self) -> Result<(), EngineError> {
        match *self {}
    }

    async fn stop(&self, _: Duration) -> Result<(), EngineError> {
        match *self {}
    }

    async fn remove(self) -> Result<(), EngineError> {
        match self {}
    }
}
