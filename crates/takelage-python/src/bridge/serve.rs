//! One connection: a Hello, then one request after another.

use std::{io, sync::Arc};

use bytes::BytesMut;
use takelage_engine::{Chunk, Container, EngineError, ExecOutput, ExecSpec};
use takelage_model::{
    event::TaskStatus,
    frame::{ErrorKind, Reply, Request, RequestTask, VERSION},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, Take},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use super::{
    carry_out::{self, Came, Refusal, forgo, local, recall_or_carry_out, written},
    memory::{Answer, Host, REMEMBERED_LIMIT, Remembered, Wanted},
    report::Report,
    server::Shared,
    spool::{Output, Spool},
    wire::{WireError, read_blob, read_request, write_reply},
};

/// Writes standard input to the file that is the first argument, and says when it begins.
const STREAM_FILE: &str = r#"printf . && exec cat > "$1""#;

/// What is larger than this, in bytes, is not in memory as a whole: output and a fetched file wait on disk, a file that is
/// written is passed on while it comes. What may be remembered is, for as long as that takes.
pub(super) const MEMORY_LIMIT: usize = 8 << 20;

/// How much of a file is passed on at once, in bytes.
const PIECE: usize = 1 << 18;

type Reader = BufReader<OwnedReadHalf>;
type Writer = BufWriter<OwnedWriteHalf>;
/// What is left of a file on its way in.
type Content<'a> = Take<&'a mut Reader>;

/// Serves a connection until the client closes it, breaks the protocol, or the bridge is closed.
pub(super) async fn connection<C: Container>(stream: UnixStream, shared: Arc<Shared<C>>) {
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
    let cancel = shared.cancel.clone();
    let served = tokio::select! {
        served = converse(&mut reader, &mut writer, &shared) => served,
        () = cancel.cancelled() => {
            let refusal = Refusal { kind: ErrorKind::Cancelled, message: "the run was interrupted".to_owned() };
            refuse(&mut writer, refusal).await
        }
    };
    match served {
        Ok(()) => {}
        // A client that was killed is no news: whoever killed it knows.
        Err(WireError::Io(error)) => tracing::debug!(%error, "a connection from Python broke"),
        Err(error) => {
            tracing::warn!(%error, "a connection from Python broke the protocol");
            let _ =
                refuse(&mut writer, Refusal { kind: ErrorKind::Protocol, message: error.to_string() }).await;
        }
    }
}

async fn converse<C: Container>(
    reader: &mut Reader,
    writer: &mut Writer,
    shared: &Shared<C>,
) -> Result<(), WireError> {
    let protocol = |message: &str| Refusal { kind: ErrorKind::Protocol, message: message.to_owned() };
    match read_request(reader).await? {
        None => return Ok(()),
        Some(Request::Hello { version: VERSION }) => done(writer).await?,
        Some(Request::Hello { version }) => {
            let message =
                format!("Python speaks version {version} of the protocol, takelage version {VERSION}");
            return refuse(writer, protocol(&message)).await;
        }
        Some(_) => return refuse(writer, protocol("the first request must be `hello`")).await,
    }
    while let Some(request) = read_request(reader).await? {
        match request {
            Request::Exec { host, argv, user, stdin, zygote, task } => {
                let stdin = read_blob(reader, stdin).await?;
                let wanted = Wanted::Exec { argv, user, stdin, zygote };
                match exec(shared, &host, wanted, task).await {
                    Ok(output) => exit(writer, output).await?,
                    Err(refusal) => refuse(writer, refusal).await?,
                }
            }
            Request::Put { host, user, path, length, task } => {
                let mut content = (&mut *reader).take(length);
                let put = match find(shared, &host) {
                    Ok(found) => put(shared, (&host, found), path, user, &mut content, task).await?,
                    Err(refusal) => Err(refusal),
                };
                // What nobody wanted stands before the next request.
                tokio::io::copy(&mut content, &mut tokio::io::sink()).await?;
                if content.limit() > 0 {
                    return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                match put {
                    Ok(()) => done(writer).await?,
                    Err(refusal) => refuse(writer, refusal).await?,
                }
            }
            Request::Get { host, path, task } => match get(shared, &host, path, task).await {
                Ok(file) => send(writer, &Reply::File { length: file.length() }, [file]).await?,
                Err(refusal) => refuse(writer, refusal).await?,
            },
            Request::Event { event } => match serde_json::from_value(event) {
                Ok(report) => {
                    if let Report::Result { task, status, .. } = &report
                        && matches!(status, TaskStatus::Failed | TaskStatus::Unreachable)
                    {
                        shared.forget(&task.id).await;
                    }
                    shared.report(report);
                    done(writer).await?;
                }
                Err(error) => refuse(writer, protocol(&format!("no known event: {error}"))).await?,
            },
            Request::Hello { .. } => {
                return refuse(writer, protocol("`hello` is the first request only")).await;
            }
            // Its blobs have an unknown length, so nothing after it can be understood.
            Request::Unknown => return refuse(writer, protocol("unknown request")).await,
        }
    }
    Ok(())
}

fn find<'a, C>(shared: &'a Shared<C>, host: &str) -> Result<&'a Host<C>, Refusal> {
    shared.hosts.get(host).ok_or_else(|| {
        let mut known: Vec<_> = shared.hosts.keys().map(String::as_str).collect();
        known.sort_unstable();
        let message = format!("no container goes by the name `{host}`, only `{}`", known.join("`, `"));
        Refusal { kind: ErrorKind::UnknownHost, message }
    })
}

