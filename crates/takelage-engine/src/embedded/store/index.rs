//! The index: which images there are and how they are called.
//!
//! ```text
//! {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
//!   {"mediaType": …, "digest": MANIFEST, "size": …, "annotations": {
//!     "org.opencontainers.image.ref.name": NAME:TAG or NAME@DIGEST, missing if the image has no name
//!     "takelage.id": the digest of its configuration,
//!     "takelage.unpacked": the bytes of each layer, unpacked, with commas between,
//!     "takelage.beside": "tag" if a name with a digest is only known because a tag was fetched or sent}}, …]}
//! ```
//!
//! One image may have several manifests, since registries pack the same layers in different ways.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};

use super::{
    StoreError, name,
    open::{Held, Inner},
};
use crate::{
    ImageId,
    manifest::{Descriptor, OCI_INDEX},
};

const NAME: &str = "org.opencontainers.image.ref.name";
const ID: &str = "takelage.id";
const UNPACKED: &str = "takelage.unpacked";
const BESIDE: &str = "takelage.beside";

/// The file `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    schema_version: u64,
    media_type: String,
    manifests: Vec<Entry>,
}

/// A name of an image, or an image without a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) manifest: Descriptor,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Entry {
    pub(super) fn new(manifest: Descriptor, id: ImageId, unpacked: &[u64], name: Option<&str>) -> Self {
        let mut annotations = BTreeMap::new();
        annotations.insert(ID.to_owned(), id.to_string());
        let sizes: Vec<_> = unpacked.iter().map(u64::to_string).collect();
        annotations.insert(UNPACKED.to_owned(), sizes.join(","));
        if let Some(name) = name {
            annotations.insert(NAME.to_owned(), name.to_owned());
        }
        Self { manifest, annotations }
    }

    /// Marks a name with a digest as one that nobody asked for: it does not keep the image.
    pub(super) fn beside_tag(mut self) -> Self {
        self.annotations.insert(BESIDE.to_owned(), "tag".to_owned());
        self
    }

    /// Whether the entry keeps its image.
    fn keeps(&self) -> bool {
        self.name().is_some() && !self.annotations.contains_key(BESIDE)
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.annotations.get(NAME).map(String::as_str)
    }

    pub(super) fn is(&self, id: ImageId) -> bool {
        self.id() == Some(id)
    }

    /// `None`: an entry that takelage did not write. It is kept, and is no image of ours.
    pub(super) fn id(&self) -> Option<ImageId> {
        self.annotations.get(ID)?.parse().ok().map(ImageId)
    }

    pub(super) fn unpacked(&self) -> Vec<u64> {
        let text = self.annotations.get(UNPACKED).map(String::as_str).unwrap_or_default();
        text.split_terminator(',').map(|size| size.parse().unwrap_or(0)).collect()
    }
}

impl Index {
    fn empty() -> Self {
        Self { schema_version: 2, media_type: OCI_INDEX.to_owned(), manifests: Vec::new() }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.manifests
    }

    pub(super) fn of(&self, id: ImageId) -> impl Iterator<Item = &Entry> {
        self.manifests.iter().filter(move |entry| entry.is(id))
    }

    pub(super) fn named(&self, name: &str) -> Option<&Entry> {
        self.manifests.iter().find(|entry| entry.name() == Some(name))
    }

