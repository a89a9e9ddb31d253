//! Logins that are tokens: a registry gave one at the login, and exchanges it for those that it accepts.
//!
//! Docker's `identitytoken`, by the protocol of the `distribution` project's token server:
//!
//! ```text
//! GET /v2/  ►  401, WWW-Authenticate: Bearer realm="…",service="…"
//! POST REALM  grant_type=refresh_token&service=…&scope=…&client_id=takelage&refresh_token=…
//!          ►  {"access_token": "…"} or {"token": "…"}
//! ```

use serde::Deserialize;

use super::{
    RegistryError,
    mirror::{Endpoint, is_loopback},
    source::{self, AGENT},
};

/// An answer longer than this is none.
const ANSWER_LIMIT: usize = 1 << 20;

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token: Option<String>,
}

/// Exchanges an identity token for one that may do `actions`, such as `pull,push`.
pub(super) async fn exchange(
    http: &reqwest::Client,
    endpoint: &Endpoint,
    identity: &str,
    actions: &str,
) -> Result<String, RegistryError> {
    let host = &endpoint.host;
    let failed = |error: reqwest::Error| RegistryError::transport(host, &error);
    let protocol = |reason: &str| RegistryError::Protocol { host: host.clone(), reason: reason.to_owned() };
    let answer = http.get(format!("{}/v2/", endpoint.base())).send().await.map_err(failed)?;
    let (realm, service) = challenge(answer.headers())
        .ok_or_else(|| protocol("it does not say where the token of the login can be exchanged"))?;
    let realm = reqwest::Url::parse(&realm).map_err(|_| protocol("its address for tokens is none"))?;
    // Whoever could listen would have the login.
    if realm.scheme() != "https" && !realm.host_str().is_some_and(is_loopback) {
        return Err(protocol("it wants the token of the login without encryption"));
    }
    let mut form = realm.clone();
    form.query_pairs_mut()
        .clear()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", &service)
        .append_pair("scope", &format!("repository:{}:{actions}", endpoint.repository))
        .append_pair("client_id", AGENT)
        .append_pair("refresh_token", identity);
    let request = http
        .post(realm)
        .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned());
    let answer = source::success(host, request.send().await.map_err(failed)?).await?;
    let bytes = source::bounded(host, answer, ANSWER_LIMIT).await?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| protocol("its answer to the login's token is no JSON"))?;
    answer.access_token.or(answer.token).ok_or_else(|| protocol("it gave no token for the login's"))
}

/// Reads where tokens are given, and for which service.
fn challenge(headers: &reqwest::header::HeaderMap) -> Option<(String, String)> {
    let header = headers.get(reqwest::header::WWW_AUTHENTICATE)?.to_str().ok()?;
    let challenges = http_auth::parser::ChallengeParser::new(header).filter_map(Result::ok);
    let bearer = challenges.into_iter().find(|it| it.scheme.eq_ignore_ascii_case("bearer"))?;
    let parameter = |name: &str| {
        let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(found.1.to_unescaped())
    };
    Some((parameter("realm")?, parameter("service").unwrap_or_default()))
}
