//! `shell`: a shell, or a command, in a container that was kept.

use std::io::Write as _;

use takelage_engine::{Chunk, Container as _, Engine as _, ExecSpec, Stream};
use takelage_model::{Exit, ImageName};
use tokio::sync::mpsc;

use super::{engine, one, runtime};
use crate::{cli::ShellArguments, failure::Failure, settings::Settings};

/// Runs a command in a container, connected to this process's own streams. Its exit status becomes ours.
pub(crate) fn shell(settings: &Settings, arguments: &ShellArguments) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let image: ImageName = one(&project, &arguments.image)?;
    let store = takelage_run::Store::open(&settings.cache)?;
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
        let (sender, mut chunks) = mpsc::channel::<Chunk>(16);
        let print = async {
            while let Some(chunk) = chunks.recv().await {
                let written = match chunk.stream {
                    Stream::Stdout => std::io::stdout().write_all(&chunk.bytes),
                    Stream::Stderr => std::io::stderr().write_all(&chunk.bytes),
                };
                if written.is_err() {
                    break;
                }
            }
        };
        let (status, ()) =
            tokio::join!(container.exec(ExecSpec { argv, ..ExecSpec::default() }, sender), print);
        Ok(if status? == 0 { Exit::Done } else { Exit::Failed })
    })
}

fn login_shell() -> Vec<String> {
    let script = "exec \"$(command -v bash || echo sh)\" -l";
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}
