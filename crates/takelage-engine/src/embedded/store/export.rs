//! Writing images as archives that other engines load.

use std::{
    collections::HashSet,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;
use takelage_model::Digest;

use super::{
    Store, StoreError,
    add::Known,
    error::Named,
    image::resolve,
    index::{Entry, Index},
    name::Wanted,
    open::Inner,
    record::Stored,
};
use crate::{
    ArchiveFormat, Progress, archive::Layout, manifest::Descriptor, progress::reporting,
    whole_file::WholeFile,
};

impl Store {
    /// Writes images to the file `path`, which is there when it is whole.
    ///
    /// A docker-archive can be read by every engine, for its layers are not compressed:
    ///
    /// ```text
    /// CONFIG-DIGEST.json    the configuration, byte for byte
    /// LAYER-DIGEST.tar      one for each layer, unpacked
    /// manifest.json         [{"Config": …, "RepoTags": null or [NAME, …], "Layers": […]}, …]
    /// ```
    ///
    /// An [OCI archive](Layout) has the blobs as they are.
    pub(crate) async fn save(
        &self,
        words: &[String],
        format: ArchiveFormat,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), StoreError> {
        let whole = WholeFile::begin(path).named(path)?;
        let written = Arc::new(AtomicU64::new(0));
        let output = Output {
            file: whole.reopen().named(path)?,
            written: Arc::downgrade(&written),
            path: path.to_owned(),
        };
        let words = words.to_vec();
        let write = self.blocking(move |inner| {
            let held = inner.shared()?;
            let images = inner.chosen(&inner.index()?, &words)?;
            let digests: Vec<_> = images.iter().flat_map(|saved| saved.image.digests()).collect();
            let _lease = inner.lease(&held, &digests)?;
            drop(held);
            match format {
                ArchiveFormat::Docker => inner.docker_archive(&images, output),
                ArchiveFormat::Oci => inner.oci_archive(&images, output),
            }
        });
        reporting(write, || progress(written.load(Ordering::Relaxed), None)).await?;
        whole.finish().await.named(path)
    }
}

/// An image and the names under which it is saved.
struct Saved {
    image: Stored,
    names: Vec<String>,
}

/// The file that an archive is written to. When nobody waits for it any more, nothing more is written.
struct Output {
    file: std::fs::File,
    /// How much it is so far, for who waits.
    written: Weak<AtomicU64>,
    /// What it will be called, for messages.
    path: PathBuf,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(written) = self.written.upgrade() else {
            return Err(io::Error::other("nobody waits for it"));
        };
        let length = self.file.write(bytes)?;
        written.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Output {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
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

    fn docker_archive(&self, images: &[Saved], output: Output) -> Result<(), StoreError> {
        let path = output.path.clone();
        let mut tar = tar::Builder::new(output);
        let mut written = HashSet::new();
        let mut manifest = Vec::new();
        for Saved { image, names } in images {
            let config = format!("{}.json", image.id.0.hex());
            append_bytes(&mut tar, &config, &image.json).named(&path)?;
            let mut layers = Vec::new();
            for layer in image.layers() {
                let name = format!("{}.tar", layer.diff_id.hex());
                if written.insert(layer.diff_id) {
                    self.append_unpacked(&mut tar, &path, &name, &layer)?;
                }
                layers.push(name);
            }
            let names = (!names.is_empty()).then_some(names);
            manifest.push(json!({"Config": config, "RepoTags": names, "Layers": layers}));
        }
        let manifest = serde_json::to_vec(&manifest).expect("a value is always JSON");
        append_bytes(&mut tar, "manifest.json", &manifest).named(&path)?;
        tar.into_inner().named(&path).map(drop)
    }

    fn oci_archive(&self, images: &[Saved], output: Output) -> Result<(), StoreError> {
        let path = output.path.clone();
        let mut layout = Layout::begin(output).named(&path)?;
        for Saved { image, names } in images {
            let layers = image.manifest.layers.iter().map(|layer| layer.digest);
            for digest in layers.chain([image.id.0, image.digest]) {
                if layout.lacks(&digest) {
                    self.add_blob(&mut layout, &path, digest)?;
                }
            }
            let manifest = Descriptor::new(&image.media_type, image.digest, image.bytes.len() as u64);
            layout.enter(&manifest, names);
        }
        layout.finish().named(&path).map(drop)
    }

    /// Appends what a layer unpacks to. How long that is is known at its end, so the header is written last.
    fn append_unpacked(
        &self,
        tar: &mut tar::Builder<Output>,
        path: &Path,
        name: &str,
        layer: &Known,
    ) -> Result<(), StoreError> {
        use sha2::Digest as _;

        let (blob, expected) = (layer.blob.digest, layer.diff_id);
        let mut hasher = sha2::Sha256::new();
        let mut header = header(0);
        let mut entry = tar.append_writer(&mut header, name).named(path)?;
        self.unpacked(&blob, |bytes| {
            hasher.update(bytes);
            entry.write_all(bytes).named(path)
        })?;
        entry.finish().named(path)?;
        let actual = Digest::from_bytes(hasher.finalize().into());
        if actual == expected { Ok(()) } else { Err(StoreError::Layer { blob, expected, actual }) }
    }

    fn add_blob(&self, layout: &mut Layout<Output>, path: &Path, digest: Digest) -> Result<(), StoreError> {
        let mut reader = self.read(&digest)?;
        let size = reader.size()?;
        // Of a file that is too long, the end would go unread.
        let content = Read::by_ref(&mut reader).take(size);
        let added = layout.blob(digest, size, content).named(path);
        reader.finish()?;
        added
    }
}

fn append_bytes(tar: &mut tar::Builder<Output>, name: &str, content: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(content.len() as u64), name, content)
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
