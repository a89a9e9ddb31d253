//! A container of the embedded engine.

use std::{
    collections::BTreeMap,
    io::Cursor,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{Mutex, mpsc},
};

use super::{
    engine::Shared,
    helper::{Answer, Task, Trouble, TroubleKind},
    jobs::{Job, Root},
    overlay::Stack,
    record::{Directory, Record, Running},
};
use crate::{
    Chunk, Container, ContainerId, ContainerState, EngineError, ExecSpec, ImageConfig, ImageRecord,
    Interaction, Operation, Reference, SnapshotId,
    agent::{AgentClient, AgentError},
    whole_file::WholeFile,
};

/// A container of the embedded engine.
#[derive(Debug, Clone)]
pub struct EmbeddedContainer {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ContainerId,
    pub(super) name: String,
    pub(super) directory: Directory,
    agent: Arc<Mutex<Option<AgentClient>>>,
}

impl Container for EmbeddedContainer {
    fn id(&self) -> &ContainerId {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn state(&self) -> Result<Option<ContainerState>, EngineError> {
        self.directory.state().map_err(|error| self.broken(Operation::Inspect, error))
    }

    async fn logs(&self, lines: usize) -> Result<String, EngineError> {
        let log = fs_err::tokio::read(self.directory.0.join("log")).await;
        let log = log.map_err(|error| self.gone_or(Operation::Logs, error))?;
        let text = String::from_utf8_lossy(&log).into_owned();
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        Ok(all[all.len().saturating_sub(lines)..].concat())
    }

    async fn exec(&self, spec: ExecSpec, chunks: mpsc::Sender<Chunk>) -> Result<i64, EngineError> {
        if spec.argv.is_empty() {
            return Err(self.refused(Operation::Exec, "there is no command"));
        }
        let record = self.running_record(Operation::Exec)?;
        let agent = self.agent().await?;
        let ended = agent.exec(record.command(spec), chunks).await;
        ended.map_err(|error| self.agent_failure(Operation::Exec, error))
    }

    async fn converse(
        &self,
        spec: ExecSpec,
        input: &mut mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        let record = self.running_record(Operation::Exec)?;
        let agent = self.agent().await?;
        let ended = agent.converse(record.command(spec), input, chunks).await;
        ended.map_err(|error| self.agent_failure(Operation::Exec, error))
    }

    async fn interact(&self, spec: ExecSpec, interaction: Interaction) -> Result<i64, EngineError> {
        let record = self.running_record(Operation::Exec)?;
        let agent = self.agent().await?;
        let ended = agent.interact(record.command(spec), interaction).await;
        ended.map_err(|error| self.agent_failure(Operation::Exec, error))
    }

    async fn put(&self, at: &str, tar: Bytes) -> Result<(), EngineError> {
        self.absolute(Operation::Put, at)?;
        let job = Job::Put { root: self.root(Operation::Put)?, at: PathBuf::from(at) };
        self.job(Operation::Put, job, at, Cursor::new(tar), &mut tokio::io::sink()).await.map(drop)
    }

    async fn get(&self, path: &str) -> Result<Bytes, EngineError> {
        self.absolute(Operation::Get, path)?;
        let root = match self.seen(Operation::Get)? {
            Some(root) => root,
            None => self.view(Operation::Get)?,
        };
        let job = Job::Get { root, path: PathBuf::from(path) };
        let mut tar = Vec::new();
        self.job(Operation::Get, job, path, tokio::io::empty(), &mut tar).await?;
        Ok(tar.into())
    }

    async fn export(&self, to: &Path) -> Result<(), EngineError> {
        let failed = |error| self.broken(Operation::Export, error);
        let root = self.view(Operation::Export)?;
        let whole = WholeFile::begin(to).map_err(failed)?;
        let mut file = tokio::fs::File::from_std(whole.reopen().map_err(failed)?);
        let job = Job::Get { root, path: PathBuf::from("/") };
        self.job(Operation::Export, job, "/", tokio::io::empty(), &mut file).await?;
        file.flush().await.map_err(failed)?;
        whole.finish().await.map_err(failed)
    }

    async fn commit(
        &self,
        config: &ImageConfig,
        name: Option<&Reference>,
        newest: Option<i64>,
    ) -> Result<ImageRecord, EngineError> {
        self.commit_as(config, name, newest).await
    }

    async fn snapshot(&self, labels: &BTreeMap<String, String>) -> Result<SnapshotId, EngineError> {
        self.take_snapshot(labels).await
    }

    async fn start(&self) -> Result<(), EngineError> {
        let record = self.record(Operation::Start)?;
        // The one of the last time has ended with the container, even if nobody has noticed yet.
        *self.agent.lock().await = None;
        self.shared.run(&record).await
    }

    async fn stop(&self, grace: Duration) -> Result<(), EngineError> {
        self.end(grace).await
    }

    async fn remove(self) -> Result<(), EngineError> {
        self.discard().await
    }
}

impl EmbeddedContainer {
    /// Takes hold of a container.
    pub(super) fn new(shared: Arc<Shared>, id: ContainerId, name: String, directory: Directory) -> Self {
        Self { shared, id, name, directory, agent: Arc::default() }
    }