async fn exec<C: Container>(
    shared: &Shared<C>,
    host: &str,
    wanted: Wanted,
    task: Option<RequestTask>,
) -> Result<Output, Refusal> {
    match (find(shared, host)?, wanted) {
        (Host::Container(container), Wanted::Exec { argv, user, stdin, zygote }) => {
            carry_out::exec(container, &shared.zygotes, host, (argv, user, stdin), zygote).await
        }
        (Host::Container(_), _) => Err(other_answer()),
        (Host::Remembered(remembered), wanted) => {
            match recall_or_carry_out(remembered, &shared.zygotes, host, wanted, task.as_ref()).await? {
                Came::Answer(Answer::Exit(output)) => Ok(output.into()),
                Came::Exit(output) => Ok(output),
                Came::Answer(_) | Came::File(_) => Err(other_answer()),
            }
        }
    }
}

/// A memory answers what it is asked, so this does not happen.
fn other_answer() -> Refusal {
    Refusal { kind: ErrorKind::Engine, message: "the answer is one to another request".to_owned() }
}

/// Writes a file. `Err`: the client broke off.
async fn put<C: Container>(
    shared: &Shared<C>,
    (host, found): (&str, &Host<C>),
    path: String,
    user: Option<String>,
    content: &mut Content<'_>,
    task: Option<RequestTask>,
) -> Result<Result<(), Refusal>, WireError> {
    let length = content.limit();
    let forgone;
    let container = match found {
        Host::Container(container) => container,
        Host::Remembered(remembered) if length > REMEMBERED_LIMIT => {
            match forgo(remembered, &shared.zygotes, host, too_large(&path)).await {
                Ok(container) => forgone = container,
                Err(refusal) => return Ok(Err(refusal)),
            }
            &forgone
        }
        Host::Remembered(remembered) => {
            let content = read_blob(content, length).await?;
            let wanted = Wanted::Put { path, user, content };
            let put = recall_or_carry_out(remembered, &shared.zygotes, host, wanted, task.as_ref()).await;
            return Ok(put.map(drop));
        }
    };
    if length > MEMORY_LIMIT as u64 {
        let argv = ["/bin/sh", "-c", STREAM_FILE, "sh", &path].map(str::to_owned).to_vec();
        let spec = ExecSpec { argv, user: user.clone(), ..ExecSpec::default() };
        match stream(container, spec, content).await? {
            // Nothing was read: it goes the other way.
            Err(EngineError::Unsupported { .. }) => {}
            ended => return Ok(ended.map_err(Refusal::from).and_then(|output| written(&path, &output))),
        }
    }
    let content = read_blob(content, length).await?;
    Ok(carry_out::put(container, &path, user, content).await)
}

