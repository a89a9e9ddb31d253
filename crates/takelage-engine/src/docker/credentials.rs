//! The user's logins to registries, in the daemon's terms.

use bollard::auth::DockerCredentials;

use super::connection::Daemon;
use crate::{
    EngineError, Operation, Reference,
    credentials::{self, Login},
};

impl Daemon {
    /// Returns the user's login for the registry of `reference`; `None` if there is none.
    pub(super) async fn credentials(
        &self,
        operation: Operation,
        reference: &Reference,
    ) -> Result<Option<DockerCredentials>, EngineError> {
        let registry = reference.registry();
        let login = credentials::login(self.config_dir.as_deref(), registry).await;
        let login = login.map_err(|error| EngineError::Broken {
            operation,
            object: reference.to_string(),
            source: Box::new(error),
        })?;
        let serveraddress = Some(credentials::server(registry).to_owned());
        Ok(login.map(|login| match login {
            Login::Password { user, password } => DockerCredentials {
                username: Some(user),
                password: Some(password),
                serveraddress,
                ..DockerCredentials::default()
            },
            Login::Identity(token) => DockerCredentials {
                identitytoken: Some(token),
                serveraddress,
                ..DockerCredentials::default()
            },
        }))
    }
}
