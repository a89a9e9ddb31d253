//! What produced images were made from, so that an unchanged one is not made again.

use fs_err as fs;
use serde::{Deserialize, Serialize};
use takelage_engine::ImageId;
use takelage_model::{Digest, ImageName};

use super::{Store, StoreError, write_whole};

/// What is remembered of a produced image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageMemory {
    /// Everything it was made from: see [`crate::recipe`].
    pub recipe: Digest,
    /// The image.
    pub id: ImageId,
    /// When it was produced.
    pub produced: jiff::Timestamp,
}

/// What is remembered of a bootstrapped image: it depends on its packages alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapRecord {
    /// The image.
    pub id: ImageId,
}

impl Store {
    /// Returns what is remembered of an image. A damaged or foreign record counts as none.
    pub fn image(&self, project: &str, image: &ImageName) -> Result<Option<ImageMemory>, StoreError> {
        self.read(&format!("images-v1/{project}/{image}.json"))
    }

    /// Remembers an image.
    pub fn remember_image(
        &self,
        project: &str,
        image: &ImageName,
        memory: &ImageMemory,
    ) -> Result<(), StoreError> {
        self.write(&format!("images-v1/{project}/{image}.json"), memory)
    }

    /// Forgets an image.
    pub fn forget_image(&self, project: &str, image: &ImageName) -> Result<(), StoreError> {
        self.remove(&format!("images-v1/{project}/{image}.json"))
    }

    /// Returns the image that was bootstrapped with this key, if any.
    pub fn bootstrapped(&self, key: &Digest) -> Result<Option<BootstrapRecord>, StoreError> {
        self.read(&format!("bootstrap-v1/images/{}.json", key.hex()))
    }

    /// Remembers a bootstrapped image.
    pub fn remember_bootstrapped(&self, key: &Digest, record: &BootstrapRecord) -> Result<(), StoreError> {
        self.write(&format!("bootstrap-v1/images/{}.json", key.hex()), record)
    }

    pub(super) fn read<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<Option<T>, StoreError> {
        let path = self.root.join(path);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError { what: format!("read `{}`", path.display()), source }),
        }
    }

    pub(super) fn write(&self, path: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let failed = |source| StoreError { what: format!("write `{path}`"), source };
        let text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        write_whole(&self.root.join(path), &text)
    }

    /// Removes a record; one that is not there is fine.
    pub(super) fn remove(&self, path: &str) -> Result<(), StoreError> {
        let path = self.root.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError { what: format!("remove `{}`", path.display()), source: error })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_record_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let image: ImageName = "app".parse().unwrap();
        let memory = ImageMemory {
            recipe: Digest::of("recipe"),
            id: ImageId(Digest::of("id")),
            produced: jiff::Timestamp::UNIX_EPOCH,
        };
        store.remember_image("p", &image, &memory).unwrap();
        assert_eq!(store.image("p", &image).unwrap(), Some(memory));
        fs::write(directory.path().join("images-v1/p/app.json"), b"{\"recipe\":").unwrap();
        assert_eq!(store.image("p", &image).unwrap(), None);
        store.forget_image("p", &image).unwrap();
        store.forget_image("p", &image).unwrap();
    }
}
