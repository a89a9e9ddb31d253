//! Snapshots: the file system of a container at one moment, to go back to.

use std::{collections::BTreeMap, fmt};

use crate::ImageId;

/// The engine's own id of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(pub String);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A snapshot as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Its id.
    pub id: SnapshotId,
    /// The image that its container was created from, snapshots in between left aside.
    pub image: ImageId,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
}
