//! What may pass is tried again, and what came already is kept.

use std::time::{Duration, Instant};

use super::{
    proxy::{Action, Proxy, Request, answer},
    server::{Registry, image, name, pushed, registries},
};
use crate::{
    embedded::store::tests::fixture::Bench,
    registry::{RegistryError, tests::server::settings},
};

/// Pulls an image through a proxy that does this; returns what came of it.
async fn pull(
    seed: u32,
    decide: impl Fn(&Request) -> Action + Send + Sync + 'static,
) -> Option<(Proxy, Bench, Result<(), RegistryError>)> {
    let registry = Registry::start(false).await?;
    let made = pushed(&registry.name("image:1"), seed).await;
    let proxy = Proxy::start(registry.port, decide).await;
    let bench = Bench::new().await;
    let pulled = registries().pull(&bench.store, &name(proxy.port, "image:1"), &|_, _| ()).await;
    let result = pulled.map(|pulled| assert_eq!(pulled.id, made.id));
    Some((proxy, bench, result))
}

fn blob(request: &Request) -> bool {
    request.method == "GET" && request.path.contains("/blobs/")
}

#[tokio::test]
async fn errors_that_pass_are_waited_for() {
    let decide = |request: &Request| match request.before {
        0 => answer(503, "", b"busy"),
        1 => answer(429, "retry-after: 0\r\n", b""),
        2 => Action::HangUp,
        _ => Action::Pass,
    };
    let Some((proxy, _bench, result)) = pull(11, decide).await else { return };
    result.unwrap();
    assert_eq!(proxy.count("GET", "/manifests/"), 4);
    assert_eq!(proxy.count("GET", "/blobs/"), 5 * 4);
}

#[tokio::test]
async fn a_registry_that_asks_to_wait_is_waited_for() {
    let decide = |request: &Request| match (request.path.contains("/manifests/"), request.before) {
        (true, 0) => answer(429, "retry-after: 1\r\n", b""),
        _ => Action::Pass,
    };
    let start = Instant::now();
    let Some((_proxy, _bench, result)) = pull(12, decide).await else { return };
    result.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let for_ever = |_: &Request| answer(429, "retry-after: 3600\r\n", b"too many");
    let Some((_proxy, _bench, result)) = pull(12, for_ever).await else { return };
    let error = result.unwrap_err();
    assert!(error.to_string().contains("none for 3600 s"), "{error}");
}

#[tokio::test]
async fn errors_that_stay_are_told() {
    let decide = |request: &Request| {
        if blob(request) {
            answer(500, "", b"{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"disk\"}]}")
        } else {
            Action::Pass
        }
    };
    let Some((proxy, bench, result)) = pull(13, decide).await else { return };
    let error = result.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Status { status: 500, message, .. } if message == "disk"),
        "{error:?}"
    );
    // The configuration is fetched first, and as often as the settings say.
    assert_eq!(proxy.count("GET", "/blobs/"), 4);
    assert_eq!(["blobs/sha256", "temporary", "leases"].map(|place| bench.count(place)), [0, 0, 0]);
}

#[tokio::test]
async fn a_transfer_that_breaks_goes_on_where_it_was() {
    let decide = |request: &Request| {
        // More than enough to count as getting on, so that it may break more often than attempts are allowed.
        if blob(request) && request.before < 8 { Action::Truncate(200_000) } else { Action::Pass }
    };
    let Some((proxy, _bench, result)) = pull(14, decide).await else { return };
    result.unwrap();
    let requests = proxy.requests.lock().unwrap();
    let ranges: Vec<_> = requests.iter().filter_map(|request| request.range.clone()).collect();
    // 1.5 MB in eight pieces and 0.7 MB in four; the small ones come at once.
    assert!(ranges.len() >= 10, "{ranges:?}");
    assert!(ranges.contains(&"bytes=200000-".to_owned()) && ranges.contains(&"bytes=1400000-".to_owned()));
}

