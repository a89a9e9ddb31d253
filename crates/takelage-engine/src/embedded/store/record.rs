//! An image as it lies in the store.

use takelage_model::Digest;

use super::{
    StoreError,
    add::Known,
    index::{Entry, Index},
    name,
    open::Inner,
};
use crate::{
    ImageConfig, ImageId, ImageRecord,
    manifest::{CONFIG_LIMIT, Document, MANIFEST_LIMIT, Manifest},
};

/// An image whose manifest and configuration were read and checked.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: ImageId,
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
    pub(super) json: Vec<u8>,
    pub(super) config: ImageConfig,
    /// The bytes of each layer, unpacked.
    pub(super) unpacked: Vec<u64>,
}

impl Stored {
    /// Returns all that it is made of: manifest, configuration, packed and unpacked layers.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let packed = self.manifest.layers.iter().map(|layer| layer.digest);
        [self.digest, self.id.0].into_iter().chain(packed).chain(self.config.layers.iter().copied()).collect()
    }

    /// Returns its layers, lowest first.
    pub(super) fn layers(&self) -> impl Iterator<Item = Known> {
        let blobs = self.manifest.layers.iter().zip(&self.config.layers);
        blobs.enumerate().map(|(number, (blob, diff_id))| Known {
            diff_id: *diff_id,
            unpacked: self.unpacked.get(number).copied().unwrap_or(0),
            blob: blob.clone(),
        })
    }
}

impl Inner {
    /// Reads the image of an entry.
    pub(super) fn stored(&self, entry: &Entry) -> Result<Stored, StoreError> {
        let digest = entry.manifest.digest;
        let bytes = self.bytes(&digest, MANIFEST_LIMIT)?;
        let manifest = match Document::parse(&bytes, None)? {
            Document::Image(manifest) => manifest,
            Document::Index(_) => return Err(StoreError::damaged(&self.blob(&digest), "it is an index")),
        };
        let id = ImageId(manifest.config.digest);
        if !entry.is(id) {
            let reason = format!("manifest `{digest}` is of image `{id}`, not of the one it is entered for");
            return Err(StoreError::damaged(&self.directory("index.json"), reason));
        }
        let json = self.bytes(&id.0, CONFIG_LIMIT)?;
        let config = ImageConfig::from_json(&json)?;
        manifest.check_layers(config.layers.len())?;
        let media_type = entry.manifest.media_type.clone();
        Ok(Stored { id, digest, manifest, media_type, bytes, json, config, unpacked: entry.unpacked() })
    }

    /// Reads an image: of its manifests the first that is not damaged. `None`: the index has none of it.
    pub(super) fn image_of(&self, index: &Index, id: ImageId) -> Result<Option<Stored>, StoreError> {
        let mut first = None;
        for entry in index.of(id) {
            match self.stored(entry) {
                Ok(stored) => return Ok(Some(stored)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(None), Err)
    }

    /// Puts an image's description together.
    pub(super) fn record(&self, index: &Index, id: ImageId) -> Result<Option<ImageRecord>, StoreError> {
        let Some(stored) = self.image_of(index, id)? else { return Ok(None) };
        let names = index.of(id).filter_map(Entry::name).map(str::to_owned);
        let (mut digests, mut tags): (Vec<_>, Vec<_>) = names.partition(|it| name::has_digest(it));
        digests.sort_unstable();
        tags.sort_unstable();
        Ok(Some(ImageRecord { id, tags, digests, size: stored.unpacked.iter().sum(), config: stored.config }))
    }
}
