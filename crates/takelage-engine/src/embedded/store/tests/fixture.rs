//! A store of its own, small images, and an unpacker that is enough for them.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;
use tempfile::TempDir;

use crate::{
    ArchiveFormat, ImageArchive, ImageConfig, ImageRecord, Reference,
    archive::Compression,
    embedded::store::{Store, StoreError, Unpack, Unpacked},
};

/// Unpacks with the crate `tar`, and counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Simple {
    pub(crate) unpacked: Arc<AtomicUsize>,
}

impl Unpack for Simple {
    async fn unpack(&self, blob: &Path, compression: Compression, to: &Path) -> Result<Unpacked, StoreError> {
        self.unpacked.fetch_add(1, Ordering::Relaxed);
        let (blob, to) = (blob.to_owned(), to.to_owned());
        tokio::task::spawn_blocking(move || unpack(&blob, compression, &to)).await.unwrap()
    }
}

fn unpack(blob: &Path, compression: Compression, to: &Path) -> Result<Unpacked, StoreError> {
    let failed = |source: io::Error| StoreError::Unpack { layer: Digest::of(""), source: source.into() };
    let file = fs_err::File::open(blob).map_err(failed)?;
    let mut tar = Digesting { reader: compression.reader(file).map_err(failed)?, hasher: Sha256::new() };
    let mut archive = tar::Archive::new(&mut tar);
    let (mut size, mut entries) = (0, 0);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        entry.unpack_in(to).map_err(failed)?;
        size += entry.size();
        entries += 1;
    }
    io::copy(&mut tar, &mut io::sink()).map_err(failed)?;
    Ok(Unpacked { diff_id: Digest::from_bytes(tar.hasher.finalize().into()), size, entries })
}

struct Digesting<R> {
    reader: R,
    hasher: Sha256,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

/// A store and where it lies.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
    pub(crate) unpack: Simple,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let unpack = Simple::default();
        let store = Store::open(&directory.path().join("store"), unpack.clone()).await.unwrap();
        Self { store, directory, unpack }
    }

    /// Opens the same store as another process would.
    pub(crate) async fn another(&self) -> Store {
        Store::open(&self.directory.path().join("store"), Simple::default()).await.unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("store/v1").join(name)
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }

    /// How many entries a directory of the store has.
    pub(crate) fn count(&self, name: &str) -> usize {
        fs_err::read_dir(self.path(name)).unwrap().count()
    }

    /// Loads an image of these layers.
    pub(crate) async fn load(&self, layers: &[Vec<u8>], name: Option<&str>) -> ImageRecord {
        let archive = archive(self.directory.path(), layers).named(name.map(reference).as_ref());
        self.store.load(archive).await.unwrap()
    }

    pub(crate) async fn save(
        &self,
        words: &[String],
        format: ArchiveFormat,
        path: &Path,
    ) -> Result<(), StoreError> {
        self.store.save(words, format, path, &|_, _| ()).await
    }
}

pub(crate) fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

/// An image of these layers, whose files lie in `directory`.
pub(crate) fn archive(directory: &Path, layers: &[Vec<u8>]) -> ImageArchive {
    let files: Vec<_> = layers
        .iter()
        .map(|layer| {
            let path = directory.join(format!("{}.tar", Digest::of(layer).hex()));
            fs_err::write(&path, layer).unwrap();
            path
        })
        .collect();
    ImageArchive::of_layers(&config(), &files, directory).unwrap()
}

pub(crate) fn config() -> ImageConfig {
    ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() }
}

/// A layer with one file.
pub(crate) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// What it takes for the store to be whole: every image that the index has is, and every tree that has a name.
pub(crate) async fn check_whole(base: &Path) {
    let store = Store::open(base, Simple::default()).await.unwrap();
    let inner = &store.inner;
    let index = inner.index().unwrap();
    for entry in index.entries() {
        let image = inner.stored(entry).unwrap();
        for layer in image.layers() {
            assert_eq!(inner.examine(&layer.blob.digest).unwrap().diff_id, layer.diff_id);
        }
    }
    for id in index.ids() {
        for tree in store.layer_trees(id).await.unwrap().paths {
            assert_eq!(fs_err::read_dir(tree).unwrap().count(), 1);
        }
    }
    for name in ["temporary", "leases"] {
        let left: Vec<_> = fs_err::read_dir(base.join("v1").join(name)).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
