//! Containers that stand still while their files are read.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use fs_err as fs;

use super::{
    cgroup,
    container::EmbeddedContainer,
    record::{Directory, Record, Running},
};

/// The file in a container's directory that is there, and locked by whoever wants it so, while the container is frozen.
const MARK: &str = "frozen";

impl EmbeddedContainer {
    /// Returns which processes whoever reads its files has to hold: it runs, and there are no control groups to freeze
    /// it by.
    pub(super) fn held(&self, record: &Record) -> io::Result<Option<Running>> {
        if record.monitor.cgroups != cgroup::Host::None || !self.directory.is_running()? {
            return Ok(None);
        }
        self.directory.running()
    }
}

/// A container that stands still until the value is dropped, or this process ends and the next one
/// [looks](thaw_abandoned). Without control groups it is for whoever reads its files to [hold](EmbeddedContainer::held) it.
pub(super) struct Frozen {
    record: Record,
    _lock: File,
}

impl Frozen {
    /// Freezes a running container. Waits for whoever has frozen it, and until it stands still.
    pub(super) async fn new(record: &Record) -> io::Result<Self> {
        let record = record.clone();
        let work = move || {
            let lock = mark(&record.monitor.directory)?.into_file();
            lock.lock()?;
            let frozen = Self { record, _lock: lock };
            cgroup::freeze(&frozen.record.id, frozen.record.monitor.cgroups)?;
            Ok(frozen)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.record.monitor.directory.join(MARK));
        if let Err(error) = cgroup::thaw(&self.record.id, self.record.monitor.cgroups) {
            tracing::error!(%error, container = self.record.id, "a container stays frozen");
        }
    }
}

/// Lets a container go on if who has frozen it is gone.
pub(super) fn thaw_abandoned(directory: &Directory) -> io::Result<()> {
    if !directory.0.join(MARK).exists() {
        return Ok(());
    }
    let lock = mark(&directory.0)?.into_file();
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if let Some(record) = directory.record()?
        && directory.is_running()?
    {
        cgroup::thaw(&record.id, record.monitor.cgroups)?;
    }
    fs::remove_file(directory.0.join(MARK))
}

/// Lets a container that is about to be killed go on: what is frozen does not end.
pub(super) fn thaw(directory: &Directory) -> io::Result<()> {
    match directory.record()? {
        Some(record) if directory.0.join(MARK).exists() => cgroup::thaw(&record.id, record.monitor.cgroups),
        _ => Ok(()),
    }
}

fn mark(directory: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).open(directory.join(MARK))
}
