//! Starting the program that the engine is part of once more, for a task.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use super::{
    helper::{Answer, Outcome, Task, Trouble, TroubleKind, WORD},
    jobs::{self, Job},
    rootless,
    store::{StoreError, Unpack, Unpacked},
};
use crate::archive::Compression;

/// How much of what the runtime says is told.
const SAID: usize = 4096;

/// The program to start.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    /// Its path. The first thing that it does must be [`helper`](super::helper::helper).
    pub(super) program: PathBuf,
}

impl Launcher {
    /// Does a task to its end; `input` is what it reads after the task, `output` gets what it writes.
    pub(super) async fn job(
        &self,
        task: &Task,
        input: impl AsyncRead + Unpin,
        output: &mut (impl tokio::io::AsyncWrite + Unpin),
    ) -> Result<Answer, Trouble> {
        let mut child =
            self.command().kill_on_drop(true).spawn().map_err(|error| self.cannot_start(&error))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let write = feed(stdin, task, input);
        let read = async {
            match stdout {
                Some(mut stdout) => tokio::io::copy(&mut stdout, output).await.map(drop),
                None => Ok(()),
            }
        };
        let (written, read, said) = tokio::join!(write, read, hear(&mut child));
        let _ = child.wait().await;
        let answer = said?;
        // A task that is done has read what it needs.
        let _ = written;
        read.map_err(Trouble::from)?;
        Ok(answer)
    }

    /// Starts a monitor or a switch; returns when its container or network runs. The process stays.
    pub(super) async fn resident(&self, task: &Task) -> Result<(), Trouble> {
        let child = self.command().spawn().map_err(|error| self.cannot_start(&error))?;
        let mut starting = Starting(Some(child));
        starting.wait(task).await?;
        starting.release();
        Ok(())
    }

    /// Removes a directory with everything in it, whoever owns it.
    pub(super) async fn remove(&self, directory: &Path) -> Result<(), Trouble> {
        if !rootless::is_needed() {
            // Here all ids exist, and it costs no more than it has to.
            let directory = directory.to_owned();
            let removed = tokio::task::spawn_blocking(move || jobs::remove(&directory)).await;
            return removed.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
        }
        let task = Task::Job(Job::Remove { directory: directory.to_owned() });
        self.job(&task, tokio::io::empty(), &mut tokio::io::sink()).await.map(drop)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(WORD)
            .env_clear()
            .env("PATH", crate::DEFAULT_PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C of a terminal is for whoever decides what it means.
            .process_group(0);
        command
    }

    fn cannot_start(&self, error: &io::Error) -> Trouble {
        cannot_start(&self.program, error)
    }
}

impl Unpack for Launcher {
    async fn unpack(&self, blob: &Path, compression: Compression, to: &Path) -> Result<Unpacked, StoreError> {
        let task = Task::Job(Job::Unpack { blob: blob.to_owned(), compression, to: to.to_owned() });
        let done = self.job(&task, tokio::io::empty(), &mut tokio::io::sink()).await;
        let answer = done.map_err(|trouble| StoreError::file(to, trouble.into()))?;
        let digest =
            answer.digest.ok_or_else(|| StoreError::file(to, io::Error::other("it has no digest")))?;
        Ok(Unpacked { diff_id: digest, size: answer.size, entries: answer.entries })
    }

    async fn remove(&self, tree: &Path) -> Result<(), StoreError> {
        if !tree.exists() {
            return Ok(());
        }
        Self::remove(self, tree).await.map_err(|trouble| StoreError::file(tree, trouble.into()))
    }
}

/// A process that stays once it runs. Until then it ends with whoever gives up waiting for it.
struct Starting(Option<Child>);

impl Starting {
    /// Waits until it says that it runs.
    async fn wait(&mut self, task: &Task) -> Result<(), Trouble> {
        let Some(child) = &mut self.0 else { return Err(silent("")) };
        drop(child.stdout.take());
        let stdin = child.stdin.take();
        let (_, said) = tokio::join!(feed(stdin, task, tokio::io::empty()), hear(child));
        said.map(drop)
    }

    /// Lets it live on, also after the end of this process. While this process lives, the async runtime reaps it.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.start_kill();
        }
    }
}

async fn feed(
    stdin: Option<tokio::process::ChildStdin>,
    task: &Task,
    mut input: impl AsyncRead + Unpin,
) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    let mut line = serde_json::to_vec(task)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    tokio::io::copy(&mut input, &mut stdin).await?;
    stdin.shutdown().await
}

/// Reads what a helper says until it says how it went.
async fn hear(child: &mut Child) -> Result<Answer, Trouble> {
    let Some(stderr) = child.stderr.take() else { return Err(silent("")) };
    let mut lines = BufReader::new(stderr.take(1 << 20)).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(Outcome::Done(answer)) => return Ok(answer),
            Ok(Outcome::Failed(trouble)) => return Err(with(trouble, &said)),
            Err(_) if said.len() < SAID => said = format!("{said}{}\n", line.trim()),
            Err(_) => {}
        }
    }
    Err(silent(&said))
}

/// Adds the runtime's own words to the sentence.
fn with(trouble: Trouble, said: &str) -> Trouble {
    match said.lines().next() {
        Some(first) => Trouble { message: format!("{} ({first})", trouble.message), ..trouble },
        None => trouble,
    }
}

fn silent(said: &str) -> Trouble {
    let message = match said.trim() {
        "" => "the helper process ended without a word".to_owned(),
        said => format!("the helper process ended: {said}"),
    };
    Trouble { kind: TroubleKind::Other, message }
}

fn cannot_start(program: &Path, error: &io::Error) -> Trouble {
    Trouble { kind: TroubleKind::Other, message: format!("cannot start `{}`: {error}", program.display()) }
}
