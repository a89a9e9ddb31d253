//! Unpacked layers: made once, shared, kept for containers, made anew if they did not survive.

use std::sync::atomic::Ordering;

use takelage_model::Digest;

use super::fixture::{Bench, noise, reference, tar};
use crate::{ImageConfig, embedded::store::StoreError};

#[tokio::test]
async fn equal_layers_are_unpacked_once() {
    let bench = Bench::new().await;
    let (base, top, other) = (tar("base", b"1"), tar("top", &noise(3, 100_000)), tar("other", b"3"));
    let one = bench.load(&[base.clone(), top.clone()], Some("one")).await;
    let two = bench.load(&[base.clone(), other], Some("two")).await;
    let trees = bench.store.layer_trees(one.id).await.unwrap();
    assert_eq!(fs_err::read(trees.paths[1].join("top")).unwrap(), noise(3, 100_000));
    assert_eq!(trees.paths[0], bench.path("layers").join(Digest::of(&base).hex()).join("tree"));
    let more = bench.store.layer_trees(two.id).await.unwrap();
    assert_eq!((more.paths[0].clone(), more.paths.len()), (trees.paths[0].clone(), 2));
    bench.another().await.layer_trees(two.id).await.unwrap();
    assert_eq!(bench.unpack.unpacked.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_unpack_once() {
    let bench = Bench::new().await;
    let image = bench.load(&[tar("base", &noise(4, 2_000_000))], Some("one")).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.layer_trees(image.id).await.unwrap().paths })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().len(), 1);
    }
    assert_eq!(bench.unpack.unpacked.load(Ordering::Relaxed), 1);
    assert_eq!(bench.count("temporary"), 0);
}

/// Waits until a layer's tree is on disk, which happens by itself.
async fn settled(directory: &std::path::Path) {
    for _ in 0..1000 {
        if !directory.join("boot").exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the tree does not settle");
}

#[tokio::test]
async fn a_tree_that_may_have_lost_files_is_made_anew() {
    let bench = Bench::new().await;
    let image = bench.load(&[tar("base", b"content")], Some("one")).await;
    let paths = bench.store.layer_trees(image.id).await.unwrap().paths;
    let directory = paths[0].parent().unwrap();
    settled(directory).await;
    // Another boot: the machine stopped before it was on disk.
    for (name, lost) in [("boot", "another"), ("layer.json", "{"), ("layer.json", "")] {
        fs_err::write(directory.join(name), lost).unwrap();
        fs_err::write(paths[0].join("base"), "").unwrap();
        let trees = bench.store.layer_trees(image.id).await.unwrap();
        assert_eq!(fs_err::read(trees.paths[0].join("base")).unwrap(), b"content", "{name} {lost}");
        settled(directory).await;
    }
    fs_err::remove_dir_all(&paths[0]).unwrap();
    bench.store.layer_trees(image.id).await.unwrap();
    assert_eq!(fs_err::read(paths[0].join("base")).unwrap(), b"content");
    assert_eq!(bench.count("temporary"), 0);
}

#[tokio::test]
async fn a_committed_layer_comes_with_its_tree() {
    let bench = Bench::new().await;
    let base = bench.load(&[tar("base", b"1")], Some("base")).await;
    let change = tar("new", b"change");
    let mut layers = bench.store.layers(base.id).await.unwrap();
    let layer = bench.store.put_layer(std::io::Cursor::new(change.clone())).await.unwrap();
    let upper = bench.directory.path().join("upper");
    fs_err::create_dir(&upper).unwrap();
    fs_err::write(upper.join("new"), "change").unwrap();
    let tree = bench.store.adopt_tree(&layer, &upper, 6).await.unwrap();
    assert!(!upper.exists() && tree.join("new").exists());
    // Nothing of a commit that is under way is garbage.
    bench.another().await.gc().await.unwrap();
    layers.push(layer.clone());
    let diffs = layers.iter().map(|layer| layer.diff_id).collect();
    let config = ImageConfig { layers: diffs, ..base.config.clone() };
    let made = bench.store.add_image(&config, layers, Some(&reference("made"))).await.unwrap();
    assert_eq!(made.size, base.size + change.len() as u64);
    let before = bench.unpack.unpacked.load(Ordering::Relaxed);
    let trees = bench.store.layer_trees(made.id).await.unwrap();
    assert_eq!((trees.paths.len(), trees.paths[1].clone()), (2, tree.clone()));
    assert_eq!(bench.unpack.unpacked.load(Ordering::Relaxed), before + 1);
    // The same once more is that layer.
    fs_err::create_dir(&upper).unwrap();
    assert_eq!(bench.store.adopt_tree(&layer, &upper, 6).await.unwrap(), tree);
    assert!(!upper.exists() && tree.join("new").exists());
}

#[tokio::test]
async fn a_configuration_that_lies_about_its_layers_is_found_out() {
    let bench = Bench::new().await;
    let honest = bench.store.put_layer(std::io::Cursor::new(tar("a", b"b"))).await.unwrap();
    let mut lying = honest.clone();
    lying.diff_id = Digest::of("something else");
    let config = ImageConfig { layers: vec![lying.diff_id], ..super::fixture::config() };
    let image = bench.store.add_image(&config, vec![lying], Some(&reference("liar"))).await.unwrap();
    let error = bench.store.layer_trees(image.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Layer { .. }), "{error:?}");
    assert_eq!((bench.count("layers"), bench.count("temporary")), (0, 0));
}
