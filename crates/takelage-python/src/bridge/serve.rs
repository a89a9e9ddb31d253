//! One connection: a Hello, then one request after another.

use std::{
    io::{self, Seek, SeekFrom, Write},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use takelage_engine::{Chunk, Container, EngineError, ExecOutput, ExecSpec, Stream};
use takelage_model::frame::{ErrorKind, Reply, Request, VERSION};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, Take},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use super::{
    server::Shared,
    wire::{WireError, read_blob, read_request, write_reply},
};

/// Writes standard input to the file that is the first argument, as `dd` does for the stock Docker connection.
const WRITE_FILE: &str = r#"exec cat > "$1""#;

/// The same, and says when it begins.
const STREAM_FILE: &str = r#"printf . && exec cat > "$1""#;

/// Reads the file that is the first argument, or says by its exit status why not.
const READ_FILE: &str = r#"[ -e "$1" ] || exit 104
[ -d "$1" ] && exit 105
exec cat "$1""#;

/// A file larger than this, in bytes, is never in memory as a whole: a fetched one waits on disk, one that is written is
/// passed on while it comes.
const MEMORY_LIMIT: usize = 8 << 20;

/// How much of a file is passed on at once, in bytes.
const PIECE: usize = 1 << 18;

type Reader = BufReader<OwnedReadHalf>;
type Writer = BufWriter<OwnedWriteHalf>;
/// What is left of a file on its way in.
type Content<'a> = Take<&'a mut Reader>;

