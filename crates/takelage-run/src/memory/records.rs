//! Records on disk, shared by all runs on one cache directory.
//!
//! ```text
//! memory-v1/
//!   key                                the store's random key, readable by its owner only
//!   records/NN/NAME                    what a request came to, sealed: see `secret`
//!   journals/<project>/<image>.json    what the last run reused, for `explain`: see `journal`
//!   costs/NAME                         how long a snapshot took, in milliseconds
//!   snapshots/NAME                     an engine's snapshots, the one used last at the end
//!   pruned                             touched when old records were last looked for
//! ```
//!
//! A record is written beside its place and renamed. Whatever is wrong with one makes it a missing one.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;
use takelage_engine::SnapshotId;
use takelage_model::ImageName;

use super::{
    Start,
    chain::{ENGINE, IMAGE},
    record::Record,
    secret::{Key, Secret},
};
use crate::store::write_whole;

/// All records together take no more than this, in bytes.
const SIZE: u64 = 512 << 20;
/// An engine keeps no more snapshots than these.
const SNAPSHOTS: usize = 96;
/// What a snapshot is taken to cost before one was taken.
const FIRST_COST: Duration = Duration::from_millis(250);
/// How often old records are looked for.
const PRUNE_AFTER: Duration = Duration::from_secs(600);

/// The records of a store.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    root: PathBuf,
    pub(super) secret: Secret,
}

/// What became of a request's record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there.
    Record(Record),
    /// There is none.
    Missing,
    /// It cannot be read.
    Damaged,
}

