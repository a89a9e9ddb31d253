//! What is damaged is found, said, and never used; and a full disk leaves nothing half.

use std::io::{self, Cursor, Read};

use takelage_model::Digest;

use super::fixture::{Bench, archive, noise, tar};
use crate::{
    ArchiveFormat, EngineError, Operation,
    embedded::store::{Fetch, StoreError, blob::BlobReader},
};

/// Changes one byte in the middle of a file.
fn flip(path: &std::path::Path) {
    let mut bytes = fs_err::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(path, bytes).unwrap();
}

fn read(mut reader: BlobReader) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[tokio::test]
async fn a_damaged_blob_is_never_read_to_its_end() {
    let bench = Bench::new().await;
    let content = noise(5, 300_000);
    let (digest, size, _lease) = bench.store.put_blob(Cursor::new(content.clone())).await.unwrap();
    assert_eq!((digest, size), (Digest::of(&content), 300_000));
    assert!(read(bench.store.blob(digest).await.unwrap()).unwrap() == content);
    let path = bench.blob(&digest);
    flip(&path);
    let error = read(bench.store.blob(digest).await.unwrap()).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
    fs_err::write(&path, &content[..100]).unwrap();
    assert!(read(bench.store.blob(digest).await.unwrap()).is_err());
    fs_err::write(&path, [content.as_slice(), b"more"].concat()).unwrap();
    assert!(bench.store.blob(digest).await.unwrap().finish().is_err());
    // What is stored again is whole again.
    bench.store.put_blob(Cursor::new(content.clone())).await.unwrap();
    assert!(read(bench.store.blob(digest).await.unwrap()).unwrap() == content);
    let missing = bench.store.blob(Digest::of("missing")).await.unwrap_err();
    assert!(matches!(missing, StoreError::NoSuchBlob(_)));
}

#[tokio::test]
async fn every_part_of_an_image_is_checked() {
    let layers = [tar("a", &noise(6, 50_000))];
    for part in 0..3 {
        let bench = Bench::new().await;
        let image = bench.load(&layers, Some("image")).await;
        let manifest =
            bench.store.inner.image_of(&bench.store.inner.index().unwrap(), image.id).unwrap().unwrap();
        let layer = manifest.manifest.layers[0].digest;
        let digest = [manifest.digest, image.id.0, layer][part];
        flip(&bench.blob(&digest));
        let path = bench.directory.path().join("saved.tar");
        let save = bench.save(&["image".to_owned()], ArchiveFormat::Docker, &path).await.unwrap_err();
        assert!(
            matches!(&save, StoreError::Damaged { path, .. } if path.ends_with(digest.hex())),
            "{save:?}"
        );
        assert!(!path.exists());
        let trees = bench.store.layer_trees(image.id).await.unwrap_err();
        assert!(
            matches!(&trees, StoreError::Damaged { path, .. } if path.ends_with(digest.hex())),
            "{trees:?}"
        );
        assert_eq!((bench.count("layers"), bench.count("temporary")), (0, 0));
        if part < 2 {
            assert!(bench.store.image("image").await.is_err());
            // Others are listed all the same, and garbage is collected.
            assert_eq!(bench.store.images(&std::collections::BTreeMap::new()).await.unwrap(), []);
        }
        bench.store.gc().await.unwrap();
        // Loading it again repairs it.
        let loaded = bench.load(&layers, Some("image")).await;
        assert_eq!(loaded.id, image.id);
        bench.store.layer_trees(image.id).await.unwrap();
        bench.save(&["image".to_owned()], ArchiveFormat::Docker, &path).await.unwrap();
    }
}

#[tokio::test]
async fn an_index_that_is_none_is_said_and_kept() {
    let bench = Bench::new().await;
    bench.load(&[tar("a", b"")], Some("image")).await;
    fs_err::write(bench.path("index.json"), "{").unwrap();
    for error in [
        bench.store.image("image").await.map(drop).unwrap_err(),
        bench.store.gc().await.map(drop).unwrap_err(),
        bench.store.remove("image").await.unwrap_err(),
    ] {
        assert!(matches!(&error, StoreError::Damaged { path, .. } if path.ends_with("index.json")));
    }
    assert_eq!(bench.count("blobs/sha256"), 3);
}

