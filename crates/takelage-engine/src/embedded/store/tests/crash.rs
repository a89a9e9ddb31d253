//! Whenever a writer is killed, the next one finds a whole store.

use std::{
    io::{self, Read},
    path::Path,
    process::ExitStatus,
    time::Duration,
};

use super::{
    fixture::{Simple, archive, check_whole, config, noise, reference, tar},
    together::{child, task},
};
use crate::{
    ImageConfig,
    embedded::store::{Fetch, Store, StoreError, Unpack, Unpacked},
};

/// Dies after so many bytes, in the middle of whatever reads it.
struct Deadly {
    content: io::Cursor<Vec<u8>>,
    left: usize,
}

impl Read for Deadly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            std::process::abort();
        }
        let end = self.left.min(buffer.len());
        let length = self.content.read(&mut buffer[..end])?;
        self.left -= length;
        Ok(length)
    }
}

/// Dies with half a tree.
struct Murderer;

impl Unpack for Murderer {
    async fn unpack(
        &self,
        _: &Path,
        _: crate::archive::Compression,
        to: &Path,
    ) -> Result<Unpacked, StoreError> {
        fs_err::write(to.join("half"), "half").unwrap();
        std::process::abort()
    }
}

#[tokio::test]
#[ignore = "a part of a_writer_that_dies_at_any_step_leaves_a_whole_store"]
async fn dies() {
    let task = task();
    let (step, base) = task.split_once(' ').unwrap();
    let step: usize = step.parse().unwrap();
    let base = Path::new(base);
    let store = Store::open(base, Simple::default()).await.unwrap();
    let at = |number: usize| {
        if step == number {
            std::process::abort();
        }
    };
    let content = noise(u32::try_from(step).unwrap() + 100, 200_000);
    let layer = tar("file", &content);
    if step < 20 {
        let deadly = Deadly { content: io::Cursor::new(layer.clone()), left: layer.len() * step / 20 };
        store.put_layer(deadly).await.unwrap();
    }
    let packed = store.put_layer(io::Cursor::new(layer)).await.unwrap();
    at(20);
    let config = ImageConfig { layers: vec![packed.diff_id], ..config() };
    let unnamed = store.add_image(&config, vec![packed.clone()], None).await.unwrap();
    at(21);
    store.tag(unnamed.id, &reference("named")).await.unwrap();
    at(22);
    if step == 23 {
        Store::open(base, Murderer).await.unwrap().layer_trees(unnamed.id).await.unwrap();
    }
    let upper = tempfile::tempdir_in(base).unwrap().keep();
    fs_err::write(upper.join("file"), &content).unwrap();
    at(24);
    store.adopt_tree(&packed, &upper, 1).await.unwrap();
    at(25);
    let blob = noise(15, 100_000);
    let digest = takelage_model::Digest::of(&blob);
    let _lease = store.lease(vec![digest]).await.unwrap();
    if let Fetch::Missing(mut partial) = store.fetch(digest, 100_000, false).await.unwrap() {
        // The one after the death goes on from there.
        if partial.length() == 0 {
            partial.write(&blob[..50_000]).await.unwrap();
            partial.pause().await.unwrap();
        }
        at(26);
        partial.write(&blob[50_000..]).await.unwrap();
        partial.finish().await.unwrap();
    }
    at(27);
    store.remove("named").await.unwrap();
    at(28);
}

/// The number of steps at which a writer dies.
const STEPS: usize = 29;

fn killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().is_some()
}

#[tokio::test]
async fn a_writer_that_dies_at_any_step_leaves_a_whole_store() {
    // One after the other in the same store, as it happens in life.
    let directory = tempfile::tempdir().unwrap();
    for step in 0..STEPS {
        let status = child("crash::dies", &format!("{step} {}", directory.path().display())).wait().unwrap();
        assert!(killed(status), "step {step}: {status}");
        check_whole(directory.path()).await;
    }
    let store = Store::open(directory.path(), Simple::default()).await.unwrap();
    store.gc().await.unwrap();
    for name in ["blobs/sha256", "layers", "partial", "temporary", "leases"] {
        assert_eq!(fs_err::read_dir(directory.path().join("v1").join(name)).unwrap().count(), 0, "{name}");
    }
}

#[tokio::test]
#[ignore = "a part of a_writer_that_is_killed_at_any_time_leaves_a_whole_store"]
async fn writes() {
    let base = task();
    let scratch = tempfile::tempdir_in(&base).unwrap();
    let store = Store::open(&Path::new(&base).join("store"), Simple::default()).await.unwrap();
    for round in 0.. {
        let layers = [tar("base", &noise(round % 4, 50_000)), tar("top", &noise(round, 100_000))];
        let name = reference(&format!("name:{}", round % 3));
        let image = store.load(archive(scratch.path(), &layers).named(Some(&name))).await.unwrap();
        store.layer_trees(image.id).await.unwrap();
        if round % 4 == 3 {
            store.remove(name.as_str()).await.unwrap();
            store.gc().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_writer_that_is_killed_at_any_time_leaves_a_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("store");
    for round in 0..40 {
        let mut child = child("crash::writes", directory.path().to_str().unwrap());
        tokio::time::sleep(Duration::from_millis(20 + round * 7)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        check_whole(&base).await;
    }
    let store = Store::open(&base, Simple::default()).await.unwrap();
    // It got somewhere in between.
    assert!(!store.usage().await.unwrap().images.is_empty());
}
