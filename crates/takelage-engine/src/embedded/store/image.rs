//! Images: found, named, removed, and registered when all their parts are there.

use std::collections::BTreeMap;

use takelage_model::Digest;

use super::{
    Lease, Store, StoreError,
    index::{Entry, Index},
    name::{self, Wanted},
    open::Inner,
};
use crate::{
    ImageId, ImageRecord, Reference,
    manifest::{CONFIG_LIMIT, Descriptor},
};

/// An image that came from a registry, whose layers are in the store.
#[derive(Debug)]
pub(crate) struct Pulled<'a> {
    /// What it was asked for as.
    pub(crate) reference: &'a Reference,
    /// The digest by which the registry knows it: that of its index, if there is one.
    pub(crate) digest: Digest,
    /// The manifest, byte for byte, and its media type.
    pub(crate) manifest: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) id: ImageId,
    /// The bytes of each layer, unpacked.
    pub(crate) unpacked: Vec<u64>,
}

/// The names that an image is entered under.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) tag: Option<String>,
    /// The one by which a registry knows it.
    pub(super) digest: Option<String>,
}

impl Store {
    /// Looks an image up by name or id. `None`: it is not there.
    pub(crate) async fn image(&self, word: &str) -> Result<Option<ImageRecord>, StoreError> {
        let wanted = Wanted::parse(word)?;
        self.blocking(move |inner| inner.find(&wanted)).await
    }

    /// Lists the images whose configuration has all these labels, named or not. Damaged ones are left out.
    pub(crate) async fn images(&self, labels: &BTreeMap<String, String>) -> Result<Vec<ImageId>, StoreError> {
        let labels = labels.clone();
        self.blocking(move |inner| {
            let index = inner.index()?;
            let carries = |id: &ImageId| match inner.image_of(&index, *id) {
                Ok(Some(image)) => {
                    labels.iter().all(|(name, value)| image.config.labels.get(name) == Some(value))
                }
                Ok(None) => false,
                Err(error) => {
                    tracing::warn!(%id, error = &error as &dyn std::error::Error, "an image is damaged");
                    false
                }
            };
            Ok(index.ids().into_iter().filter(carries).collect())
        })
        .await
    }

    /// Gives an image one more name, taking it away from the image that had it.
    pub(crate) async fn tag(&self, id: ImageId, reference: &Reference) -> Result<(), StoreError> {
        if reference.digest().is_some() {
            return Err(StoreError::Given(reference.to_string()));
        }
        let name = name::tagged(reference);
        self.blocking(move |inner| {
            let held = inner.exclusive()?;
            inner.change(&held, |index| {
                let entry = index.of(id).next().ok_or_else(|| StoreError::NoSuchImage(id.to_string()))?;
                let entry = Entry::new(entry.manifest.clone(), id, &entry.unpacked(), Some(&name));
                index.add(entry);
                Ok(())
            })?;
            inner.forget(id);
            Ok(())
        })
        .await
    }

    /// Removes a name, or an image with all its names. Removing what is not there succeeds.
    ///
    /// An image that a container needs keeps its last name. Space is given back at once.
    pub(crate) async fn remove(&self, word: &str) -> Result<(), StoreError> {
        let wanted = Wanted::parse(word)?;
        self.blocking(move |inner| {
            let held = inner.exclusive()?;
            let gone = inner.change(&held, |index| {
                let Some(id) = resolve(index, &wanted)? else { return Ok(None) };
                match &wanted {
                    Wanted::Name { name, .. } if index.named(name).is_some() => {
                        index.remove_name(name);
                    }
                    _ => index.remove(id),
                }
                if index.of(id).next().is_some() {
                    return Ok(None);
                }
                match inner.pins()?.into_iter().find(|(_, pin)| pin.id == id) {
                    Some((container, _)) => Err(StoreError::InUse { image: id, container }),
                    None => Ok(Some(id)),
                }
            })?;
            if let Some(id) = gone {
                inner.forget(id);
            }
            Ok(())
        })
        .await?;
        self.sweep().await.map(drop)
    }