    /// Returns the connection to the agent, made at the first call and whenever the last one has ended.
    pub(super) async fn agent(&self) -> Result<AgentClient, EngineError> {
        let mut known = self.agent.lock().await;
        if let Some(agent) = known.as_ref().filter(|agent| agent.closed().now_or_never().is_none()) {
            return Ok(agent.clone());
        }
        let failed = |error| self.gone_or(Operation::Exec, error);
        // A socket's path may be no longer than 107 bytes, so it is named by its open directory.
        let directory = fs_err::File::open(&self.directory.0).map_err(failed)?;
        let path = format!("/proc/self/fd/{}/agent.sock", directory.as_raw_fd());
        let stream = tokio::net::UnixStream::connect(path).await.map_err(failed)?;
        let connected = AgentClient::connect(stream).await;
        let agent = connected.map_err(|error| self.agent_failure(Operation::Exec, error))?;
        Ok(known.insert(agent).clone())
    }

    fn agent_failure(&self, operation: Operation, error: AgentError) -> EngineError {
        match error {
            AgentError::Gone { .. } => EngineError::NoSuchContainer { name: self.name.clone() },
            AgentError::Refused { message, .. } => self.refused(operation, &message),
            error => EngineError::Broken { operation, object: self.name.clone(), source: Box::new(error) },
        }
    }

    /// Reads what the container is.
    pub(super) fn record(&self, operation: Operation) -> Result<Record, EngineError> {
        match self.directory.record() {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(EngineError::NoSuchContainer { name: self.name.clone() }),
            Err(error) => Err(self.broken(operation, error)),
        }
    }

    /// The same, if it runs.
    fn running_record(&self, operation: Operation) -> Result<Record, EngineError> {
        let record = self.record(operation)?;
        match self.directory.is_running() {
            Ok(true) => Ok(record),
            Ok(false) => Err(EngineError::NoSuchContainer { name: self.name.clone() }),
            Err(error) => Err(self.broken(operation, error)),
        }
    }

    /// Says where its files are, to be written: what it sees while it runs, else its root file system.
    fn root(&self, operation: Operation) -> Result<Root, EngineError> {
        if let Some(root) = self.seen(operation)? {
            return Ok(root);
        }
        let stack = self.record(operation)?.monitor.stack;
        Ok(Root::Stack { stack, at: self.directory.0.join("rootfs") })
    }

    /// What it sees. `None`: it does not run.
    fn seen(&self, operation: Operation) -> Result<Option<Root>, EngineError> {
        let failed = |error| self.broken(operation, error);
        let running = self.directory.running().map_err(failed)?;
        let runs = self.directory.is_running().map_err(failed)?;
        let root = |running: Running| Root::Process { first: running.first, monitor: running.monitor };
        Ok(running.filter(|_| runs).map(root))
    }

    /// Its root file system without what it has mounted, to be read, whether it runs or not.
    pub(super) fn view(&self, operation: Operation) -> Result<Root, EngineError> {
        let Stack { mut lowers, upper } = self.record(operation)?.monitor.stack;
        if let Some(upper) = upper {
            // Nobody may write to it by two mounts.
            lowers.insert(0, upper.tree);
        }
        Ok(Root::Stack { stack: Stack { lowers, upper: None }, at: self.directory.0.join("rootfs") })
    }

    /// Does a job on the files of this container; `path` is what it is about.
    pub(super) async fn job(
        &self,
        operation: Operation,
        job: Job,
        path: &str,
        input: impl tokio::io::AsyncRead + Unpin,
        output: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Answer, EngineError> {
        let done = self.shared.launcher.job(&Task::Job(job), input, output).await;
        done.map_err(|trouble| match trouble.kind {
            TroubleKind::NoSuchPath => {
                EngineError::NoSuchPath { container: self.name.clone(), path: path.to_owned() }
            }
            _ => failure(operation, &self.name, trouble),
        })
    }

    fn absolute(&self, operation: Operation, path: &str) -> Result<(), EngineError> {
        if path.starts_with('/') && !path.contains('\0') {
            return Ok(());
        }
        Err(self.refused(operation, &format!("`{path}` is not an absolute path")))
    }

    pub(super) fn refused(&self, operation: Operation, message: &str) -> EngineError {
        EngineError::Refused {
            operation,
            object: self.name.clone(),
            message: message.to_owned(),
            status: None,
        }
    }

    pub(super) fn broken(&self, operation: Operation, error: std::io::Error) -> EngineError {
        failure(operation, &self.name, Trouble::from(error))
    }

    fn gone_or(&self, operation: Operation, error: std::io::Error) -> EngineError {
        match error.kind() {
            // Nobody listens any more: it is about to be gone.
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                EngineError::NoSuchContainer { name: self.name.clone() }
            }
            _ => self.broken(operation, error),
        }
    }
}

/// Says that an operation failed, in the contract's words.
pub(super) fn failure(operation: Operation, object: &str, trouble: Trouble) -> EngineError {
    match trouble.kind {
        TroubleKind::DiskFull => EngineError::DiskFull { operation, object: object.to_owned() },
        _ => EngineError::Refused {
            operation,
            object: object.to_owned(),
            message: trouble.message,
            status: None,
        },
    }
}