fn too_large(path: &str) -> String {
    format!("`{path}` is larger than {} MiB", REMEMBERED_LIMIT >> 20)
}

/// Runs a command that reads `content` as it comes, once it has begun to write something itself.
async fn stream<C: Container>(
    container: &C,
    spec: ExecSpec,
    content: &mut Content<'_>,
) -> Result<Result<ExecOutput, EngineError>, WireError> {
    let (input, said) = mpsc::channel(4);
    let (chunks, mut heard) = mpsc::channel::<Chunk>(16);
    let (begins, begun) = oneshot::channel();
    let feed = async move {
        if begun.await.is_err() {
            return Ok(());
        }
        while content.limit() > 0 {
            let mut piece = BytesMut::with_capacity(PIECE);
            if content.read_buf(&mut piece).await? == 0 {
                return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            if input.send(piece.freeze()).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let collect = async {
        let (mut output, mut begins) = (ExecOutput::default(), Some(begins));
        while let Some(chunk) = heard.recv().await {
            begins.take().map(|begins| begins.send(()));
            output.append(&chunk);
        }
        output
    };
    let converse = async move {
        // A command that has ended reads no more.
        let mut said = said;
        Ok(container.converse(spec, &mut said, chunks).await)
    };
    // If the client breaks off, the command does not take that for the end.
    let ((), ended, mut output) = tokio::try_join!(feed, converse, async { Ok(collect.await) })?;
    Ok(ended.map(|status| {
        output.status = status;
        output
    }))
}

/// Reads a file.
async fn get<C: Container>(
    shared: &Shared<C>,
    host: &str,
    path: String,
    task: Option<RequestTask>,
) -> Result<Spool, Refusal> {
    match find(shared, host)? {
        Host::Container(container) => carry_out::get(container, &path).await,
        Host::Remembered(remembered) => recalled_file(shared, remembered, host, path, task).await,
    }
}

async fn recalled_file<C: Container>(
    shared: &Shared<C>,
    remembered: &Remembered<C>,
    host: &str,
    path: String,
    task: Option<RequestTask>,
) -> Result<Spool, Refusal> {
    let wanted = Wanted::Get { path };
    match recall_or_carry_out(remembered, &shared.zygotes, host, wanted, task.as_ref()).await? {
        Came::Answer(Answer::File(content)) => Ok(Spool::from(&content[..])),
        Came::File(file) => Ok(file),
        Came::Answer(Answer::NoSuchFile(message)) => Err(Refusal { kind: ErrorKind::NoSuchFile, message }),
        Came::Answer(_) | Came::Exit(_) => Err(other_answer()),
    }
}

async fn done(writer: &mut Writer) -> Result<(), WireError> {
    write_reply(writer, &Reply::Done).await?;
    Ok(writer.flush().await?)
}

async fn exit(writer: &mut Writer, output: Output) -> Result<(), WireError> {
    let Output { status, stdout, stderr } = output;
    let lengths = [stdout.length(), stderr.length()];
    send(writer, &Reply::Exit { status, lengths }, [stdout, stderr]).await
}

/// Answers with blobs, or says why they are not there.
async fn send<const BLOBS: usize>(
    writer: &mut Writer,
    reply: &Reply,
    mut blobs: [Spool; BLOBS],
) -> Result<(), WireError> {
    if let Err(error) = blobs.iter_mut().try_for_each(Spool::rewind) {
        return refuse(writer, local(&error)).await;
    }
    write_reply(writer, reply).await?;
    let mut buffer = vec![0; 1 << 16];
    for mut blob in blobs {
        loop {
            match io::Read::read(&mut blob, &mut buffer)? {
                0 => break,
                count => writer.write_all(&buffer[..count]).await?,
            }
        }
    }
    Ok(writer.flush().await?)
}

async fn refuse(writer: &mut Writer, refusal: Refusal) -> Result<(), WireError> {
    write_reply(writer, &Reply::Error { kind: refusal.kind, message: refusal.message }).await?;
    Ok(writer.flush().await?)
}
