//! New images: layers are packed and stored, then an image is made of them.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;

use super::{
    Lease, Store, StoreError, blob::pump, error::Named, image::Names, index::Index, name, open::Inner,
};
use crate::{
    ImageConfig, ImageId, ImageRecord, Reference,
    manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST},
};

/// How layers are packed here: fast, since the disk is near.
const LEVEL: i32 = 1;

/// A packed layer in the store. It is kept there as long as the value, or a clone, lives.
#[derive(Debug, Clone)]
pub(crate) struct LayerBlob {
    /// The digest of the unpacked tar file.
    pub(crate) diff_id: Digest,
    /// The bytes of the tar file.
    pub(crate) unpacked: u64,
    /// The packed file.
    pub(crate) blob: Descriptor,
    _lease: Arc<Lease>,
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Zstd,
    /// Slower and larger, but everybody can read it.
    Gzip,
}

impl Store {
    /// Stores a layer that a reader gives as a tar file, not compressed.
    pub(crate) async fn put_layer(&self, tar: impl Read + Send + 'static) -> Result<LayerBlob, StoreError> {
        self.blocking(move |inner| {
            let lease = Arc::new(inner.lease(&inner.shared()?, &[])?);
            inner.pack(tar, Packing::Zstd, lease)
        })
        .await
    }

    /// Returns the layers of an image, lowest first, for a new image on top of them.
    pub(crate) async fn layers(&self, id: ImageId) -> Result<Vec<LayerBlob>, StoreError> {
        self.blocking(move |inner| {
            let held = inner.shared()?;
            let image = inner.image_of(&inner.index()?, id)?;
            let image = image.ok_or_else(|| StoreError::NoSuchImage(id.to_string()))?;
            let lease = Arc::new(inner.lease(&held, &image.digests())?);
            Ok(image.layers().map(|known| known.leased(lease.clone())).collect())
        })
        .await
    }

    /// Makes an image of layers, lowest first, whose digests the configuration names.
    pub(crate) async fn add_image(
        &self,
        config: &ImageConfig,
        layers: Vec<LayerBlob>,
        name: Option<&Reference>,
    ) -> Result<ImageRecord, StoreError> {
        let (json, name) = (config.to_json(), name.cloned());
        self.blocking(move |inner| inner.add(&json, &layers, name.as_ref())).await
    }
}

/// A packed layer of an image, unpacked digest and bytes.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) diff_id: Digest,
    pub(super) unpacked: u64,
    pub(super) blob: Descriptor,
}

impl Known {
    /// Takes hold of it. The lease must have it already.
    pub(super) fn leased(self, lease: Arc<Lease>) -> LayerBlob {
        LayerBlob { diff_id: self.diff_id, unpacked: self.unpacked, blob: self.blob, _lease: lease }
    }
}

impl Inner {
    /// Packs and stores a layer.
    pub(super) fn pack(
        &self,
        tar: impl Read,
        packing: Packing,
        lease: Arc<Lease>,
    ) -> Result<LayerBlob, StoreError> {
        let file = self.temporary_file(&self.shared()?)?;
        let path = file.path().to_owned();
        let mut packed = Digesting { to: io::BufWriter::new(file), hasher: Sha256::new(), length: 0 };
        let mut plain = Sha256::new();
        let unpacked = match packing {
            Packing::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(&mut packed, LEVEL).named(&path)?;
                let unpacked = feed(tar, &mut encoder, &mut plain, &path)?;
                encoder.finish().named(&path)?;
                unpacked
            }
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::default());
                let unpacked = feed(tar, &mut encoder, &mut plain, &path)?;
                encoder.finish().named(&path)?;
                unpacked
            }
        };
        let digest = Digest::from_bytes(packed.hasher.finalize().into());
        let file = packed.to.into_inner().map_err(io::IntoInnerError::into_error).named(&path)?;
        let diff_id = Digest::from_bytes(plain.finalize().into());
        // Its tree, if there will be one, is needed as long as the blob.
        lease.add(&self.shared()?, &[diff_id])?;
        self.keep(file, &digest, &lease)?;
        let media_type = match packing {
            Packing::Zstd => OCI_LAYER_ZSTD,
            Packing::Gzip => OCI_LAYER_GZIP,
        };
        Ok(LayerBlob {
            diff_id,
            unpacked,
            blob: Descriptor::new(media_type, digest, packed.length),
            _lease: lease,
        })
    }

    /// Makes an image of a configuration, byte for byte, and its layers.
    pub(super) fn add(
        &self,
        json: &[u8],
        layers: &[LayerBlob],
        name: Option<&Reference>,
    ) -> Result<ImageRecord, StoreError> {
        let config = ImageConfig::from_json(json)?;
        let given: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        if let Some((expected, actual)) = config.layers.iter().zip(&given).find(|(one, other)| one != other) {
            return Err(StoreError::Digest { expected: *expected, actual: *actual });
        }
        let lease = self.lease(&self.shared()?, &[])?;
        let (digest, size) = self.put(json, &lease)?;
        let manifest = Manifest {
            config: Descriptor::new(OCI_CONFIG, digest, size),
            layers: layers.iter().map(|layer| layer.blob.clone()).collect(),
        };
        manifest.check_layers(config.layers.len())?;
        let names = Names { tag: name.map(name::tagged), digest: None };
        let unpacked: Vec<_> = layers.iter().map(|layer| layer.unpacked).collect();
        self.register(&manifest.to_json(), OCI_MANIFEST, ImageId(digest), &unpacked, &names, lease)
    }

    /// Returns all packed layers of all images by what they unpack to.
    pub(super) fn known_layers(&self, index: &Index) -> HashMap<Digest, Known> {
        let mut known = HashMap::new();
        for entry in index.entries() {
            // A damaged image has nothing to share.
            let Ok(image) = self.stored(entry) else { continue };
            for layer in image.layers() {
                if self.blob(&layer.blob.digest).exists() {
                    known.entry(layer.diff_id).or_insert(layer);
                }
            }
        }
        known
    }
}

/// Reads a tar file into an encoder and a hasher.
fn feed(
    tar: impl Read,
    encoder: &mut impl Write,
    hasher: &mut Sha256,
    path: &std::path::Path,
) -> Result<u64, StoreError> {
    pump(tar, StoreError::Input, |bytes| {
        hasher.update(bytes);
        encoder.write_all(bytes).named(path)
    })
}

/// Digests what is written through it.
struct Digesting<W> {
    to: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.to.write(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
