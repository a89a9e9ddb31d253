//! Taking snapshots.
//!
//! A container that is stopped gives its tree away and goes on with an empty one above it: that costs a rename, however
//! much it has written. One that runs has files open there, so it stands still while they are copied.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{
    commit::{self, NOTE},
    container::EmbeddedContainer,
    freeze::Frozen,
    jobs::{Job, Root},
    mount_points,
    overlay::Stack,
    record::{self, Directory, Lock, Record},
    snapshot::{Place, Snapshot},
};
use crate::{EngineError, Operation, SnapshotId};

/// So many trees of snapshots may lie above an image. Every one makes looking for what is not there slower, and overlayfs
/// takes no more than five hundred in all.
const DEEPEST: usize = 64;

/// Whose tree is on its way to a snapshot: the content of `sealing.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sealing {
    /// The name of the container's directory.
    container: String,
    /// Where its tree was.
    tree: PathBuf,
}

impl EmbeddedContainer {
    /// Takes a snapshot.
    pub(super) async fn take_snapshot(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<SnapshotId, EngineError> {
        let failed = |error| self.broken(Operation::Snapshot, error);
        let record = self.record(Operation::Snapshot)?;
        let place = self.shared.new_place().map_err(failed)?;
        let made = self.take(&record, &place, labels).await;
        if made.is_err() {
            // The first error is the one to tell; what is left goes at the next opportunity.
            let _ = self.shared.remove_place(&place).await;
        }
        made.map(|()| place.id())
    }

    async fn take(
        &self,
        record: &Record,
        place: &Place,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let failed = |error| self.broken(Operation::Snapshot, error);
        let pinned = self.shared.store.pin_like(&self.directory.0, &place.0).await;
        pinned.map_err(|error| error.into_engine(Operation::Snapshot, &self.name))?;
        let trees = self.trees(record, place).await?;
        let snapshot = Snapshot { image: record.image, labels: labels.clone(), trees };
        // Whoever removes the container or a snapshot below it meanwhile has not taken their trees along.
        let _names = self.shared.lock_names().await.map_err(failed)?;
        if let Some(missing) = snapshot.trees.iter().find(|tree| !tree.is_dir()) {
            let message = format!("`{}` was removed meanwhile", missing.display());
            return Err(self.refused(Operation::Snapshot, &message));
        }
        place.write(&snapshot).map_err(failed)
    }

    /// Returns the trees that a snapshot has above those of the image, the highest first.
    async fn trees(&self, record: &Record, place: &Place) -> Result<Vec<PathBuf>, EngineError> {
        let failed = |error| self.broken(Operation::Snapshot, error);
        let Some(upper) = &record.monitor.stack.upper else {
            return Err(self.refused(Operation::Snapshot, "nothing is written to"));
        };
        let above = record.above();
        if commit::is_unchanged(record, &upper.tree).map_err(failed)? {
            return Ok(above.to_vec());
        }
        let lock = self.directory.try_lock().map_err(failed)?;
        let deep = above.len() >= DEEPEST;
        if !matches!(lock, Lock::Held) {
            if deep {
                self.merge(Operation::Snapshot, record, true, place.tree()).await?;
            }
            let sealed = record.clone();
            let (sealed, to) = (sealed, place.clone());
            let work = move || seal(sealed, &to, deep);
            let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
            return done.and_then(|trees| trees).map_err(failed);
        }
        let _frozen = Frozen::new(record).await.map_err(failed)?;
        self.merge(Operation::Snapshot, record, deep, place.tree()).await?;
        let rest = if deep { &[] } else { above };
        Ok([place.tree()].into_iter().chain(rest.iter().cloned()).collect())
    }

    /// Copies what the container has written to a new tree, together with the trees of its snapshots if `all` is said.
    pub(super) async fn merge(
        &self,
        operation: Operation,
        record: &Record,
        all: bool,
        to: PathBuf,
    ) -> Result<(), EngineError> {
        let above = if all { record.above() } else { &[] };
        let upper = record.monitor.stack.upper.iter().map(|upper| upper.tree.clone());
        let trees = above.iter().rev().cloned().chain(upper).collect();
        let at = self.directory.0.join("rootfs");
        // With one tree alone nothing is stacked; the empty one beside it makes two.
        let lowers = record.below().iter().cloned().chain([at.clone()]).collect();
        let below = all.then_some(Root::Stack { stack: Stack { lowers, upper: None }, at });
        let held = self.held(record).map_err(|error| self.broken(operation, error))?;
        let job = Job::Merge { trees, below, to, held };
        self.job(operation, job, "/", tokio::io::empty(), &mut tokio::io::sink()).await.map(drop)
    }
}

/// Has a stopped container go on with an empty tree: above the one that it has, which becomes the snapshot's, or, where
/// that is `merged` already, above that. Whoever calls this has the container's lock. Returns the snapshot's trees.
fn seal(mut record: Record, place: &Place, merged: bool) -> io::Result<Vec<PathBuf>> {
    let directory = record.monitor.directory.clone();
    let Some(upper) = record.monitor.stack.upper.as_mut() else { return Ok(Vec::new()) };
    let old = upper.tree.clone();
    upper.tree = directory.join(format!("upper-{}", place.id()));
    fs::create_dir(&upper.tree)?;
    mount_points::like(&fs::metadata(&old)?, &upper.tree)?;
    // What becomes of the tree is not what was committed.
    let _ = fs::remove_file(directory.join(NOTE));
    if !merged {
        let container = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        record::write(&place.0.join("sealing.json"), &Sealing { container, tree: old.clone() })?;
        fs::rename(&old, place.tree())?;
    }
    let lowers = &mut record.monitor.stack.lowers;
    if merged {
        lowers.drain(..record.above);
        record.above = 0;
    }
    lowers.insert(0, place.tree());
    record.above += 1;
    record::write(&directory.join("container.json"), &record)?;
    if !merged {
        fs::remove_file(place.0.join("sealing.json"))?;
    }
    Ok(record.above().to_vec())
}

/// Brings to an end what a process that is gone had begun: the container has its tree back, unless it has another already.
pub(super) fn finish(place: &Place, container: impl Fn(&str) -> Directory) -> io::Result<()> {
    let path = place.0.join("sealing.json");
    let Some(sealing) = record::read::<Sealing>(&path)? else { return Ok(()) };
    let tree = place.tree();
    if let Some(record) = container(&sealing.container).record()?
        && !record.monitor.stack.lowers.contains(&tree)
        && tree.is_dir()
        && !is_there(&sealing.tree)
    {
        fs::rename(&tree, &sealing.tree)?;
    }
    fs::remove_file(path)
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