impl Records {
    /// Opens the records below `root`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join("records"))?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(root, private)?;
        Ok(Self { root: root.to_owned(), secret: Secret::open(&root.join("key"))? })
    }

    /// Returns by what the store is known, on its snapshots.
    pub(crate) fn store_name(&self) -> String {
        self.secret.store_name()
    }

    /// Returns where the journal of an image, or of one of its layers, is.
    pub(crate) fn journal_path(&self, project: &str, image: &ImageName, layer: Option<&str>) -> PathBuf {
        let name = layer.map_or_else(|| format!("{image}.json"), |layer| format!("{image}.{layer}.json"));
        self.root.join("journals").join(project).join(name)
    }

    /// Returns how long a snapshot of such a container took last.
    pub(super) fn snapshot_cost(&self, start: &Start) -> Duration {
        let text = fs::read_to_string(self.cost_path(start)).unwrap_or_default();
        text.parse().map_or(FIRST_COST, Duration::from_millis)
    }

    /// Notes how long a snapshot took.
    pub(super) fn note_snapshot_cost(&self, start: &Start, cost: Duration) {
        if let Err(error) = write_whole(&self.cost_path(start), cost.as_millis().to_string().as_bytes()) {
            tracing::debug!(%error, "what a snapshot costs is not noted");
        }
    }

    fn cost_path(&self, start: &Start) -> PathBuf {
        self.root.join("costs").join(self.trace(start, &[ENGINE, IMAGE]))
    }

    fn trace(&self, start: &Start, names: &[&str]) -> String {
        let parts: Vec<u8> =
            names.iter().filter_map(|name| start.get(name)).flat_map(|value| value.bytes()).collect();
        self.secret.trace(&parts)
    }

    /// Notes that a snapshot was used, and returns those that were not for so long that they go.
    pub(super) fn note_snapshot(&self, start: &Start, id: &SnapshotId) -> Vec<SnapshotId> {
        let path = self.root.join("snapshots").join(self.trace(start, &[ENGINE]));
        let known = fs::read_to_string(&path).unwrap_or_default();
        let mut ids: Vec<&str> = known.lines().filter(|known| *known != id.0).collect();
        ids.push(&id.0);
        let old: Vec<_> = ids.drain(..ids.len().saturating_sub(SNAPSHOTS)).collect();
        if let Err(error) = write_whole(&path, ids.join("\n").as_bytes()) {
            tracing::debug!(%error, "the use of a snapshot is not noted");
        }
        old.into_iter().map(|id| SnapshotId(id.to_owned())).collect()
    }

    /// Looks up what a request came to.
    pub(super) fn find(&self, key: Key) -> Found {
        let path = self.path(key);
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Missing,
            Err(_) => return Found::Damaged,
        };
        let record = self.secret.unseal(key, sealed).and_then(|plain| Record::decode(&plain));
        let Some(record) = record else { return Found::Damaged };
        // What was used last goes last.
        if let Ok(file) = fs::File::open(&path) {
            let _ = file.into_file().set_modified(SystemTime::now());
        }
        Found::Record(record)
    }

    /// Records what a request came to.
    pub(super) fn save(&self, key: Key, record: &Record) -> io::Result<()> {
        let sealed = self.secret.seal(key, record.encode())?;
        let path = self.path(key);
        let directory = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&sealed)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the record of a request.
    pub(super) fn forget(&self, key: Key) {
        let _ = fs::remove_file(self.path(key));
    }

    fn path(&self, key: Key) -> PathBuf {
        let name = self.secret.name(key);
        self.root.join("records").join(&name[..2]).join(name)
    }

    /// Removes the records that were used longest ago, if there are too many. Looks no more often than it has to.
    pub(crate) fn prune(&self) -> io::Result<()> {
        let mark = self.root.join("pruned");
        let recently = fs::metadata(&mark)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < PRUNE_AFTER));
        if recently {
            return Ok(());
        }
        fs::write(&mark, b"")?;
        self.shrink(SIZE)
    }

    fn shrink(&self, limit: u64) -> io::Result<()> {
        let mut files = self.files()?;
        files.sort_by_key(|(_, at, _)| *at);
        let mut size: u64 = files.iter().map(|(_, _, size)| size).sum();
        for (path, _, length) in files {
            if size <= limit {
                break;
            }
            let _ = fs::remove_file(path);
            size -= length;
        }
        Ok(())
    }

    /// Returns all records with the time of their last use and their size.
    fn files(&self) -> io::Result<Vec<(PathBuf, SystemTime, u64)>> {
        let mut files = Vec::new();
        for directory in fs::read_dir(self.root.join("records"))? {
            for entry in fs::read_dir(directory?.path())?.flatten() {
                // Another process may remove it meanwhile.
                if let Ok(metadata) = entry.metadata() {
                    files.push((entry.path(), metadata.modified()?, metadata.len()));
                }
            }
        }
        Ok(files)
    }

    /// Returns how many records there are and how many bytes they take.
    pub(crate) fn usage(&self) -> io::Result<(u64, u64)> {
        let files = self.files()?;
        Ok((files.len() as u64, files.iter().map(|(_, _, size)| size).sum()))
    }

    /// Removes all records.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.shrink(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::Outcome, *};

    fn open(directory: &tempfile::TempDir) -> Records {
        Records::open(&directory.path().join("memory-v1")).unwrap()
    }

    fn key(records: &Records, request: &str) -> Key {
        records.secret.key(records.secret.start([]), [request.as_bytes()])
    }

    fn record(id: u8) -> Record {
        Record { id: [id; 16], at: 1, outcome: Outcome::Done }
    }

    #[test]
    fn damage_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let records = open(&directory);
        let key = key(&records, "a");
        assert_eq!(records.find(key), Found::Missing);
        records.save(key, &record(1)).unwrap();
        assert_eq!(open(&directory).find(key), Found::Record(record(1)));
        let path = records.path(key);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(records.find(key), Found::Damaged);
        fs::write(&path, b"").unwrap();
        assert_eq!(records.find(key), Found::Damaged);
        records.save(key, &record(2)).unwrap();
        assert_eq!(records.find(key), Found::Record(record(2)));
        records.forget(key);
        assert_eq!(records.find(key), Found::Missing);
    }

    #[test]
    fn a_record_in_another_ones_place_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let records = open(&directory);
        let [one, two] = ["a", "b"].map(|request| key(&records, request));
        records.save(one, &record(1)).unwrap();
        records.save(two, &record(2)).unwrap();
        fs::copy(records.path(one), records.path(two)).unwrap();
        assert_eq!(records.find(two), Found::Damaged);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let records = open(&directory);
        let keys = ["a", "b", "c"].map(|request| key(&records, request));
        for (index, key) in keys.iter().enumerate() {
            records.save(*key, &record(1)).unwrap();
            let file = fs::OpenOptions::new().write(true).open(records.path(*key)).unwrap();
            file.into_file()
                .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(index as u64))
                .unwrap();
        }
        records.find(keys[0]);
        let (count, size) = records.usage().unwrap();
        assert_eq!(count, 3);
        records.shrink(size * 2 / 3).unwrap();
        assert_eq!(records.find(keys[1]), Found::Missing);
        assert!(matches!(records.find(keys[0]), Found::Record(_)));
        records.clear().unwrap();
        assert_eq!(records.usage().unwrap(), (0, 0));
    }

    #[test]
    fn the_snapshots_that_were_used_last_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (records, start) = (open(&directory), Start::new());
        let id = |number: usize| SnapshotId(number.to_string());
        for number in 0..SNAPSHOTS {
            assert!(records.note_snapshot(&start, &id(number)).is_empty());
        }
        assert!(records.note_snapshot(&start, &id(0)).is_empty(), "used again");
        assert_eq!(records.note_snapshot(&start, &id(SNAPSHOTS)), [id(1)]);
    }

    #[test]
    fn several_write_the_same_record_and_readers_see_whole_ones() {
        let directory = tempfile::tempdir().unwrap();
        let records = open(&directory);
        let key = key(&records, "a");
        std::thread::scope(|scope| {
            for id in 0..4 {
                let records = open(&directory);
                scope.spawn(move || {
                    for _ in 0..200 {
                        records.save(key, &record(id)).unwrap();
                        assert!(matches!(records.find(key), Found::Record(_)));
                    }
                });
            }
        });
    }
}
