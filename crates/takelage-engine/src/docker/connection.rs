//! Finding the daemon and agreeing on a version of its API.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker as Api};
use thiserror::Error;

use super::{
    errors::{io_cause, text},
    stream::Streams,
};
use crate::EngineError;

/// Where Docker listens unless told otherwise.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// How long an answer may take that needs no work. Others take as long as they take: a daemon that dies closes
/// the connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// The API client wants a limit for every request; a commit or a load of a large image may take this long.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How to reach the daemon. All of it comes from the user's surroundings, which the caller knows.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `DOCKER_HOST`, or the endpoint of the current docker context: `unix://PATH` or `tcp://HOST:PORT`.
    /// None: Docker's own socket.
    pub host: Option<String>,
    /// A directory with `ca.pem`, `cert.pem` and `key.pem`, for `tcp://` with TLS.
    pub tls: Option<PathBuf>,
    /// `DOCKER_CONFIG` or `~/.docker`, for the logins to registries.
    pub config_dir: Option<PathBuf>,
    /// Where large files may lie for a while.
    pub scratch: PathBuf,
    /// Whether every command goes through the API on its own, instead of all over one stream per container.
    pub plain: bool,
}

/// A Docker daemon.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(super) daemon: Arc<Daemon>,
}

#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) api: Api,
    /// Where it is, for messages.
    pub(super) endpoint: String,
    pub(super) config_dir: Option<PathBuf>,
    pub(super) scratch: PathBuf,
    /// What the daemon says of its host, asked once.
    pub(super) host: tokio::sync::OnceCell<bollard::models::SystemInfo>,
    /// Its machine's architecture, asked once.
    pub(super) architecture: tokio::sync::OnceCell<String>,
    pub(super) plain: bool,
    pub(super) streams: Streams,
    /// Held while a private network is made and joined, or found empty and removed.
    pub(super) networks: tokio::sync::Mutex<()>,
}

/// Why no daemon could be reached.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nothing is there.
    #[error("there is no socket: Docker is not installed, or its daemon does not run")]
    NoSocket,
    /// The user has no access.
    #[error(
        "permission denied: this user may not use the socket (on most systems, members of group `docker` may)"
    )]
    Denied,
    /// Nobody listens.
    #[error("connection refused: the daemon does not run")]
    Refused,
    /// Somebody listens, but does not answer.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// It is a kind of endpoint that takelage cannot use.
    #[error(
        "takelage speaks to `unix://` and `tcp://` endpoints only; forward the socket with `ssh -L` for others"
    )]
    Scheme,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl ConnectError {
    /// Explains a failure of the connection itself. `None`: the error is about something else.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        Some(match io_cause(error)?.kind() {
            io::ErrorKind::NotFound => Self::NoSocket,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Silent,
            _ => return None,
        })
    }
}

impl Docker {
    /// Connects to the daemon and agrees with it on a version of the API.
    pub async fn connect(settings: &Settings) -> Result<Self, EngineError> {
        let endpoint = settings.host.clone().unwrap_or_else(|| SOCKET.to_owned());
        let unavailable = |source: ConnectError| EngineError::Unavailable {
            endpoint: endpoint.clone(),
            source: Box::new(source),
        };
        let explain = |error: bollard::errors::Error| {
            unavailable(ConnectError::of(&error).unwrap_or_else(|| ConnectError::Other(text(&error))))
        };
        if let Some(path) = endpoint.strip_prefix("unix://") {
            // The client's own message does not tell a missing socket from one that may not be opened.
            tokio::net::UnixStream::connect(path).await.map_err(|error| {
                unavailable(
                    ConnectError::of(&error).unwrap_or_else(|| ConnectError::Other(error.to_string())),
                )
            })?;
        }
        let api =
            open(&endpoint, settings).ok_or_else(|| unavailable(ConnectError::Scheme))?.map_err(explain)?;
        let api = api.with_request_modifier(url_safe_credentials);
        let api = tokio::time::timeout(PATIENCE, api.negotiate_version())
            .await
            .map_err(|_| unavailable(ConnectError::Silent))?
            .map_err(explain)?;
        Ok(Self {
            daemon: Arc::new(Daemon {
                api,
                endpoint,
                config_dir: settings.config_dir.clone(),
                scratch: settings.scratch.clone(),
                host: tokio::sync::OnceCell::new(),
                architecture: tokio::sync::OnceCell::new(),
                plain: settings.plain,
                streams: Streams::default(),
                networks: tokio::sync::Mutex::default(),
            }),
        })
    }
}