    /// Returns all ids, each once.
    pub(super) fn ids(&self) -> Vec<ImageId> {
        let mut ids: Vec<_> = self.manifests.iter().filter_map(Entry::id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Adds an entry. Its name is taken from whoever had it; an image that loses its last name stays without one.
    pub(super) fn add(&mut self, mut entry: Entry) {
        if let Some(name) = entry.name().map(str::to_owned) {
            if self.named(&name).is_some_and(|known| known.keeps() && known.id() == entry.id()) {
                entry.annotations.remove(BESIDE);
            }
            for other in &mut self.manifests {
                if other.name() == Some(&name) {
                    other.annotations.remove(NAME);
                }
            }
        }
        self.manifests.push(entry);
        self.settle();
    }

    /// Removes a name. Without another tag in its repository, the digests of the repository go with it, as Docker has
    /// it; without any name left, the image goes. Returns the image.
    pub(super) fn remove_name(&mut self, removed: &str) -> Option<ImageId> {
        let id = self.named(removed)?.id()?;
        let repository = name::of(removed);
        let gone =
            |entry: &Entry, gone: &dyn Fn(&str) -> bool| entry.is(id) && entry.name().is_some_and(gone);
        self.manifests.retain(|entry| !gone(entry, &|name| name == removed));
        let another = |name: &str| name::of(name) == repository && !name::has_digest(name);
        if !name::has_digest(removed) && !self.manifests.iter().any(|entry| gone(entry, &another)) {
            self.manifests.retain(|entry| !gone(entry, &|name| name::of(name) == repository));
        }
        if !self.of(id).any(|entry| entry.name().is_some()) {
            self.remove(id);
        }
        Some(id)
    }

    /// Removes an image with all its names.
    pub(super) fn remove(&mut self, id: ImageId) {
        self.manifests.retain(|entry| !entry.is(id));
    }

    /// Removes images that no name keeps and `unneeded` says it of.
    pub(super) fn remove_unnamed(&mut self, unneeded: impl Fn(&Entry) -> bool) {
        for id in self.ids() {
            if !self.of(id).any(|entry| entry.keeps() || !unneeded(entry)) {
                self.remove(id);
            }
        }
    }

    /// Entries without a name are only for images that have none, one for each manifest.
    fn settle(&mut self) {
        let named: Vec<_> =
            self.manifests.iter().filter(|entry| entry.name().is_some()).filter_map(Entry::id).collect();
        let mut seen = Vec::new();
        self.manifests.retain(|entry| {
            let Some(id) = entry.id() else { return true };
            if entry.name().is_some() {
                return true;
            }
            let key = entry.manifest.digest;
            let keep = !named.contains(&id) && !seen.contains(&key);
            seen.push(key);
            keep
        });
    }
}

impl Inner {
    /// Reads the index as it is this moment.
    pub(super) fn index(&self) -> Result<Index, StoreError> {
        let path = self.directory("index.json");
        match fs_err::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(&path, error.to_string()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::empty()),
            Err(error) => Err(StoreError::file(&path, error)),
        }
    }

    /// Changes the index, alone.
    pub(super) fn change<T>(
        &self,
        held: &Held,
        change: impl FnOnce(&mut Index) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        debug_assert_eq!(held.mode, super::lock::Mode::Exclusive, "who changes the index is alone");
        let mut index = self.index()?;
        let before = index.clone();
        let result = change(&mut index)?;
        if index != before {
            let json = serde_json::to_vec(&index).expect("strings, numbers and string keys are always JSON");
            self.replace(held, &self.directory("index.json"), &json)?;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use proptest::prelude::*;
    use takelage_model::Digest;

    use super::*;

    #[derive(Debug, Clone)]
    enum Change {
        Tag(u8, u8),
        Load(u8),
        RemoveName(u8),
        RemoveImage(u8),
        Prune,
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let (image, name) = (0..4_u8, 0..6_u8);
        let change = prop_oneof![
            4 => (image.clone(), name.clone()).prop_map(|(image, name)| Change::Tag(image, name)),
            2 => image.clone().prop_map(Change::Load),
            2 => name.prop_map(Change::RemoveName),
            1 => image.prop_map(Change::RemoveImage),
            1 => Just(Change::Prune),
        ];
        proptest::collection::vec(change, 0..40)
    }

    fn id(image: u8) -> ImageId {
        ImageId(Digest::of([image]))
    }

    fn entry(image: u8, name: Option<&str>) -> Entry {
        let manifest = Descriptor::new("manifest", Digest::of([image, 0]), 1);
        Entry::new(manifest, id(image), &[7, 8], name)
    }

    proptest! {
        /// Against the obvious: which name belongs to which image, and which images there are.
        #[test]
        fn names_and_images_are_those_of_a_plain_map(changes in changes()) {
            let mut index = Index::empty();
            let (mut names, mut images) = (Map::<String, u8>::new(), std::collections::BTreeSet::new());
            for change in changes {
                match change {
                    Change::Tag(image, name) => {
                        let name = format!("name:{name}");
                        index.add(entry(image, Some(&name)));
                        names.insert(name, image);
                        images.insert(image);
                    }
                    Change::Load(image) => {
                        index.add(entry(image, None));
                        images.insert(image);
                    }
                    Change::RemoveName(name) => {
                        let name = format!("name:{name}");
                        let removed = index.remove_name(&name);
                        let image = names.remove(&name);
                        prop_assert_eq!(removed, image.map(id));
                        if let Some(image) = image
                            && !names.values().any(|other| *other == image)
                        {
                            images.remove(&image);
                        }
                    }
                    Change::RemoveImage(image) => {
                        index.remove(id(image));
                        names.retain(|_, other| *other != image);
                        images.remove(&image);
                    }
                    Change::Prune => {
                        index.remove_unnamed(|_| true);
                        images.retain(|image| names.values().any(|other| other == image));
                    }
                }
                let mut expected: Vec<_> = images.iter().map(|image| id(*image)).collect();
                expected.sort_unstable();
                prop_assert_eq!(index.ids(), expected);
                for (name, image) in &names {
                    prop_assert_eq!(index.named(name).and_then(Entry::id), Some(id(*image)));
                }
                // One entry for each name, and one for each image without.
                let unnamed = images.iter().filter(|image| !names.values().any(|it| it == *image)).count();
                prop_assert_eq!(index.entries().len(), names.len() + unnamed);
                let json = serde_json::to_vec(&index).unwrap();
                prop_assert_eq!(serde_json::from_slice::<Index>(&json).unwrap(), index.clone());
            }
        }
    }

    #[test]
    fn a_digest_that_nobody_asked_for_does_not_keep_an_image() {
        let digest = format!("a@{}", Digest::of("x"));
        let beside = || entry(1, Some(&digest)).beside_tag();
        let mut index = Index::empty();
        index.add(beside());
        index.add(entry(1, Some("a:1")));
        index.remove_unnamed(|_| true);
        assert_eq!(index.ids(), [id(1)]);
        // The tag moves on. The image is known by its digest until somebody wants the space.
        index.add(entry(2, Some("a:1")));
        index.remove_unnamed(|entry| !entry.is(id(1)));
        assert!(index.named(&digest).is_some());
        index.remove_unnamed(|_| true);
        assert_eq!(index.ids(), [id(2)]);
        // Asked for, it keeps the image, and does so when the tag is fetched as well.
        index.add(entry(1, Some(&digest)));
        index.add(beside());
        index.remove_unnamed(|_| true);
        assert!(index.named(&digest).is_some());
    }

    #[test]
    fn digests_of_a_repository_go_with_its_last_tag() {
        let mut index = Index::empty();
        let digest = format!("a@{}", Digest::of("x"));
        for name in ["a:1", "a:2", "b:1", &digest] {
            index.add(entry(1, Some(name)));
        }
        index.remove_name("a:1");
        assert!(index.named(&digest).is_some());
        index.remove_name("a:2");
        assert!(index.named(&digest).is_none() && index.named("b:1").is_some());
        // Without tags, the last digest keeps it.
        index.add(entry(1, Some(&digest)));
        index.remove_name("b:1");
        assert_eq!(index.ids(), [id(1)]);
        index.remove_name(&digest);
        assert_eq!(index.ids(), []);
    }
}
