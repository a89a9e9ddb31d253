//! Blobs: written once, checked whenever they are read.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;
use tempfile::NamedTempFile;

#[cfg(test)]
use super::Store;
use super::{Lease, StoreError, error::Named, open::Inner, temporary::persist};
use crate::archive::Compression;

/// As much is read at once.
const CHUNK: usize = 1 << 17;
/// More than this comes of no layer. Tests have a bomb that is small enough for them.
const UNPACKED_LIMIT: u64 = if cfg!(test) { 1 << 28 } else { 1 << 38 };

/// Reads a blob. It ends with an error if the content is not what the name says.
#[derive(Debug)]
pub(crate) struct BlobReader {
    path: PathBuf,
    file: File,
    digest: Digest,
    hasher: Sha256,
    size: u64,
}

/// What a packed layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) diff_id: Digest,
    pub(super) unpacked: u64,
}

#[cfg(test)]
impl Store {
    /// Stores what a reader gives, of any digest. The lease keeps it.
    pub(crate) async fn put_blob(
        &self,
        reader: impl Read + Send + 'static,
    ) -> Result<(Digest, u64, Lease), StoreError> {
        self.blocking(move |inner| {
            let lease = inner.lease(&inner.shared()?, &[])?;
            let (digest, size) = inner.put(reader, &lease)?;
            Ok((digest, size, lease))
        })
        .await
    }

    /// Opens a blob. Reading it to its end checks it.
    pub(crate) async fn blob(&self, digest: Digest) -> Result<BlobReader, StoreError> {
        self.blocking(move |inner| inner.read(&digest)).await
    }
}

impl Inner {
    /// Stores all that a reader gives.
    pub(super) fn put(&self, reader: impl Read, lease: &Lease) -> Result<(Digest, u64), StoreError> {
        let mut file = self.temporary_file(&self.shared()?)?;
        let mut hasher = Sha256::new();
        let path = file.path().to_owned();
        let size = pump(reader, StoreError::Input, |bytes| {
            hasher.update(bytes);
            file.write_all(bytes).named(&path)
        })?;
        let digest = Digest::from_bytes(hasher.finalize().into());
        self.keep(file, &digest, lease)?;
        Ok((digest, size))
    }

    /// Gives a file whose content was digested its place. One that is there already may be damaged and is replaced.
    pub(super) fn keep(&self, file: NamedTempFile, digest: &Digest, lease: &Lease) -> Result<(), StoreError> {
        lease.add(&self.shared()?, &[*digest])?;
        persist(file, &self.blob(digest))
    }

    pub(super) fn read(&self, digest: &Digest) -> Result<BlobReader, StoreError> {
        let path = self.blob(digest);
        match fs_err::File::open(&path) {
            Ok(file) => {
                let file = file.into_parts().0;
                Ok(BlobReader { path, file, digest: *digest, hasher: Sha256::new(), size: 0 })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchBlob(*digest)),
            Err(error) => Err(StoreError::file(&path, error)),
        }
    }

    /// Reads a small blob whole.
    pub(super) fn bytes(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let reader = self.read(digest)?;
        let path = reader.path.clone();
        let size = reader.file.metadata().named(&path)?.len();
        if size > limit {
            return Err(StoreError::damaged(&path, format!("it has {size} bytes, and {limit} may be")));
        }
        let mut bytes = Vec::new();
        let mut reader = reader;
        reader.read_to_end(&mut bytes).map_err(|error| stored(&path, error))?;
        Ok(bytes)
    }

    /// Reads a packed layer through: that it is whole, and what it unpacks to.
    pub(super) fn examine(&self, digest: &Digest) -> Result<Examined, StoreError> {
        let mut hasher = Sha256::new();
        let unpacked = self.unpacked(digest, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(Examined { diff_id: Digest::from_bytes(hasher.finalize().into()), unpacked })
    }

    /// Shows `see` the unpacked bytes of a layer and returns how many there are.
    pub(super) fn unpacked(
        &self,
        digest: &Digest,
        mut see: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let mut reader = self.read(digest)?;
        let compression = reader.compression()?;
        let wrong = |source: io::Error| StoreError::Unpack { layer: *digest, source: source.into() };
        let mut size = 0_u64;
        let decoded = match compression.reader(io::BufReader::with_capacity(CHUNK, &mut reader)) {
            Ok(decoder) => pump(decoder, wrong, |bytes| {
                size += bytes.len() as u64;
                if size > UNPACKED_LIMIT {
                    return Err(StoreError::Bomb { blob: *digest, limit: UNPACKED_LIMIT });
                }
                see(bytes)
            }),
            Err(error) => Err(wrong(error)),
        };
        match decoded {
            // A damaged blob explains what cannot be unpacked, and what lies behind the compressed stream counts.
            Ok(_) | Err(StoreError::Unpack { .. }) => reader.finish()?,
            Err(_) => {}
        }
        decoded
    }
}

impl BlobReader {
    /// Reads what is left and checks the whole.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        io::copy(&mut self, &mut io::sink()).map_err(|error| stored(&path, error))?;
        Ok(())
    }

    /// Reads it through, and returns the file from its beginning.
    pub(super) fn checked(self) -> Result<File, StoreError> {
        let mut file = self.file.try_clone().named(&self.path)?;
        let path = self.path.clone();
        self.finish()?;
        file.rewind().named(&path)?;
        Ok(file)
    }

    /// Tells how it is compressed. Nothing of it may have been read yet.
    pub(super) fn compression(&self) -> Result<Compression, StoreError> {
        let mut file = self.file.try_clone().named(&self.path)?;
        let compression = Compression::sniff(&mut file, 0).named(&self.path)?;
        file.rewind().named(&self.path)?;
        Ok(compression)
    }

    /// Returns the number of its bytes.
    pub(crate) fn size(&self) -> Result<u64, StoreError> {
        Ok(self.file.metadata().named(&self.path)?.len())
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.size += length as u64;
        if length == 0 && !buffer.is_empty() {
            let actual = Digest::from_bytes(self.hasher.clone().finalize().into());
            if actual != self.digest {
                let reason = format!("its {} bytes have digest `{actual}`", self.size);
                let error = StoreError::damaged(&self.path, reason);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(length)
    }
}

/// Takes a damaged blob out of the reader's error.
pub(super) fn stored(path: &Path, error: io::Error) -> StoreError {
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(error) => StoreError::file(path, error),
    }
}

/// Shows `see` all that a reader gives.
pub(super) fn pump(
    mut reader: impl Read,
    failed: impl Fn(io::Error) -> StoreError,
    mut see: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(length) => {
                see(&buffer[..length])?;
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
