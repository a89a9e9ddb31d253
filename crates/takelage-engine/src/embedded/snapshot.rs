//! What a snapshot is, on disk.
//!
//! ```text
//! snapshots/ID/
//!   tree/           what its container had written
//!   image.json      what it needs of the store: see `store`
//!   maker.json      the process that makes or has made it, until it is removed
//!   sealing.json    whose tree is on its way here: see `seal`
//!   boot            the machine's boot in which it was made, until it is on disk: see `store`
//!   snapshot.json   what it is: without it, it is none yet, or none any more
//! ```
//!
//! A tree is never written to again. Containers and later snapshots have it in their stacks, so it stays until none of
//! them does, whether its snapshot is still there or not.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
};

use fs_err as fs;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::{
    engine::Shared,
    helper::Task,
    jobs::Job,
    record::{self, Directory},
    seal,
    store::boot,
};
use crate::{ImageId, SnapshotId};

/// What a snapshot is: the content of `snapshot.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// The image below it.
    pub(super) image: ImageId,
    /// Its labels.
    pub(super) labels: BTreeMap<String, String>,
    /// The trees above those of the image, the highest first.
    pub(super) trees: Vec<PathBuf>,
}

/// The content of `maker.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Maker {
    process: i32,
    /// When it began, in the kernel's ticks: ids are used again.
    began: u64,
}

