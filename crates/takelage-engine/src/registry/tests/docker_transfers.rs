//! Images go and come back the same.

use std::sync::Mutex;

use takelage_model::Digest;

use super::{
    proxy::{Action, Proxy, answer},
    server::{Registry, image, name, pushed, registries, settings},
};
use crate::{
    EngineError, Operation,
    embedded::store::{StoreError, tests::fixture::Bench},
    manifest::{Document, OCI_LAYER_GZIP, OCI_LAYER_ZSTD},
    registry::{Packing, Registries, RegistryError},
};

#[tokio::test]
async fn an_image_comes_back_as_it_was_sent() {
    let Some(registry) = Registry::start(false).await else { return };
    for written in ["some/image:1", "untagged"] {
        let (bench, reference) = (Bench::new().await, registry.name(written));
        let made = image(&bench, &reference, 1).await;
        let seen = Mutex::new(Vec::new());
        let progress = |done: u64, all: Option<u64>| seen.lock().unwrap().push((done, all));
        registries().push(&bench.store, &reference, &progress).await.unwrap();
        let sent = std::mem::take(&mut *seen.lock().unwrap());
        let known = bench.store.image(reference.as_str()).await.unwrap().unwrap();
        bench.store.remove(&made.id.to_string()).await.unwrap();
        assert_eq!(bench.count("blobs/sha256"), 0);
        let pulled = registries().pull(&bench.store, &reference, &progress).await.unwrap();
        let came = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!((pulled.id, &pulled.config, pulled.size), (made.id, &made.config, made.size));
        assert_eq!((&pulled.tags, &pulled.digests), (&known.tags, &known.digests));
        assert_eq!((pulled.tags.len(), pulled.digests.len()), (1, 1));
        for progress in [sent, came] {
            let (done, all) = *progress.last().unwrap();
            assert!(Some(done) == all && done > 2_000_000, "{progress:?}");
            assert!(progress.is_sorted_by_key(|report| report.0), "{progress:?}");
        }
        // By its digest it is the same image, without a tag.
        let by_digest = pulled.digests[0].parse().unwrap();
        bench.store.remove(&pulled.id.to_string()).await.unwrap();
        let again = registries().pull(&bench.store, &by_digest, &|_, _| ()).await.unwrap();
        assert_eq!((again.id, again.tags.len(), &again.digests), (made.id, 0, &pulled.digests));
        assert_eq!(bench.store.layer_trees(again.id).await.unwrap().paths.len(), 4);
        assert_eq!(["temporary", "partial"].map(|place| bench.count(place)), [0, 0]);
    }
}

#[tokio::test]
async fn every_engine_can_read_what_is_sent_unless_it_shall_be_small() {
    let Some(registry) = Registry::start(false).await else { return };
    let bench = Bench::new().await;
    for (packing, kind) in [(Packing::Gzip, OCI_LAYER_GZIP), (Packing::Zstd, OCI_LAYER_ZSTD)] {
        let reference = registry.name(&format!("packed:{packing:?}"));
        let made = image(&bench, &reference, 2).await;
        let registries = Registries::new(crate::registry::Settings { packing, ..settings() });
        registries.push(&bench.store, &reference, &|_, _| ()).await.unwrap();
        // Once more sends the very same.
        let known = bench.store.image(reference.as_str()).await.unwrap().unwrap().digests;
        registries.push(&bench.store, &reference, &|_, _| ()).await.unwrap();
        assert_eq!(bench.store.image(reference.as_str()).await.unwrap().unwrap().digests, known);
        let other = Bench::new().await;
        let pulled = registries.pull(&other.store, &reference, &|_, _| ()).await.unwrap();
        assert_eq!(pulled.id, made.id);
        let digest: Digest = pulled.digests[0].split_once('@').unwrap().1.parse().unwrap();
        let manifest = Document::parse(&other.store.bytes(digest, 1 << 20).await.unwrap(), None).unwrap();
        let Document::Image(manifest) = manifest else { panic!("{manifest:?}") };
        assert!(manifest.layers.iter().all(|layer| layer.media_type == kind), "{manifest:?}");
        // What came from a registry goes on as it came.
        let moved = registry.name(&format!("moved:{packing:?}"));
        other.store.tag(pulled.id, &moved).await.unwrap();
        super::server::registries().push(&other.store, &moved, &|_, _| ()).await.unwrap();
        if packing == Packing::Gzip {
            let image = other.store.image(moved.as_str()).await.unwrap().unwrap();
            assert!(image.digests.iter().all(|it| it.ends_with(&digest.to_string())), "{image:?}");
        }
    }
}

#[tokio::test]
async fn what_is_there_is_not_transferred_again() {
    let Some(registry) = Registry::start(false).await else { return };
    let proxy = Proxy::start(registry.port, |_| Action::Pass).await;
    let (bench, reference) = (Bench::new().await, name(proxy.port, "again:1"));
    let made = image(&bench, &reference, 3).await;
    registries().push(&bench.store, &reference, &|_, _| ()).await.unwrap();
    assert_eq!(proxy.count("PUT", "/blobs/uploads/"), 5);
    registries().push(&bench.store, &reference, &|_, _| ()).await.unwrap();
    assert_eq!(proxy.count("PUT", "/blobs/uploads/"), 5);
    registries().pull(&bench.store, &reference, &|_, _| ()).await.unwrap();
    // The store knows these layers packed in both ways.
    assert_eq!(proxy.count("GET", "/blobs/"), 0);
    let other = Bench::new().await;
    let (one, two) = (other.store.clone(), other.another().await);
    let (all, quiet) = (registries(), |_: u64, _: Option<u64>| ());
    let both = tokio::join!(all.pull(&one, &reference, &quiet), all.pull(&two, &reference, &quiet));
    assert_eq!((both.0.unwrap().id, both.1.unwrap().id), (made.id, made.id));
    // Two at once, and each blob came once.
    assert_eq!(proxy.count("GET", "/blobs/"), 5);
}

