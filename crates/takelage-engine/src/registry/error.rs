//! What can go wrong with a registry.

use std::{error::Error as StdError, time::Duration};

use oci_client::errors::{OciDistributionError, OciErrorCode};
use thiserror::Error;

use crate::{
    ConfigError, CredentialsError, EngineError, ManifestError, Operation, embedded::store::StoreError,
};

/// An exchange with a registry failed.
#[derive(Debug, Error)]
pub(crate) enum RegistryError {
    /// Nobody answers there.
    #[error("registry `{host}` cannot be reached: {reason}")]
    Unreachable {
        /// Its host.
        host: String,
        /// Why.
        reason: String,
    },
    /// It answered, and then the connection broke.
    #[error("the connection to registry `{host}` broke: {reason}")]
    Broken {
        /// Its host.
        host: String,
        /// How.
        reason: String,
    },
    /// It said that it cannot.
    #[error("registry `{host}` answers with status {status}{}", said(message))]
    Status {
        /// Its host.
        host: String,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// It has too much to do, or too much was asked of it.
    #[error("registry `{host}` wants fewer requests{}{}", wanted(*wait), said(message))]
    Busy {
        /// Its host.
        host: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
        /// Its own words.
        message: String,
    },
    /// It wants a login, or refuses the one it got.
    #[error("registry `{host}` refuses access{}", said(message))]
    Unauthorized {
        /// Its host.
        host: String,
        /// Its own words.
        message: String,
    },
    /// It has nothing of that name.
    #[error("registry `{host}` does not have it{}", said(message))]
    NotFound {
        /// Its host.
        host: String,
        /// Its own words.
        message: String,
    },
    /// It sent something else than it announced.
    #[error("registry `{host}` sends damaged content: {reason}")]
    Corrupt {
        /// Its host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// It does not speak as registries do.
    #[error("`{host}` does not answer as a registry: {reason}")]
    Protocol {
        /// Its host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// A mirror's address is wrong.
    #[error("`{address}` is no address of a mirror: {reason}")]
    Mirror {
        /// What was given.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The image is for another operating system.
    #[error("the image is for `{0}`, not for `linux`")]
    Platform(String),
    /// The image's manifest is refused.
    #[error("its manifest is refused")]
    Manifest(#[from] ManifestError),
    /// The image's configuration is refused.
    #[error("its configuration is refused")]
    Config(#[from] ConfigError),
    /// The store cannot take it or give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user's login cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn wanted(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(", and none for {} s", wait.as_secs())).unwrap_or_default()
}

impl RegistryError {
    /// Says what an answer with this status means.
    pub(super) fn status(host: &str, status: u16, message: &str, wait: Option<Duration>) -> Self {
        let (host, message) = (host.to_owned(), clean(message));
        match status {
            401 | 403 => Self::Unauthorized { host, message },
            404 => Self::NotFound { host, message },
            429 => Self::Busy { host, wait, message },
            _ => Self::Status { host, status, message },
        }
    }

    /// Says what a request means that got no answer, or only a part of one.
    pub(super) fn transport(host: &str, error: &reqwest::Error) -> Self {
        let (host, reason) = (host.to_owned(), innermost(error));
        match error.status() {
            Some(status) => Self::status(&host, status.as_u16(), "", None),
            None if error.is_connect() => Self::Unreachable { host, reason },
            None if error.is_builder() => Self::Protocol { host, reason },
            None => Self::Broken { host, reason },
        }
    }

    /// Says what an error of the protocol's crate means.
    pub(super) fn client(host: &str, error: OciDistributionError) -> Self {
        match error {
            OciDistributionError::RequestError(error) => Self::transport(host, &error),
            OciDistributionError::ServerError { code, message, .. } => {
                Self::status(host, code, &message, None)
            }
            OciDistributionError::AuthenticationFailure(message) => {
                Self::Unauthorized { host: host.to_owned(), message: clean(&message) }
            }
            OciDistributionError::UnauthorizedError { .. } => {
                Self::Unauthorized { host: host.to_owned(), message: String::new() }
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let is = |code| envelope.errors.iter().any(|error| error.code == code);
                let status = match () {
                    () if is(OciErrorCode::Toomanyrequests) => 429,
                    () if is(OciErrorCode::Unauthorized) || is(OciErrorCode::Denied) => 401,
                    () if is(OciErrorCode::NameUnknown) || is(OciErrorCode::ManifestUnknown) => 404,
                    () => 400,
                };
                let words: Vec<_> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
                Self::status(host, status, &words.join(", "), None)
            }
            error => Self::Protocol { host: host.to_owned(), reason: innermost(&error) },
        }
    }

    /// Says it in the terms of the engine's contract.
    pub(crate) fn into_engine(self, operation: Operation, name: &str) -> EngineError {
        let name = name.to_owned();
        match self {
            Self::Store(error) => error.into_engine(operation, &name),
            // Some registries want a repository to be made before anything is sent to it.
            Self::NotFound { .. } if operation == Operation::Push => {
                EngineError::Refused { operation, object: name, message: self.to_string(), status: Some(404) }
            }
            Self::NotFound { .. } => EngineError::NoSuchImage { name, message: self.to_string() },
            Self::Unauthorized { ref message, ref host } => {
                let words =
                    if message.is_empty() { format!("`{host}` wants a login") } else { message.clone() };
                EngineError::Unauthorized { name, message: words }
            }
            Self::Status { status, .. } => EngineError::Refused {
                operation,
                object: name,
                message: self.to_string(),
                status: Some(status),
            },
            Self::Unreachable { ref reason, .. } => EngineError::NoRegistry { message: reason.clone(), name },
            Self::Broken { .. } | Self::Busy { .. } => {
                EngineError::Refused { operation, object: name, message: self.to_string(), status: None }
            }
            error => EngineError::Broken { operation, object: name, source: Box::new(error) },
        }
    }
}

/// Takes the words out of a registry's error, which is JSON if it follows the protocol, and makes one line of them.
fn clean(message: &str) -> String {
    const LONGEST: usize = 300;
    let words = serde_json::from_str::<oci_client::errors::OciEnvelope>(message).map_or_else(
        |_| message.to_owned(),
        |envelope| {
            let words: Vec<_> = envelope.errors.into_iter().map(|error| error.message).collect();
            words.join(", ")
        },
    );
    let printable = words.chars().map(|it| if it.is_control() { ' ' } else { it });
    printable.take(LONGEST).collect::<String>().trim().to_owned()
}

/// Returns the cause behind all causes: the others only say that something was tried.
fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string().to_lowercase();
    text.split_once(" (os error").map_or(text.clone(), |(text, _)| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_one_line() {
        let json = r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m\nway","detail":{}},{"code":"UNKNOWN","message":"x"}]}"#;
        assert_eq!(clean(json), "no [31m way, x");
        assert_eq!(clean(&"long ".repeat(1000)).len(), 299);
        let busy = RegistryError::status("host", 429, "", Some(Duration::from_secs(7)));
        assert_eq!(busy.to_string(), "registry `host` wants fewer requests, and none for 7 s");
        let refused = RegistryError::status("host", 403, "why", None);
        assert_eq!(refused.to_string(), "registry `host` refuses access: why");
    }
}
