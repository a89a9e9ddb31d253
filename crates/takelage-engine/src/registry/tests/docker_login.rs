//! The user's logins: passwords, credential helpers, tokens of all kinds.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    proxy::{Action, Proxy, Request, answer},
    server::{PASSWORD, Registry, image, name, pushed, settings},
};
use crate::{
    EngineError, Operation,
    embedded::store::tests::fixture::Bench,
    registry::{Registries, RegistryError, Settings},
};

/// Registries with this text as the user's `config.json`.
fn with(config: &str, directory: &Path) -> Registries {
    let directory = tempfile::tempdir_in(directory).unwrap().keep();
    fs_err::write(directory.join("config.json"), config).unwrap();
    Registries::new(Settings { config_dir: Some(directory), ..settings() })
}

fn password(port: u16, password: &str) -> String {
    format!(r#"{{"auths": {{"127.0.0.1:{port}": {{"username": "user", "password": "{password}"}}}}}}"#)
}

#[tokio::test]
async fn a_locked_registry_wants_the_right_password() {
    let Some(registry) = Registry::start(true).await else { return };
    let (bench, reference) = (Bench::new().await, registry.name("locked:1"));
    let made = image(&bench, &reference, 41).await;
    let scratch = registry.scratch.path();
    for config in ["{}".to_owned(), password(registry.port, "wrong")] {
        let all = with(&config, scratch);
        let push = all.push(&bench.store, &reference, &|_, _| ()).await.unwrap_err();
        let pull = all.pull(&bench.store, &reference, &|_, _| ()).await.unwrap_err();
        for error in [push, pull] {
            assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
            let error = error.into_engine(Operation::Pull, "locked:1");
            assert!(matches!(error, EngineError::Unauthorized { .. }), "{error:?}");
        }
    }
    let all = with(&password(registry.port, PASSWORD), scratch);
    all.push(&bench.store, &reference, &|_, _| ()).await.unwrap();
    let other = Bench::new().await;
    assert_eq!(all.pull(&other.store, &reference, &|_, _| ()).await.unwrap().id, made.id);
    let broken = with("{", scratch).pull(&other.store, &reference, &|_, _| ()).await.unwrap_err();
    assert!(matches!(broken, RegistryError::Credentials(_)), "{broken:?}");
}

/// A registry that gives tokens at `/token` for the password `word` or the identity `identity+1`, and content for
/// them: for the newest so often, or for all.
async fn guarded(registry: &Registry, uses: Option<usize>) -> Proxy {
    let (issued, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    Proxy::start(registry.port, move |request| {
        if request.path.starts_with("/token") {
            let form = String::from_utf8_lossy(&request.body);
            let identity = ["grant_type=refresh_token", "refresh_token=identity%2B1", "service=test"];
            let scope = form.contains("scope=repository%3Aguarded%3Apull");
            let basic = request.authorization.as_deref() == Some("Basic dXNlcjp3b3Jk");
            let identity = scope && identity.iter().all(|part| form.contains(part));
            if !basic && !identity {
                return answer(401, "", b"no such user");
            }
            taken.store(0, Ordering::Relaxed);
            let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
            return answer(200, "", format!(r#"{{"token": "token-{number}"}}"#).as_bytes());
        }
        let number: Option<usize> =
            request.authorization.as_ref().and_then(|it| it.strip_prefix("Bearer token-")?.parse().ok());
        let newest = issued.load(Ordering::Relaxed);
        let known = match uses {
            Some(uses) => number == Some(newest) && taken.fetch_add(1, Ordering::Relaxed) < uses,
            None => number.is_some_and(|number| number <= newest),
        };
        if known {
            return Action::Pass;
        }
        let realm = format!("http://127.0.0.1:{}/token", request.port);
        answer(401, &format!("www-authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n"), b"")
    })
    .await
}

fn entry(port: u16, login: &str) -> String {
    format!(r#"{{"auths": {{"127.0.0.1:{port}": {login}}}}}"#)
}

/// `user:word`
const WORD: &str = r#"{"auth": "dXNlcjp3b3Jk"}"#;
/// `user:wrong`
const WRONG: &str = r#"{"auth": "dXNlcjp3cm9uZw=="}"#;
const IDENTITY: &str = r#"{"auth": "dXNlcjo=", "identitytoken": "identity+1"}"#;

#[tokio::test]
async fn tokens_are_fetched_with_what_the_user_has_and_again_when_they_run_out() {
    let Some(registry) = Registry::start(false).await else { return };
    let made = pushed(&registry.name("guarded:1"), 42).await;
    for login in [WORD, IDENTITY] {
        // Fewer than an image has parts.
        let proxy = guarded(&registry, Some(4)).await;
        let bench = Bench::new().await;
        let all = with(&entry(proxy.port, login), registry.scratch.path());
        let pulled = all.pull(&bench.store, &name(proxy.port, "guarded:1"), &|_, _| ()).await.unwrap();
        assert_eq!(pulled.id, made.id);
        assert!(proxy.count("GET", "/token") + proxy.count("POST", "/token") >= 2);
    }
    let proxy = guarded(&registry, Some(4)).await;
    for login in ["{}", WRONG] {
        let all = with(&entry(proxy.port, login), registry.scratch.path());
        let bench = Bench::new().await;
        let error = all.pull(&bench.store, &name(proxy.port, "guarded:1"), &|_, _| ()).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Unauthorized { .. }), "{login}: {error:?}");
    }
}

#[tokio::test]
async fn one_pushes_with_tokens_of_both_kinds() {
    let Some(registry) = Registry::start(false).await else { return };
    for (login, seed) in [(WORD, 43), (IDENTITY, 44)] {
        let proxy = guarded(&registry, None).await;
        let (bench, reference) = (Bench::new().await, name(proxy.port, "guarded:1"));
        let made = image(&bench, &reference, seed).await;
        let all = with(&entry(proxy.port, login), registry.scratch.path());
        all.push(&bench.store, &reference, &|_, _| ()).await.unwrap();
        let other = Bench::new().await;
        let pulled =
            super::server::registries().pull(&other.store, &registry.name("guarded:1"), &|_, _| ()).await;
        assert_eq!(pulled.unwrap().id, made.id);
    }
}

#[tokio::test]
async fn a_login_is_not_sent_to_anybody_else() {
    let Some(registry) = Registry::start(false).await else { return };
    let made = pushed(&registry.name("image:1"), 45).await;
    let mirror = Proxy::start(registry.port, |_| Action::Pass).await;
    // Content lies elsewhere, as with registries that store it with somebody else.
    let elsewhere = Proxy::start(registry.port, |_| Action::Pass).await;
    let port = elsewhere.port;
    let origin = Proxy::start(registry.port, move |request: &Request| {
        if request.path.contains("/blobs/") {
            answer(307, &format!("location: http://localhost:{port}{}\r\n", request.path), b"")
        } else {
            Action::Pass
        }
    })
    .await;
    let config = entry(origin.port, WORD);
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("config.json"), config).unwrap();
    let host = format!("127.0.0.1:{}", origin.port);
    for mirrors in [vec![], vec![format!("127.0.0.1:{}", mirror.port)]] {
        let mirrors = [(host.clone(), mirrors)].into();
        let config_dir = Some(directory.path().to_owned());
        let all = Registries::new(Settings { config_dir, mirrors, ..settings() });
        let bench = Bench::new().await;
        let pulled = all.pull(&bench.store, &name(origin.port, "image:1"), &|_, _| ()).await.unwrap();
        assert_eq!(pulled.id, made.id);
    }
    let carries = |proxy: &Proxy| {
        let requests = proxy.requests.lock().unwrap();
        (requests.len() > 4, requests.iter().any(|request| request.authorization.is_some()))
    };
    assert_eq!(carries(&origin), (true, true));
    assert_eq!((carries(&mirror), carries(&elsewhere)), ((true, false), (true, false)));
}

#[tokio::test]
async fn an_identity_is_not_sent_without_encryption() {
    let leaky = Proxy::start(1, |_| {
        let realm = "http://registry.example/token";
        answer(401, &format!("www-authenticate: Bearer realm=\"{realm}\"\r\n"), b"")
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let all = with(&entry(leaky.port, IDENTITY), directory.path());
    let bench = Bench::new().await;
    let error = all.pull(&bench.store, &name(leaky.port, "image:1"), &|_, _| ()).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Protocol { reason, .. } if reason.contains("encryption")),
        "{error:?}"
    );
}
