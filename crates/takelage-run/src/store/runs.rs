//! Which runs live: each holds a lock, so that what a killed run left can be told from what a living one needs.

use std::{fs::TryLockError, path::Path, path::PathBuf};

use fs_err as fs;
use takelage_model::RunId;

use super::{Store, StoreError};

/// A living run's place for large temporary files. Dropping it removes the files and ends the run's claim.
#[derive(Debug)]
pub struct RunDirectory {
    scratch: PathBuf,
    lock_path: PathBuf,
    _lock: std::fs::File,
}

impl RunDirectory {
    /// Returns the directory, which exists and only this user can enter.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run, which finds the lock free.
        let _ = fs::remove_dir_all(&self.scratch);
        let _ = fs::remove_file(&self.lock_path);
    }
}

impl Store {
    /// Claims `run` for this process, and removes the scratch files of runs that died.
    pub fn begin(&self, run: &RunId) -> Result<RunDirectory, StoreError> {
        self.remove_dead_scratch()?;
        let lock_path = self.directory("runs-v1")?.join(format!("{run}.lock"));
        let failed = |source| StoreError { what: format!("claim `{}`", lock_path.display()), source };
        let lock =
            fs::OpenOptions::new().create(true).append(true).open(&lock_path).map_err(failed)?.into_file();
        lock.try_lock().map_err(|error| failed(error.into()))?;
        let scratch = self.directory("scratch-v1")?.join(run.as_str());
        fs::create_dir_all(&scratch).map_err(failed)?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&scratch, private).map_err(failed)?;
        Ok(RunDirectory { scratch, lock_path: lock_path.clone(), _lock: lock })
    }

    /// Whether `run` belongs to a living process.
    pub(crate) fn is_alive(&self, run: &RunId) -> Result<bool, StoreError> {
        Ok(is_alive(&self.directory("runs-v1")?.join(format!("{run}.lock"))))
    }

    fn remove_dead_scratch(&self) -> Result<(), StoreError> {
        let scratch = self.directory("scratch-v1")?;
        let failed = |source| StoreError { what: format!("list `{}`", scratch.display()), source };
        for entry in fs::read_dir(&scratch).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let run = RunId::from_recorded(entry.file_name().to_string_lossy());
            if !self.is_alive(&run)? {
                let _ = fs::remove_dir_all(entry.path());
                let _ = fs::remove_file(self.root.join("runs-v1").join(format!("{run}.lock")));
            }
        }
        Ok(())
    }
}

/// Whether somebody holds the lock at `path`. A file that cannot be opened counts as held: better keep than lose.
fn is_alive(path: &Path) -> bool {
    match fs::OpenOptions::new().append(true).open(path) {
        Ok(file) => matches!(file.into_file().try_lock(), Err(TryLockError::WouldBlock)),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_goes_with_its_run_and_what_a_dead_run_left_goes_with_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let dead = directory.path().join("scratch-v1/0badc0ffee00");
        fs::create_dir_all(&dead).unwrap();
        let run = RunId::from_random([7; 6]);
        let living = store.begin(&run).unwrap();
        assert!(!dead.exists());
        assert!(store.is_alive(&run).unwrap() && living.scratch().exists());
        store.begin(&RunId::from_random([8; 6])).unwrap();
        assert!(living.scratch().exists(), "a living run's files stay");
        let scratch = living.scratch().to_owned();
        drop(living);
        assert!(!scratch.exists() && !store.is_alive(&run).unwrap());
    }
}
