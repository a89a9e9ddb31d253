//! Unpacking, which the store lets somebody else do: without root it takes another process.

use std::{future::Future, path::Path, pin::Pin};

use takelage_model::Digest;

use super::StoreError;
use crate::archive::Compression;

/// What came out of a packed layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The digest of the tar file that was read to its end. The store compares it.
    pub(crate) diff_id: Digest,
    /// The bytes of its files.
    pub(crate) size: u64,
    /// The number of its entries.
    pub(crate) entries: u64,
}

/// Makes trees of packed layers, and removes trees.
pub(crate) trait Unpack: Send + Sync + 'static {
    /// Unpacks the layer in file `blob` below `to`, an empty directory.
    ///
    /// An error may leave whatever it likes in `to`: it is removed. Dropping the future ends what it started, since
    /// `to` is removed then as well. A full disk is told as [`StoreError::file`] does it.
    fn unpack(
        &self,
        blob: &Path,
        compression: Compression,
        to: &Path,
    ) -> impl Future<Output = Result<Unpacked, StoreError>> + Send;

    /// Removes a tree, whoever owns its files. By default as this process.
    fn remove(&self, tree: &Path) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            match fs_err::tokio::remove_dir_all(tree).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::file(tree, error))
                }
                _ => Ok(()),
            }
        }
    }
}

/// The same with the type forgotten, so that the store has no type parameter.
pub(super) trait Unpacker: Send + Sync {
    fn unpack<'a>(
        &'a self,
        blob: &'a Path,
        compression: Compression,
        to: &'a Path,
    ) -> Pin<Box<dyn Future<Output = Result<Unpacked, StoreError>> + Send + 'a>>;

    fn remove<'a>(
        &'a self,
        tree: &'a Path,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;
}

impl<U: Unpack> Unpacker for U {
    fn unpack<'a>(
        &'a self,
        blob: &'a Path,
        compression: Compression,
        to: &'a Path,
    ) -> Pin<Box<dyn Future<Output = Result<Unpacked, StoreError>> + Send + 'a>> {
        Box::pin(Unpack::unpack(self, blob, compression, to))
    }

    fn remove<'a>(
        &'a self,
        tree: &'a Path,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>> {
        Box::pin(Unpack::remove(self, tree))
    }
}
