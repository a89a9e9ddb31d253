//! The user's logins to registries, as `docker login` keeps them.

use std::{io, path::PathBuf};

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use thiserror::Error;

use super::connection::Daemon;
use crate::{EngineError, Operation, Reference};

/// The key of Docker Hub in Docker's configuration, unlike all other registries not its host name.
const HUB: &str = "https://index.docker.io/v1/";

/// A login could not be read.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// The configuration cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is damaged, or a credential helper failed.
    #[error("the login for `{registry}` in `{path}` cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The registry.
        registry: String,
        /// What is wrong.
        reason: String,
    },
}

impl Daemon {
    /// Returns the user's login for the registry of `reference`; `None` if there is none.
    ///
    /// Credential helpers (`credsStore`, `credHelpers`) are run as Docker runs them.
    pub(super) async fn credentials(
        &self,
        operation: Operation,
        reference: &Reference,
    ) -> Result<Option<DockerCredentials>, EngineError> {
        let Some(path) = self.config_dir.as_ref().map(|directory| directory.join("config.json")) else {
            return Ok(None);
        };
        let registry = reference.registry().to_owned();
        let look = tokio::task::spawn_blocking(move || look_up(path, &registry));
        let found = look.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        found.map_err(|error| EngineError::Broken {
            operation,
            object: reference.to_string(),
            source: Box::new(error),
        })
    }
}

fn look_up(path: PathBuf, registry: &str) -> Result<Option<DockerCredentials>, CredentialsError> {
    let config = match fs_err::read(&path) {
        Ok(config) => config,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CredentialsError::Unreadable { path, source }),
    };
    let server = if registry == "docker.io" { HUB } else { registry };
    let credentials =
        |it: DockerCredentials| DockerCredentials { serveraddress: Some(server.to_owned()), ..it };
    match docker_credential::get_credential_from_reader(config.as_slice(), server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(credentials(DockerCredentials {
            username: Some(user),
            password: Some(password),
            ..DockerCredentials::default()
        }))),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(credentials(DockerCredentials {
            identitytoken: Some(token),
            ..DockerCredentials::default()
        }))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // What a helper says when it has no login for this registry; Docker then goes on without one.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(None)
        }
        // The helper's output may hold a secret, so it is not repeated.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => Err(CredentialsError::Unusable {
            path,
            registry: registry.to_owned(),
            reason: format!("credential helper `{helper}` failed"),
        }),
        Err(error) => Err(CredentialsError::Unusable {
            path,
            registry: registry.to_owned(),
            reason: error.to_string().to_lowercase(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(config: &str, registry: &str) -> Result<Option<DockerCredentials>, CredentialsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs_err::write(&path, config).unwrap();
        look_up(path, registry)
    }

    #[test]
    fn logins_are_found_by_registry_and_the_hub_by_its_own_key() {
        // `me:secret` and `hub:word`
        let config = r#"{"auths": {"localhost:5000": {"auth": "bWU6c2VjcmV0"},
            "https://index.docker.io/v1/": {"auth": "aHViOndvcmQ="}}}"#;
        let found = look(config, "localhost:5000").unwrap().unwrap();
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("secret")));
        assert_eq!(look(config, "docker.io").unwrap().unwrap().username.as_deref(), Some("hub"));
        assert!(look(config, "elsewhere:5000").unwrap().is_none());
        assert!(look("{}", "docker.io").unwrap().is_none());
    }

    #[test]
    fn a_missing_configuration_is_no_login_and_a_broken_one_an_error() {
        assert!(look_up(PathBuf::from("/nowhere/config.json"), "docker.io").unwrap().is_none());
        assert!(look("{", "docker.io").is_err());
        let error = look(r#"{"credsStore": "takelage-missing"}"#, "docker.io").unwrap_err();
        assert!(error.to_string().contains("docker.io"), "{error}");
    }
}
