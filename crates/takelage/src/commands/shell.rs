//! `shell`: a shell, or a command, in a container that was kept.

use std::io::{IsTerminal as _, Write as _};

use bytes::BytesMut;
use takelage_engine::{Chunk, Container, Engine as _, EngineError, ExecSpec, Stream};
use takelage_model::{Exit, ImageName};
use tokio::sync::mpsc;

use super::{engine, one, runtime, standard_input::standard_input, terminal};
use crate::{cli::ShellArguments, failure::Failure, settings::Settings};

/// Runs a command in a container, connected to this process's own streams. A command that fails makes this one fail.
pub(crate) fn shell(settings: &Settings, arguments: &ShellArguments) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let image: ImageName = one(&project, &arguments.image)?;
    let store = takelage_run::Store::open(settings.cache()?)?;
    runtime()?.block_on(async {
        let chosen = engine::choose(settings, Some(&project), &std::env::temp_dir()).await?;
        let record =
            takelage_run::container_for_shell(&chosen.engine, &project, &store, &image, arguments.failed)
                .await?;
        let container = chosen.engine.container(&record);
        if !record.running {
            container.start().await?;
        }
        let argv = if arguments.command.is_empty() { login_shell() } else { arguments.command.clone() };
        let status = enter(settings, &container, argv).await?;
        Ok(if status == 0 { Exit::Done } else { Exit::Failed })
    })
}

/// Runs a command in a container, on the terminal if there is one, and returns its exit status.
pub(super) async fn enter<C: Container>(
    settings: &Settings,
    container: &C,
    argv: Vec<String>,
) -> Result<i64, Failure> {
    let spec = ExecSpec { argv, ..ExecSpec::default() };
    if !terminal::is_terminal() {
        return Ok(piped(container, spec).await?);
    }
    let term = settings.variable("TERM").unwrap_or("xterm").to_owned();
    let spec = ExecSpec { env: [("TERM".to_owned(), term)].into_iter().collect(), ..spec };
    Ok(terminal::interact(container, spec).await.map_err(Failure::Terminal)??)
}

pub(super) fn login_shell() -> Vec<String> {
    let script = "exec \"$(command -v bash || echo sh)\" -l";
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

/// Runs a command with its output to ours. It reads what we are given, unless that is a terminal, from which two would read
/// then. Where the engine cannot talk with a command, it is given all at once.
async fn piped<C: Container>(container: &C, spec: ExecSpec) -> Result<i64, EngineError> {
    let (sender, mut chunks) = mpsc::channel::<Chunk>(16);
    let print = async {
        while let Some(chunk) = chunks.recv().await {
            let written = match chunk.stream {
                Stream::Stdout => std::io::stdout().write_all(&chunk.bytes),
                Stream::Stderr => std::io::stderr().write_all(&chunk.bytes),
            };
            // Whoever reads has seen enough; the command is not told, and ends by itself.
            if written.is_err() {
                break;
            }
        }
    };
    let run = async {
        if std::io::stdin().is_terminal() {
            return container.exec(spec, sender).await;
        }
        let mut input = standard_input();
        match container.converse(spec.clone(), &mut input, sender.clone()).await {
            Err(EngineError::Unsupported { .. }) => {
                let mut all = BytesMut::new();
                while let Some(piece) = input.recv().await {
                    all.extend_from_slice(&piece);
                }
                container.exec(ExecSpec { stdin: Some(all.freeze()), ..spec }, sender).await
            }
            ended => ended,
        }
    };
    let (status, ()) = tokio::join!(run, print);
    status
}
