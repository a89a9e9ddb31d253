//! Writing images as archives that other engines load.

use std::{
    collections::HashSet,
    fs::Permissions,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::json;
use takelage_model::Digest;

use super::{
    Store, StoreError,
    error::Named,
    image::resolve,
    index::{Entry, Index},
    name::Wanted,
    open::Inner,
    record::Stored,
};
use crate::manifest::{Descriptor, OCI_INDEX};

impl Store {
    /// Writes images as a docker-archive to `path`, by a temporary file beside it and a rename. Every engine reads it:
    /// the layers are not compressed.
    ///
    /// ```text
    /// CONFIG-DIGEST.json    the configuration, byte for byte
    /// LAYER-DIGEST.tar      one for each layer, unpacked
    /// manifest.json         [{"Config": …, "RepoTags": null or [NAME, …], "Layers": […]}, …]
    /// ```
    pub(crate) async fn save(&self, words: &[String], path: &Path) -> Result<(), StoreError> {
        self.write(words, path, Inner::docker_archive).await
    }

    /// Writes images as an OCI archive, their blobs as they are, in the same way.
    pub(crate) async fn save_oci(&self, words: &[String], path: &Path) -> Result<(), StoreError> {
        self.write(words, path, Inner::oci_archive).await
    }

    async fn write(
        &self,
        words: &[String],
        path: &Path,
        write: impl FnOnce(&Inner, &[Saved], &mut Archive) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (words, path) = (words.to_vec(), path.to_owned());
        self.blocking(move |inner| {
            let held = inner.shared()?;
            let images = inner.chosen(&inner.index()?, &words)?;
            let digests: Vec<_> = images.iter().flat_map(|saved| saved.image.digests()).collect();
            let _lease = inner.lease(&held, &digests)?;
            drop(held);
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let file = tempfile::Builder::new()
                .prefix(".takelage-")
                // Less the umask, as for any new file.
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(directory)
                .named(directory)?;
            let tar = tar::Builder::new(file.reopen().named(&path)?);
            let mut archive = Archive { tar, path: path.clone() };
            write(inner, &images, &mut archive)?;
            archive.tar.into_inner().named(&path)?;
            file.as_file().sync_all().named(&path)?;
            file.persist(&path).map_err(|error| StoreError::file(&path, error.error)).map(drop)
        })
        .await
    }
}

/// An image and the names under which it is saved.
struct Saved {
    image: Stored,
    names: Vec<String>,
}

/// An archive that is being written.
struct Archive {
    tar: tar::Builder<std::fs::File>,
    /// What it will be called, for messages.
    path: PathBuf,
}

impl Archive {
    fn append(&mut self, name: &str, content: impl Read, size: u64) -> Result<(), StoreError> {
        self.tar.append_data(&mut header(size), name, content).named(&self.path)
    }

    fn append_bytes(&mut self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.append(name, content, content.len() as u64)
    }
}

impl Inner {
    /// Finds the images that are meant, each once.
    fn chosen(&self, index: &Index, words: &[String]) -> Result<Vec<Saved>, StoreError> {
        let mut chosen: Vec<Saved> = Vec::new();
        for word in words {
            let wanted = Wanted::parse(word)?;
            let missing = || StoreError::NoSuchImage(word.clone());
            let id = resolve(index, &wanted)?.ok_or_else(missing)?;
            // An id is saved without names, as Docker does it, and so is a name with a digest.
            let name = match wanted {
                Wanted::Name { name, .. } if !super::name::has_digest(&name) => {
                    index.named(&name).and_then(Entry::name).map(str::to_owned)
                }
                _ => None,
            };
            if let Some(saved) = chosen.iter_mut().find(|saved| saved.image.id == id) {
                saved.names.extend(name);
            } else {
                let image = self.image_of(index, id)?.ok_or_else(missing)?;
                chosen.push(Saved { image, names: name.into_iter().collect() });
            }
        }
        Ok(chosen)
    }

    fn docker_archive(&self, images: &[Saved], archive: &mut Archive) -> Result<(), StoreError> {
        let mut written = HashSet::new();
        let mut manifest = Vec::new();
        for Saved { image, names } in images {
            let config = format!("{}.json", image.id.0.hex());
            archive.append_bytes(&config, &image.json)?;
            let mut layers = Vec::new();
            for layer in image.layers() {
                let name = format!("{}.tar", layer.diff_id.hex());
                if written.insert(layer.diff_id) {
                    self.append_unpacked(archive, &name, &layer.blob.digest, layer.diff_id)?;
                }
                layers.push(name);
            }
            let names = (!names.is_empty()).then_some(names);
            manifest.push(json!({"Config": config, "RepoTags": names, "Layers": layers}));
        }
        archive.append_bytes("manifest.json", &to_json(&json!(manifest)))
    }

    fn oci_archive(&self, images: &[Saved], archive: &mut Archive) -> Result<(), StoreError> {
        archive.append_bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut written = HashSet::new();
        let mut entries = Vec::new();
        for Saved { image, names } in images {
            let descriptor = Descriptor::new(&image.media_type, image.digest, image.bytes.len() as u64);
            let layers = image.manifest.layers.iter().map(|layer| layer.digest);
            for digest in [image.digest, image.id.0].into_iter().chain(layers) {
                if written.insert(digest) {
                    self.append_blob(archive, &digest)?;
                }
            }
            if names.is_empty() {
                entries.push(json!(descriptor));
            }
            for name in names {
                let mut entry = json!(descriptor);
                entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
                entries.push(entry);
            }
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
        archive.append_bytes("index.json", &to_json(&index))
    }

    /// Appends what a layer unpacks to. How long that is is known at its end, so the header is written last.
    fn append_unpacked(
        &self,
        archive: &mut Archive,
        name: &str,
        blob: &Digest,
        expected: Digest,
    ) -> Result<(), StoreError> {
        use sha2::Digest as _;

        let Archive { tar, path } = archive;
        let mut hasher = sha2::Sha256::new();
        let mut header = header(0);
        let mut entry = tar.append_writer(&mut header, name).named(path)?;
        self.unpacked(blob, |bytes| {
            hasher.update(bytes);
            entry.write_all(bytes).named(path)
        })?;
        entry.finish().named(path)?;
        let actual = Digest::from_bytes(hasher.finalize().into());
        if actual == expected { Ok(()) } else { Err(StoreError::Layer { blob: *blob, expected, actual }) }
    }

    fn append_blob(&self, archive: &mut Archive, digest: &Digest) -> Result<(), StoreError> {
        let name = format!("blobs/sha256/{}", digest.hex());
        let mut reader = self.read(digest)?;
        let size = reader.size()?;
        // Of a file that is too long, the end would go unread.
        let content = Read::by_ref(&mut reader).take(size);
        let appended = archive.append(&name, content, size);
        reader.finish()?;
        appended
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn to_json(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value is always JSON")
}
