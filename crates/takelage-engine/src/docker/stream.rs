//! One stream per container, over which an agent in it runs all commands.
//!
//! A command through the API takes a tenth of a second of the daemon, its shim and runc; over a stream it takes about
//! what a fork takes. So the first command of a container brings the agent in, by one command of the API:
//!
//! ```text
//! takelage                        /bin/sh, as root                     the agent
//! the agent's program  ─► stdin   into a file that was unlinked
//!                                 before, on the tmpfs at /dev
//!                      ◄─ stdout  its environment, a zero byte
//!                                 exec  ──────────────────────────────► takes over both streams
//! frames               ◄────────────────────────────────────────────►  frames
//! ```
//!
//! Nothing of it is ever in the container's file system, so neither a commit nor the container's users find it there. It
//! has the rights, the namespaces and the environment that the API gives to a command, and gives them on. It ends
//! with its standard input, so with takelage, whatever ends that.
//!
//! Where it cannot be (no shell, no tmpfs, another architecture, a root without the rights of one), commands go through
//! the API as before. That is decided before anything was sent, and no command is ever sent twice: whatever is under
//! way when an agent dies fails.

use std::{
    collections::HashMap,
    str,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use indexmap::IndexMap;
use takelage_model::agent::ErrorKind;
use thiserror::Error;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_util::io::StreamReader;

use super::{
    connection::Daemon,
    container::DockerContainer,
    errors::{refusal, text},
    exec::{READ_AHEAD, could_not_start},
};
use crate::{
    Chunk, Container as _, ContainerState, EngineError, ExecSpec, Operation,
    agent::{AgentClient, AgentError, BINARY},
};

/// Brings in a program of the length `$1` from standard input, says what its environment is, and becomes it.
///
/// The file is unlinked while it is empty. `head` may read more than it passes on, so nothing may follow until the
/// environment has come. That is opened by the shell itself: Docker hides a root in another user's container from
/// everybody else.
const BEGIN: &str = r#"
PATH="${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin"
for program in head rm chmod cat; do
    command -v "$program" >/dev/null || { echo "there is no $program" >&2; exit 1; }
done
device=
while read -r _ place type _; do [ "$place" = /dev ] && device=$type; done </proc/mounts
[ "$device" = tmpfs ] || { echo "/dev is no tmpfs" >&2; exit 1; }
file=/dev/.takelage-$$
umask 077
set -C
: >"$file" && set +C && chmod 700 "$file" && exec 8>"$file" 9<"$file"
rm -f "$file"
head -c "$1" >&8 && exec 7</proc/self/environ 8>&- && cat <&7 && printf '\0' && exec 7<&- && exec /proc/self/fd/9 stdio
"#;
/// How long it may take until an agent is there. Where it takes longer, commands do so too.
const PATIENCE: Duration = Duration::from_secs(60);
/// An environment is no longer than this, in bytes: it is what Linux gives to a program.
const LONGEST_ENVIRONMENT: u64 = 2 << 20;
/// How much is kept of what the beginning complains about, in bytes.
const LONGEST_COMPLAINT: usize = 4096;

/// The streams of a daemon's containers, by their ids.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<HashMap<String, Slot>>);

type Slot = Arc<tokio::sync::Mutex<State>>;

/// How the commands of a container go.
#[derive(Debug, Default)]
enum State {
    /// That is found out by the next one.
    #[default]
    Unknown,
    /// Through the API, one by one.
    Plain,
    /// Over a stream.
    Open(Conversation),
}

/// A stream, and what the agent must be told with every command: it knows nothing of the container's own settings.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    client: AgentClient,
    own: Arc<ExecSpec>,
}

/// Why a container has no stream.
#[derive(Debug, Error)]
enum NoStream {
    #[error("the daemon does not answer as it should")]
    Daemon(#[from] Error),
    #[error("the daemon refuses to start it")]
    Refused(#[source] EngineError),
    #[error("the daemon does not attach")]
    Detached,
    #[error("the daemon's machine is a {theirs}")]
    Architecture { theirs: String },
    #[error("the agent cannot begin: {complaint}")]
    NotBegun { complaint: String },
    #[error("the container's environment is no text")]
    Environment,
    #[error("the agent does not answer: {complaint}")]
    Agent {
        complaint: String,
        #[source]
        source: AgentError,
    },
    #[error("the agent has not begun within {} s", PATIENCE.as_secs())]
    Silent,
}

impl Streams {
    /// Returns the place for a container's stream.
    fn slot(&self, id: &str) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(id.to_owned()).or_default())
    }

