//! Unpacked layers, which containers mount.
//!
//! A layer is known by the digest of its unpacked tar file, so images share what is equal however it was packed.
//!
//! ```text
//! layers/HEX/tree/        its files, whiteouts as overlayfs has them
//! layers/HEX/layer.json   {"size": bytes of its files}
//! layers/HEX/boot         the machine's boot in which it was made, until it is on disk
//! ```
//!
//! The directory gets its name when it is whole. To wait until it is on disk as well would take seconds, so a thread
//! sees to that afterwards and then removes `boot`. A tree with the mark of an earlier boot may have lost files when
//! the machine stopped; it is made anew from its blob.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use takelage_model::Digest;

use super::{
    LayerBlob, Lease, Store, StoreError, Unpacked,
    add::Known,
    boot::{BOOT, has_survived, settle},
    error::Named,
    lease::{PIN, Pin},
    lock::Lock,
    open::Inner,
    temporary::TemporaryDirectory,
};
use crate::{ImageId, archive::Compression};

/// As many layers are unpacked at once.
const AT_ONCE: usize = 3;

/// The file `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) size: u64,
}

/// The unpacked layers of an image. They stay as long as the value lives, and as long as a container that it was
/// pinned for is there.
#[derive(Debug)]
pub(crate) struct Trees {
    /// Lowest first; a layer may be there more than once.
    pub(crate) paths: Vec<PathBuf>,
    pin: Pin,
    store: Store,
    _lease: Lease,
}

impl Trees {
    /// Keeps them for a container as long as its directory is there, after this value is gone.
    pub(crate) async fn pin(&self, container: &Path) -> Result<(), StoreError> {
        let json = serde_json::to_vec(&self.pin).expect("digests are always JSON");
        let path = container.join(PIN);
        self.store.blocking(move |inner| inner.replace(&inner.shared()?, &path, &json)).await
    }
}

impl Store {
    /// Keeps for the snapshot in one directory what is kept for the container in another.
    pub(crate) async fn pin_like(&self, container: &Path, snapshot: &Path) -> Result<(), StoreError> {
        let (from, to) = (container.join(PIN), snapshot.join(PIN));
        let work = move |inner: &Inner| {
            let held = inner.shared()?;
            inner.replace(&held, &to, &fs_err::read(&from).named(&from)?)
        };
        self.blocking(work).await
    }

    /// Unpacks the layers of an image that are not there yet.
    pub(crate) async fn layer_trees(&self, id: ImageId) -> Result<Trees, StoreError> {
        let (image, lease) = self
            .blocking(move |inner| {
                let held = inner.shared()?;
                let image = inner.image_of(&inner.index()?, id)?;
                let image = image.ok_or_else(|| StoreError::NoSuchImage(id.to_string()))?;
                let lease = inner.lease(&held, &image.digests())?;
                Ok((image, lease))
            })
            .await?;
        let trees = image.layers().map(|layer| self.tree(layer));
        let paths = futures_util::stream::iter(trees).buffered(AT_ONCE).try_collect().await?;
        let pin = Pin { id, digests: image.digests() };
        Ok(Trees { paths, pin, store: self.clone(), _lease: lease })
    }

    /// Makes a tree that exists the tree of a layer by moving it there. Afterwards `tree` is gone, also if the store
    /// had an equal one.
    ///
    /// `size` are the bytes of its files. It must be on the store's file system.
    pub(crate) async fn adopt_tree(
        &self,
        layer: &LayerBlob,
        tree: &Path,
        size: u64,
    ) -> Result<PathBuf, StoreError> {
        let diff_id = layer.diff_id;
        let _lock = Lock::acquire(&self.inner.lock(&format!("layer-{}", diff_id.hex()))).await?;
        let from = tree.to_owned();
        let there = self
            .blocking(move |inner| {
                // A commit's layer is not needed by an image yet.
                if let Some(tree) = inner.whole_tree(&diff_id)? {
                    return Ok(Some(tree));
                }
                let directory = inner.temporary_directory(&inner.shared()?)?;
                fs_err::rename(&from, directory.directory.path().join("tree")).named(&from)?;
                inner.name_tree(directory, &diff_id, size)?;
                Ok(None)
            })
            .await?;
        match there {
            Some(there) => {
                self.inner.unpack.remove(tree).await?;
                Ok(there)
            }
            None => Ok(self.inner.layer(&diff_id).join("tree")),
        }
    }

