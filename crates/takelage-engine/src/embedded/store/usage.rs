//! What the store takes, for people who want their space back.

use super::{
    Store, StoreError, error::Named, garbage::Extent, index::Entry, layer::description, lease::entries,
    open::Inner,
};
use crate::ImageId;

/// What was given back, or can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    /// Images without a name.
    pub(crate) images: usize,
    /// Manifests, configurations and packed layers.
    pub(crate) blobs: usize,
    /// Unpacked layers.
    pub(crate) layers: usize,
    /// What was being written or fetched when its process ended.
    pub(crate) leftovers: usize,
    /// All of it.
    pub(crate) bytes: u64,
}

/// What the store takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Its images.
    pub(crate) images: Vec<ImageUsage>,
    /// Bytes of all blobs.
    pub(crate) blobs: u64,
    /// Bytes of all unpacked layers.
    pub(crate) layers: u64,
    /// What [`Store::gc`] would give back this moment.
    pub(crate) unneeded: Freed,
}

/// What an image takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageUsage {
    /// Its id.
    pub(crate) id: ImageId,
    /// All its names.
    pub(crate) names: Vec<String>,
    /// Bytes of its layers, unpacked, shared ones included.
    pub(crate) size: u64,
    /// Containers that need it.
    pub(crate) containers: Vec<String>,
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
            Ok(Usage { images: inner.image_usage()?, blobs, layers, unneeded })
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
