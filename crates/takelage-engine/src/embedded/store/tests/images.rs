//! Images come, are named, saved and loaded: the contract that the conformance suite holds engines to.

use std::collections::BTreeMap;

use takelage_model::Digest;

use super::fixture::{Bench, archive, config, noise, reference, tar};
use crate::{
    ArchiveFormat, ArchiveKind, ImageArchive, ImageConfig, ImageFile, ImageId, embedded::store::StoreError,
};

#[tokio::test]
async fn an_image_is_found_by_name_and_id() {
    let bench = Bench::new().await;
    let layers = [tar("a", b"one"), tar("b", &noise(1, 100_000))];
    let made = bench.load(&layers, Some("some/name")).await;
    assert_eq!(made.tags, ["some/name:latest"]);
    assert_eq!(made.size, layers.iter().map(|layer| layer.len() as u64).sum::<u64>());
    assert_eq!(ImageId(Digest::of(made.config.to_json())), made.id);
    let id = made.id.to_string();
    let words =
        ["some/name", "docker.io/some/name:latest", &id, &made.id.0.hex(), &made.id.0.short(), &id[..20]];
    for word in words {
        assert_eq!(bench.store.image(word).await.unwrap().as_ref(), Some(&made), "{word}");
    }
    for missing in ["other", "some/name:1", &Digest::of("missing").to_string(), "0123456789ab"] {
        assert_eq!(bench.store.image(missing).await.unwrap(), None);
    }
    for wrong in ["", "a b", "../containers/json?", "UPPER/case"] {
        assert!(matches!(bench.store.image(wrong).await, Err(StoreError::Reference(_))), "{wrong}");
    }
}

#[tokio::test]
async fn names_move_and_go() {
    let bench = Bench::new().await;
    let old = bench.load(&[tar("old", b"")], None).await;
    let new = bench.load(&[tar("new", b"")], None).await;
    let id = async |name: &str| bench.store.image(name).await.unwrap().map(|image| image.id);
    bench.store.tag(old.id, &reference("moves:1")).await.unwrap();
    bench.store.tag(old.id, &reference("second:1")).await.unwrap();
    bench.store.tag(new.id, &reference("moves:1")).await.unwrap();
    assert_eq!((id("moves:1").await, id("second:1").await), (Some(new.id), Some(old.id)));
    bench.store.remove("second:1").await.unwrap();
    assert_eq!((id("second:1").await, id(&old.id.to_string()).await), (None, None));
    bench.store.tag(new.id, &reference("second:1")).await.unwrap();
    bench.store.remove(&new.id.to_string()).await.unwrap();
    bench.store.remove(&new.id.to_string()).await.unwrap();
    bench.store.remove("moves:1").await.unwrap();
    assert_eq!((id("moves:1").await, id("second:1").await), (None, None));
    let error = bench.store.tag(new.id, &reference("moves:1")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchImage(_)), "{error:?}");
    // All space was given back at once.
    assert_eq!((bench.count("blobs/sha256"), bench.count("temporary"), bench.count("leases")), (0, 0, 0));
}

#[tokio::test]
async fn an_image_that_loses_its_name_to_another_stays() {
    let bench = Bench::new().await;
    let old = bench.load(&[tar("old", b"")], Some("name")).await;
    let new = bench.load(&[tar("new", b"")], Some("name")).await;
    let image = bench.store.image(&old.id.to_string()).await.unwrap().unwrap();
    assert_eq!((image.tags.len(), image.id), (0, old.id));
    assert_eq!(bench.store.images(&BTreeMap::new()).await.unwrap().len(), 2);
    let digest = format!("name@{}", old.id);
    let error = bench.store.tag(new.id, &reference(&digest)).await.unwrap_err();
    assert!(matches!(error, StoreError::Given(_)));
}

#[tokio::test]
async fn images_are_listed_by_their_labels() {
    let bench = Bench::new().await;
    let label = |value: &str| BTreeMap::from([("kind".to_owned(), value.to_owned())]);
    let make = async |value: &str| {
        let config = ImageConfig { labels: label(value), ..config() };
        let layer = bench.store.put_layer(std::io::Cursor::new(tar("a", b"b"))).await.unwrap();
        let config = ImageConfig { layers: vec![layer.diff_id], ..config };
        bench.store.add_image(&config, vec![layer], None).await.unwrap()
    };
    let (one, two) = (make("one").await, make("two").await);
    assert_eq!(bench.store.images(&label("one")).await.unwrap(), [one.id]);
    assert_eq!(bench.store.images(&label("two")).await.unwrap(), [two.id]);
    assert_eq!(bench.store.images(&label("three")).await.unwrap(), []);
    assert_eq!(bench.store.images(&BTreeMap::new()).await.unwrap().len(), 2);
    // The same again is the same image, and the layer is there once.
    assert_eq!(make("one").await, one);
    assert_eq!(bench.count("blobs/sha256"), 2 + 2 + 1);
}