/// Why a request was not carried out.
struct Refusal {
    kind: ErrorKind,
    message: String,
}

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
            Request::Exec { host, argv, user, stdin, zygote } => {
                let stdin = read_blob(reader, stdin).await?;
                let ran = match find(shared, &host) {
                    Ok(container) => {
                        let warm = match zygote {
                            Some(zygote) => {
                                shared.zygotes.run(container, &host, user.as_deref(), zygote, &stdin).await
                            }
                            None => Ok(None),
                        };
                        match warm {
                            Ok(Some(output)) => Ok(output),
                            Ok(None) => run(container, argv, user, stdin).await,
                            Err(lost) => Err(Refusal { kind: ErrorKind::Engine, message: lost.to_string() }),
                        }
                    }
                    Err(refusal) => Err(refusal),
                };
                match ran {
                    Ok(output) => exit(writer, &output).await?,
                    Err(refusal) => refuse(writer, refusal).await?,
                }
            }
            Request::Put { host, user, path, length } => {
                let mut content = (&mut *reader).take(length);
                let put = match find(shared, &host) {
                    Ok(container) => put(container, path, user, &mut content).await?,
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
            Request::Get { host, path } => {
                let got = match find(shared, &host) {
                    Ok(container) => get(container, path).await,
                    Err(refusal) => Err(refusal),
                };
                match got {
                    Ok(file) => send(writer, file).await?,
                    Err(refusal) => refuse(writer, refusal).await?,
                }
            }
            Request::Event { event } => match serde_json::from_value(event) {
                Ok(report) => {
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

fn find<'a, C>(shared: &'a Shared<C>, host: &str) -> Result<&'a C, Refusal> {
    shared.hosts.get(host).ok_or_else(|| {
        let mut known: Vec<_> = shared.hosts.keys().map(String::as_str).collect();
        known.sort_unstable();
        let message = format!("no container goes by the name `{host}`, only `{}`", known.join("`, `"));
        Refusal { kind: ErrorKind::UnknownHost, message }
    })
}

async fn run<C: Container>(
    container: &C,
    argv: Vec<String>,
    user: Option<String>,
    stdin: Bytes,
) -> Result<ExecOutput, Refusal> {
    if argv.is_empty() {
        return Err(Refusal { kind: ErrorKind::Protocol, message: "an empty command".to_owned() });
    }
    let stdin = (!stdin.is_empty()).then_some(stdin);
    let spec = ExecSpec { argv, user, stdin, ..ExecSpec::default() };
    container.run(spec).await.map_err(Refusal::from)
}

/// Writes a file. `Err`: the client broke off.
async fn put<C: Container>(
    container: &C,
    path: String,
    user: Option<String>,
    content: &mut Content<'_>,
) -> Result<Result<(), Refusal>, WireError> {
    let argv = |script: &str| ["/bin/sh", "-c", script, "sh", &path].map(str::to_owned).to_vec();
    if content.limit() > MEMORY_LIMIT as u64 {
        let spec = ExecSpec { argv: argv(STREAM_FILE), user: user.clone(), ..ExecSpec::default() };
        match stream(container, spec, content).await? {
            // Nothing was read: it goes the other way.
            Err(EngineError::Unsupported { .. }) => {}
            ended => return Ok(ended.map_err(Refusal::from).and_then(|output| written(&path, &output))),
        }
    }
    let length = content.limit();
    let content = read_blob(content, length).await?;
    let ran = run(container, argv(WRITE_FILE), user, content).await;
    Ok(ran.and_then(|output| written(&path, &output)))
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
    let converse = async { Ok(container.converse(spec, said, chunks).await) };
    // If the client breaks off, the command does not take that for the end.
    let ((), ended, mut output) = tokio::try_join!(feed, converse, async { Ok(collect.await) })?;
    Ok(ended.map(|status| {
        output.status = status;
        output
    }))
}

fn written(path: &str, output: &ExecOutput) -> Result<(), Refusal> {
    if output.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(Refusal { kind: ErrorKind::Engine, message: format!("cannot write `{path}`: {}", reason.trim()) })
}

/// Reads a file as root: who may see it is decided by whoever asks, as `docker cp` leaves it.
async fn get<C: Container>(container: &C, path: String) -> Result<(u64, tempfile::SpooledTempFile), Refusal> {
    let local =
        |error: io::Error| Refusal { kind: ErrorKind::Engine, message: format!("cannot keep it: {error}") };
    let mut spec = ExecSpec::root(["/bin/sh", "-c", READ_FILE, "sh"]);
    spec.argv.push(path.clone());
    let (sender, mut chunks) = mpsc::channel::<Chunk>(16);
    let mut file = tempfile::SpooledTempFile::new(MEMORY_LIMIT);
    let mut complaint = Vec::new();
    let collect = async {
        let mut written = Ok(0);
        while let Some(chunk) = chunks.recv().await {
            match chunk.stream {
                Stream::Stdout => {
                    written = written.and_then(|before| {
                        file.write_all(&chunk.bytes).map(|()| before + chunk.bytes.len() as u64)
                    });
                }
                Stream::Stderr => complaint.extend_from_slice(&chunk.bytes),
            }
        }
        written
    };
    let (status, length) = tokio::join!(container.exec(spec, sender), collect);
    match status? {
        0 => {
            let length = length.map_err(local)?;
            file.seek(SeekFrom::Start(0)).map_err(local)?;
            Ok((length, file))
        }
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

async fn done(writer: &mut Writer) -> Result<(), WireError> {
    write_reply(writer, &Reply::Done).await?;
    Ok(writer.flush().await?)
}

async fn exit(writer: &mut Writer, output: &ExecOutput) -> Result<(), WireError> {
    let lengths = [output.stdout.len() as u64, output.stderr.len() as u64];
    write_reply(writer, &Reply::Exit { status: output.status, lengths }).await?;
    writer.write_all(&output.stdout).await?;
    writer.write_all(&output.stderr).await?;
    Ok(writer.flush().await?)
}

async fn send(writer: &mut Writer, file: (u64, tempfile::SpooledTempFile)) -> Result<(), WireError> {
    let (length, mut file) = file;
    write_reply(writer, &Reply::File { length }).await?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => break,
            count => writer.write_all(&buffer[..count]).await?,
        }
    }
    Ok(writer.flush().await?)
}

async fn refuse(writer: &mut Writer, refusal: Refusal) -> Result<(), WireError> {
    write_reply(writer, &Reply::Error { kind: refusal.kind, message: refusal.message }).await?;
    Ok(writer.flush().await?)
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
