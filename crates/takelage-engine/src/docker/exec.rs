//! Running commands in a container.

use std::time::Duration;

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{io::AsyncWriteExt, sync::mpsc};

use super::{
    container::DockerContainer,
    errors::{io_cause, refusal, status, text},
};
use crate::{Chunk, EngineError, ExecSpec, Operation, Stream};

/// How long the daemon may take to note that a command has ended after the end of its output.
const SETTLING: Duration = Duration::from_secs(10);
/// What the daemon writes to the standard output of a command that it could not start begins with one of these.
const NOT_STARTED: [&[u8]; 4] = [
    b"OCI runtime exec failed: ",
    b"unable to find user ",
    b"unable to find group ",
    b"uids and gids must be in range ",
];
/// How much the daemon's stream is read ahead.
pub(super) const READ_AHEAD: usize = 1 << 16;

impl DockerContainer {
    /// Runs a command: over the container's stream if it has one, else by the API.
    pub(super) async fn execute(
        &self,
        spec: ExecSpec,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        if spec.argv.is_empty() {
            return Err(refusal(Operation::Exec, self.name.clone(), "there is no command", None));
        }
        match self.conversation().await? {
            Some(conversation) => self.execute_over(conversation, spec, chunks).await,
            None => self.execute_plainly(spec, chunks).await,
        }
    }

    /// Runs a command by the API. If the future is dropped, the command goes on until it reads or writes: the API has no way
    /// to end it.
    ///
    /// A program that cannot be started gives status 126 or 127 as the daemon reports it, and the reason as its
    /// standard error. A command whose background children keep its output open ends two seconds after itself,
    /// which is the daemon's patience.
    async fn execute_plainly(&self, spec: ExecSpec, chunks: mpsc::Sender<Chunk>) -> Result<i64, EngineError> {
        let api = &self.daemon.api;
        let env: Vec<_> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let options = CreateExecOptions {
            attach_stdin: Some(spec.stdin.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(spec.argv),
            env: Some(env),
            user: spec.user,
            working_dir: spec.workdir,
            ..CreateExecOptions::default()
        };
        let created = api.create_exec(&self.id.0, options).await;
        let id = created.map_err(|error| self.failure(Operation::Exec, error))?.id;
        let start = StartExecOptions { output_capacity: Some(READ_AHEAD), ..StartExecOptions::default() };
        let (output, input) = match api.start_exec(&id, Some(start)).await {
            Ok(StartExecResults::Attached { output, input }) => (output, input),
            Ok(StartExecResults::Detached) => return self.status(&id).await,
            Err(error) => return self.not_started(error, &chunks).await,
        };
        let has_input = spec.stdin.is_some();
        let write = async move {
            let mut input = input;
            if let Some(stdin) = spec.stdin {
                // A command need not read its input, so a closed pipe is no error.
                let _ = input.write_all(&stdin).await;
            }
            let _ = input.shutdown().await;
            // Kept until the output ends: dropping a half that was never shut down would close nothing.
            input
        };
        let read = async {
            let mut output = output;
            let (mut begun, mut refused) = (false, None);
            while let Some(piece) = output.next().await {
                let piece = match piece {
                    // Podman hangs up on input that a command did not read. What it wrote has all come before.
                    Err(error) if has_input && is_reset(&error) => break,
                    piece => piece.map_err(|error| self.failure(Operation::Exec, error))?,
                };
                let (stream, bytes) = match piece {
                    LogOutput::StdOut { message } | LogOutput::StdIn { message } => (Stream::Stdout, message),
                    // Outside of both streams the daemon writes only why it could not start the program.
                    LogOutput::StdErr { message } | LogOutput::Console { message } => {
                        (Stream::Stderr, message)
                    }
                };
                let first = !std::mem::replace(&mut begun, true);
                if first
                    && stream == Stream::Stdout
                    && NOT_STARTED.iter().any(|words| bytes.starts_with(words))
                {
                    refused = Some(bytes);
                    continue;
                }
                // There is more: it was the program itself that said so.
                let held = refused.take().map(|bytes| Chunk { stream: Stream::Stdout, bytes });
                for chunk in held.into_iter().chain([Chunk { stream, bytes }]) {
                    // A receiver that is gone wants no more, but the command must not notice.
                    let _ = chunks.send(chunk).await;
                }
            }
            Ok::<_, EngineError>(refused)
        };
        let (_input, read) = tokio::join!(write, read);
        let (refused, status) = (read?, self.status(&id).await?);
        match refused {
            Some(bytes) if matches!(status, 126 | 127) && has(&bytes, "stopped") => {
                Err(EngineError::NoSuchContainer { name: self.name.clone() })
            }
            Some(bytes) if matches!(status, 126 | 127) => Ok(could_not_start(&chunks, bytes).await),
            Some(bytes) => {
                let _ = chunks.send(Chunk { stream: Stream::Stdout, bytes }).await;
                Ok(status)
            }
            None => Ok(status),
        }
    }

    /// Returns a command's exit status after the end of its output.
    pub(super) async fn status(&self, id: &str) -> Result<i64, EngineError> {
        let mut pause = Duration::from_millis(1);
        let started = tokio::time::Instant::now();
        loop {
            let inspect = match self.daemon.api.inspect_exec(id).await {
                Ok(inspect) => inspect,
                Err(error) => return Err(self.failure(Operation::Exec, error)),
            };
            // A command is not running before its start either; then there is no status.
            match (inspect.running, inspect.exit_code) {
                (Some(false) | None, Some(status)) => return Ok(status),
                _ if started.elapsed() > SETTLING => {
                    let message = "its output ended, but it did not";
                    return Err(refusal(Operation::Exec, self.name.clone(), message, None));
                }
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Turns the refusal to start a program into the status that a shell would give.
    async fn not_started(
        &self,
        error: bollard::errors::Error,
        chunks: &mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        let message = text(&error);
        let about_it = ["exec failed", "unable to find ", "uids and gids must be"];
        if status(&error).is_none() || !about_it.iter().any(|words| message.contains(words)) {
            return Err(self.failure(Operation::Exec, error));
        }
        Ok(could_not_start(chunks, Bytes::from(message)).await)
    }
}

fn is_reset(error: &bollard::errors::Error) -> bool {
    io_cause(error).is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Whether the daemon's words have these among them.
fn has(said: &[u8], words: &str) -> bool {
    String::from_utf8_lossy(said).contains(words)
}

/// Hands over why a program could not be started, as its standard error, and returns the status that a shell would
/// give: 127 if there is no such program, 126 if it cannot be run. Docker 20.10 gives 126 for both.
pub(super) async fn could_not_start(chunks: &mpsc::Sender<Chunk>, reason: Bytes) -> i64 {
    let missing = has(&reason, "executable file not found") || has(&reason, "no such file or directory");
    let _ = chunks.send(Chunk { stream: Stream::Stderr, bytes: reason }).await;
    if missing { 127 } else { 126 }
}
