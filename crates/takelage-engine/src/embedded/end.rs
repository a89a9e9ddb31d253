//! Ending containers, and removing what is left of them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{
    cgroup,
    container::EmbeddedContainer,
    engine::Shared,
    freeze, jobs,
    record::{self, Directory, Lock, Running},
    rootless,
    snapshot::Extent,
};
use crate::{EngineError, Operation};

/// How often to look whether a container has ended.
const LOOK: Duration = Duration::from_millis(1);
/// How long the kernel may take to end a container that was killed.
const PATIENCE: Duration = Duration::from_secs(20);

impl EmbeddedContainer {
    /// Ends the container's command with its stop signal, or by force after `grace`.
    pub(super) async fn end(&self, grace: Duration) -> Result<(), EngineError> {
        let failed = |error| self.broken(Operation::Stop, error);
        let record = self.record(Operation::Stop)?;
        if !self.directory.is_running().map_err(failed)? {
            return Ok(());
        }
        let asked = match self.agent().await {
            Ok(agent) => agent.signal(record.stop_signal).await.is_ok(),
            Err(_) => false,
        };
        if asked && self.directory.has_ended(grace).await.map_err(failed)? {
            return Ok(());
        }
        self.directory.kill().await.map_err(failed)
    }

    /// Ends and removes the container. One that is gone is fine.
    pub(super) async fn discard(&self) -> Result<(), EngineError> {
        self.shared.discard(&self.directory).await.map_err(|error| self.broken(Operation::Remove, error))
    }
}

impl Directory {
    /// Waits until the container has ended. Says whether it did.
    async fn has_ended(&self, grace: Duration) -> io::Result<bool> {
        let start = tokio::time::Instant::now();
        while self.is_running()? {
            if start.elapsed() >= grace {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// Ends the container by force: its monitor dies, and everything in it with the monitor.
    async fn kill(&self) -> io::Result<()> {
        let start = tokio::time::Instant::now();
        // Where it fails, the container does not end, and that is said below.
        let _ = freeze::thaw(self);
        while self.is_running()? {
            // A monitor that has just begun has not said yet which process it is.
            if let Some(running) = self.running()? {
                kill(running)?;
            }
            if start.elapsed() >= PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it was killed and does not end"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Kills a monitor, unless its process id is somebody else's by now.
fn kill(running: Running) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(running.monitor) else { return Ok(()) };
    let process = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // Asked after the process is held, so it cannot become another one in between.
    if record::began(pid).is_ok_and(|began| began == running.began) {
        match rustix::process::pidfd_send_signal(&process, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Threads that free disk space. Dropping this waits for them.
#[derive(Debug, Default)]
pub(super) struct Freeing(Mutex<Vec<JoinHandle<()>>>);

impl Freeing {
    /// Begins to remove a directory. Fails if there can be no thread for it.
    fn begin(&self, gone: PathBuf) -> io::Result<()> {
        let remove = move || {
            if let Err(trouble) = jobs::remove(&gone) {
                let message = trouble.message;
                tracing::warn!(directory = %gone.display(), message, "not all of it could be removed");
            }
        };
        let thread = std::thread::Builder::new().name("freeing".to_owned()).spawn(remove)?;
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }
}

impl Drop for Freeing {
    fn drop(&mut self) {
        for thread in self.0.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // What one that panicked left is swept by the next process.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Ends a container and removes what there is of it: first from sight, then from the disk, which nobody waits for.
    pub(super) async fn discard(&self, directory: &Directory) -> io::Result<()> {
        directory.kill().await?;
        let Some(id) = directory.0.file_name().map(|id| id.to_string_lossy().into_owned()) else {
            return Ok(());
        };
        let group = id.clone();
        tokio::task::spawn_blocking(move || cgroup::remove(&group)).await.map_err(io::Error::other)??;
        self.bequeath(directory).await;
        let restored = directory.record()?.is_some_and(|record| record.above > 0);
        let gone = self.trash.join(&id);
        match fs_err::tokio::rename(&directory.0, &gone).await {
            Ok(()) => {
                if restored {
                    self.sweep_snapshots(Extent::Leftovers).await?;
                }
                self.free(gone).await
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Frees the disk of a container that is gone. Where that is work of this process nobody waits for it but
    /// whoever drops the engine; what a process that is killed leaves is swept by the next.
    async fn free(&self, gone: PathBuf) -> io::Result<()> {
        if rootless::is_needed() || self.freeing.begin(gone.clone()).is_err() {
            return self.remove(&gone).await;
        }
        Ok(())
    }

    async fn remove(&self, directory: &Path) -> io::Result<()> {
        self.launcher.remove(directory).await.map_err(io::Error::from)
    }

    /// Removes what processes that were killed have left: containers that were never written down as a whole,
    /// directories of networks and those on their way out.
    pub(super) async fn sweep(&self) -> io::Result<()> {
        self.sweep_networks()?;
        for directory in record::all(&self.trash)? {
            // Somebody else may be removing it as well.
            let _ = self.remove(&directory.0).await;
        }
        for directory in record::all(&self.containers)? {
            freeze::thaw_abandoned(&directory)?;
            if !directory.is_written() && self.is_abandoned(&directory)? {
                self.discard(&directory).await?;
            }
        }
        self.sweep_snapshots(Extent::Leftovers).await.map(drop)
    }

    /// Whether nobody is creating the container: names are given under a lock, and that is free.
    fn is_abandoned(&self, directory: &Directory) -> io::Result<bool> {
        let path = self.containers.with_file_name("containers.lock");
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_file();
        let free = file.try_lock().is_ok();
        Ok(free && !matches!(directory.try_lock()?, Lock::Held) && !directory.is_written())
    }
}