    /// Closes a container's stream: the container is about to end, or begins anew.
    pub(super) fn close(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl DockerContainer {
    /// Runs a command over the container's stream. If the future is dropped, the command and its session are killed.
    pub(super) async fn execute_over(
        &self,
        Conversation { client, own }: Conversation,
        spec: ExecSpec,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        let ended = client.exec(with_own(&own, spec), chunks.clone()).await;
        self.status_over(ended, &chunks).await
    }

    /// Runs a command that is talked with over the container's stream, the only way that has an end for it.
    pub(super) async fn converse_over(
        &self,
        spec: ExecSpec,
        input: &mut mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        let Some(Conversation { client, own }) = self.conversation().await? else {
            let reason = "its commands go through the API one by one".to_owned();
            return Err(EngineError::Unsupported { name: self.name.clone(), reason });
        };
        let ended = client.converse(with_own(&own, spec), input, chunks.clone()).await;
        self.status_over(ended, &chunks).await
    }

    /// Returns the status with which a command ended, or says why it has none.
    async fn status_over(
        &self,
        ended: Result<i64, AgentError>,
        chunks: &mpsc::Sender<Chunk>,
    ) -> Result<i64, EngineError> {
        match ended {
            Ok(status) => Ok(status),
            // To the daemon that is a command that cannot be started.
            Err(AgentError::Refused { kind: ErrorKind::NoSuchUser, message }) => {
                Ok(could_not_start(chunks, message.into()).await)
            }
            Err(error) => Err(self.stream_failure(error).await),
        }
    }

    /// Returns the container's stream, begun at the first call and whenever the last one has ended. `None`: it has none.
    pub(super) async fn conversation(&self) -> Result<Option<Conversation>, EngineError> {
        if self.daemon.plain {
            return Ok(None);
        }
        let slot = self.daemon.streams.slot(&self.id.0);
        let mut state = slot.lock().await;
        match &*state {
            State::Plain => return Ok(None),
            State::Open(conversation) if conversation.client.closed().now_or_never().is_none() => {
                return Ok(Some(conversation.clone()));
            }
            State::Open(_) | State::Unknown => {}
        }
        let begun = tokio::time::timeout(PATIENCE, self.begin()).await.unwrap_or(Err(NoStream::Silent));
        let reason = match begun {
            Ok(conversation) => {
                *state = State::Open(conversation.clone());
                return Ok(Some(conversation));
            }
            Err(NoStream::Daemon(error)) => match self.failure(Operation::Exec, error) {
                // No other command would begin either.
                error @ (EngineError::NoSuchContainer { .. }
                | EngineError::Unavailable { .. }
                | EngineError::Gone { .. }) => return Err(error),
                error => NoStream::Refused(error),
            },
            Err(reason) => reason,
        };
        let reason: &dyn std::error::Error = &reason;
        tracing::info!(container = self.name, reason, "commands go through the API one by one");
        *state = State::Plain;
        Ok(None)
    }

    /// Brings an agent in.
    async fn begin(&self) -> Result<Conversation, NoStream> {
        let api = &self.daemon.api;
        let (theirs, inspect) =
            tokio::try_join!(self.daemon.architecture(), api.inspect_container(&self.id.0, None))?;
        if theirs != architecture() {
            return Err(NoStream::Architecture { theirs: theirs.to_owned() });
        }
        let length = BINARY.len().to_string();
        let argv = ["/bin/sh", "-c", BEGIN, "takelage", &length].map(str::to_owned);
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            user: Some("0:0".to_owned()),
            // Whoever unmounts or removes the container's own directory must not find it in use.
            working_dir: Some("/".to_owned()),
            ..CreateExecOptions::default()
        };
        let id = api.create_exec(&self.id.0, options).await?.id;
        let start = StartExecOptions { output_capacity: Some(READ_AHEAD), ..StartExecOptions::default() };
        let (output, mut input) = match api.start_exec(&id, Some(start)).await {
            Ok(StartExecResults::Attached { output, input }) => (output, input),
            Ok(StartExecResults::Detached) => return Err(NoStream::Detached),
            // What the daemon says of a program that cannot be started; older ones say it as its output.
            Err(error) if text(&error).contains("exec failed") => {
                return Err(NoStream::NotBegun { complaint: text(&error) });
            }
            Err(error) => return Err(error.into()),
        };
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaint);
        let output = output.filter_map(move |piece| std::future::ready(stdout(piece, &heard)));
        let mut output = StreamReader::new(output);
        let environment = tokio::select! {
            environment = environment(&mut output) => environment,
            // Whoever has gone says so by the other direction.
            never = async { let _ = input.write_all(BINARY).await; std::future::pending().await } => never,
        };
        let said = |mut said: Vec<u8>| {
            said.extend_from_slice(&complaint.lock().unwrap_or_else(PoisonError::into_inner));
            String::from_utf8_lossy(&said).trim().to_owned()
        };
        let environment = environment.map_err(|instead| NoStream::NotBegun { complaint: said(instead) })?;
        let config = inspect.config.unwrap_or_default();
        let own = ExecSpec {
            env: own_environment(&environment, config.env.as_deref().unwrap_or_default())
                .ok_or(NoStream::Environment)?,
            user: config.user.filter(|user| !user.is_empty()),
            workdir: config.working_dir.filter(|directory| !directory.is_empty()),
            ..ExecSpec::default()
        };
        let connected = AgentClient::connect(tokio::io::join(output, input)).await;
        let client = connected.map_err(|source| NoStream::Agent { complaint: said(Vec::new()), source })?;
        Ok(Conversation { client, own: Arc::new(own) })
    }

