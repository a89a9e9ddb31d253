//! Opening a store, and where its parts lie.

use std::{
    collections::HashMap,
    fmt, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use takelage_model::Digest;

use super::{
    Lease, StoreError, Unpack,
    error::Named,
    lock::{Lock, Mode},
    unpack::Unpacker,
};
use crate::ImageId;

/// The version of the store's format, and the name of its directory.
const FORMAT: &str = "v1";
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Its directories.
const DIRECTORIES: [&str; 8] =
    ["blobs/sha256", "layers", "partial", "leases", "containers", "snapshots", "temporary", "locks"];

/// The images of the embedded engine. Cheap to clone; clones are one user of the store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(super) inner: Arc<Inner>,
}

/// What works on this thread. Everything here may wait for the disk.
pub(super) struct Inner {
    root: PathBuf,
    pub(super) unpack: Box<dyn Unpacker>,
    /// Images without a name that this value added: nobody else may take them for garbage.
    pub(super) recent: Mutex<HashMap<ImageId, Lease>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("root", &self.root).finish_non_exhaustive()
    }
}

/// The store's own lock is held.
pub(super) struct Held {
    _lock: Lock,
    pub(super) mode: Mode,
}

impl Store {
    /// Opens the store in the directory `base`, or makes one, and removes what dead writers left.
    pub(crate) async fn open(base: &Path, unpack: impl Unpack) -> Result<Self, StoreError> {
        let inner =
            Inner { root: base.join(FORMAT), unpack: Box::new(unpack), recent: Mutex::new(HashMap::new()) };
        let store = Self { inner: Arc::new(inner) };
        store.blocking(Inner::prepare).await?;
        store.clean().await?;
        Ok(store)
    }

    /// Returns the directory in which each container has one of its own.
    pub(crate) fn containers(&self) -> PathBuf {
        self.inner.directory("containers")
    }

    /// Returns the directory in which each snapshot has one of its own.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.inner.directory("snapshots")
    }

    /// Does what waits for the disk on a thread for that.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

impl Inner {
    /// Makes what is missing.
    fn prepare(&self) -> Result<(), StoreError> {
        if let Some(base) = self.root.parent() {
            fs_err::create_dir_all(base).named(base)?;
        }
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for name in DIRECTORIES {
            let path = self.root.join(name);
            builder.create(&path).named(&path)?;
        }
        let path = self.root.join("oci-layout");
        match fs_err::read_to_string(&path) {
            Ok(found) if found.trim_end() == LAYOUT => Ok(()),
            Ok(found) => {
                Err(StoreError::Format { path, reason: format!("it says `{}`", found.escape_debug()) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let held = self.exclusive()?;
                self.replace(&held, &path, LAYOUT.as_bytes())
            }
            Err(error) => Err(StoreError::file(&path, error)),
        }
    }

    /// Waits for the store's lock, alone.
    pub(super) fn exclusive(&self) -> Result<Held, StoreError> {
        Ok(Held { _lock: Lock::wait(&self.lock("store"), Mode::Exclusive)?, mode: Mode::Exclusive })
    }

    /// Waits for the store's lock, together with others who add to what is needed.
    pub(super) fn shared(&self) -> Result<Held, StoreError> {
        Ok(Held { _lock: Lock::wait(&self.lock("store"), Mode::Shared)?, mode: Mode::Shared })
    }

    /// Takes the store's lock alone if nobody has it.
    pub(super) fn attempt(&self) -> Result<Option<Held>, StoreError> {
        Ok(Lock::attempt(&self.lock("store"))?.map(|lock| Held { _lock: lock, mode: Mode::Exclusive }))
    }

    pub(super) fn directory(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(super) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }

    pub(super) fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }

    pub(super) fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }
}
