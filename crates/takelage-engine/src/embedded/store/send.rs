//! Images on their way to a registry.

use std::{io, sync::Arc};

use takelage_model::Digest;

use super::{
    Lease, Store, StoreError,
    add::Packing,
    image::resolve,
    index::Entry,
    name::{self, Wanted},
    open::Inner,
    record::Stored,
};
use crate::{
    ImageId, Reference,
    manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_LAYER_ZSTD, OCI_MANIFEST},
};

/// An image that can be sent: its manifest and what that names. It is kept as long as the value lives.
#[derive(Debug)]
pub(crate) struct Sendable {
    pub(crate) id: ImageId,
    /// The manifest, byte for byte, and its media type.
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    /// Configuration and layers, each blob once.
    pub(crate) blobs: Vec<Descriptor>,
    manifest: Descriptor,
    unpacked: Vec<u64>,
    _lease: Arc<Lease>,
}

impl Store {
    /// Makes an image ready to be sent. With `gzip`, layers that were made here are packed again so that every engine
    /// can read them. What came from a registry is sent as it came, if all of it did.
    pub(crate) async fn sendable(&self, reference: &Reference, gzip: bool) -> Result<Sendable, StoreError> {
        let wanted = Wanted::Name { name: name::stored(reference), prefix: None };
        let missing = StoreError::NoSuchImage(reference.to_string());
        self.blocking(move |inner| {
            let held = inner.shared()?;
            let index = inner.index()?;
            let id = resolve(&index, &wanted)?.ok_or(missing)?;
            let any = inner.image_of(&index, id)?.ok_or_else(|| StoreError::NoSuchImage(id.to_string()))?;
            let mut all = index.of(id).filter_map(|entry| inner.stored(entry).ok());
            let fits = all.find(|image| !gzip || !image.has_zstd());
            let (image, repack) = fits.map_or((any, true), |image| (image, false));
            let lease = Arc::new(inner.lease(&held, &image.digests())?);
            drop(held);
            if repack { inner.repack(&image, lease) } else { Ok(Sendable::new(&image, lease)) }
        })
        .await
    }

    /// Opens a blob of it that was read through and is whole.
    pub(crate) async fn checked_file(&self, digest: Digest) -> Result<std::fs::File, StoreError> {
        self.blocking(move |inner| inner.read(&digest)?.checked()).await
    }

    /// Enters the digest by which a registry knows an image that was sent there.
    pub(crate) async fn sent(&self, image: Sendable, reference: &Reference) -> Result<(), StoreError> {
        let name = name::digested(reference, &image.manifest.digest);
        self.blocking(move |inner| {
            let held = inner.exclusive()?;
            inner.change(&held, |index| {
                // Removed meanwhile: it is not brought back.
                if index.of(image.id).next().is_some() {
                    let entry = Entry::new(image.manifest.clone(), image.id, &image.unpacked, Some(&name));
                    index.add(entry.beside_tag());
                }
                Ok(())
            })
        })
        .await
    }
}

impl Sendable {
    fn new(image: &Stored, lease: Arc<Lease>) -> Self {
        let Manifest { config, layers } = &image.manifest;
        let mut blobs: Vec<Descriptor> = Vec::new();
        for blob in layers.iter().chain([config]) {
            if !blobs.iter().any(|known| known.digest == blob.digest) {
                blobs.push(blob.clone());
            }
        }
        Self {
            id: image.id,
            bytes: image.bytes.clone(),
            media_type: image.media_type.clone(),
            blobs,
            manifest: Descriptor::new(&image.media_type, image.digest, image.bytes.len() as u64),
            unpacked: image.unpacked.clone(),
            _lease: lease,
        }
    }
}

impl Stored {
    fn has_zstd(&self) -> bool {
        self.manifest.layers.iter().any(|layer| layer.media_type == OCI_LAYER_ZSTD)
    }
}

impl Inner {
    /// Makes another manifest of an image, without zstd.
    fn repack(&self, image: &Stored, lease: Arc<Lease>) -> Result<Sendable, StoreError> {
        let mut layers = Vec::new();
        for layer in image.layers() {
            if layer.blob.media_type != OCI_LAYER_ZSTD {
                layers.push(layer.blob);
                continue;
            }
            let reader = self.read(&layer.blob.digest)?;
            let compression = reader.compression()?;
            let tar = compression.reader(io::BufReader::new(reader)).map_err(StoreError::Input)?;
            let packed = self.pack(tar, Packing::Gzip, lease.clone());
            match packed {
                Ok(packed) if packed.diff_id == layer.diff_id => layers.push(packed.blob),
                wrong => {
                    // A damaged blob explains it.
                    self.examine(&layer.blob.digest)?;
                    let actual = wrong?.diff_id;
                    let expected = layer.diff_id;
                    return Err(StoreError::Layer { blob: layer.blob.digest, expected, actual });
                }
            }
        }
        let config = Descriptor::new(OCI_CONFIG, image.id.0, image.json.len() as u64);
        let manifest = Manifest { config, layers };
        let bytes = manifest.to_json();
        let (digest, _) = self.put(bytes.as_slice(), &lease)?;
        let media_type = OCI_MANIFEST.to_owned();
        Ok(Sendable::new(&Stored { digest, manifest, media_type, bytes, ..image.clone() }, lease))
    }
}