/// Makes a client. `None`: it is a kind of endpoint that takelage cannot use.
fn open(endpoint: &str, settings: &Settings) -> Option<Result<Api, bollard::errors::Error>> {
    let (scheme, address) = endpoint.split_once("://")?;
    Some(match (scheme, &settings.tls) {
        ("unix", _) => Api::connect_with_unix(address, LIMIT.as_secs(), API_DEFAULT_VERSION),
        ("tcp" | "https", Some(tls)) => Api::connect_with_ssl(
            endpoint,
            &tls.join("key.pem"),
            &tls.join("cert.pem"),
            &tls.join("ca.pem"),
            LIMIT.as_secs(),
            API_DEFAULT_VERSION,
        ),
        ("tcp" | "http", None) => Api::connect_with_http(endpoint, LIMIT.as_secs(), API_DEFAULT_VERSION),
        _ => return None,
    })
}

/// Docker reads the credentials' header as URL-safe base64 and silently ignores what it cannot read, but the client
/// writes the other alphabet.
fn url_safe_credentials(mut request: bollard::BollardRequest) -> bollard::BollardRequest {
    const HEADER: &str = "X-Registry-Auth";
    let safe = request.headers().get(HEADER).and_then(|value| {
        let value = value.to_str().ok()?.replace('+', "-").replace('/', "_");
        value.parse().ok()
    });
    if let Some(safe) = safe {
        request.headers_mut().insert(HEADER, safe);
    }
    request
}

impl Daemon {
    /// Returns what the daemon says of its host. It is asked once.
    pub(super) async fn host(&self) -> Result<&bollard::models::SystemInfo, EngineError> {
        self.host
            .get_or_try_init(|| self.api.info())
            .await
            .map_err(|error| self.failure(crate::Operation::Connect, &self.endpoint, error))
    }

    /// Says which engine this is: `docker 20.10.24`, `podman 4.3.1`.
    pub(super) async fn describe(&self) -> Result<String, EngineError> {
        let unavailable = |source: ConnectError| EngineError::Unavailable {
            endpoint: self.endpoint.clone(),
            source: Box::new(source),
        };
        let version = tokio::time::timeout(PATIENCE, self.api.version())
            .await
            .map_err(|_| unavailable(ConnectError::Silent))?
            .map_err(|error| self.failure(crate::Operation::Connect, &self.endpoint, error))?;
        let podman = version.components.iter().flatten().any(|component| component.name.contains("Podman"));
        let name = if podman { "podman" } else { "docker" };
        let number = version.version.unwrap_or_default();
        // Distributions append their own revision, as in `20.10.24+dfsg1`.
        let number = number.split_once('+').map_or(number.as_str(), |(number, _)| number);
        Ok(format!("{name} {number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(host: String) -> String {
        let settings =
            Settings { host: Some(host), tls: None, config_dir: None, scratch: PathBuf::new(), plain: false };
        let error = Docker::connect(&settings).await.unwrap_err();
        assert!(matches!(error, EngineError::Unavailable { .. }), "{error:?}");
        std::error::Error::source(&error).unwrap().to_string()
    }

    #[tokio::test]
    async fn what_keeps_it_from_connecting_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let host = format!("unix://{}", path.display());
        assert!(refusal(host.clone()).await.starts_with("there is no socket"));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(refusal(host).await.starts_with("connection refused"));
        assert!(refusal("ssh://host".to_owned()).await.contains("ssh -L"));
        assert!(refusal("nonsense".to_owned()).await.contains("endpoints only"));
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(refusal(format!("tcp://{unused}")).await.starts_with("connection refused"));
    }

    #[tokio::test]
    async fn an_endpoint_that_hangs_up_is_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        refusal(format!("unix://{}", path.display())).await;
    }
}
