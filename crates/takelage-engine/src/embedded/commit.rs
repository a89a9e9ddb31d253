//! Making images of containers.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use takelage_model::Digest;
use tokio_util::io::SyncIoBridge;

use super::{
    container::EmbeddedContainer,
    engine::Shared,
    freeze::Frozen,
    jobs::Job,
    record::{self, Directory, Record},
    store::LayerBlob,
};
use crate::{EngineError, ImageConfig, ImageId, ImageRecord, Operation, Reference};

/// How much of a layer is in flight between who packs and who stores it, in bytes.
const BUFFER: usize = 1 << 18;

/// What became of the changes of a container that has not run since: the content of `committed.json`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Committed {
    image: ImageId,
    layer: Digest,
    size: u64,
}

/// The changes of a container, packed.
struct Changes {
    layer: LayerBlob,
    /// Whether an unpacked layer would be the container's own tree, and how many bytes that is.
    same: Option<u64>,
}

impl EmbeddedContainer {
    /// Makes an image of the container's file system and `config`, whose layers are filled in.
    ///
    /// The last entry of `config.history` stands for the new layer. A container without changes adds no layer,
    /// then the entry is marked as one for metadata. Times later than `newest` are brought down to it.
    pub(super) async fn commit_as(
        &self,
        config: &ImageConfig,
        name: Option<&Reference>,
        newest: Option<i64>,
    ) -> Result<ImageRecord, EngineError> {
        let failed = |error: super::store::StoreError| error.into_engine(Operation::Commit, &self.name);
        let store = &self.shared.store;
        let record = self.record(Operation::Commit)?;
        let mut layers = store.layers(record.image).await.map_err(failed)?;
        let mut config = config.clone();
        let changes = self.changes(&record, newest).await?;
        match &changes {
            Some(changes) => layers.push(changes.layer.clone()),
            None => {
                if let Some(last) = config.history.last_mut() {
                    last.empty_layer = true;
                }
            }
        }
        config.layers = layers.iter().map(|layer| layer.diff_id).collect();
        let image = store.add_image(&config, layers, name).await.map_err(failed)?;
        if let Some(Changes { layer, same: Some(size) }) = changes {
            let committed = Committed { image: image.id, layer: layer.diff_id, size };
            let note = serde_json::to_vec(&committed).unwrap_or_default();
            // It only saves unpacking the layer again.
            let _ = fs_err::tokio::write(self.directory.0.join(NOTE), note).await;
        }
        Ok(image)
    }

    /// Adds what the container has written to the store, as a layer. `None`: it has written nothing.
    async fn changes(&self, record: &Record, newest: Option<i64>) -> Result<Option<Changes>, EngineError> {
        let failed = |error| self.broken(Operation::Commit, error);
        let Some(upper) = &record.monitor.stack.upper else { return Ok(None) };
        if record.above == 0 && is_unchanged(record, &upper.tree).map_err(failed)? {
            return Ok(None);
        }
        let running = self.directory.is_running().map_err(failed)?;
        let frozen = if running { Some(Frozen::new(record).await.map_err(failed)?) } else { None };
        let mut tree = upper.tree.clone();
        let restored = record.above > 0;
        if restored {
            // What it has written since its image, in one layer.
            tree = self.directory.0.join(format!("merged-{}", record::id().map_err(failed)?));
            self.merge(Operation::Commit, record, true, tree.clone()).await?;
        }
        let merged = tree.clone();
        // Of a restored one it is a copy.
        let held = if restored { None } else { self.held(record).map_err(failed)? };
        let job = Job::Pack { tree, newest, held };
        let (mut to, from) = tokio::io::duplex(BUFFER);
        let tar = SyncIoBridge::new(from);
        let pack = async move {
            let packed = self.job(Operation::Commit, job, "/", tokio::io::empty(), &mut to).await;
            drop(frozen);
            packed
        };
        let (packed, added) = tokio::join!(pack, self.shared.store.put_layer(tar));
        if restored {
            // What is left of it goes with the container.
            let _ = self.shared.launcher.remove(&merged).await;
        }
        // What came before an error is a layer of nothing, which goes by itself.
        let packed = packed?;
        let layer = added.map_err(|error| error.into_engine(Operation::Commit, &self.name))?;
        // Sockets are in no layer, and other times are not those of the tree.
        let same = (!running && !restored && packed.entries == 0 && newest.is_none()).then_some(packed.size);
        Ok(Some(Changes { layer, same }))
    }
}

/// Whether a container has written nothing: its tree is empty, and its root still is as the image has it.
pub(super) fn is_unchanged(record: &Record, tree: &Path) -> io::Result<bool> {
    let about = |path: &Path| fs::metadata(path).map(|it| (it.mode(), it.uid(), it.gid()));
    let Some(highest) = record.monitor.stack.lowers.first() else { return Ok(false) };
    Ok(fs::read_dir(tree)?.next().is_none() && about(tree)? == about(highest)?)
}

/// Where it is noted what became of a container's changes.
pub(super) const NOTE: &str = "committed.json";

impl Shared {
    /// Gives the tree of a container that is about to be removed to the store, if a layer was made of it: then that need
    /// not be unpacked.
    pub(super) async fn bequeath(&self, directory: &Directory) {
        let Ok(note) = fs::read(directory.0.join(NOTE)) else { return };
        let Ok(committed) = serde_json::from_slice::<Committed>(&note) else { return };
        let Ok(layers) = self.store.layers(committed.image).await else { return };
        let Some(layer) = layers.iter().find(|layer| layer.diff_id == committed.layer) else { return };
        let Some(tree) = tree(directory) else { return };
        if let Err(error) = self.store.adopt_tree(layer, &tree, committed.size).await {
            tracing::debug!(%error, "the tree of a committed container goes with it");
        }
    }
}

fn tree(directory: &Directory) -> Option<PathBuf> {
    Some(directory.record().ok()??.monitor.stack.upper?.tree)
        .filter(|tree: &PathBuf| Path::new(tree).is_dir())
}