#[tokio::test]
async fn an_image_whose_tag_went_on_in_the_registry_is_garbage() {
    let Some(registry) = Registry::start(false).await else { return };
    let (bench, reference) = (Bench::new().await, registry.name("moving:1"));
    pushed(&reference, 7).await;
    let old = registries().pull(&bench.store, &reference, &|_, _| ()).await.unwrap();
    let new = pushed(&reference, 8).await;
    assert_eq!(registries().pull(&bench.store, &reference, &|_, _| ()).await.unwrap().id, new.id);
    // Until somebody wants the space, it is known by its digest.
    assert_eq!(bench.store.image(&old.digests[0]).await.unwrap().unwrap().id, old.id);
    assert_eq!(bench.store.gc().await.unwrap().images, 1);
    assert_eq!(bench.store.image(&old.digests[0]).await.unwrap(), None);
    // Asked for by its digest, it stays.
    let by_digest = old.digests[0].parse().unwrap();
    registries().pull(&bench.store, &by_digest, &|_, _| ()).await.unwrap();
    assert_eq!(bench.store.gc().await.unwrap().images, 0);
}

#[tokio::test]
async fn what_is_damaged_is_fetched_again() {
    let Some(registry) = Registry::start(false).await else { return };
    let proxy = Proxy::start(registry.port, |_| Action::Pass).await;
    let reference = name(proxy.port, "damaged:1");
    pushed(&reference, 4).await;
    let bench = Bench::new().await;
    let pulled = registries().pull(&bench.store, &reference, &|_, _| ()).await.unwrap();
    let before = proxy.count("GET", "/blobs/");
    let blobs: Vec<_> = fs_err::read_dir(bench.path("blobs/sha256")).unwrap().collect();
    for blob in blobs {
        let path = blob.unwrap().path();
        let mut bytes = fs_err::read(&path).unwrap();
        bytes[0] ^= 1;
        fs_err::write(&path, bytes).unwrap();
    }
    assert!(matches!(bench.store.image(reference.as_str()).await, Err(StoreError::Damaged { .. })));
    let again = registries().pull(&bench.store, &reference, &|_, _| ()).await.unwrap();
    assert_eq!((again, proxy.count("GET", "/blobs/")), (pulled.clone(), before + 5));
    bench.store.layer_trees(pulled.id).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let Some(registry) = Registry::start(false).await else { return };
    let bench = Bench::new().await;
    let pull = async |reference: &crate::Reference| {
        registries().pull(&bench.store, reference, &|_, _| ()).await.unwrap_err()
    };
    pushed(&registry.name("there:1"), 5).await;
    for missing in ["there:2", "missing:1"] {
        let error = pull(&registry.name(missing)).await;
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
        let error = error.into_engine(Operation::Pull, missing);
        assert!(matches!(error, EngineError::NoSuchImage { .. }), "{error:?}");
    }
    let error = registries().push(&bench.store, &registry.name("missing:1"), &|_, _| ()).await.unwrap_err();
    let error = error.into_engine(Operation::Push, "missing:1");
    assert!(matches!(error, EngineError::NoSuchImage { .. }), "{error:?}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = pull(&name(closed, "there:1")).await;
    assert!(matches!(&error, RegistryError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().ends_with("connection refused"), "{error}");
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_the_registry_if_that_fails() {
    let Some(registry) = Registry::start(false).await else { return };
    let Some(second) = Registry::start(false).await else { return };
    let origin = Proxy::start(registry.port, |_| Action::Pass).await;
    let broken = Proxy::start(registry.port, |request| {
        if request.path.contains("/blobs/") { answer(500, "", b"") } else { Action::Pass }
    })
    .await;
    let reference = name(origin.port, "mirrored:1");
    let made = pushed(&reference, 6).await;
    pushed(&second.name("path/mirrored:1"), 6).await;
    let host = format!("127.0.0.1:{}", origin.port);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let with = |mirrors: &[String]| {
        let mirrors = [(host.clone(), mirrors.to_vec())].into();
        Registries::new(crate::registry::Settings { mirrors, ..settings() })
    };
    origin.requests.lock().unwrap().clear();
    // One that is not there, others that do not have it, and one that does.
    let mirrors = [
        format!("http://127.0.0.1:{closed}"),
        // It does not speak TLS.
        format!("https://127.0.0.1:{}", second.port),
        format!("127.0.0.1:{}/other", second.port),
        format!("http://127.0.0.1:{}/path/", second.port),
    ];
    let bench = Bench::new().await;
    let pulled = with(&mirrors).pull(&bench.store, &reference, &|_, _| ()).await.unwrap();
    assert_eq!((pulled.id, pulled.tags), (made.id, vec![reference.to_string()]));
    assert_eq!(origin.requests.lock().unwrap().len(), 0);
    // A mirror that has the manifest and not the layers.
    let bench = Bench::new().await;
    let broken = [format!("127.0.0.1:{}", broken.port)];
    assert_eq!(with(&broken).pull(&bench.store, &reference, &|_, _| ()).await.unwrap().id, made.id);
    assert_eq!(origin.count("GET", "/blobs/"), 5);
}
