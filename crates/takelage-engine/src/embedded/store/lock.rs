//! Locks between processes. The kernel gives them back when their holder ends, however it ends.

use std::{
    fs::File,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{StoreError, error::Named};

/// How long the waits between two attempts become.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A lock that is held until the value is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is held by being open")] File);

/// Who else may have the lock meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Others of this mode.
    Shared,
    /// Nobody.
    Exclusive,
}

impl Lock {
    /// Waits on this thread for a lock that is held for moments only.
    pub(super) fn wait(path: &Path, mode: Mode) -> Result<Self, StoreError> {
        let operation = match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            if let Some(lock) = Self::take(path, operation)? {
                return Ok(lock);
            }
        }
    }

    /// Takes the lock alone if nobody has it.
    pub(super) fn attempt(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits for the lock, which may take long; dropping the future gives up.
    pub(super) async fn acquire(path: &Path) -> Result<Self, StoreError> {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(lock) = Self::attempt(path)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_WAIT);
        }
    }

    /// `None`: somebody has it, or the file was removed meanwhile, so that the lock locks nothing.
    fn take(path: &Path, operation: FlockOperation) -> Result<Option<Self>, StoreError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).named(path)?;
        if !locked(&file, operation, path)? || file.metadata().named(path)?.nlink() == 0 {
            return Ok(None);
        }
        Ok(Some(Self(file)))
    }
}

/// Locks an open file or directory. `false`: somebody else has it.
pub(super) fn locked(file: &File, operation: FlockOperation, path: &Path) -> Result<bool, StoreError> {
    loop {
        return match flock(file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::INTR) => continue,
            Err(error) => Err(error).named(path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_waits_for_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Lock::acquire(&path).await.unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        let waiting = Lock::acquire(&path);
        let ended = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(held);
        };
        let (acquired, ()) = tokio::join!(waiting, ended);
        assert!(Lock::attempt(&path).unwrap().is_none());
        drop(acquired);
        let shared = Lock::wait(&path, Mode::Shared).unwrap();
        let another = Lock::wait(&path, Mode::Shared).unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        drop((shared, another));
        assert!(Lock::attempt(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_whose_file_was_removed_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let old = Lock::attempt(&path).unwrap().unwrap();
        let removed = path.clone();
        // Whoever waits on the removed file must not believe to have the lock when it is given back.
        let waiting = std::thread::spawn(move || Lock::wait(&removed, Mode::Exclusive).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        fs_err::remove_file(&path).unwrap();
        drop(old);
        let lock = waiting.join().unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        drop(lock);
    }
}
