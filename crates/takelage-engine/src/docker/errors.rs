//! The daemon's answers in the contract's terms.

use std::{error::Error as StdError, io, path::Path};

use bollard::errors::Error;

use super::connection::{ConnectError, Daemon};
use crate::{EngineError, Operation};

impl Daemon {
    /// Says what a failed request means, whatever was asked.
    pub(super) fn failure(&self, operation: Operation, object: &str, error: Error) -> EngineError {
        let object = object.to_owned();
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                refusal(operation, object, &message, Some(status_code))
            }
            Error::DockerStreamError { error } => refusal(operation, object, &error, None),
            error => match ConnectError::of(&error) {
                Some(source) => {
                    EngineError::Unavailable { endpoint: self.endpoint.clone(), source: Box::new(source) }
                }
                None if is_hang_up(&error) => {
                    EngineError::Gone { endpoint: self.endpoint.clone(), operation, object }
                }
                None => EngineError::Broken { operation, object, source: Box::new(error) },
            },
        }
    }

    /// Says what a failed request about a container means.
    pub(super) fn container_failure(&self, operation: Operation, name: &str, error: Error) -> EngineError {
        match status(&error) {
            Some(404) => EngineError::NoSuchContainer { name: name.to_owned() },
            // 409 if it is found out at once, 500 if the container ends meanwhile. The other words are Podman's.
            Some(409 | 500)
                if ["is not running", "container state improper"]
                    .iter()
                    .any(|words| text(&error).contains(words)) =>
            {
                EngineError::NoSuchContainer { name: name.to_owned() }
            }
            _ => self.failure(operation, name, error),
        }
    }

    /// Says what a failed exchange with a registry means.
    pub(super) fn registry_failure(&self, operation: Operation, name: &str, error: Error) -> EngineError {
        let (message, status) = match &error {
            Error::DockerResponseServerError { status_code, message } => {
                (message.clone(), Some(*status_code))
            }
            Error::DockerStreamError { error } => (error.clone(), None),
            _ => return self.failure(operation, name, error),
        };
        let has = |words: &[&str]| words.iter().any(|word| message.to_lowercase().contains(word));
        let name = name.to_owned();
        // Registries do not tell a repository that is missing from one that may not be seen, and Docker's words for
        // both are one sentence: "pull access denied for X, repository does not exist or may require 'docker login'".
        let unreachable =
            ["dial tcp", "no such host", "client.timeout", "server misbehaving", "proxyconnect"];
        if has(&unreachable) {
            return EngineError::NoRegistry { name, message };
        }
        // Some registries want a repository to be made before anything is sent to it.
        if operation == Operation::Push && has(&["name unknown"]) {
            return refusal(operation, name, &message, status);
        }
        if has(&["does not exist or may require", "manifest unknown", "no such image", "name unknown"])
            || has(&["not found: manifest", "does not exist locally", "failed to resolve reference"])
            || (status == Some(404) && !has(&["unauthorized", "denied"]))
        {
            EngineError::NoSuchImage { name, message }
        } else if has(&[
            "unauthorized",
            "authentication required",
            "no basic auth",
            "denied",
            "incorrect username",
        ]) {
            EngineError::Unauthorized { name, message }
        } else {
            refusal(operation, name, &message, status)
        }
    }
}

/// The daemon said no.
pub(super) fn refusal(
    operation: Operation,
    object: String,
    message: &str,
    status: Option<u16>,
) -> EngineError {
    if message.contains("no space left on device") || message.contains("disk quota exceeded") {
        return EngineError::DiskFull { operation, object };
    }
    EngineError::Refused { operation, object, message: message.trim_end().to_owned(), status }
}

/// A file of the host could not be written.
pub(super) fn unwritable(operation: Operation, object: &str, path: &Path, error: &io::Error) -> EngineError {
    let source = format!("cannot write `{}`: {error}", path.display()).into();
    EngineError::Broken { operation, object: object.to_owned(), source }
}

/// Returns the HTTP status of an answer that is an error.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Returns an error's text, the daemon's own words if there are any.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        error => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                let words = error.to_string();
                if !text.contains(&words) {
                    text = format!("{text}: {words}");
                }
                cause = error.source();
            }
            text
        }
    }
}

/// Whether the daemon ended a conversation in the middle. It sends whole answers unless it ends itself.
fn is_hang_up(error: &Error) -> bool {
    let hung_up = |kind| {
        matches!(
            kind,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
        )
    };
    matches!(error, Error::HyperLegacyError { .. } | Error::HyperResponseError { .. })
        || io_cause(error).is_some_and(|error| hung_up(error.kind()))
}

/// Finds the operating system's error behind an error, if there is one.
pub(super) fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The API client shows these as themselves, so that they are nobody's cause.
        let shown = match error.downcast_ref::<Error>() {
            Some(Error::IOError { err }) => Some(err),
            _ => error.downcast_ref::<io::Error>(),
        };
        if let Some(error) = shown {
            // An operating system's error may be wrapped in another.
            return error.get_ref().and_then(|inner| io_cause(inner)).or(Some(error));
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_s_error_is_found_wherever_it_is() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        for error in [Error::IOError { err: reset() }, Error::IOError { err: io::Error::other(reset()) }] {
            assert_eq!(
                io_cause(&error).map(io::Error::kind),
                Some(io::ErrorKind::ConnectionReset),
                "{error:?}"
            );
            assert!(is_hang_up(&error));
        }
        assert!(io_cause(&Error::RequestTimeoutError).is_none());
    }
}
