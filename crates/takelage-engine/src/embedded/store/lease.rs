//! What a running process or a container needs, so that it is no garbage.
//!
//! A process needs what it puts down in a lease: a locked file with one digest a line. It is put down under the
//! store's lock and before one looks whether it is there, and collecting garbage reads all leases under the same lock
//! alone: so nothing goes away between the look and the use. A lease whose lock is free is a dead process's.
//!
//! A container, or a snapshot of one, needs what stands in its `image.json`. It is written while a lease or another one
//! still holds the same.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use takelage_model::Digest;
use tempfile::NamedTempFile;

use super::{
    StoreError,
    error::Named,
    lock,
    open::{Held, Inner},
};
use crate::ImageId;

/// The file in a container's directory that says what it needs.
pub(super) const PIN: &str = "image.json";

/// Keeps blobs and layers until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease(NamedTempFile);

/// What a container needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    pub(super) id: ImageId,
    /// Manifest, configuration, packed and unpacked layers.
    pub(super) digests: Vec<Digest>,
}

impl Lease {
    /// Adds to it. Shared with the writers of other leases, not with whoever collects garbage.
    pub(super) fn add(&self, _held: &Held, digests: &[Digest]) -> Result<(), StoreError> {
        let lines: Vec<_> =
            digests.iter().map(|digest| [digest.to_string(), "\n".to_owned()].concat()).collect();
        self.0.as_file().write_all(lines.concat().as_bytes()).named(self.0.path())
    }
}

impl Inner {
    pub(super) fn lease(&self, held: &Held, digests: &[Digest]) -> Result<Lease, StoreError> {
        let directory = self.directory("leases");
        let file = NamedTempFile::new_in(&directory).named(&directory)?;
        lock::locked(file.as_file(), FlockOperation::NonBlockingLockExclusive, file.path())?;
        let lease = Lease(file);
        lease.add(held, digests)?;
        Ok(lease)
    }

    /// Reads what running processes need, and removes the leases of others.
    pub(super) fn leased(&self, _held: &Held) -> Result<HashSet<Digest>, StoreError> {
        let mut needed = HashSet::new();
        for path in entries(&self.directory("leases"))? {
            let file = match fs_err::File::open(&path) {
                Ok(file) => file.into_parts().0,
                // Given back this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::file(&path, error)),
            };
            if lock::locked(&file, FlockOperation::NonBlockingLockExclusive, &path)? {
                remove(&path)?;
                continue;
            }
            let text = io::read_to_string(file).named(&path)?;
            for line in text.lines() {
                needed.insert(line.parse().map_err(|_| StoreError::damaged(&path, "a line is no digest"))?);
            }
        }
        Ok(needed)
    }

    /// Reads what containers need, with the containers' names.
    pub(super) fn pins(&self) -> Result<Vec<(String, Pin)>, StoreError> {
        self.pins_in("containers")
    }

    /// Reads what snapshots need, with the snapshots' names.
    pub(super) fn snapshot_pins(&self) -> Result<Vec<(String, Pin)>, StoreError> {
        self.pins_in("snapshots")
    }

    fn pins_in(&self, place: &str) -> Result<Vec<(String, Pin)>, StoreError> {
        let mut pins = Vec::new();
        for directory in entries(&self.directory(place))? {
            let path = directory.join(PIN);
            let bytes = match fs_err::read(&path) {
                Ok(bytes) => bytes,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err(StoreError::file(&path, error)),
            };
            let pin = serde_json::from_slice(&bytes)
                .map_err(|error| StoreError::damaged(&path, error.to_string()))?;
            let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            pins.push((name, pin));
        }
        Ok(pins)
    }
}

/// Lists a directory.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = fs_err::read_dir(directory).named(directory)?;
    list.map(|entry| Ok(entry.named(directory)?.path())).collect()
}

/// Removes a file; one that is gone is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file(path, error)),
        _ => Ok(()),
    }
}