/// The directory of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    /// Returns where its tree is.
    pub(super) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// Returns its id.
    pub(super) fn id(&self) -> SnapshotId {
        SnapshotId(self.0.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Reads what it is. `None`: there is none, not yet, or it may not have survived a stop of the machine.
    pub(super) fn snapshot(&self) -> io::Result<Option<Snapshot>> {
        if !boot::has_survived(&self.0) {
            return Ok(None);
        }
        record::read(&self.0.join("snapshot.json"))
    }

    /// Says what it is; from then on it is there.
    pub(super) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        fs::write(self.0.join("boot"), boot::BOOT.as_bytes())?;
        record::write(&self.0.join("snapshot.json"), snapshot)?;
        boot::settle(self.0.clone());
        Ok(())
    }

    /// Makes it none any more; its tree may still be needed.
    pub(super) fn unlist(&self) -> io::Result<()> {
        for name in ["snapshot.json", "maker.json"] {
            match fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the process that makes or has made it lives.
    fn has_maker(&self) -> io::Result<bool> {
        let maker: Option<Maker> = record::read(&self.0.join("maker.json"))?;
        Ok(maker.is_some_and(|maker| {
            let process = Pid::from_raw(maker.process);
            process.is_some_and(|it| record::began(it).is_ok_and(|began| began == maker.began))
        }))
    }
}

/// How far one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What is no snapshot, and no container or snapshot needs.
    Leftovers,
    /// And snapshots whose makers have ended.
    Idle,
}

impl Shared {
    /// Makes a place for a snapshot.
    pub(super) fn new_place(&self) -> io::Result<Place> {
        let place = Place(self.snapshots.join(&record::id()?[..SHORT]));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&place.0)?;
        let process = rustix::process::getpid();
        let maker = Maker { process: process.as_raw_nonzero().get(), began: record::began(process)? };
        record::write(&place.0.join("maker.json"), &maker)?;
        Ok(place)
    }

    /// Returns the place of a snapshot, whether there is one or not. `None`: no snapshot has such an id.
    pub(super) fn place(&self, id: &SnapshotId) -> Option<Place> {
        let known = id.0.len() == SHORT && id.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        known.then(|| Place(self.snapshots.join(&id.0)))
    }

    /// Lists the places of all snapshots.
    pub(super) fn places(&self) -> io::Result<Vec<Place>> {
        Ok(record::all(&self.snapshots)?.into_iter().map(|directory| Place(directory.0)).collect())
    }

    /// Removes a snapshot, and what nobody needs after that.
    pub(super) async fn remove_place(&self, place: &Place) -> io::Result<()> {
        place.unlist()?;
        self.sweep_snapshots(Extent::Leftovers).await.map(drop)
    }

    /// Removes what nobody needs. Returns how many snapshots and bytes that were.
    pub(super) async fn sweep_snapshots(&self, extent: Extent) -> io::Result<(usize, u64)> {
        if self.places()?.is_empty() {
            return Ok((0, 0));
        }
        let mut gone = Vec::new();
        let counted = {
            let _names = self.lock_names().await?;
            let unneeded = self.unneeded_places(extent)?;
            for place in &unneeded.places {
                place.unlist()?;
            }
            for place in unneeded.removable {
                let to = self.trash.join(place.id().0);
                fs::rename(&place.0, &to)?;
                gone.push(to);
            }
            unneeded.places.len()
        };
        let bytes = if extent == Extent::Idle { self.measure(gone.clone()).await? } else { 0 };
        for directory in gone {
            self.launcher.remove(&directory).await?;
        }
        Ok((counted, bytes))
    }

    /// Returns how many snapshots there are, the bytes of all trees, and what removing the idle ones would give back.
    pub(super) async fn snapshot_usage(&self) -> io::Result<SnapshotUsage> {
        let places = self.places()?;
        if places.is_empty() {
            return Ok(SnapshotUsage::default());
        }
        let unneeded = self.unneeded_places(Extent::Idle)?;
        let mut count = 0;
        for place in &places {
            count += usize::from(place.snapshot()?.is_some());
        }
        let directories = |places: Vec<Place>| places.into_iter().map(|place| place.0).collect::<Vec<_>>();
        Ok(SnapshotUsage {
            count,
            bytes: self.measure(directories(places)).await?,
            unneeded: (unneeded.places.len(), self.measure(directories(unneeded.removable)).await?),
        })
    }

    /// Finds what nobody needs. Under the lock of names nothing becomes needed meanwhile.
    fn unneeded_places(&self, extent: Extent) -> io::Result<Unneeded> {
        let (mut needed, mut unneeded, mut candidates) = (HashSet::new(), Unneeded::default(), Vec::new());
        for directory in record::all(&self.containers)? {
            if let Some(record) = directory.record()? {
                needed.extend(record.monitor.stack.lowers);
            }
        }
        for place in self.places()? {
            let maker = place.has_maker()?;
            match place.snapshot()? {
                Some(snapshot) if maker || extent == Extent::Leftovers => needed.extend(snapshot.trees),
                Some(_) => {
                    unneeded.places.push(place.clone());
                    candidates.push(place);
                }
                // It is being made.
                None if maker => {}
                None => {
                    seal::finish(&place, |name| Directory(self.containers.join(name)))?;
                    candidates.push(place);
                }
            }
        }
        candidates.retain(|place| !needed.contains(&place.tree()));
        unneeded.removable = candidates;
        Ok(unneeded)
    }

    /// Returns how many bytes the files in directories have.
    pub(super) async fn measure(&self, directories: Vec<PathBuf>) -> io::Result<u64> {
        if directories.is_empty() {
            return Ok(0);
        }
        let task = Task::Job(Job::Measure { directories });
        Ok(self.launcher.job(&task, tokio::io::empty(), &mut tokio::io::sink()).await?.size)
    }
}

/// How many digits an id has: paths of trees are kept short, since old kernels take few of long ones.
const SHORT: usize = 16;

/// What nobody needs.
#[derive(Debug, Default)]
struct Unneeded {
    /// Snapshots.
    places: Vec<Place>,
    /// Directories, theirs or of snapshots that were removed before.
    removable: Vec<Place>,
}

/// What snapshots take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SnapshotUsage {
    /// How many there are.
    pub(super) count: usize,
    /// Bytes of their files.
    pub(super) bytes: u64,
    /// How many could go, and the bytes that this would give back.
    pub(super) unneeded: (usize, u64),
}
