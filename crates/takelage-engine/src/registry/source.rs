//! A registry or a mirror that is spoken to: requests with the user's login, answers within limits.

use std::{sync::Once, time::Duration};

use oci_client::{
    Client, Reference as OciReference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
    token_cache::{RegistryToken, RegistryTokenType},
};
use reqwest::{StatusCode, header};
use tokio::sync::Mutex;

use super::{RegistryError, identity, mirror::Endpoint, patience};
use crate::credentials::Login;

/// Who asks.
pub(super) const AGENT: &str = concat!("takelage/", env!("CARGO_PKG_VERSION"));
/// How long it may take to get a connection, and until something more comes over one.
const CONNECT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// As much of an error's text is read.
const ERROR_LIMIT: usize = 1 << 16;

/// Where something is fetched from or sent to.
pub(super) struct Source {
    pub(super) endpoint: Endpoint,
    login: Option<Login>,
    http: reqwest::Client,
    pub(super) client: Client,
    operation: RegistryOperation,
    /// What requests carry, once that is known.
    authorization: Mutex<Option<Authorization>>,
}

#[derive(Clone)]
enum Authorization {
    Nothing,
    Bearer(String),
    Basic(String, String),
}

impl Source {
    pub(super) fn new(
        endpoint: Endpoint,
        login: Option<Login>,
        operation: RegistryOperation,
    ) -> Result<Self, RegistryError> {
        provide_cryptography();
        let failed = |error: reqwest::Error| RegistryError::transport(&endpoint.host, &error);
        let http =
            reqwest::Client::builder().user_agent(AGENT).connect_timeout(CONNECT).read_timeout(SILENCE);
        // As Docker does it, a proxy is not asked for this machine.
        let http = if endpoint.plain { http.no_proxy() } else { http };
        let http = http.build().map_err(failed)?;
        let mut config = ClientConfig {
            use_monolithic_push: true,
            platform_resolver: None,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: AGENT,
            ..ClientConfig::default()
        };
        if endpoint.plain {
            config.protocol = ClientProtocol::HttpsExcept(vec![endpoint.host.clone()]);
            // A proxy that is never used is how the crate is told to use none.
            (config.http_proxy, config.no_proxy) =
                (Some("http://localhost".to_owned()), Some("*,0.0.0.0/0,::/0".to_owned()));
        }
        let client =
            Client::try_from(config).map_err(|error| RegistryError::client(&endpoint.host, error))?;
        Ok(Self { endpoint, login, http, client, operation, authorization: Mutex::new(None) })
    }

    /// Returns the name of something in the repository, in the crate's words.
    pub(super) fn reference(&self, tag: &str) -> OciReference {
        let Endpoint { host, repository, .. } = &self.endpoint;
        OciReference::with_tag(host.clone(), repository.clone(), tag.to_owned())
    }

    /// Asks for something in the repository, from byte `from` on. Any status but success is an error.
    pub(super) async fn get(
        &self,
        rest: &str,
        accept: &str,
        from: u64,
    ) -> Result<reqwest::Response, RegistryError> {
        let host = &self.endpoint.host;
        let mut authorization = self.authorization(None).await?;
        for again in [true, false] {
            let mut request = self.http.get(self.endpoint.url(rest)).header(header::ACCEPT, accept);
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            request = match &authorization {
                Authorization::Nothing => request,
                Authorization::Bearer(token) => request.bearer_auth(token),
                Authorization::Basic(user, password) => request.basic_auth(user, Some(password)),
            };
            let answer = request.send().await.map_err(|error| RegistryError::transport(host, &error))?;
            // A token runs out in the course of a long transfer.
            let ran_out = again && answer.status() == StatusCode::UNAUTHORIZED;
            match authorization {
                Authorization::Bearer(token) if ran_out => {
                    authorization = self.authorization(Some(&token)).await?;
                }
                _ => return success(host, answer).await,
            }
        }
        unreachable!("the second answer is returned whatever it is")
    }

    /// Returns what requests carry. `refused`: a token that is not accepted any more.
    async fn authorization(&self, refused: Option<&str>) -> Result<Authorization, RegistryError> {
        let mut known = self.authorization.lock().await;
        match &*known {
            Some(Authorization::Bearer(token)) if Some(token.as_str()) == refused => {}
            Some(authorization) => return Ok(authorization.clone()),
            None => {}
        }
        let token = self.authenticate().await?;
        let authorization = match (token, &self.login) {
            (Some(token), _) => Authorization::Bearer(token),
            (None, Some(Login::Password { user, password })) => {
                Authorization::Basic(user.clone(), password.clone())
            }
            (None, _) => Authorization::Nothing,
        };
        *known = Some(authorization.clone());
        Ok(authorization)
    }

    /// Makes itself known to the registry. Returns a token if it gives one.
    pub(super) async fn authenticate(&self) -> Result<Option<String>, RegistryError> {
        let auth = match &self.login {
            None => RegistryAuth::Anonymous,
            Some(Login::Password { user, password }) => RegistryAuth::Basic(user.clone(), password.clone()),
            Some(Login::Identity(token)) => RegistryAuth::Bearer(self.exchange(token).await?),
        };
        let token = self.client.auth(&self.reference("latest"), &auth, self.operation).await;
        token.map_err(|error| RegistryError::client(&self.endpoint.host, error))
    }

    /// Sees to it that the crate's next request has a token. Of passwords it makes new ones itself.
    pub(super) async fn refresh(&self) -> Result<(), RegistryError> {
        let Some(Login::Identity(token)) = &self.login else { return Ok(()) };
        let token = self.exchange(token).await?;
        for operation in [RegistryOperation::Pull, RegistryOperation::Push] {
            let token = RegistryTokenType::Bearer(RegistryToken::Token { token: token.clone() });
            self.client.tokens.insert(&self.reference("latest"), operation, token).await;
        }
        Ok(())
    }

    async fn exchange(&self, identity: &str) -> Result<String, RegistryError> {
        let actions = match self.operation {
            RegistryOperation::Pull => "pull",
            RegistryOperation::Push => "pull,push",
        };
        identity::exchange(&self.http, &self.endpoint, identity, actions).await
    }
}

/// Takes an answer that is a success. Of others, the error's text is read.
pub(super) async fn success(
    host: &str,
    answer: reqwest::Response,
) -> Result<reqwest::Response, RegistryError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let wait = patience::retry_after(answer.headers());
    // Whatever keeps it from being read, the status says more.
    let text = bounded(host, answer, ERROR_LIMIT).await.unwrap_or_default();
    Err(RegistryError::status(host, status.as_u16(), &String::from_utf8_lossy(&text), wait))
}

/// Reads an answer into memory, if it is not too long.
pub(super) async fn bounded(
    host: &str,
    mut answer: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, RegistryError> {
    let long = || RegistryError::Protocol {
        host: host.to_owned(),
        reason: format!("its answer is longer than {limit} bytes"),
    };
    if answer.content_length().is_some_and(|length| length > limit as u64) {
        return Err(long());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| RegistryError::transport(host, &error))? {
        if bytes.len() + chunk.len() > limit {
            return Err(long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Tells the TLS library, once for the process, whose cryptography to use: the one that the program has anyway.
fn provide_cryptography() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that somebody else has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
