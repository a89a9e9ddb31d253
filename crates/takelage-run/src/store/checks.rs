//! What the checks of produced images came to, so that those of an unchanged one need not run again.

use serde::{Deserialize, Serialize};
use takelage_model::{Digest, ImageName, event::Check};

use super::{Store, StoreError};

/// What is remembered of the checks of an image. None of them failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckMemory {
    /// Everything that they depend on: see [`crate::checks`].
    pub(crate) recipe: Digest,
    /// When they ran.
    pub(crate) at: jiff::Timestamp,
    /// How each ended.
    pub(crate) checks: Vec<Check>,
    /// What they came to in a few words.
    pub(crate) summary: String,
}

impl Store {
    /// Returns what is remembered of the checks of an image. A damaged or foreign record counts as none.
    pub(crate) fn checks(&self, project: &str, image: &ImageName) -> Result<Option<CheckMemory>, StoreError> {
        self.read(&checks_path(project, image))
    }

    /// Remembers the checks of an image.
    pub(crate) fn remember_checks(
        &self,
        project: &str,
        image: &ImageName,
        memory: &CheckMemory,
    ) -> Result<(), StoreError> {
        self.write(&checks_path(project, image), memory)
    }

    /// Forgets the checks of an image.
    pub(crate) fn forget_checks(&self, project: &str, image: &ImageName) -> Result<(), StoreError> {
        self.remove(&checks_path(project, image))
    }
}

fn checks_path(project: &str, image: &ImageName) -> String {
    format!("checks-v1/{project}/{image}.json")
}