#[tokio::test]
async fn a_manifest_of_another_image_is_not_taken_for_this_one() {
    let bench = Bench::new().await;
    let one = bench.load(&[tar("a", b"1")], Some("one")).await;
    let two = bench.load(&[tar("a", b"2")], Some("two")).await;
    let index = fs_err::read_to_string(bench.path("index.json")).unwrap();
    let swapped = index.replace(&one.id.to_string(), "-").replace(&two.id.to_string(), &one.id.to_string());
    fs_err::write(bench.path("index.json"), swapped.replace('-', &two.id.to_string())).unwrap();
    let error = bench.store.image("one").await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn what_ends_early_leaves_nothing() {
    struct Broken(u8);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("gone"))?;
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    let bench = Bench::new().await;
    for pieces in 0..3 {
        assert!(matches!(bench.store.put_blob(Broken(pieces)).await, Err(StoreError::Input(_))));
        assert!(matches!(bench.store.put_layer(Broken(pieces)).await, Err(StoreError::Input(_))));
    }
    let places = ["blobs/sha256", "temporary", "leases", "layers", "partial"];
    assert_eq!(places.map(|place| bench.count(place)), [0; 5]);
}

#[tokio::test]
async fn more_than_was_announced_is_refused() {
    let bench = Bench::new().await;
    let content = noise(7, 1000);
    let digest = Digest::of(&content);
    let _lease = bench.store.lease(vec![digest]).await.unwrap();
    let Fetch::Missing(mut partial) = bench.store.fetch(digest, 999, false).await.unwrap() else { panic!() };
    assert!(partial.write(&content).await.is_err());
    assert!(matches!(partial.finish().await, Err(StoreError::Digest { .. })));
    assert_eq!((partial.length(), partial.size()), (0, 999));
}

/// A tmpfs is the one disk that a test can fill.
#[tokio::test]
async fn root_a_full_disk_is_said_and_leaves_nothing_half() {
    if !rustix::process::geteuid().is_root() {
        takelage_testkit::skip!("only root may mount");
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(directory.path()).status()
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"]).is_ok_and(|status| status.success()) {
        takelage_testkit::skip!("a tmpfs cannot be mounted");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let result = std::panic::AssertUnwindSafe(fill(directory.path(), elsewhere.path()));
    let result = futures_util::FutureExt::catch_unwind(result).await;
    assert!(mount(&["umount"]).unwrap().success());
    result.unwrap();
}

async fn fill(directory: &std::path::Path, elsewhere: &std::path::Path) {
    let unpack = super::fixture::Simple::default();
    let store = crate::embedded::store::Store::open(directory, unpack).await.unwrap();
    let small = store.load(archive(elsewhere, &[tar("a", b"1")])).await.unwrap();
    let full = store.load(archive(elsewhere, &[tar("a", &noise(8, 4_000_000))])).await.unwrap_err();
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full:?}");
    let error = full.into_engine(Operation::Load, "image");
    assert!(matches!(error, EngineError::DiskFull { .. }), "{error:?}");
    let count = |name: &str| fs_err::read_dir(directory.join("v1").join(name)).unwrap().count();
    assert_eq!((count("temporary"), count("blobs/sha256")), (0, 3));
    // It fits packed, but not unpacked beside that.
    let zeros = store.load(archive(elsewhere, &[tar("a", &vec![0; 4_000_000])])).await.unwrap();
    let full = store.layer_trees(zeros.id).await.unwrap_err();
    assert!(matches!(full, StoreError::Unpack { .. } | StoreError::DiskFull { .. }), "{full:?}");
    assert_eq!((count("temporary"), count("layers")), (0, 0));
    assert_eq!(store.layer_trees(small.id).await.unwrap().paths.len(), 1);
}
