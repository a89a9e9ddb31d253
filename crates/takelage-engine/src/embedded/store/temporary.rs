//! What is being written: under a name of its own, locked, and renamed when it is whole.

use std::{fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::Path};

use rustix::fs::FlockOperation;
use tempfile::{NamedTempFile, TempDir};

use super::{
    StoreError,
    error::Named,
    lock,
    open::{Held, Inner},
};

/// The last part of a temporary name before the random one.
const PREFIX: &str = "new-";

/// A directory that is being filled.
#[derive(Debug)]
pub(super) struct TemporaryDirectory {
    pub(super) directory: TempDir,
    lock: std::fs::File,
}

impl Inner {
    /// Makes a file for something new. The store's lock keeps others from taking it for a dead writer's meanwhile.
    pub(super) fn temporary_file(&self, _held: &Held) -> Result<NamedTempFile, StoreError> {
        let directory = self.directory("temporary");
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(&directory)
            .named(&directory)?;
        lock::locked(file.as_file(), FlockOperation::NonBlockingLockExclusive, file.path())?;
        Ok(file)
    }

    /// Makes a directory for something new.
    pub(super) fn temporary_directory(&self, _held: &Held) -> Result<TemporaryDirectory, StoreError> {
        let parent = self.directory("temporary");
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).named(&parent)?;
        let file = fs_err::File::open(directory.path()).named(directory.path())?.into_parts().0;
        lock::locked(&file, FlockOperation::NonBlockingLockExclusive, directory.path())?;
        Ok(TemporaryDirectory { directory, lock: file })
    }

    /// Puts a small file in place of another, or none. A reader sees the one or the other.
    pub(super) fn replace(&self, held: &Held, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let mut file = self.temporary_file(held)?;
        file.write_all(content).named(path)?;
        persist(file, path)
    }
}

/// Gives a file that is whole its name.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_data().named(path)?;
    file.persist(path).map_err(|error| StoreError::file(path, error.error))?;
    settle_parent(path)
}

/// Has the disk keep the name of a file or directory.
pub(super) fn settle_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs_err::File::open(parent).and_then(|directory| directory.sync_all()).named(parent)
}

impl AsRef<Path> for TemporaryDirectory {
    fn as_ref(&self) -> &Path {
        self.directory.path()
    }
}

impl TemporaryDirectory {
    /// Leaves it to whoever holds the lock.
    pub(super) fn keep(self) -> (std::path::PathBuf, std::fs::File) {
        (self.directory.keep(), self.lock)
    }
}
