//! Private networks: the daemon has no networks that come and go with their containers, so each is made before its first
//! container and removed after its last.

use std::collections::HashMap;

use bollard::{
    models::{ContainerCreateBody, EndpointSettings, NetworkCreateRequest, NetworkingConfig},
    query_parameters::ListContainersOptionsBuilder,
};
use takelage_model::label;

use super::{connection::Daemon, errors::status};
use crate::{ContainerSpec, EngineError, Operation};

impl Daemon {
    /// Makes the private network `name` unless it is there, and has the container join it under its host name.
    pub(super) async fn private_network(
        &self,
        name: &str,
        spec: &ContainerSpec,
        body: &mut ContainerCreateBody,
    ) -> Result<(), EngineError> {
        let failed = |error| self.failure(Operation::Create, &spec.name, error);
        match self.api.inspect_network(name, None).await {
            Ok(_) => {}
            Err(error) if status(&error) == Some(404) => {
                let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
                labels.insert(label::NETWORK.to_owned(), name.to_owned());
                let request = NetworkCreateRequest {
                    name: name.to_owned(),
                    labels: Some(labels),
                    ..NetworkCreateRequest::default()
                };
                self.api.create_network(request).await.map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let host = spec.hostname.clone().unwrap_or_default();
        let short = host.split('.').next().unwrap_or_default().to_owned();
        let aliases = [host, short].into_iter().filter(|name| !name.is_empty()).collect();
        let endpoint = EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
        body.networking_config =
            Some(NetworkingConfig { endpoints_config: Some([(name.to_owned(), endpoint)].into()) });
        // Whoever removes the container has to know.
        body.labels.get_or_insert_default().insert(label::NETWORK.to_owned(), name.to_owned());
        Ok(())
    }

    /// Removes a private network if no container is in it any more, running or not. One that is gone is fine.
    pub(super) async fn leave_network(&self, name: &str) -> Result<(), EngineError> {
        let failed = |error| self.failure(Operation::Remove, name, error);
        let _alone = self.networks.lock().await;
        let filters = HashMap::from([("network", vec![name])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        if !self.api.list_containers(Some(options)).await.map_err(failed)?.is_empty() {
            return Ok(());
        }
        match self.api.remove_network(name).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            // Somebody has joined it in between: it is theirs to remove.
            Err(error) if status(&error) == Some(403) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}
