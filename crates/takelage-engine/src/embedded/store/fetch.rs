//! Blobs on their way from a registry. One process fetches, others that want the same wait for it.
//!
//! What has come is kept in `partial/HEX` when the fetch breaks off or its process ends, and the next one goes on from
//! there. Only the whole is checked, so a whole that is wrong is thrown away and fetched from its beginning.

use std::{io, path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};

use super::{
    Lease, Store, StoreError, blob::pump, error::Named, lock::Lock, open::Inner, temporary::settle_parent,
};

/// As much is written at once.
const CHUNK: usize = 1 << 20;

/// What there is to do about a blob.
#[derive(Debug)]
pub(crate) enum Fetch {
    /// Nothing: it is there.
    Present,
    /// It is to be fetched, by the holder of the value.
    Missing(Box<Partial>),
}

/// A blob that is being fetched.
#[derive(Debug)]
pub(crate) struct Partial {
    inner: Arc<Inner>,
    digest: Digest,
    size: u64,
    path: PathBuf,
    file: BufWriter<tokio::fs::File>,
    hasher: Sha256,
    length: u64,
    _lock: Lock,
}

impl Store {
    /// Keeps these blobs from now on, whether they are there already or not.
    pub(crate) async fn lease(&self, digests: Vec<Digest>) -> Result<Lease, StoreError> {
        self.blocking(move |inner| inner.lease(&inner.shared()?, &digests)).await
    }

    /// Looks for a blob of this size, or takes it upon the caller to fetch it. If another process does so, it is
    /// waited for. The caller must have a lease on the blob.
    ///
    /// `anew`: what is there is damaged and is to be fetched again.
    pub(crate) async fn fetch(&self, digest: Digest, size: u64, anew: bool) -> Result<Fetch, StoreError> {
        let present = move |inner: &Inner| {
            fs_err::metadata(inner.blob(&digest)).is_ok_and(|metadata| metadata.len() == size)
        };
        if !anew && present(&self.inner) {
            return Ok(Fetch::Present);
        }
        let lock = Lock::acquire(&self.inner.lock(&format!("blob-{}", digest.hex()))).await?;
        if !anew && present(&self.inner) {
            return Ok(Fetch::Present);
        }
        let (file, hasher, length) = self.blocking(move |inner| inner.resume(&digest, size)).await?;
        Ok(Fetch::Missing(Box::new(Partial {
            inner: self.inner.clone(),
            digest,
            size,
            path: self.inner.partial(&digest),
            file: BufWriter::with_capacity(CHUNK, tokio::fs::File::from_std(file)),
            hasher,
            length,
            _lock: lock,
        })))
    }

    /// Reads a fetched layer through: that it is whole, and how many bytes it unpacks to if that is `diff_id`.
    pub(crate) async fn check_layer(&self, blob: Digest, diff_id: Digest) -> Result<u64, StoreError> {
        self.blocking(move |inner| {
            let examined = inner.examine(&blob)?;
            if examined.diff_id == diff_id {
                return Ok(examined.unpacked);
            }
            Err(StoreError::Layer { blob, expected: diff_id, actual: examined.diff_id })
        })
        .await
    }

    /// Reads a small blob whole.
    pub(crate) async fn bytes(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.blocking(move |inner| inner.bytes(&digest, limit)).await
    }
}

impl Inner {
    /// Opens what has come of a blob so far.
    fn resume(&self, digest: &Digest, size: u64) -> Result<(std::fs::File, Sha256, u64), StoreError> {
        let path = self.partial(digest);
        let mut options = std::fs::File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).named(&path)?;
        let mut hasher = Sha256::new();
        let mut length = pump(
            &mut file,
            |error| StoreError::file(&path, error),
            |bytes| {
                hasher.update(bytes);
                Ok(())
            },
        )?;
        if length > size {
            file.set_len(0).named(&path)?;
            io::Seek::rewind(&mut file).named(&path)?;
            (hasher, length) = (Sha256::new(), 0);
        }
        Ok((file, hasher, length))
    }
}

impl Partial {
    /// Returns how many bytes have come.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns how many bytes there will be.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes more bytes. More than there may be are an error.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = self.length + bytes.len() as u64;
        if length > self.size {
            let long = format!("`{}` is longer than its {} bytes", self.digest, self.size);
            return Err(StoreError::Input(io::Error::new(io::ErrorKind::InvalidData, long)));
        }
        self.hasher.update(bytes);
        self.length = length;
        self.file.write_all(bytes).await.named(&self.path)
    }

    /// Throws away what has come.
    pub(crate) async fn restart(&mut self) -> Result<(), StoreError> {
        self.file.flush().await.named(&self.path)?;
        self.file.get_mut().set_len(0).await.named(&self.path)?;
        self.file.rewind().await.named(&self.path)?;
        (self.hasher, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    /// Keeps what has come for whoever goes on.
    pub(crate) async fn pause(&mut self) -> Result<(), StoreError> {
        self.file.flush().await.named(&self.path)
    }

    /// Puts the blob in its place if it is what was announced; else throws it away and says so.
    pub(crate) async fn finish(&mut self) -> Result<(), StoreError> {
        self.file.flush().await.named(&self.path)?;
        let actual = Digest::from_bytes(self.hasher.clone().finalize().into());
        if actual != self.digest {
            self.restart().await?;
            return Err(StoreError::Digest { expected: self.digest, actual });
        }
        self.file.get_ref().sync_data().await.named(&self.path)?;
        let to = self.inner.blob(&self.digest);
        fs_err::tokio::rename(&self.path, &to).await.named(&to)?;
        let settled = tokio::task::spawn_blocking(move || settle_parent(&to)).await;
        settled.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}
