//! Running a command that is talked with.

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

use super::{container::DockerContainer, errors::refusal};
use crate::{Chunk, EngineError, ExecSpec, Operation, Stream};

impl DockerContainer {
    /// Runs a command that reads what comes from `input`. If the future is dropped, the command sees the end of its input.
    pub(super) async fn converse_with(
        &self,
        spec: ExecSpec,
        mut input: mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        let api = &self.daemon.api;
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(spec.argv),
            env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            user: spec.user,
            working_dir: spec.workdir,
            ..CreateExecOptions::default()
        };
        let created = api.create_exec(&self.id.0, options).await;
        let id = created.map_err(|error| self.failure(Operation::Exec, error))?.id;
        let started = api.start_exec(&id, None::<StartExecOptions>).await;
        let StartExecResults::Attached { output: mut from, input: mut to } =
            started.map_err(|error| self.failure(Operation::Exec, error))?
        else {
            return Err(refusal(Operation::Exec, self.name.clone(), "the daemon does not attach", None));
        };
        let write = async {
            while let Some(said) = input.recv().await {
                if to.write_all(&said).await.is_err() || to.flush().await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
            std::future::pending::<()>().await;
        };
        let read = async {
            while let Some(piece) = from.next().await {
                let (stream, bytes) = match piece.map_err(|error| self.failure(Operation::Exec, error))? {
                    LogOutput::StdOut { message } | LogOutput::StdIn { message } => (Stream::Stdout, message),
                    LogOutput::StdErr { message } | LogOutput::Console { message } => {
                        (Stream::Stderr, message)
                    }
                };
                // A receiver that is gone wants no more, but the command must not notice.
                let _ = chunks.send(Chunk { stream, bytes }).await;
            }
            Ok::<_, EngineError>(())
        };
        tokio::select! {
            result = read => result?,
            () = write => {}
        }
        self.status(&id).await
    }
}
