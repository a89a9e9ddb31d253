//! What nobody needs any more: found under the store's lock, alone, and removed after it is given back.

use std::{
    collections::HashSet,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::FlockOperation;
use takelage_model::Digest;

use super::{
    Freed, Store, StoreError,
    error::Named,
    index::Index,
    layer::description,
    lease::{entries, remove},
    lock::{self, Lock},
    open::{Held, Inner},
};
use crate::ImageId;

/// A fetch that was not gone on with for so long is given up.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// How far one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// What dead writers left.
    Leftovers,
    /// And what no image, container or running process needs.
    Unreachable,
    /// And images without a name, and fetches that broke off.
    Unnamed,
}

/// What is garbage, with its bytes.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    pub(super) images: Vec<ImageId>,
    pub(super) blobs: Vec<(PathBuf, u64)>,
    pub(super) layers: Vec<(PathBuf, u64)>,
    /// With their locks, so that nobody else removes them too.
    pub(super) temporary: Vec<(PathBuf, File, u64)>,
    pub(super) partial: Vec<(PathBuf, Lock, u64)>,
}

impl Garbage {
    pub(super) fn freed(&self) -> Freed {
        let sized = |list: &[(PathBuf, u64)]| list.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let temporary: u64 = self.temporary.iter().map(|(_, _, bytes)| bytes).sum();
        let partial: u64 = self.partial.iter().map(|(_, _, bytes)| bytes).sum();
        Freed {
            images: self.images.len(),
            blobs: self.blobs.len(),
            layers: self.layers.len(),
            snapshots: 0,
            volumes: 0,
            leftovers: self.temporary.len() + self.partial.len(),
            bytes: sized(&self.blobs) + sized(&self.layers) + temporary + partial,
        }
    }
}

impl Store {
    /// Removes all that no name, container or running process needs, images without a name included.
    pub(crate) async fn gc(&self) -> Result<Freed, StoreError> {
        self.collect(Extent::Unnamed).await
    }

    /// Removes what no image, container or running process needs.
    pub(super) async fn sweep(&self) -> Result<Freed, StoreError> {
        self.collect(Extent::Unreachable).await
    }

    /// Removes what dead writers left, if nobody is busy with the store this moment.
    pub(super) async fn clean(&self) -> Result<(), StoreError> {
        let found = self
            .blocking(|inner| match inner.attempt()? {
                Some(held) => inner.take_out(&held, Extent::Leftovers).map(Some),
                None => Ok(None),
            })
            .await?;
        match found {
            Some((garbage, trees)) => self.dispose(garbage, trees).await.map(drop),
            None => Ok(()),
        }
    }

    async fn collect(&self, extent: Extent) -> Result<Freed, StoreError> {
        let (garbage, trees) =
            self.blocking(move |inner| inner.take_out(&inner.exclusive()?, extent)).await?;
        self.dispose(garbage, trees).await
    }

    /// Removes what takes time.
    async fn dispose(&self, garbage: Garbage, trees: Vec<(PathBuf, File)>) -> Result<Freed, StoreError> {
        let freed = garbage.freed();
        let mut result = Ok(freed);
        let files: Vec<_> = garbage.temporary.into_iter().map(|(path, lock, _)| (path, lock)).collect();
        for (path, _lock) in trees.into_iter().chain(files) {
            let removed = if path.is_dir() { self.inner.unpack.remove(&path).await } else { remove(&path) };
            if let Err(error) = removed {
                result = Err(error);
            }
        }
        result
    }
}

impl Inner {
    /// Takes garbage out of where it would be found. What is left to do needs no lock.
    fn take_out(&self, held: &Held, extent: Extent) -> Result<(Garbage, Vec<(PathBuf, File)>), StoreError> {
        let garbage = self.garbage(held, extent)?;
        self.change(held, |index| {
            for id in &garbage.images {
                index.remove(*id);
            }
            Ok(())
        })?;
        for (path, _) in &garbage.blobs {
            remove(path)?;
        }
        for (path, lock, _) in &garbage.partial {
            let _ = lock;
            remove(path)?;
        }
        let mut trees = Vec::new();
        for (path, _) in &garbage.layers {
            let directory = self.temporary_directory(held)?;
            fs_err::rename(path, directory.directory.path().join("tree")).named(path)?;
            let (directory, lock) = directory.keep();
            trees.push((directory, lock));
        }
        if extent >= Extent::Unreachable {
            self.remove_idle_locks()?;
        }
        Ok((garbage, trees))
    }