    /// Enters an image whose layers were fetched. `lease` holds them.
    pub(crate) async fn add_pulled(
        &self,
        pulled: Pulled<'_>,
        lease: &Lease,
    ) -> Result<ImageRecord, StoreError> {
        let mut names = Names { digest: Some(name::digested(pulled.reference, &pulled.digest)), tag: None };
        if pulled.reference.digest().is_none() {
            names.tag = Some(name::tagged(pulled.reference));
        }
        let Pulled { manifest, media_type, id, unpacked, .. } = pulled;
        // The caller's lease holds the layers; this one what is added here.
        let _ = lease;
        self.blocking(move |inner| {
            let lease = inner.lease(&inner.shared()?, &[id.0])?;
            inner.register(&manifest, &media_type, id, &unpacked, &names, lease)
        })
        .await
    }
}

impl Inner {
    fn find(&self, wanted: &Wanted) -> Result<Option<ImageRecord>, StoreError> {
        let index = self.index()?;
        let Some(id) = resolve(&index, wanted)? else { return Ok(None) };
        match self.record(&index, id) {
            // Removed in between.
            Err(StoreError::NoSuchBlob(_)) if self.index()? != index => self.find(wanted),
            result => result,
        }
    }

    /// Enters an image of which all but the manifest is there, under these names or none.
    pub(super) fn register(
        &self,
        manifest: &[u8],
        media_type: &str,
        id: ImageId,
        unpacked: &[u64],
        names: &Names,
        lease: Lease,
    ) -> Result<ImageRecord, StoreError> {
        // It was checked where it came from; once more, since the store promises a whole image from now on.
        self.bytes(&id.0, CONFIG_LIMIT)?;
        let (digest, size) = self.put(manifest, &lease)?;
        let descriptor = Descriptor::new(media_type, digest, size);
        let held = self.exclusive()?;
        let index = self.change(&held, |index| {
            let entry = |name| Entry::new(descriptor.clone(), id, unpacked, name);
            match (names.tag.as_deref(), names.digest.as_deref()) {
                (Some(tag), digest) => {
                    index.add(entry(Some(tag)));
                    if let Some(digest) = digest {
                        index.add(entry(Some(digest)).beside_tag());
                    }
                }
                (None, digest) => index.add(entry(digest)),
            }
            Ok(index.clone())
        })?;
        // Before the lease ends, or the image without a name is anybody's garbage.
        if names.tag.is_none() && names.digest.is_none() && index.of(id).all(|entry| entry.name().is_none()) {
            self.remember(id, lease);
        }
        drop(held);
        self.record(&index, id)?.ok_or_else(|| StoreError::NoSuchImage(id.to_string()))
    }

    /// Keeps an image without a name as long as this value lives.
    fn remember(&self, id: ImageId, lease: Lease) {
        self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, lease);
    }

    /// Leaves an image to its names.
    fn forget(&self, id: ImageId) {
        self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id);
    }
}

/// Returns the id of what somebody means.
pub(super) fn resolve(index: &Index, wanted: &Wanted) -> Result<Option<ImageId>, StoreError> {
    let (name, prefix) = match wanted {
        Wanted::Id(digest) => {
            return Ok(index.of(ImageId(*digest)).next().map(|_| ImageId(*digest)));
        }
        Wanted::Name { name, prefix } => (name, prefix),
    };
    if let Some(entry) = index.named(name) {
        return Ok(entry.id());
    }
    let Some(prefix) = prefix else { return Ok(None) };
    match index.ids().into_iter().filter(|id| id.0.hex().starts_with(prefix)).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [id] => Ok(Some(id)),
        _ => Err(StoreError::Ambiguous(prefix.clone())),
    }
}
