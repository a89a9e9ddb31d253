//! The container of a chain: made of an image or of a snapshot, when it is needed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use takelage_engine::{Container, ContainerSpec, Engine, EngineError, SnapshotId};
use takelage_model::label;

/// What a chain's container is made of.
#[derive(Debug)]
pub(crate) struct Machine<E> {
    engine: E,
    spec: ContainerSpec,
    /// Labels that all snapshots of this store have.
    store: BTreeMap<String, String>,
    /// Whether something may be there although nobody holds it: creating can be interrupted.
    begun: AtomicBool,
}

/// A snapshot that a container may begin as.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: SnapshotId,
    /// The name of its state.
    pub(super) state: String,
    /// What the container looked like, beside its files.
    pub(super) fingerprint: String,
    /// How many snapshots it stands on, itself included.
    pub(super) depth: u32,
}

impl<E: Engine> Machine<E> {
    /// A container by the rules of `spec`; `store` is the name of the store whose snapshots it may begin as.
    pub(crate) fn new(engine: E, spec: ContainerSpec, store: String) -> Self {
        let store = BTreeMap::from([(label::MEMORY.to_owned(), store)]);
        Self { engine, spec, store, begun: AtomicBool::new(false) }
    }

    /// Returns the name that the container has.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(super) async fn create(&self) -> Result<E::Container, EngineError> {
        self.make_room().await?;
        self.engine.create(&self.spec).await
    }

    pub(super) async fn restore(&self, snapshot: &SnapshotId) -> Result<E::Container, EngineError> {
        self.make_room().await?;
        self.engine.restore(&self.spec, snapshot).await
    }

    /// Removes the container that has the name, if an earlier run keeps one.
    async fn make_room(&self) -> Result<(), EngineError> {
        if self.begun.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let labels = [label::PROJECT, label::IMAGE, label::PURPOSE];
        let labels = labels.iter().filter_map(|key| self.spec.labels.get_key_value(*key));
        self.remove_namesakes(&labels.map(|(key, value)| (key.clone(), value.clone())).collect()).await
    }

    /// Lists the snapshots that there are of the container's image.
    pub(super) async fn snapshots(&self) -> Result<Vec<Kept>, EngineError> {
        let records = self.engine.snapshots(&self.store).await?;
        let kept = |record: takelage_engine::SnapshotRecord| {
            let text = |key: &str| record.labels.get(key).cloned();
            Some(Kept {
                state: text(label::STATE)?,
                fingerprint: text(label::FINGERPRINT)?,
                depth: text(label::DEPTH)?.parse().ok()?,
                id: record.id,
            })
        };
        Ok(records.into_iter().filter(|record| record.image == self.spec.image).filter_map(kept).collect())
    }

    /// Takes a snapshot of a container of this machine.
    pub(super) async fn snapshot(
        &self,
        container: &E::Container,
        state: String,
        fingerprint: String,
        depth: u32,
    ) -> Result<SnapshotId, EngineError> {
        let mut labels = self.store.clone();
        let own =
            [(label::STATE, state), (label::FINGERPRINT, fingerprint), (label::DEPTH, depth.to_string())];
        labels.extend(own.map(|(key, value)| (key.to_owned(), value)));
        container.snapshot(&labels).await
    }

    /// Removes a snapshot that is of no use; it may stay if something stands on it.
    pub(super) async fn remove_snapshot(&self, id: &SnapshotId) {
        if let Err(error) = self.engine.remove_snapshot(id).await {
            tracing::debug!(%error, %id, "a snapshot stays");
        }
    }

    /// Removes what was created although nobody has it.
    pub(super) async fn remove_leavings(&self) -> Result<(), EngineError> {
        if !self.begun.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.remove_namesakes(&self.spec.labels).await
    }

    /// Removes what has the container's name, and these labels.
    async fn remove_namesakes(&self, labels: &BTreeMap<String, String>) -> Result<(), EngineError> {
        let found = self.engine.containers(labels).await?;
        for record in found.iter().filter(|record| record.name == self.spec.name) {
            self.engine.container(record).remove().await?;
        }
        Ok(())
    }
}