#[tokio::test]
async fn a_transfer_goes_on_in_another_process() {
    let Some(registry) = Registry::start(false).await else { return };
    let made = pushed(&registry.name("image:1"), 15).await;
    let breaks = Proxy::start(registry.port, |request| match blob(request) {
        true if request.range.is_none() => Action::Truncate(100_000),
        true => Action::HangUp,
        false => Action::Pass,
    })
    .await;
    let bench = Bench::new().await;
    let error = registries().pull(&bench.store, &name(breaks.port, "image:1"), &|_, _| ()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Broken { .. }), "{error:?}");
    assert!(bench.count("partial") > 0);
    let good = Proxy::start(registry.port, |_| Action::Pass).await;
    let other = bench.another().await;
    let pulled = registries().pull(&other, &name(good.port, "image:1"), &|_, _| ()).await.unwrap();
    assert_eq!(pulled.id, made.id);
    let requests = good.requests.lock().unwrap();
    assert!(requests.iter().any(|request| request.range.as_deref() == Some("bytes=100000-")));
    assert_eq!(bench.count("partial"), 0);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_the_whole_again() {
    let decide = |request: &Request| match (blob(request), request.before) {
        (true, 0) => Action::Truncate(100_000),
        (true, _) => Action::Whole,
        _ => Action::Pass,
    };
    let Some((proxy, _bench, result)) = pull(16, decide).await else { return };
    result.unwrap();
    // Three were longer than what came at first.
    assert_eq!(proxy.count("GET", "/blobs/"), 5 + 3);
}

#[tokio::test]
async fn damaged_content_is_fetched_again_and_never_kept() {
    let once = |request: &Request| match request.before {
        0 if request.path.contains("sha256:") || request.path.contains("/manifests/") => Action::Corrupt,
        _ => Action::Pass,
    };
    let Some((_proxy, bench, result)) = pull(17, once).await else { return };
    result.unwrap();
    assert_eq!(bench.count("partial"), 0);
    // Damage in a part that was kept is found at the end.
    let parts = |request: &Request| match (blob(request), request.before) {
        (true, 0) => Action::Truncate(100_000),
        (true, 1) => Action::Corrupt,
        _ => Action::Pass,
    };
    let Some((_proxy, _bench, result)) = pull(18, parts).await else { return };
    result.unwrap();
    let always = |request: &Request| if blob(request) { Action::Corrupt } else { Action::Pass };
    let Some((proxy, bench, result)) = pull(19, always).await else { return };
    let error = result.unwrap_err();
    assert!(matches!(error, RegistryError::Corrupt { .. }), "{error:?}");
    assert!(proxy.count("GET", "/blobs/") <= 3);
    assert_eq!(bench.count("blobs/sha256"), 0);
}

#[tokio::test]
async fn a_push_is_tried_again_as_well() {
    let Some(registry) = Registry::start(false).await else { return };
    let proxy = Proxy::start(registry.port, |request| match (request.method.as_str(), request.before) {
        ("HEAD" | "POST", 0) => answer(502, "", b""),
        ("PUT", 0) if request.path.contains("/manifests/") => answer(429, "", b""),
        ("POST", 3) => Action::HangUp,
        _ => Action::Pass,
    })
    .await;
    let (bench, reference) = (Bench::new().await, name(proxy.port, "image:1"));
    let made = image(&bench, &reference, 20).await;
    registries().push(&bench.store, &reference, &|_, _| ()).await.unwrap();
    let other = Bench::new().await;
    assert_eq!(
        registries().pull(&other.store, &registry.name("image:1"), &|_, _| ()).await.unwrap().id,
        made.id
    );
}

#[tokio::test]
async fn a_damaged_image_is_not_sent() {
    let Some(registry) = Registry::start(false).await else { return };
    let (bench, reference) = (Bench::new().await, registry.name("image:1"));
    let made = image(&bench, &reference, 21).await;
    let layer = bench.store.layers(made.id).await.unwrap()[0].blob.digest;
    let mut bytes = fs_err::read(bench.blob(&layer)).unwrap();
    bytes[1000] ^= 1;
    fs_err::write(bench.blob(&layer), bytes).unwrap();
    for packing in [crate::registry::Packing::Gzip, crate::registry::Packing::Zstd] {
        let registries =
            crate::registry::Registries::new(crate::registry::Settings { packing, ..settings() });
        let error = registries.push(&bench.store, &reference, &|_, _| ()).await.unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error:?}");
    }
}