#[tokio::test]
async fn a_layer_that_does_not_belong_to_the_configuration_is_refused() {
    let bench = Bench::new().await;
    let layer = bench.store.put_layer(std::io::Cursor::new(tar("a", b"b"))).await.unwrap();
    let config = ImageConfig { layers: vec![Digest::of("other")], ..config() };
    let error = bench.store.add_image(&config, vec![layer.clone()], None).await.unwrap_err();
    assert!(matches!(error, StoreError::Digest { .. }));
    let config = ImageConfig { layers: vec![layer.diff_id; 2], ..config };
    let error = bench.store.add_image(&config, vec![layer], None).await.unwrap_err();
    assert!(matches!(error, StoreError::Manifest(_)));
    assert_eq!(bench.store.images(&BTreeMap::new()).await.unwrap(), []);
}

#[tokio::test]
async fn a_saved_image_loads_as_the_same() {
    let bench = Bench::new().await;
    // One layer twice, as images of build tools have them.
    let layers = [tar("a", b"one"), tar("b", &noise(1, 300_000)), tar("a", b"one")];
    let made = bench.load(&layers, Some("saved:1")).await;
    bench.store.tag(made.id, &reference("saved:2")).await.unwrap();
    let (docker, oci) = (bench.directory.path().join("docker.tar"), bench.directory.path().join("oci.tar"));
    let names = ["saved:1", "saved:2"].map(str::to_owned);
    bench.save(&names, ArchiveFormat::Docker, &docker).await.unwrap();
    bench.save(&names[..1], ArchiveFormat::Oci, &oci).await.unwrap();
    let text = String::from_utf8_lossy(&fs_err::read(&docker).unwrap()).into_owned();
    assert!(text.contains(r#""RepoTags":["saved:1","saved:2"]"#));
    bench.store.remove(&made.id.to_string()).await.unwrap();
    for (kind, path) in [(ArchiveKind::Docker, docker), (ArchiveKind::Oci, oci)] {
        let archive = ImageArchive::open(&ImageFile { kind, path }, bench.directory.path()).unwrap();
        assert_eq!(archive.id(), made.id);
        let loaded = bench.store.load(archive).await.unwrap();
        assert_eq!((loaded.id, &loaded.config, loaded.size), (made.id, &made.config, made.size));
        assert!(loaded.tags.is_empty());
        bench.store.remove(&loaded.id.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn an_image_is_saved_without_names_by_its_id_and_missing_ones_are_not() {
    let bench = Bench::new().await;
    let made = bench.load(&[tar("a", b"one")], Some("name")).await;
    let path = bench.directory.path().join("image.tar");
    bench.save(&[made.id.to_string()], ArchiveFormat::Docker, &path).await.unwrap();
    assert!(String::from_utf8_lossy(&fs_err::read(&path).unwrap()).contains(r#""RepoTags":null"#));
    let nothing = bench.directory.path().join("nothing.tar");
    let error = bench.save(&["missing:1".to_owned()], ArchiveFormat::Docker, &nothing).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchImage(_)));
    assert!(!nothing.exists());
    let nowhere = bench.directory.path().join("no/such/directory.tar");
    assert!(bench.save(&["name".to_owned()], ArchiveFormat::Docker, &nowhere).await.is_err());
}

#[tokio::test]
async fn a_stream_of_docker_save_loads() {
    let bench = Bench::new().await;
    let archive = archive(bench.directory.path(), &[tar("a", b"one"), tar("b", &noise(2, 100_000))]);
    let mut bytes = Vec::new();
    archive.write(&mut bytes).unwrap();
    let loaded = bench.store.load_stream(bytes.as_slice(), Some(&reference("streamed"))).await.unwrap();
    assert_eq!((loaded.id, loaded.tags.as_slice()), (archive.id(), &["streamed:latest".to_owned()][..]));
    for end in [0, 1000, bytes.len() / 2, bytes.len() - 5000] {
        let error = bench.store.load_stream(&bytes[..end], None).await.unwrap_err();
        assert!(matches!(error, StoreError::Archive(_)), "{error:?}");
    }
    assert_eq!((bench.count("temporary"), bench.count("leases")), (0, 0));
}

#[tokio::test]
async fn layers_that_are_there_need_no_file() {
    let bench = Bench::new().await;
    let made = bench.load(&[tar("a", b"one")], Some("base")).await;
    let config = ImageConfig { cmd: Some(vec!["true".to_owned()]), ..made.config.clone() };
    let again = bench.store.load(ImageArchive::of_stored_layers(&config)).await.unwrap();
    assert_eq!((&again.config, again.size), (&config, made.size));
    let config = ImageConfig { layers: vec![Digest::of("missing")], ..config };
    let error = bench.store.load(ImageArchive::of_stored_layers(&config)).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchLayer(_)));
}

#[tokio::test]
async fn a_store_of_another_version_is_left_alone() {
    let bench = Bench::new().await;
    fs_err::write(bench.path("oci-layout"), r#"{"imageLayoutVersion":"9"}"#).unwrap();
    let base = bench.directory.path().join("store");
    let error = crate::embedded::store::Store::open(&base, bench.unpack.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Format { .. }), "{error:?}");
}
