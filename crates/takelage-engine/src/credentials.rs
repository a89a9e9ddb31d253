//! The user's logins to registries, as `docker login` keeps them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use thiserror::Error;

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

/// How the user is known to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// By name and password.
    Password { user: String, password: String },
    /// By a token that the registry gave at the login and exchanges for others.
    Identity(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Identity(_) => "Identity",
        })
    }
}

/// Returns the key of a registry in Docker's configuration.
pub(crate) fn server(registry: &str) -> &str {
    if registry == "docker.io" { HUB } else { registry }
}

/// Returns the user's login for a registry; `None` if there is none, or no `config_dir`.
///
/// Credential helpers (`credsStore`, `credHelpers`) are run as Docker runs them.
pub(crate) async fn login(
    config_dir: Option<&Path>,
    registry: &str,
) -> Result<Option<Login>, CredentialsError> {
    let Some(path) = config_dir.map(|directory| directory.join("config.json")) else {
        return Ok(None);
    };
    let registry = registry.to_owned();
    let look = tokio::task::spawn_blocking(move || look_up(path, &registry));
    look.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn look_up(path: PathBuf, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let config = match fs_err::read(&path) {
        Ok(config) => config,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CredentialsError::Unreadable { path, source }),
    };
    match docker_credential::get_credential_from_reader(config.as_slice(), server(registry)) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Login::Password { user, password }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Login::Identity(token))),
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

    fn look(config: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
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
        let password = |user: &str, password: &str| {
            Some(Login::Password { user: user.to_owned(), password: password.to_owned() })
        };
        assert_eq!(look(config, "localhost:5000").unwrap(), password("me", "secret"));
        assert_eq!(look(config, "docker.io").unwrap(), password("hub", "word"));
        assert_eq!(look(config, "elsewhere:5000").unwrap(), None);
        assert_eq!(look("{}", "docker.io").unwrap(), None);
    }

    #[test]
    fn a_missing_configuration_is_no_login_and_a_broken_one_an_error() {
        assert_eq!(look_up(PathBuf::from("/nowhere/config.json"), "docker.io").unwrap(), None);
        assert!(look("{", "docker.io").is_err());
        let error = look(r#"{"credsStore": "takelage-missing"}"#, "docker.io").unwrap_err();
        assert!(error.to_string().contains("docker.io"), "{error}");
    }

    #[test]
    fn a_login_is_not_written_into_logs() {
        let login = Login::Password { user: "me".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{login:?}").contains("secret"));
        assert!(!format!("{:?}", Login::Identity("secret".to_owned())).contains("secret"));
    }
}
