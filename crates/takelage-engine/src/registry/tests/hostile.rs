//! A registry that says whatever it likes.

use std::io::Read as _;

use serde_json::{Value, json};
use takelage_model::Digest;

use super::{
    proxy::{Proxy, Request, answer},
    server::{name, registries},
};
use crate::{
    ImageConfig, ImageRecord, ManifestError,
    embedded::store::{
        StoreError,
        tests::fixture::{Bench, config, noise, tar},
    },
    manifest::{
        DOCKER_INDEX, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST,
        architecture,
    },
    registry::RegistryError,
};

/// What a made-up registry has: by its path what it sends, and as what.
type Content = Vec<(String, &'static str, Vec<u8>)>;

fn manifest(tag: &impl ToString, kind: &'static str, document: &Value) -> (String, &'static str, Vec<u8>) {
    (format!("/manifests/{}", tag.to_string()), kind, serde_json::to_vec(document).unwrap())
}

fn blob(bytes: &[u8]) -> (String, &'static str, Vec<u8>) {
    (format!("/blobs/{}", Digest::of(bytes)), "application/octet-stream", bytes.to_vec())
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// An honest image: its manifest and its content.
fn image() -> (Value, Content) {
    let layer = tar("file", &noise(31, 1000));
    let json = ImageConfig { layers: vec![Digest::of(&layer)], ..config() }.to_json();
    let document = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, &json), "layers": [descriptor(OCI_LAYER_GZIP, &layer)]});
    (document, vec![blob(&layer), blob(&json)])
}

/// Pulls `it:1` from a registry that has this.
async fn pull(content: Content) -> (Result<ImageRecord, RegistryError>, Bench) {
    let decide = move |request: &Request| match content
        .iter()
        .find(|(path, _, _)| request.path.ends_with(path))
    {
        Some((_, kind, bytes)) => {
            let header = match *kind {
                OCI_INDEX => "content-type: application/vnd.oci.image.index.v1+json\r\n",
                DOCKER_INDEX => "content-type: application/vnd.docker.distribution.manifest.list.v2+json\r\n",
                DOCKER_MANIFEST => "content-type: application/vnd.docker.distribution.manifest.v2+json\r\n",
                _ => "content-type: application/vnd.oci.image.manifest.v1+json; charset=utf-8\r\n",
            };
            answer(200, header, bytes)
        }
        None if request.path == "/v2/" => answer(200, "", b""),
        None => answer(404, "", b""),
    };
    let proxy = Proxy::start(1, decide).await;
    let bench = Bench::new().await;
    let result = registries().pull(&bench.store, &name(proxy.port, "it:1"), &|_, _| ()).await;
    (result, bench)
}

async fn refused(content: Content) -> RegistryError {
    let (result, bench) = pull(content).await;
    assert_eq!(bench.store.images(&std::collections::BTreeMap::new()).await.unwrap(), []);
    result.unwrap_err()
}

#[tokio::test]
async fn the_image_for_this_machine_is_taken_out_of_indexes() {
    let (document, mut content) = image();
    let bytes = serde_json::to_vec(&document).unwrap();
    let platform = |mut entry: Value, os: &str, architecture: &str| {
        entry["platform"] = json!({"os": os, "architecture": architecture});
        entry
    };
    let decoy = json!({"mediaType": OCI_MANIFEST, "digest": Digest::of("decoy"), "size": 5});
    let inner = json!({"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": [
        platform(decoy.clone(), "linux", "s390x"),
        platform(decoy, "unknown", "unknown"),
        platform(descriptor(OCI_MANIFEST, &bytes), "linux", architecture()),
    ]});
    let inner_bytes = serde_json::to_vec(&inner).unwrap();
    let outer = json!({"schemaVersion": 2, "manifests": [descriptor(DOCKER_INDEX, &inner_bytes)]});
    content.push(manifest(&"1", OCI_INDEX, &outer));
    content.push(manifest(&Digest::of(&inner_bytes), DOCKER_INDEX, &inner));
    content.push(manifest(&Digest::of(&bytes), OCI_MANIFEST, &document));
    let (pulled, bench) = pull(content).await;
    let pulled = pulled.unwrap();
    // The name with a digest is that of what was asked for, as Docker has it.
    let digest = Digest::of(serde_json::to_vec(&outer).unwrap());
    assert!(pulled.digests[0].ends_with(&digest.to_string()), "{pulled:?}");
    assert!(bench.store.image(&pulled.digests[0]).await.unwrap().is_some());
    bench.store.layer_trees(pulled.id).await.unwrap();
}

