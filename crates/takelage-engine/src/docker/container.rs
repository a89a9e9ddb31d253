//! A container of the daemon.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bollard::{
    container::LogOutput,
    errors::Error,
    query_parameters::{LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder},
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;

use super::{commit::Layers, connection::Daemon, errors::status};
use crate::{
    Chunk, Container, ContainerId, ContainerState, EngineError, ExecSpec, ImageConfig, ImageRecord,
    Interaction, Operation, Reference, SnapshotId,
};

/// A container of a Docker daemon.
#[derive(Debug, Clone)]
pub struct DockerContainer {
    pub(super) daemon: Arc<Daemon>,
    pub(super) id: ContainerId,
    pub(super) name: String,
    /// The private network that it is in.
    network: Option<String>,
}

impl DockerContainer {
    pub(super) fn new(daemon: Arc<Daemon>, id: ContainerId, name: String, network: Option<String>) -> Self {
        Self { daemon, id, name, network }
    }

    /// Says what a failed request about this container means.
    pub(super) fn failure(&self, operation: Operation, error: bollard::errors::Error) -> EngineError {
        self.daemon.container_failure(operation, &self.name, error)
    }
}

impl Container for DockerContainer {
    fn id(&self) -> &ContainerId {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn state(&self) -> Result<Option<ContainerState>, EngineError> {
        let inspect = match self.daemon.api.inspect_container(&self.id.0, None).await {
            Ok(inspect) => inspect,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            // A word of Podman's, for a container that has just ended, which the API's own words do not have.
            Err(Error::JsonDataError { message, .. }) if message.contains("`stopped`") => {
                return self.ended().await.map(Some);
            }
            Err(error) => return Err(self.failure(Operation::Inspect, error)),
        };
        let state = inspect.state.unwrap_or_default();
        Ok(Some(if state.running == Some(true) {
            ContainerState::Running
        } else {
            ContainerState::Exited { status: state.exit_code.unwrap_or(0) }
        }))
    }

    async fn logs(&self, lines: usize) -> Result<String, EngineError> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let output: Vec<LogOutput> = self
            .daemon
            .api
            .logs(&self.id.0, Some(options))
            .try_collect()
            .await
            .map_err(|error| self.failure(Operation::Logs, error))?;
        let bytes: Vec<u8> = output.into_iter().flat_map(LogOutput::into_bytes).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn warm_up(&self) {
        let _ = self.conversation().await;
    }

    async fn exec(&self, spec: ExecSpec, chunks: mpsc::Sender<Chunk>) -> Result<i64, EngineError> {
        self.execute(spec, chunks).await
    }

    async fn converse(
        &self,
        spec: ExecSpec,
        input: &mut mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        self.converse_over(spec, input, chunks).await
    }

    async fn interact(&self, spec: ExecSpec, interaction: Interaction) -> Result<i64, EngineError> {
        self.interact_with(spec, interaction).await
    }

    async fn put(&self, at: &str, tar: Bytes) -> Result<(), EngineError> {
        self.unpack(at, tar).await
    }

    async fn get(&self, path: &str) -> Result<Bytes, EngineError> {
        self.pack(path).await
    }

    async fn export(&self, to: &Path) -> Result<(), EngineError> {
        let stream = self.daemon.api.export_container(&self.id.0);
        let result = self.daemon.download(Operation::Export, &self.name, stream, to, &|_, _| ()).await;
        result.map_err(|error| match error {
            EngineError::Refused { status: Some(404), .. } => {
                EngineError::NoSuchContainer { name: self.name.clone() }
            }
            error => error,
        })
    }

    async fn commit(
        &self,
        config: &ImageConfig,
        name: Option<&Reference>,
        _: Option<i64>,
    ) -> Result<ImageRecord, EngineError> {
        self.commit_as(config, name, Layers::Flat).await
    }

    async fn snapshot(&self, labels: &BTreeMap<String, String>) -> Result<SnapshotId, EngineError> {
        self.take_snapshot(labels).await
    }

    async fn start(&self) -> Result<(), EngineError> {
        self.daemon.streams.close(&self.id.0);
        let started = self.daemon.api.start_container(&self.id.0, None).await;
        started.map_err(|error| self.failure(Operation::Start, error))
    }

    async fn stop(&self, grace: Duration) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        self.daemon.streams.close(&self.id.0);
        let stopped = self.daemon.api.stop_container(&self.id.0, Some(options)).await;
        stopped.map_err(|error| self.failure(Operation::Stop, error))
    }

    async fn remove(self) -> Result<(), EngineError> {
        self.daemon.remove_container(&self.id.0, &self.name).await?;
        match &self.network {
            Some(network) => self.daemon.leave_network(network).await,
            None => Ok(()),
        }
    }
}

impl DockerContainer {
    /// Returns the state of a container that has ended.
    async fn ended(&self) -> Result<ContainerState, EngineError> {
        let waited: Result<Vec<_>, Error> =
            self.daemon.api.wait_container(&self.id.0, None).try_collect().await;
        match waited {
            Ok(waited) => {
                let status = waited.last().map_or(0, |ended| ended.status_code);
                Ok(ContainerState::Exited { status })
            }
            Err(Error::DockerContainerWaitError { code, .. }) => Ok(ContainerState::Exited { status: code }),
            Err(error) => Err(self.failure(Operation::Inspect, error)),
        }
    }
}

impl Daemon {
    /// Ends and removes a container with its anonymous volumes.
    pub(super) async fn remove_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        self.streams.close(id);
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.api.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            // Somebody else removes it at this moment: done when it is gone.
            Err(error) if status(&error) == Some(409) => {
                for _ in 0..100 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let inspect = self.api.inspect_container(id, None).await;
                    if inspect.is_err_and(|error| status(&error) == Some(404)) {
                        return Ok(());
                    }
                }
                Err(self.failure(Operation::Remove, name, error))
            }
            Err(error) => Err(self.failure(Operation::Remove, name, error)),
        }
    }
}
