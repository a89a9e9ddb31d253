//! Commands.

use bytes::Bytes;
use takelage_model::agent::{self, Command, Request, Size};
use tokio::sync::mpsc;

use super::{
    AgentClient, AgentError,
    request::{Answer, Pending, unexpected},
};
use crate::{Chunk, ExecSpec, Interaction, Stream};

impl AgentClient {
    /// Runs a command and hands its output to `chunks` as it comes, with the contract of
    /// [`Container::exec`](crate::Container::exec). If the future is dropped, the command and its session are killed.
    ///
    /// The agent knows nothing of the container's own settings: `spec` has the whole environment, and without user and
    /// directory it is root in the root directory.
    pub async fn exec(&self, spec: ExecSpec, chunks: mpsc::Sender<Chunk>) -> Result<i64, AgentError> {
        let stdin = spec.stdin.clone();
        let mut request = self.request(&Request::Exec(command(spec, None)))?;
        let feed = request.feed();
        let write = async {
            if let Some(stdin) = stdin
                && feed.data(&stdin).await
            {
                feed.send(&Request::End, &[]);
            }
            std::future::pending().await
        };
        tokio::select! {
            result = hand_over(&mut request, &chunks) => result,
            never = write => never,
        }
    }

    /// Runs a command that reads what comes from `input`, as [`exec`](Self::exec) otherwise.
    pub async fn converse(
        &self,
        spec: ExecSpec,
        input: &mut mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, AgentError> {
        let command = Command { stdin: true, ..command(spec, None) };
        let mut request = self.request(&Request::Exec(command))?;
        let feed = request.feed();
        let write = async {
            while let Some(said) = input.recv().await {
                if !feed.data(&said).await {
                    break;
                }
            }
            feed.send(&Request::End, &[]);
            std::future::pending().await
        };
        tokio::select! {
            result = hand_over(&mut request, &chunks) => result,
            never = write => never,
        }
    }

    /// Runs a command on a terminal of its own, connected to `interaction`, until it ends.
    pub async fn interact(&self, spec: ExecSpec, interaction: Interaction) -> Result<i64, AgentError> {
        let Interaction { mut input, output, mut size } = interaction;
        let first = terminal(*size.borrow_and_update());
        let mut request = self.request(&Request::Exec(command(spec, Some(first))))?;
        let feed = request.feed();
        let write = async {
            while let Some(typed) = input.recv().await {
                if !feed.data(&typed).await {
                    break;
                }
            }
            feed.send(&Request::End, &[]);
            std::future::pending::<()>().await;
        };
        let resize = async {
            while size.changed().await.is_ok() {
                let size = terminal(*size.borrow_and_update());
                feed.send(&Request::Resize { size }, &[]);
            }
            std::future::pending::<()>().await;
        };
        let read = async {
            loop {
                match request.answer().await? {
                    Answer::Data(_, bytes) => {
                        let count = bytes.len();
                        let _ = output.send(bytes).await;
                        request.handed_on(count);
                    }
                    Answer::Exit(status) => return Ok(status.into()),
                    _ => return Err(unexpected()),
                }
            }
        };
        let talk = async { tokio::join!(write, resize) };
        tokio::select! {
            result = read => result,
            _ = talk => Err(unexpected()),
        }
    }
}

/// Hands a command's output to `chunks` until it ends, and returns its exit status.
async fn hand_over(request: &mut Pending, chunks: &mpsc::Sender<Chunk>) -> Result<i64, AgentError> {
    loop {
        match request.answer().await? {
            Answer::Data(stream, bytes) => {
                let count = bytes.len();
                // A receiver that is gone wants no more, but the command must not notice.
                let _ = chunks.send(Chunk { stream: stream.into(), bytes }).await;
                request.handed_on(count);
            }
            Answer::Exit(status) => return Ok(status.into()),
            _ => return Err(unexpected()),
        }
    }
}

fn terminal((columns, rows): (u16, u16)) -> Size {
    Size { columns, rows }
}

fn command(spec: ExecSpec, tty: Option<Size>) -> Command {
    let ExecSpec { argv, user, env, workdir, stdin } = spec;
    Command { argv, env: env.into_iter().collect(), cwd: workdir, user, stdin: stdin.is_some(), tty }
}

impl From<agent::Stream> for Stream {
    fn from(stream: agent::Stream) -> Self {
        match stream {
            agent::Stream::Stdout => Self::Stdout,
            agent::Stream::Stderr => Self::Stderr,
        }
    }
}
