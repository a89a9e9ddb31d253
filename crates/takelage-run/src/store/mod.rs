//! What takelage remembers between runs, below one directory that several runs may share.
//!
//! ```text
//! <root>/
//!   locks-v1/<project>.<image>.<purpose>.lock   held while an image is produced, or its kept container used
//!   kept-v1/<container>                   marks a container that is kept because something failed in it
//!   runs-v1/<run>.lock                    held while that run lives; what a dead run left is removed by the next
//!   images-v1/<project>/<image>.json      what an image was made from, and its id: see `images`
//!   checks-v1/<project>/<image>.json      what the checks of an image came to: see `checks`
//!   developed-v1/<project>/<image>.json   in which state the container is that `develop` keeps
//!   memory-v1/                            what requests to containers came to: see `memory`
//!   scratch-v1/<run>/                     large temporary files of a run
//!   payloads-v1/                          what Ansible's modules are built from, by digest: see `takelage-python`
//!   bootstrap-v1/                         packages, by digest: see `takelage-bootstrap`
//!   toolchains-v1/                        private Python environments: see `takelage-python`
//! ```
//!
//! Every file is written beside its place and renamed, so that a reader sees the old or the new one.

mod checks;
mod developed;
mod images;
mod kept;
mod lock;
mod runs;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use fs_err as fs;
use takelage_model::label;
use thiserror::Error;

use crate::memory::Records;

pub(crate) use checks::CheckMemory;
pub(crate) use developed::Developed;
pub(crate) use images::{BootstrapRecord, ImageMemory};
pub(crate) use lock::Lock;
pub use runs::RunDirectory;

/// The directory with everything that is remembered.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The store cannot be used.
#[derive(Debug, Error)]
#[error("cannot {what}")]
pub struct StoreError {
    /// What was tried, with the path.
    pub what: String,
    /// Why it did not work.
    #[source]
    pub source: std::io::Error,
}

impl Store {
    /// Uses `root`, and makes it if it is missing.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root)
            .map_err(|source| StoreError { what: format!("make the store `{}`", root.display()), source })?;
        Ok(Self { root: root.to_owned() })
    }

    /// Opens what is remembered of requests to containers.
    pub(crate) fn records(&self) -> Result<Records, StoreError> {
        let root = self.root.join("memory-v1");
        Records::open(&root)
            .map_err(|source| StoreError { what: format!("use `{}`", root.display()), source })
    }

    /// Returns how many requests are remembered, and how many bytes that takes.
    pub fn memory_usage(&self) -> Result<(u64, u64), StoreError> {
        let records = self.records()?;
        records.usage().map_err(|source| StoreError { what: "count what is remembered".to_owned(), source })
    }

    /// Forgets all requests.
    pub fn forget_requests(&self) -> Result<(), StoreError> {
        let records = self.records()?;
        records.clear().map_err(|source| StoreError { what: "remove what is remembered".to_owned(), source })
    }

    /// Returns the labels of the snapshots that belong to what is remembered.
    pub fn snapshot_labels(&self) -> Result<BTreeMap<String, String>, StoreError> {
        Ok(BTreeMap::from([(label::MEMORY.to_owned(), self.records()?.store_name())]))
    }

    /// Returns the directory of one kind of content, which it makes if it is missing.
    pub fn directory(&self, kind: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(kind);
        fs::create_dir_all(&path)
            .map_err(|source| StoreError { what: format!("make `{}`", path.display()), source })?;
        Ok(path)
    }
}

/// Replaces the file at `path` by one rename, so that nobody sees half of it.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError { what: format!("write `{}`", path.display()), source };
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