    /// Returns a layer's tree, made if it is not there.
    async fn tree(&self, layer: Known) -> Result<PathBuf, StoreError> {
        let Known { diff_id, blob, .. } = layer;
        if let Some(tree) = self.blocking(move |inner| inner.whole_tree(&diff_id)).await? {
            return Ok(tree);
        }
        let _lock = Lock::acquire(&self.inner.lock(&format!("layer-{}", diff_id.hex()))).await?;
        if let Some(tree) = self.blocking(move |inner| inner.whole_tree(&diff_id)).await? {
            return Ok(tree);
        }
        let packed = self.inner.blob(&blob.digest);
        let (directory, compression) = self
            .blocking(move |inner| {
                let reader = inner.read(&blob.digest)?;
                let compression = reader.compression()?;
                let directory = inner.temporary_directory(&inner.shared()?)?;
                let tree = directory.directory.path().join("tree");
                fs_err::create_dir(&tree).named(&tree)?;
                // The root directory of a container, whatever this process's umask is.
                fs_err::set_permissions(&tree, Permissions::from_mode(0o755)).named(&tree)?;
                Ok((directory, compression))
            })
            .await?;
        let tree = directory.directory.path().join("tree");
        let unpacked = self.unpack(&packed, compression, &tree).await;
        let size = match unpacked {
            Ok(unpacked) if unpacked.diff_id == diff_id => unpacked.size,
            wrong => {
                let removed = self.inner.unpack.remove(&tree).await;
                // A damaged blob explains it.
                self.blocking(move |inner| inner.examine(&blob.digest)).await?;
                removed?;
                let actual = wrong?.diff_id;
                return Err(StoreError::Layer { blob: blob.digest, expected: diff_id, actual });
            }
        };
        self.blocking(move |inner| inner.name_tree(directory, &diff_id, size)).await
    }

    async fn unpack(&self, blob: &Path, compression: Compression, to: &Path) -> Result<Unpacked, StoreError> {
        self.inner.unpack.unpack(blob, compression, to).await
    }
}

impl Inner {
    /// Returns the tree of a layer if it is whole.
    fn whole_tree(&self, diff_id: &Digest) -> Result<Option<PathBuf>, StoreError> {
        let directory = self.layer(diff_id);
        let tree = directory.join("tree");
        if description(&directory)?.is_none() || !tree.is_dir() {
            return Ok(None);
        }
        Ok(has_survived(&directory).then_some(tree))
    }

    /// Gives a tree that is whole its place. Whoever calls this has the layer's lock.
    fn name_tree(
        &self,
        directory: TemporaryDirectory,
        diff_id: &Digest,
        size: u64,
    ) -> Result<PathBuf, StoreError> {
        let json = serde_json::to_vec(&Description { size }).expect("numbers are always JSON");
        for (name, content) in [("layer.json", json.as_slice()), ("boot", BOOT.as_bytes())] {
            let path = directory.directory.path().join(name);
            fs_err::write(&path, content).named(&path)?;
        }
        let to = self.layer(diff_id);
        if to.exists() {
            // It did not survive a stop of the machine, or is damaged; nobody mounts it.
            let old = self.temporary_directory(&self.shared()?)?;
            fs_err::rename(&to, old.directory.path().join("old")).named(&to)?;
        }
        fs_err::rename(directory.directory.path(), &to).named(&to)?;
        // Its own name is gone, so there is nothing left that the value could remove.
        drop(directory.directory.keep());
        settle(to.clone());
        Ok(to.join("tree"))
    }
}

/// Reads what a layer's directory says of itself. `None`: it says nothing that makes sense.
pub(super) fn description(directory: &Path) -> Result<Option<Description>, StoreError> {
    let path = directory.join("layer.json");
    match fs_err::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::file(&path, error)),
    }
}
