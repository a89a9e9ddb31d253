//! Which containers are kept because something failed in them, so that the next run does not take them for leavings.

use fs_err as fs;

use super::{Store, StoreError, write_whole};

impl Store {
    /// Marks a container as kept.
    pub(crate) fn keep(&self, container: &str) -> Result<(), StoreError> {
        write_whole(&self.root.join("kept-v1").join(container), b"")
    }

    /// Whether a container is kept.
    pub(crate) fn is_kept(&self, container: &str) -> bool {
        self.root.join("kept-v1").join(container).exists()
    }

    /// Takes the mark away, because the container goes.
    pub(crate) fn release(&self, container: &str) -> Result<(), StoreError> {
        let path = self.root.join("kept-v1").join(container);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError { what: format!("remove `{}`", path.display()), source: error })
            }
            _ => Ok(()),
        }
    }
}
