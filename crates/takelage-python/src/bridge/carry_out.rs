//! What is done in a container for a request that came whole.

use std::{io, sync::Arc};

use bytes::Bytes;
use takelage_engine::{Chunk, Container, EngineError, ExecOutput, ExecSpec, Stream};
use takelage_model::frame::{ErrorKind, Zygote};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    memory::{Answer, Diverged, Live, Memory, REMEMBERED_LIMIT, Recall, Remembered, Wanted, Worth},
    spool::{Output, Spool},
    zygote::Zygotes,
};
use crate::prepare;

/// Writes standard input to the file that is the first argument, as `dd` does for the stock Docker connection.
const WRITE_FILE: &str = r#"exec cat > "$1""#;

/// Reads the file that is the first argument, or says by its exit status why not.
const READ_FILE: &str = r#"[ -e "$1" ] || exit 104
[ -d "$1" ] && exit 105
exec cat "$1""#;

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Came {
    /// What a memory can have.
    Answer(Answer),
    /// How a command ended that wrote too much for that.
    Exit(Output),
    /// What is in a file that is too large for that.
    File(Spool),
}

/// Runs a command, or what it would run in an interpreter that is up.
pub(super) async fn exec<C: Container>(
    container: &C,
    zygotes: &Zygotes,
    host: &str,
    (argv, user, stdin): (Vec<String>, Option<String>, Bytes),
    zygote: Option<Zygote>,
) -> Result<Output, Refusal> {
    if let Some(zygote) = zygote {
        match zygotes.run(container, host, user.as_deref(), zygote, &stdin).await {
            Ok(Some(output)) => return Ok(output),
            Ok(None) => {}
            Err(lost) => return Err(Refusal { kind: ErrorKind::Engine, message: lost.to_string() }),
        }
    }
    let spec = spec(argv, user, stdin)?;
    let (sender, mut chunks) = mpsc::channel(16);
    let collect = async {
        let mut output = Output::default();
        while let Some(chunk) = chunks.recv().await {
            output.append(&chunk);
        }
        output
    };
    let (status, mut output) = tokio::join!(container.exec(spec, sender), collect);
    output.status = status?;
    Ok(output)
}

async fn run<C: Container>(
    container: &C,
    argv: Vec<String>,
    user: Option<String>,
    stdin: Bytes,
) -> Result<ExecOutput, Refusal> {
    container.run(spec(argv, user, stdin)?).await.map_err(Refusal::from)
}

fn spec(argv: Vec<String>, user: Option<String>, stdin: Bytes) -> Result<ExecSpec, Refusal> {
    if argv.is_empty() {
        return Err(Refusal { kind: ErrorKind::Protocol, message: "an empty command".to_owned() });
    }
    let stdin = (!stdin.is_empty()).then_some(stdin);
    Ok(ExecSpec { argv, user, stdin, ..ExecSpec::default() })
}

/// Writes a file.
pub(super) async fn put<C: Container>(
    container: &C,
    path: &str,
    user: Option<String>,
    content: Bytes,
) -> Result<(), Refusal> {
    let argv = ["/bin/sh", "-c", WRITE_FILE, "sh", path].map(str::to_owned).to_vec();
    written(path, &run(container, argv, user, content).await?)
}

/// Says whether a command that writes a file did.
pub(super) fn written(path: &str, output: &ExecOutput) -> Result<(), Refusal> {
    if output.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(Refusal { kind: ErrorKind::Engine, message: format!("cannot write `{path}`: {}", reason.trim()) })
}

/// Reads a file as root: who may see it is decided by whoever asks, as `docker cp` leaves it.
pub(super) async fn get<C: Container>(container: &C, path: &str) -> Result<Spool, Refusal> {
    let mut spec = ExecSpec::root(["/bin/sh", "-c", READ_FILE, "sh"]);
    spec.argv.push(path.to_owned());
    let (sender, mut chunks) = mpsc::channel::<Chunk>(16);
    let (mut file, mut complaint) = (Spool::default(), Vec::new());
    let collect = async {
        while let Some(chunk) = chunks.recv().await {
            match chunk.stream {
                Stream::Stdout => file.append(&chunk.bytes),
                Stream::Stderr => complaint.extend_from_slice(&chunk.bytes),
            }
        }
    };
    let (status, ()) = tokio::join!(container.exec(spec, sender), collect);
    match status? {
        0 => Ok(file),
        104 => Err(Refusal { kind: ErrorKind::NoSuchFile, message: format!("there is no `{path}`") }),
        105 => Err(Refusal { kind: ErrorKind::NoSuchFile, message: format!("`{path}` is a directory") }),
        _ => {
            let reason = String::from_utf8_lossy(&complaint);
            Err(Refusal {
                kind: ErrorKind::Engine,
                message: format!("cannot read `{path}`: {}", reason.trim()),
            })
        }
    }
}

/// Tells that this host cannot keep what came.
pub(super) fn local(error: &io::Error) -> Refusal {
    Refusal { kind: ErrorKind::Engine, message: format!("cannot keep it: {error}") }
}