    /// Says why a command failed that is not the command's own failure.
    async fn stream_failure(&self, error: AgentError) -> EngineError {
        let broken = |error: AgentError| EngineError::Broken {
            operation: Operation::Exec,
            object: self.name.clone(),
            source: Box::new(error),
        };
        match error {
            AgentError::Refused { message, .. } => {
                refusal(Operation::Exec, self.name.clone(), &message, None)
            }
            AgentError::Gone { .. } => match self.state().await {
                Ok(Some(ContainerState::Running)) => broken(error),
                Ok(_) => EngineError::NoSuchContainer { name: self.name.clone() },
                Err(error) => error,
            },
            error => broken(error),
        }
    }
}

impl Daemon {
    /// Returns the architecture of the daemon's machine, in the words of images. It is asked once.
    async fn architecture(&self) -> Result<&str, Error> {
        let ask = || async { Ok(self.api.version().await?.arch.unwrap_or_default()) };
        self.architecture.get_or_try_init(ask).await.map(String::as_str)
    }
}

/// Returns the architecture that the agent was built for, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Returns what was written to standard output, and keeps the beginning of the rest.
fn stdout(piece: Result<LogOutput, Error>, complaint: &Mutex<Vec<u8>>) -> Option<std::io::Result<Bytes>> {
    match piece {
        Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
        Ok(LogOutput::StdErr { message } | LogOutput::Console { message } | LogOutput::StdIn { message }) => {
            let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
            let room = LONGEST_COMPLAINT.saturating_sub(complaint.len());
            complaint.extend_from_slice(message.get(..room).unwrap_or(&message));
            None
        }
        Err(error) => Some(Err(std::io::Error::other(error))),
    }
}

/// Variables, each `NAME=VALUE`.
type Variables = Vec<Vec<u8>>;

