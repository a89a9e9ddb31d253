//! In which state `develop` left the container that it keeps.

use serde::{Deserialize, Serialize};
use takelage_model::ImageName;

use super::{Store, StoreError};

/// A kept container that is as provisioning from scratch would leave one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Developed {
    /// The container's id.
    pub(crate) container: String,
    /// What is another once it has been started again.
    pub(crate) start: String,
    /// The name of the state that its chain of requests had reached.
    pub(crate) state: String,
}

impl Store {
    /// Returns what is remembered of the container that is kept for an image. A damaged or foreign record counts as none.
    pub(crate) fn developed(
        &self,
        project: &str,
        image: &ImageName,
    ) -> Result<Option<Developed>, StoreError> {
        self.read(&path(project, image))
    }

    /// Remembers in which state the container is that is kept for an image.
    pub(crate) fn remember_developed(
        &self,
        project: &str,
        image: &ImageName,
        developed: &Developed,
    ) -> Result<(), StoreError> {
        self.write(&path(project, image), developed)
    }

    /// Forgets it, because something else than `develop` works on the container.
    pub(crate) fn forget_developed(&self, project: &str, image: &ImageName) -> Result<(), StoreError> {
        self.remove(&path(project, image))
    }
}

fn path(project: &str, image: &ImageName) -> String {
    format!("developed-v1/{project}/{image}.json")
}
