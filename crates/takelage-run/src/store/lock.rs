//! Exclusive locks between processes, released by the kernel when their holder dies.

use std::{fs::TryLockError, time::Duration};

use fs_err::OpenOptions;

use super::{Store, StoreError};

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: std::fs::File,
}

impl Store {
    /// Takes the lock of this name; `waiting` is called once if another process holds it.
    ///
    /// Locks are polled: a blocking lock could not be given up on Ctrl-C.
    pub async fn lock(&self, name: &str, waiting: impl FnOnce()) -> Result<Lock, StoreError> {
        let path = self.directory("locks-v1")?.join(format!("{name}.lock"));
        let failed = |source| StoreError { what: format!("lock `{}`", path.display()), source };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?.into_file();
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    if let Some(waiting) = waiting.take() {
                        waiting();
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_until_the_first_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let first = store.lock("app", || panic!("nobody holds it")).await.unwrap();
        let (told, was_told) = tokio::sync::oneshot::channel();
        let second = store.lock("app", || told.send(()).unwrap());
        let release = async {
            was_told.await.unwrap();
            drop(first);
        };
        let (second, ()) = tokio::join!(second, release);
        second.unwrap();
        store.lock("other", || panic!("another project")).await.unwrap();
    }
}
