//! Threads that write files, while the next ones are made.
//!
//! Names are resolved, and files made and removed, in the archive's order by one thread alone. What is left to do is done to an open
//! file, and takes longer: content, owner, mode and time. It makes no difference when, not even if the file has got
//! one more name by then, or has lost its own.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rustix::fs::{self, Gid, Mode, Timespec, Uid};

use crate::layer::{LayerError, directories::times, member::Metadata, name::Name};

/// Files of more bytes are written by the one who reads the archive.
pub(super) const LARGEST: u64 = 256 << 10;
/// So many bytes or files are handed over at once.
const BYTES: usize = 512 << 10;
const FILES: usize = 32;
/// So many such heaps wait for each thread. The files in them are open, and a process may have only so many.
const WAITING: usize = 1;
/// More do not make it faster.
const MOST_THREADS: usize = 4;

/// An open file that is empty, and what it is to have.
pub(super) struct Unwritten {
    pub(super) name: Name,
    pub(super) file: File,
    pub(super) content: Vec<u8>,
    pub(super) owner: Owner,
}

/// The owner, mode and time of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: Timespec,
}

/// Writes files in threads of its own. They start with the first heap that is full.
#[derive(Default)]
pub(super) struct Writers {
    heap: Vec<Unwritten>,
    /// Bytes of content in the heap.
    bytes: usize,
    threads: Vec<Thread>,
    /// Which thread gets the next heap.
    next: usize,
    failed: Arc<AtomicBool>,
}

struct Thread {
    heaps: SyncSender<Vec<Unwritten>>,
    writer: JoinHandle<Result<(), LayerError>>,
}

impl Writers {
    /// Has a file written, sooner or later. An error may be that of an earlier one.
    pub(super) fn write(&mut self, file: Unwritten) -> Result<(), LayerError> {
        self.bytes += file.content.len();
        self.heap.push(file);
        if self.bytes >= BYTES || self.heap.len() >= FILES {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Waits until all files are written.
    pub(super) fn finish(&mut self) -> Result<(), LayerError> {
        let last = write(std::mem::take(&mut self.heap));
        let mut ended = Vec::new();
        for Thread { heaps, writer } in self.threads.drain(..) {
            drop(heaps);
            ended.push(writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        ended.into_iter().chain([last]).collect()
    }

    fn hand_over(&mut self) -> Result<(), LayerError> {
        if self.failed.load(Ordering::Relaxed) {
            return self.finish();
        }
        self.start();
        self.bytes = 0;
        let heap = std::mem::take(&mut self.heap);
        let Some(thread) = self.threads.get(self.next) else { return write(heap) };
        self.next = (self.next + 1) % self.threads.len();
        match thread.heaps.send(heap) {
            Ok(()) => Ok(()),
            // It has failed in between.
            Err(_) => self.finish(),
        }
    }

    /// Starts the threads if they are not there, as many as the system has room for.
    fn start(&mut self) {
        let count = thread::available_parallelism().map_or(1, |count| count.get().min(MOST_THREADS));
        while self.threads.len() < count {
            let Ok(thread) = Thread::start(self.failed.clone()) else { return };
            self.threads.push(thread);
        }
    }
}

impl Drop for Writers {
    /// What came before an error is whole.
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn write(files: impl IntoIterator<Item = Unwritten>) -> Result<(), LayerError> {
    files.into_iter().try_for_each(Unwritten::write)
}

impl Thread {
    fn start(failed: Arc<AtomicBool>) -> std::io::Result<Self> {
        let (heaps, full) = sync_channel::<Vec<Unwritten>>(WAITING);
        let write = move || {
            let written = write(full.into_iter().flatten());
            failed.fetch_or(written.is_err(), Ordering::Relaxed);
            written
        };
        let writer = thread::Builder::new().name("write".to_owned()).spawn(write)?;
        Ok(Self { heaps, writer })
    }
}

impl Unwritten {
    fn write(self) -> Result<(), LayerError> {
        let Self { name, file, content, owner } = self;
        file.write_all_at(&content, 0).map_err(|source| LayerError::tree("write", &name)(source))?;
        owner.give(&name, &file)?;
        owner.date(&name, &file)
    }
}

impl Owner {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let &Metadata { mode, uid, gid, mtime, .. } = metadata;
        Self { uid, gid, mode, mtime }
    }

    /// Gives a file its owner and its mode. The owner comes first, since a change of it takes some of the mode, and of the attributes.
    pub(super) fn give(self, name: &Name, file: &File) -> Result<(), LayerError> {
        fs::fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .map_err(LayerError::tree("set the owner of", name))?;
        fs::fchmod(file, Mode::from_raw_mode(self.mode)).map_err(LayerError::tree("set the mode of", name))
    }

    /// Gives a file its time, after all that changes it.
    pub(super) fn date(self, name: &Name, file: &File) -> Result<(), LayerError> {
        fs::futimens(file, &times(self.mtime)).map_err(LayerError::tree("set the time of", name))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::MetadataExt as _, path::Path};

    use super::*;

    fn owner() -> Owner {
        let own = fs_err::metadata("/proc/self").unwrap();
        let mtime = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
        Owner { uid: own.uid(), gid: own.gid(), mode: 0o640, mtime }
    }

    fn unwritten(directory: &Path, number: usize, is_writable: bool) -> Unwritten {
        let path = directory.join(number.to_string());
        let file = fs_err::File::create(&path).unwrap().into_parts().0;
        let file = if is_writable { file } else { fs_err::File::open(&path).unwrap().into_parts().0 };
        let name = Name::parse(number.to_string().as_bytes(), 100).unwrap();
        Unwritten { name, file, content: vec![b'x'; number], owner: owner() }
    }

    #[test]
    fn all_files_are_written_whoever_writes_them() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 1, FILES - 1, FILES, 10 * FILES + 1] {
            let mut writers = Writers::default();
            for number in 0..count {
                writers.write(unwritten(directory.path(), number, true)).unwrap();
            }
            writers.finish().unwrap();
            for number in 0..count {
                let about = fs_err::metadata(directory.path().join(number.to_string())).unwrap();
                assert_eq!((about.len(), about.mode() & 0o7777), (number as u64, 0o640));
                assert_eq!(about.mtime(), 1_000_000_000);
            }
        }
    }

    #[test]
    fn a_failure_is_told_and_names_its_file() {
        let directory = tempfile::tempdir().unwrap();
        for count in [1, FILES, 20 * FILES] {
            let mut writers = Writers::default();
            let written = (1..=count)
                .try_for_each(|number| writers.write(unwritten(directory.path(), number, number != 1)));
            let failed = written.and_then(|()| writers.finish()).unwrap_err();
            assert!(
                matches!(&failed, LayerError::Tree { step: "write", path, .. } if path == Path::new("1")),
                "{failed:?}"
            );
        }
    }
}