    /// Finds garbage. With the store's lock held alone, nothing becomes needed meanwhile.
    pub(super) fn garbage(&self, held: &Held, extent: Extent) -> Result<Garbage, StoreError> {
        let leased = self.leased(held)?;
        let partial = self.idle_fetches(extent)?;
        let mut garbage = Garbage { temporary: self.dead()?, partial, ..Garbage::default() };
        if extent == Extent::Leftovers {
            return Ok(garbage);
        }
        let in_use = self.in_use(leased)?;
        let mut index = self.index()?;
        if extent == Extent::Unnamed {
            let before = index.ids();
            index.remove_unnamed(|entry| !in_use.contains(&entry.manifest.digest));
            let kept = index.ids();
            garbage.images = before.into_iter().filter(|id| !kept.contains(id)).collect();
        }
        let needed = self.needed(&index, in_use)?;
        for path in entries(&self.blobs())? {
            if !is_needed(&path, &needed) {
                let bytes = fs_err::metadata(&path).named(&path)?.len();
                garbage.blobs.push((path, bytes));
            }
        }
        for path in entries(&self.directory("layers"))? {
            if !is_needed(&path, &needed) {
                let bytes = description(&path)?.map_or(0, |description| description.size);
                garbage.layers.push((path, bytes));
            }
        }
        Ok(garbage)
    }

    /// Adds what containers need to what running processes need. The order matters: a container's list is written
    /// before the lease on the same ends.
    fn in_use(&self, leased: HashSet<Digest>) -> Result<HashSet<Digest>, StoreError> {
        let mut in_use = leased;
        let pins = self.pins()?.into_iter().chain(self.snapshot_pins()?);
        in_use.extend(pins.flat_map(|(_, pin)| pin.digests));
        Ok(in_use)
    }

    /// Adds what images need.
    fn needed(&self, index: &Index, in_use: HashSet<Digest>) -> Result<HashSet<Digest>, StoreError> {
        let mut needed = in_use;
        for entry in index.entries() {
            needed.insert(entry.manifest.digest);
            needed.extend(entry.id().map(|id| id.0));
            match self.stored(entry) {
                Ok(image) => needed.extend(image.digests()),
                // What it needs cannot be told, and it cannot be used. Fetching or loading it again repairs it.
                Err(error @ (StoreError::Damaged { .. } | StoreError::NoSuchBlob(_))) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "an image is damaged");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(needed)
    }

    /// Finds what dead writers left, and locks it.
    fn dead(&self) -> Result<Vec<(PathBuf, File, u64)>, StoreError> {
        let mut dead = Vec::new();
        for path in entries(&self.directory("temporary"))? {
            let file = match fs_err::File::open(&path) {
                Ok(file) => file.into_parts().0,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::file(&path, error)),
            };
            if lock::locked(&file, FlockOperation::NonBlockingLockExclusive, &path)? {
                let bytes = file.metadata().named(&path)?.len();
                dead.push((path, file, bytes));
            }
        }
        Ok(dead)
    }

    /// Finds fetches that broke off: all, or those that nobody will go on with.
    fn idle_fetches(&self, extent: Extent) -> Result<Vec<(PathBuf, Lock, u64)>, StoreError> {
        let mut idle = Vec::new();
        for path in entries(&self.directory("partial"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(lock) = Lock::attempt(&self.lock(&format!("blob-{name}")))? else { continue };
            // Finished before the lock was given back.
            let Ok(metadata) = fs_err::metadata(&path) else { continue };
            let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            if extent == Extent::Unnamed || age > FORGOTTEN {
                idle.push((path, lock, metadata.len()));
            }
        }
        Ok(idle)
    }

    /// Removes the files of locks that nobody has. Who waits on one of them takes another.
    fn remove_idle_locks(&self) -> Result<(), StoreError> {
        let own = self.lock("store");
        for path in entries(&self.directory("locks"))?.into_iter().filter(|path| *path != own) {
            if let Some(_lock) = Lock::attempt(&path)? {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether a file named after a digest is needed. One with another name is not the store's.
fn is_needed(path: &Path, needed: &HashSet<Digest>) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("sha256:{name}").parse().is_ok_and(|digest| needed.contains(&digest))
}
