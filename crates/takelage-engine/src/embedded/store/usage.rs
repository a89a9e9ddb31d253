//! What the store takes, for people who want their space back.

use std::collections::BTreeMap;

use super::{
    Store, StoreError, error::Named, garbage::Extent, index::Entry, layer::description, lease::entries,
    open::Inner,
};
use crate::ImageId;

/// What was given back, or can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Images without a name.
    pub images: usize,
    /// Manifests, configurations and packed layers.
    pub blobs: usize,
    /// Unpacked layers.
    pub layers: usize,
    /// What was being written or fetched when its process ended.
    pub leftovers: usize,
    /// Snapshots whose makers have ended.
    pub snapshots: usize,
    /// Volumes that no container has.
    pub volumes: usize,
    /// All of it.
    pub bytes: u64,
}

/// What the store takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its images.
    pub images: Vec<ImageUsage>,
    /// Bytes of all blobs.
    pub blobs: u64,
    /// Bytes of all unpacked layers.
    pub layers: u64,
    /// How many snapshots there are.
    pub snapshots: usize,
    /// Bytes of what containers had written when their snapshots were taken.
    pub snapshot_bytes: u64,
    /// Its volumes.
    pub volumes: Vec<VolumeUsage>,
    /// What removing it would give back this moment.
    pub unneeded: Freed,
}

/// What an image takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// Its id.
    pub id: ImageId,
    /// All its names.
    pub names: Vec<String>,
    /// Bytes of its layers, unpacked, shared ones included.
    pub size: u64,
    /// Containers that need it.
    pub containers: Vec<String>,
}

/// What a volume takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Its name.
    pub name: String,
    /// Bytes of its files.
    pub size: u64,
    /// Containers that have it.
    pub containers: Vec<String>,
    /// The labels of the container that it came with.
    pub labels: BTreeMap<String, String>,
}

impl Store {
    /// Says what the store takes and how much of it nobody needs.
    pub(crate) async fn usage(&self) -> Result<Usage, StoreError> {
        self.blocking(|inner| {
            let held = inner.exclusive()?;
            let unneeded = inner.garbage(&held, Extent::Unnamed)?.freed();
            let mut layers = 0;
            for path in entries(&inner.directory("layers"))? {
                layers += description(&path)?.map_or(0, |description| description.size);
            }
            let mut blobs = 0;
            for path in entries(&inner.blobs())? {
                blobs += fs_err::metadata(&path).named(&path)?.len();
            }
            Ok(Usage { images: inner.image_usage()?, blobs, layers, unneeded, ..Usage::default() })
        })
        .await
    }
}

impl Inner {
    fn image_usage(&self) -> Result<Vec<ImageUsage>, StoreError> {
        let (index, pins) = (self.index()?, self.pins()?);
        let describe = |id: ImageId| ImageUsage {
            id,
            names: index.of(id).filter_map(Entry::name).map(str::to_owned).collect(),
            size: index.of(id).next().map_or(0, |entry| entry.unpacked().iter().sum()),
            containers: pins.iter().filter(|(_, pin)| pin.id == id).map(|(name, _)| name.clone()).collect(),
        };
        Ok(index.ids().into_iter().map(describe).collect())
    }
}
