//! Images that come as archives, from files or from a running Docker engine.

#[cfg(test)]
use std::path::Path;
use std::{io::Read, sync::Arc};

use tokio::io::{AsyncRead, AsyncWriteExt};

use super::{LayerBlob, Lease, Store, StoreError, add::Packing, error::Named, open::Inner};
use crate::{ArchiveKind, ImageArchive, ImageFile, ImageRecord, Reference};

/// As much of a stream is written at once.
const CHUNK: usize = 1 << 20;

impl Store {
    /// Adds an image from an archive, under the archive's given name or none.
    ///
    /// Layers whose files the archive does not have must be in the store.
    pub(crate) async fn load(&self, archive: ImageArchive) -> Result<ImageRecord, StoreError> {
        self.blocking(move |inner| inner.load(&archive)).await
    }

    /// Adds the one image of a docker-archive that comes as a stream, as `docker save` and Docker's API give it.
    pub(crate) async fn load_stream(
        &self,
        mut stream: impl AsyncRead + Unpin,
        name: Option<&Reference>,
    ) -> Result<ImageRecord, StoreError> {
        let directory = self.blocking(|inner| inner.temporary_directory(&inner.shared()?)).await?;
        let path = directory.directory.path().join("image.tar");
        let file = fs_err::tokio::File::create(&path).await.named(&path)?;
        let mut file = tokio::io::BufWriter::with_capacity(CHUNK, file);
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await;
            match read.map_err(StoreError::Input)? {
                0 => break,
                length => file.write_all(&buffer[..length]).await.named(&path)?,
            }
        }
        file.flush().await.named(&path)?;
        let name = name.cloned();
        self.blocking(move |inner| {
            let scratch = directory.directory.path();
            let archive = ImageArchive::open(&ImageFile { kind: ArchiveKind::Docker, path }, scratch)?;
            inner.load(&archive.named(name.as_ref()))
        })
        .await
    }

    #[cfg(test)]
    /// Returns a directory in which a caller may keep large files for a while, gone with the value or its process.
    pub(crate) async fn scratch(&self) -> Result<impl AsRef<Path> + Send + Sync + use<>, StoreError> {
        self.blocking(|inner| inner.temporary_directory(&inner.shared()?)).await
    }
}

impl Inner {
    fn load(&self, archive: &ImageArchive) -> Result<ImageRecord, StoreError> {
        let wanted = &archive.config().layers;
        // Under one lock with the look, so that nothing goes away in between.
        let (known, lease) = {
            let held = self.shared()?;
            let known = self.known_layers(&self.index()?);
            let needed = wanted.iter().filter_map(|layer| Some(known.get(layer)?.blob.digest));
            let lease = Arc::new(self.lease(&held, &needed.collect::<Vec<_>>())?);
            (known, lease)
        };
        let mut layers: Vec<LayerBlob> = Vec::new();
        for diff_id in wanted {
            if let Some(same) = layers.iter().find(|layer| layer.diff_id == *diff_id) {
                layers.push(same.clone());
                continue;
            }
            let known = known.get(diff_id).cloned();
            layers.push(match archive.layer(*diff_id) {
                None => known.ok_or(StoreError::NoSuchLayer(*diff_id))?.leased(lease.clone()),
                // A damaged one is made anew while there is something to make it of.
                Some(file) => match known.filter(|layer| self.examine(&layer.blob.digest).is_ok()) {
                    Some(known) => known.leased(lease.clone()),
                    None => self.take(file.map_err(StoreError::Input)?, *diff_id, lease.clone())?,
                },
            });
        }
        self.add(archive.json(), &layers, archive.name())
    }

    /// Packs a layer whose digest is known.
    fn take(
        &self,
        tar: impl Read,
        diff_id: takelage_model::Digest,
        lease: Arc<Lease>,
    ) -> Result<LayerBlob, StoreError> {
        let layer = self.pack(tar, Packing::Zstd, lease)?;
        if layer.diff_id == diff_id {
            Ok(layer)
        } else {
            // Somebody changed the file after it was opened.
            Err(StoreError::Digest { expected: diff_id, actual: layer.diff_id })
        }
    }
}