/// Carries out a request as a whole.
async fn carry_out<C: Container>(
    container: &C,
    zygotes: &Zygotes,
    host: &str,
    wanted: &Wanted,
) -> Result<Came, Refusal> {
    let answer = match wanted.clone() {
        Wanted::Prepare => match prepare::python(container, &mut |_| {}).await {
            Ok(prepared) => Answer::Prepared(prepared),
            Err(error) => return Err(Refusal { kind: ErrorKind::Engine, message: error.to_string() }),
        },
        Wanted::Exec { argv, user, stdin, zygote } => {
            let output = exec(container, zygotes, host, (argv, user, stdin), zygote).await?;
            if output.length() > REMEMBERED_LIMIT {
                return Ok(Came::Exit(output));
            }
            Answer::Exit(output.into_memory().map_err(|error| local(&error))?)
        }
        Wanted::Put { path, user, content } => {
            put(container, &path, user, content).await?;
            Answer::Done
        }
        Wanted::Get { path } => match get(container, &path).await {
            Ok(file) if file.length() > REMEMBERED_LIMIT => return Ok(Came::File(file)),
            Ok(file) => Answer::File(file.into_bytes().map_err(|error| local(&error))?.into()),
            Err(Refusal { kind: ErrorKind::NoSuchFile, message }) => Answer::NoSuchFile(message),
            Err(refusal) => return Err(refusal),
        },
    };
    Ok(Came::Answer(answer))
}

/// Answers a request from memory, or carries it out after what has to come before it.
pub(super) async fn recall_or_carry_out<C: Container>(
    remembered: &Remembered<C>,
    zygotes: &Zygotes,
    host: &str,
    wanted: Wanted,
    task: Option<&takelage_model::frame::RequestTask>,
) -> Result<Came, Refusal> {
    let (memory, wanted) = (&remembered.memory, Arc::new(wanted));
    let turn = remembered.turn.lock().await;
    let Live { container, before, ticket } = match memory.recall(&wanted, task).await? {
        Recall::Known(answer) => return Ok(Came::Answer(answer)),
        Recall::Live(live) => live,
    };
    repeat(remembered, zygotes, host, &container, before).await;
    // While this one is carried out, another one may ask; the memory learns by that that they overlap.
    drop(turn);
    let came = carry_out(&container, zygotes, host, &wanted).await;
    if let Some(ticket) = ticket
        && memory.remember(ticket, known(&came)).await == Worth::Keeping
    {
        let _turn = remembered.turn.lock().await;
        // Another request may have had its turn before, and run.
        if memory.is_quiet().await {
            zygotes.end().await;
            memory.keep().await;
        }
    }
    came
}

/// Returns the container for what is not remembered.
pub(super) async fn forgo<C: Container>(
    remembered: &Remembered<C>,
    zygotes: &Zygotes,
    host: &str,
    why: String,
) -> Result<C, Refusal> {
    let _turn = remembered.turn.lock().await;
    let Live { container, before, .. } = remembered.memory.forgo(why).await?;
    repeat(remembered, zygotes, host, &container, before).await;
    Ok(container)
}

/// Makes requests again. If one has another answer than before, whoever waits gets none: the memory ends the run.
async fn repeat<C: Container>(
    remembered: &Remembered<C>,
    zygotes: &Zygotes,
    host: &str,
    container: &C,
    before: Vec<Arc<Wanted>>,
) {
    if repeat_each(&*remembered.memory, zygotes, host, container, before).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn repeat_each<C: Container>(
    memory: &dyn Memory<C>,
    zygotes: &Zygotes,
    host: &str,
    container: &C,
    before: Vec<Arc<Wanted>>,
) -> Result<(), Diverged> {
    for wanted in before {
        let came = carry_out(container, zygotes, host, &wanted).await;
        if memory.repeated(known(&came)).await? == Worth::Keeping {
            zygotes.end().await;
            memory.keep().await;
        }
    }
    Ok(())
}

/// Makes the requests of [`Live::before`] again where no bridge does it.
pub async fn make_again<C: Container>(memory: &dyn Memory<C>, live: Live<C>) -> Result<C, Diverged> {
    let Live { container, before, .. } = live;
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    let zygotes = Zygotes::new(cancel.clone(), tasks.clone());
    let _cancel = cancel.drop_guard();
    let repeated = repeat_each(memory, &zygotes, "", &container, before).await;
    zygotes.end().await;
    repeated.map(|()| container)
}

/// Returns what a memory learns of a request.
fn known(came: &Result<Came, Refusal>) -> Option<&Answer> {
    match came {
        Ok(Came::Answer(answer)) => Some(answer),
        Ok(Came::Exit(_) | Came::File(_)) | Err(_) => None,
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::NoSuchContainer { .. }
            | EngineError::Unavailable { .. }
            | EngineError::Gone { .. } => ErrorKind::Unreachable,
            EngineError::NoSuchPath { .. } => ErrorKind::NoSuchFile,
            _ => ErrorKind::Engine,
        };
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        Self { kind, message }
    }
}
