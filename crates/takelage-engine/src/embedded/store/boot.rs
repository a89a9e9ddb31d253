//! Trees that have a name before they are on disk.
//!
//! To wait for the disk would take seconds, so a thread sees to that afterwards. Until then the file `boot` beside a tree
//! names the machine's boot in which it was made: after another one, it may have lost files.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use rustix::fs::AtFlags;

use super::{StoreError, error::Named};

/// A tree that is not settled after this time will not be by the process that made it.
const SETTLING: Duration = Duration::from_secs(120);

/// This boot of the machine. Empty where the kernel does not tell: then trees are trusted as they are.
pub(crate) static BOOT: LazyLock<String> = LazyLock::new(|| {
    fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
});

/// Whether what is in a directory is whole although the machine may have stopped.
pub(crate) fn has_survived(directory: &Path) -> bool {
    let mark = directory.join("boot");
    let Ok(metadata) = fs_err::metadata(&mark) else { return true };
    if fs_err::read_to_string(&mark).is_ok_and(|boot| boot != *BOOT) {
        return false;
    }
    if metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > SETTLING)) {
        // The process that made it ended before it could see to it.
        settle(directory.to_owned());
    }
    true
}

/// Waits on a thread of its own until the disk has a tree, and then says so. Nobody waits for that: if the process
/// ends before, the tree counts until the machine stops.
pub(crate) fn settle(directory: PathBuf) {
    let work = move || -> Result<(), StoreError> {
        // By the open directory, since another may have its name by now.
        let open = fs_err::File::open(&directory).named(&directory)?.into_parts().0;
        rustix::fs::syncfs(&open).named(&directory)?;
        match rustix::fs::unlinkat(&open, "boot", AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            result => result.named(&directory),
        }
    };
    let spawned = std::thread::Builder::new().name("settle".to_owned()).spawn(move || {
        if let Err(error) = work() {
            tracing::debug!(error = &error as &dyn std::error::Error, "a layer is not settled");
        }
    });
    if let Err(error) = spawned {
        tracing::debug!(%error, "a layer is not settled");
    }
}
