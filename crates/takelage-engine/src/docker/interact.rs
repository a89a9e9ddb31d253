//! Running a command on a terminal, for people.

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults},
};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::{container::DockerContainer, errors::refusal};
use crate::{EngineError, ExecSpec, Interaction, Operation};

impl DockerContainer {
    /// Runs a command on a terminal of its own, connected to `interaction`, until it ends.
    pub(super) async fn interact_with(
        &self,
        spec: ExecSpec,
        interaction: Interaction,
    ) -> Result<i64, EngineError> {
        let Interaction { mut input, output, mut size } = interaction;
        let api = &self.daemon.api;
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(true),
            cmd: Some(spec.argv),
            env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            user: spec.user,
            working_dir: spec.workdir,
            ..CreateExecOptions::default()
        };
        let created = api.create_exec(&self.id.0, options).await;
        let id = created.map_err(|error| self.failure(Operation::Exec, error))?.id;
        let start = StartExecOptions { tty: true, ..StartExecOptions::default() };
        let started = api.start_exec(&id, Some(start)).await;
        let StartExecResults::Attached { output: mut from, input: mut to } =
            started.map_err(|error| self.failure(Operation::Exec, error))?
        else {
            return Err(refusal(Operation::Exec, self.name.clone(), "the daemon does not attach", None));
        };
        let read = async {
            while let Some(piece) = from.next().await {
                let piece = piece.map_err(|error| self.failure(Operation::Exec, error))?;
                let (LogOutput::Console { message }
                | LogOutput::StdOut { message }
                | LogOutput::StdErr { message }
                | LogOutput::StdIn { message }) = piece;
                if output.send(message).await.is_err() {
                    break;
                }
            }
            Ok::<_, EngineError>(())
        };
        let write = async {
            while let Some(typed) = input.recv().await {
                if to.write_all(&typed).await.is_err() || to.flush().await.is_err() {
                    return;
                }
            }
            // A command that cannot be told that its input ends is told by its terminal.
            let _ = to.write_all(END_OF_INPUT).await;
        };
        let resize = async {
            loop {
                let (columns, rows) = *size.borrow_and_update();
                // A terminal of the wrong size is an inconvenience, no failure.
                let _ = api.resize_exec(&id, ResizeExecOptions { width: columns, height: rows }).await;
                if size.changed().await.is_err() {
                    return;
                }
            }
        };
        let talk = async { tokio::join!(write, resize, std::future::pending::<()>()) };
        tokio::select! {
            result = read => result?,
            _ = talk => {}
        }
        self.status(&id).await
    }
}

/// What a terminal sends for the end of its input.
const END_OF_INPUT: &[u8] = b"\x04";
