//! Garbage goes, and nothing else.

use std::{io::Cursor, time::Duration};

use takelage_model::Digest;

use super::fixture::{Bench, noise, tar};
use crate::embedded::store::{Fetch, Freed, StoreError};

#[tokio::test]
async fn what_has_a_name_or_a_container_stays() {
    let bench = Bench::new().await;
    let (base, own) = (tar("base", &noise(9, 10_000)), tar("own", b"2"));
    let named = bench.load(std::slice::from_ref(&base), Some("named")).await;
    let container = bench.load(&[base, own], Some("moving")).await;
    let trees = bench.store.layer_trees(container.id).await.unwrap();
    let directory = bench.store.containers().join("box");
    fs_err::create_dir(&directory).unwrap();
    trees.pin(&directory).await.unwrap();
    drop(trees);
    bench.load(&[tar("third", b"3")], Some("moving")).await;
    let other = bench.another().await;
    // No name, but a container.
    assert_eq!(other.gc().await.unwrap(), Freed::default());
    let usage = other.usage().await.unwrap();
    let used: Vec<_> = usage.images.iter().filter(|image| !image.containers.is_empty()).collect();
    assert_eq!((usage.images.len(), used.len(), used[0].id), (3, 1, container.id));
    assert!(usage.blobs > 10_000 && usage.layers > 10_000 && usage.unneeded == Freed::default());
    let refused = other.remove(&container.id.to_string()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::InUse { container, .. } if container == "box"), "{refused:?}");
    // The container goes, and with it what only it needed.
    fs_err::remove_dir_all(&directory).unwrap();
    let expected = other.usage().await.unwrap().unneeded;
    let freed = other.gc().await.unwrap();
    assert_eq!(freed, expected);
    assert_eq!((freed.images, freed.blobs, freed.layers), (1, 3, 1));
    assert_eq!((bench.count("layers"), bench.count("locks"), bench.count("temporary")), (1, 1, 0));
    bench.store.layer_trees(named.id).await.unwrap();
    assert_eq!(other.gc().await.unwrap(), Freed::default());
}

#[tokio::test]
async fn what_a_running_process_needs_stays() {
    let bench = Bench::new().await;
    let other = bench.another().await;
    // Without a name, but by a process that may name it yet.
    let fresh = bench.load(&[tar("a", b"1")], None).await;
    let (blob, _, blob_lease) = bench.store.put_blob(Cursor::new(b"blob".to_vec())).await.unwrap();
    let layer = bench.store.put_layer(Cursor::new(tar("b", b"2"))).await.unwrap();
    let trees = bench.store.layer_trees(fresh.id).await.unwrap();
    assert_eq!(other.gc().await.unwrap(), Freed::default());
    assert!(bench.blob(&blob).exists() && bench.blob(&layer.blob.digest).exists());
    drop((blob_lease, layer));
    assert_eq!(other.gc().await.unwrap().blobs, 2);
    let id = fresh.id.to_string();
    assert!(other.image(&id).await.unwrap().is_some());
    drop(trees);
    // The process ends.
    drop(bench.store);
    let freed = other.gc().await.unwrap();
    assert_eq!((freed.images, freed.blobs, freed.layers), (1, 3, 1));
    assert_eq!(other.image(&id).await.unwrap(), None);
}

#[tokio::test]
async fn removing_an_image_leaves_what_others_share_or_use() {
    let bench = Bench::new().await;
    let base = tar("base", &noise(10, 10_000));
    let one = bench.load(&[base.clone(), tar("1", b"")], Some("one")).await;
    let two = bench.load(&[base, tar("2", b"")], Some("two")).await;
    let unnamed = bench.load(&[tar("3", b"")], None).await;
    drop(bench.store.layer_trees(one.id).await.unwrap());
    let used = bench.store.layer_trees(two.id).await.unwrap();
    bench.store.remove("one").await.unwrap();
    assert_eq!((bench.count("blobs/sha256"), bench.count("layers")), (4 + 3, 2));
    // In use by this process, so its files stay until it is done with them.
    bench.store.remove("two").await.unwrap();
    assert!(used.paths.iter().all(|path| path.is_dir()));
    drop(used);
    bench.store.remove(&unnamed.id.to_string()).await.unwrap();
    assert_eq!((bench.count("blobs/sha256"), bench.count("layers"), bench.count("leases")), (0, 0, 0));
}

#[tokio::test]
async fn what_dead_writers_left_goes_when_the_store_is_opened() {
    let bench = Bench::new().await;
    let old = bench.path("temporary/new-dead");
    fs_err::create_dir_all(old.join("tree/deep")).unwrap();
    fs_err::write(bench.path("temporary/new-file"), "half").unwrap();
    let alive = bench.store.scratch().await.unwrap();
    let busy = bench.store.lease(vec![Digest::of("busy")]).await.unwrap();
    fs_err::write(bench.path("leases/dead"), "sha256:").unwrap();
    let partial = bench.path("partial").join(Digest::of("part").hex());
    fs_err::write(&partial, "part").unwrap();
    bench.another().await;
    assert_eq!((bench.count("temporary"), bench.count("leases")), (1, 1));
    assert!(alive.as_ref().is_dir());
    // Somebody may go on with the fetch. Not after a day, and not if the space is asked for.
    assert!(partial.exists());
    let yesterday = std::time::SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    fs_err::File::options().write(true).open(&partial).unwrap().file().set_modified(yesterday).unwrap();
    bench.another().await;
    assert!(!partial.exists());
    fs_err::write(&partial, "part").unwrap();
    assert_eq!(bench.store.gc().await.unwrap(), Freed { leftovers: 1, bytes: 4, ..Freed::default() });
    drop((alive, busy));
}

#[tokio::test]
async fn a_fetch_under_way_is_no_garbage() {
    let bench = Bench::new().await;
    let content = noise(11, 5000);
    let digest = Digest::of(&content);
    let lease = bench.store.lease(vec![digest]).await.unwrap();
    let Fetch::Missing(mut partial) = bench.store.fetch(digest, 5000, false).await.unwrap() else { panic!() };
    partial.write(&content[..2000]).await.unwrap();
    partial.pause().await.unwrap();
    assert_eq!(bench.another().await.gc().await.unwrap(), Freed::default());
    drop(partial);
    // The next one goes on from there.
    let Fetch::Missing(mut partial) = bench.store.fetch(digest, 5000, false).await.unwrap() else { panic!() };
    assert_eq!(partial.length(), 2000);
    partial.write(&content[2000..]).await.unwrap();
    partial.finish().await.unwrap();
    drop(partial);
    assert!(matches!(bench.store.fetch(digest, 5000, false).await.unwrap(), Fetch::Present));
    assert_eq!(bench.another().await.gc().await.unwrap(), Freed::default());
    drop(lease);
    assert_eq!(bench.store.gc().await.unwrap().blobs, 1);
    assert_eq!(bench.count("partial"), 0);
}

#[tokio::test]
async fn a_container_whose_list_is_damaged_keeps_everything() {
    let bench = Bench::new().await;
    bench.load(&[tar("a", b"1")], Some("name")).await;
    bench.load(&[tar("a", b"2")], Some("name")).await;
    let directory = bench.store.containers().join("box");
    fs_err::create_dir(&directory).unwrap();
    fs_err::write(directory.join("image.json"), "{").unwrap();
    drop(bench.store.clone());
    assert!(matches!(bench.another().await.gc().await, Err(StoreError::Damaged { .. })));
    assert_eq!(bench.count("blobs/sha256"), 6);
}