#[tokio::test]
async fn documents_that_are_no_images_are_refused_with_a_sentence() {
    let (document, content) = image();
    let with = |change: &dyn Fn(&mut Value)| {
        let (mut changed, mut content) = (document.clone(), content.clone());
        change(&mut changed);
        content.push(manifest(&"1", OCI_MANIFEST, &changed));
        content
    };
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let error = refused(with(&|it| it["layers"][0]["mediaType"] = foreign.into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::Foreign(_))), "{error:?}");
    let error = refused(with(&|it| it["layers"][0]["mediaType"] = "audio/flac".into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::Layer(_))), "{error:?}");
    let error = refused(with(&|it| it["config"]["mediaType"] = "application/vnd.wasm".into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::NotAnImage(_))), "{error:?}");
    let error = refused(with(&|it| it["schemaVersion"] = 1.into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::Schema(1))), "{error:?}");
    let error = refused(with(&|it| it["mediaType"] = OCI_INDEX.into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::MediaType { .. })), "{error:?}");
    let error = refused(with(&|it| it["layers"] = json!([]))).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::Layers { .. })), "{error:?}");
    let error = refused(with(&|it| it["config"]["size"] = (1_u64 << 40).into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::TooLong)), "{error:?}");
    let error = refused(with(&|it| it["config"]["digest"] = "sha512:00".into())).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::Json(_))), "{error:?}");
    // A layer that is shorter, or longer, than it was said to be.
    for size in [10, 100_000] {
        let error = refused(with(&|it| it["layers"][0]["size"] = size.into())).await;
        assert!(matches!(error, RegistryError::Corrupt { .. } | RegistryError::Broken { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn endless_answers_and_endless_indexes_end() {
    let long = vec![b' '; 5 << 20];
    let error = refused(vec![("/manifests/1".to_owned(), OCI_MANIFEST, long)]).await;
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
    // Indexes that lead on and on.
    let (mut content, mut inner) = (Vec::new(), json!({"schemaVersion": 2, "manifests": []}));
    for _ in 0..10 {
        let bytes = serde_json::to_vec(&inner).unwrap();
        content.push(manifest(&Digest::of(&bytes), OCI_INDEX, &inner));
        inner = json!({"schemaVersion": 2, "manifests": [descriptor(OCI_INDEX, &bytes)]});
    }
    content.push(manifest(&"1", OCI_INDEX, &inner));
    let error = refused(content).await;
    assert!(matches!(error, RegistryError::Manifest(ManifestError::Depth)), "{error:?}");
}

#[tokio::test]
async fn a_configuration_that_lies_is_found_out() {
    let layer = tar("file", b"content");
    let with = async |config: ImageConfig| {
        let json = config.to_json();
        let document = json!({"schemaVersion": 2, "config": descriptor(OCI_CONFIG, &json),
            "layers": [descriptor(OCI_LAYER_GZIP, &layer)]});
        refused(vec![manifest(&"1", OCI_MANIFEST, &document), blob(&layer), blob(&json)]).await
    };
    let error = with(ImageConfig { layers: vec![Digest::of("else")], ..config() }).await;
    assert!(matches!(error, RegistryError::Store(StoreError::Layer { .. })), "{error:?}");
    let os = "windows".to_owned();
    let error = with(ImageConfig { layers: vec![Digest::of(&layer)], os, ..config() }).await;
    assert!(matches!(error, RegistryError::Platform(_)), "{error:?}");
}

#[tokio::test]
async fn a_layer_that_cannot_be_unpacked_is_found_out() {
    // A gzip head, and nothing that makes sense behind it.
    let layer = [&[0x1f, 0x8b, 8, 0][..], &noise(32, 5000)].concat();
    let json = ImageConfig { layers: vec![Digest::of(&layer)], ..config() }.to_json();
    let document = json!({"schemaVersion": 2, "config": descriptor(OCI_CONFIG, &json),
        "layers": [descriptor(OCI_LAYER_GZIP, &layer)]});
    let error = refused(vec![manifest(&"1", OCI_MANIFEST, &document), blob(&layer), blob(&json)]).await;
    assert!(matches!(error, RegistryError::Store(StoreError::Unpack { .. })), "{error:?}");
}

#[tokio::test]
async fn a_bomb_is_found_out() {
    let layer = zstd::encode_all(std::io::repeat(0).take(1 << 29), 1).unwrap();
    let json = ImageConfig { layers: vec![Digest::of("whatever")], ..config() }.to_json();
    let document = json!({"schemaVersion": 2, "config": descriptor(OCI_CONFIG, &json),
        "layers": [descriptor(OCI_LAYER_ZSTD, &layer)]});
    let error = refused(vec![manifest(&"1", OCI_MANIFEST, &document), blob(&layer), blob(&json)]).await;
    assert!(matches!(error, RegistryError::Store(StoreError::Bomb { .. })), "{error:?}");
}

#[tokio::test]
async fn a_docker_manifest_is_kept_byte_for_byte() {
    let (mut document, mut content) = image();
    document["mediaType"] = DOCKER_MANIFEST.into();
    document["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
    let bytes = serde_json::to_vec_pretty(&document).unwrap();
    content.push(("/manifests/1".to_owned(), DOCKER_MANIFEST, bytes.clone()));
    let (pulled, bench) = pull(content).await;
    let pulled = pulled.unwrap();
    let reference = pulled.tags[0].parse().unwrap();
    let image = bench.store.sendable(&reference, true).await.unwrap();
    assert_eq!((image.bytes, image.media_type.as_str()), (bytes, DOCKER_MANIFEST));
}