/// Reads variables, each with a zero byte at its end, up to one that is empty. `Err`: what came instead of that.
async fn environment(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Variables, Vec<u8>> {
    let mut from = from.take(LONGEST_ENVIRONMENT);
    let mut variables = Vec::new();
    loop {
        let mut variable = Vec::new();
        let read = from.read_until(0, &mut variable).await;
        match (read, variable.pop()) {
            (Ok(_), Some(0)) if variable.is_empty() => return Ok(variables),
            (Ok(_), Some(0)) => variables.push(variable),
            (_, last) => {
                variable.extend(last);
                variable.truncate(LONGEST_COMPLAINT);
                return Err(variable);
            }
        }
    }
}

/// Returns what commands of a container have in their environment, whoever runs them: all that the beginning had, but a
/// home only if the container's settings name one. `None`: some of it is no text.
fn own_environment(had: &[Vec<u8>], settings: &[String]) -> Option<IndexMap<String, String>> {
    const HOME: &str = "HOME";
    let home = settings.iter().any(|setting| setting.split('=').next() == Some(HOME));
    let mut own = IndexMap::new();
    for variable in had {
        let (name, value) = str::from_utf8(variable).ok()?.split_once('=')?;
        if name != HOME || home {
            own.insert(name.to_owned(), value.to_owned());
        }
    }
    Some(own)
}

/// Adds to a command what holds for every command of its container.
fn with_own(own: &ExecSpec, spec: ExecSpec) -> ExecSpec {
    let mut env = own.env.clone();
    env.extend(spec.env);
    ExecSpec {
        env,
        user: spec.user.filter(|user| !user.is_empty()).or_else(|| own.user.clone()),
        workdir: spec.workdir.filter(|directory| !directory.is_empty()).or_else(|| own.workdir.clone()),
        ..spec
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8]) -> (Result<Variables, Vec<u8>>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(environment(&mut bytes));
        (read, bytes.to_vec())
    }

    #[test]
    fn an_environment_ends_where_the_agent_begins() {
        let (variables, rest) = read(b"A=1\0B=2=3\0\0\0\0\0\x07frame");
        assert_eq!(variables.unwrap(), [b"A=1".to_vec(), b"B=2=3".to_vec()]);
        assert_eq!(rest, b"\0\0\0\x07frame");
        assert!(read(b"\0x").0.unwrap().is_empty());
        assert_eq!(read(b"A=1\0there is no sh").0.unwrap_err(), b"there is no sh");
        assert_eq!(read(b"").0.unwrap_err(), b"");
    }

    #[test]
    fn a_home_is_everybodys_only_if_the_settings_say_so() {
        let had = [b"PATH=/bin".to_vec(), b"HOME=/root".to_vec(), b"X=".to_vec()];
        let names = |settings: &[&str]| {
            let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
            own_environment(&had, &settings).unwrap().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(&["PATH=/bin", "HOMER=1"]), ["PATH", "X"]);
        assert_eq!(names(&["HOME=/root"]), ["PATH", "HOME", "X"]);
        assert_eq!(own_environment(&[b"A=\xff".to_vec()], &[]), None);
        assert_eq!(own_environment(&[b"nothing".to_vec()], &[]), None);
    }

    #[test]
    fn a_commands_own_settings_win() {
        let pairs = |pairs: &[(&str, &str)]| -> IndexMap<String, String> {
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let own = ExecSpec {
            env: pairs(&[("A", "1"), ("B", "2")]),
            user: Some("app".to_owned()),
            workdir: Some("/srv".to_owned()),
            ..ExecSpec::default()
        };
        let plain = with_own(&own, ExecSpec { user: Some(String::new()), ..ExecSpec::default() });
        assert_eq!(plain, own);
        let spec =
            ExecSpec { env: pairs(&[("B", "3")]), workdir: Some("/".to_owned()), ..ExecSpec::root(["id"]) };
        let with = with_own(&own, spec);
        assert_eq!((with.user.as_deref(), with.workdir.as_deref()), (Some("0:0"), Some("/")));
        assert_eq!((with.env, with.argv), (pairs(&[("A", "1"), ("B", "3")]), vec!["id".to_owned()]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_environment_or_none(bytes in proptest::collection::vec(0..4_u8, 0..200)) {
            let (variables, rest) = read(&bytes);
            if let Ok(variables) = variables {
                let length: usize = variables.iter().map(|variable| variable.len() + 1).sum();
                prop_assert_eq!(length + 1 + rest.len(), bytes.len());
                let _ = own_environment(&variables, &[]);
            }
        }
    }
}
