//! Writing an OCI archive.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
};

use serde_json::json;
use takelage_model::Digest;

use super::{compression, image::ImageArchive, write::append};
use crate::manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};

/// The names of an image, for OCI's own tools and for those of containerd, which Docker loads with.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// An OCI archive that is being written.
///
/// ```text
/// oci-layout             {"imageLayoutVersion":"1.0.0"}
/// blobs/sha256/DIGEST    manifests, configurations and layers, each once
/// index.json             the manifests, one entry for each name
/// ```
pub(crate) struct Layout<W: Write> {
    tar: tar::Builder<W>,
    written: HashSet<Digest>,
    entries: Vec<serde_json::Value>,
}

impl<W: Write> Layout<W> {
    /// Begins an archive.
    pub(crate) fn begin(to: W) -> io::Result<Self> {
        let mut tar = tar::Builder::new(to);
        let version = br#"{"imageLayoutVersion":"1.0.0"}"#;
        append(&mut tar, "oci-layout", version.len() as u64, version.as_slice())?;
        Ok(Self { tar, written: HashSet::new(), entries: Vec::new() })
    }

    /// Whether a blob is still to be [added](Self::blob).
    pub(crate) fn lacks(&self, digest: &Digest) -> bool {
        !self.written.contains(digest)
    }

    /// Adds a blob of `size` bytes.
    pub(crate) fn blob(&mut self, digest: Digest, size: u64, content: impl Read) -> io::Result<()> {
        append(&mut self.tar, &format!("blobs/sha256/{}", digest.hex()), size, content)?;
        self.written.insert(digest);
        Ok(())
    }

    /// Enters an image whose blobs have been added, under all its names or without one.
    pub(crate) fn enter(&mut self, manifest: &Descriptor, names: &[String]) {
        if names.is_empty() {
            self.entries.push(json!(manifest));
        }
        for name in names {
            let mut entry = json!(manifest);
            for key in NAMES {
                entry["annotations"][key] = json!(name);
            }
            self.entries.push(entry);
        }
    }

    /// Writes the index, which makes it whole.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries});
        let index = serde_json::to_vec(&index)?;
        append(&mut self.tar, "index.json", index.len() as u64, index.as_slice())?;
        self.tar.into_inner()
    }
}

impl ImageArchive {
    /// Adds the image to an OCI archive, its layers unpacked.
    pub(crate) fn add_to(&self, layout: &mut Layout<impl Write>, names: &[String]) -> io::Result<()> {
        let mut layers = Vec::new();
        for layer in &self.parts.layers {
            let length = layer.place.length;
            if layout.lacks(&layer.digest) {
                let file = fs_err::File::open(&layer.place.file)?.into_parts().0;
                let content = compression::span(file, layer.place.offset, length)?;
                layout.blob(layer.digest, length, content)?;
            }
            layers.push(Descriptor::new(OCI_LAYER, layer.digest, length));
        }
        let json = &self.parts.json;
        let config = Descriptor::new(OCI_CONFIG, self.id().0, json.len() as u64);
        if layout.lacks(&config.digest) {
            layout.blob(config.digest, json.len() as u64, json.as_slice())?;
        }
        let bytes = Manifest { config, layers }.to_json();
        let manifest = Descriptor::new(OCI_MANIFEST, Digest::of(&bytes), bytes.len() as u64);
        if layout.lacks(&manifest.digest) {
            layout.blob(manifest.digest, bytes.len() as u64, bytes.as_slice())?;
        }
        layout.enter(&manifest, names);
        Ok(())
    }
}
