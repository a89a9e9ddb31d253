//! Warm interpreters in the containers, which run modules in forks: see `python/zygote`.
//!
//! An interpreter is started at its first use and ends with the bridge. One that ended before has a successor at the
//! next use. Whatever keeps one from running a module leaves the module to the plain command, as long as it has not
//! begun.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;
use takelage_engine::{Chunk, Container, ExecSpec, Stream};
use takelage_model::frame::Zygote;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ahead::{Ahead, Start},
    spool::Output,
};

/// The program that the interpreter runs.
const PROGRAM: &str = concat!(
    include_str!("../../python/zygote/sources.py"),
    "\n\n",
    include_str!("../../python/zygote/serve.py")
);
/// How long an interpreter may take until it is ready.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end when its input ends.
const END: Duration = Duration::from_secs(5);
/// One that has broken down so often is not started again.
const BREAKDOWNS: u32 = 3;
/// A longer header is not the interpreter's, in bytes.
const HEADER_LIMIT: usize = 1 << 12;
/// Nor is a longer piece of output, in bytes.
const PIECE_LIMIT: usize = 1 << 20;

/// The interpreter ended while it ran a module: nobody knows how far the module came.
#[derive(Debug, Error)]
#[error(
    "the interpreter that ran the module has ended before it, and the module may have done a part of its work"
)]
pub(super) struct Lost;

/// All interpreters of a bridge.
pub(super) struct Zygotes {
    /// By host, user and command. While one starts, only those wait that need it.
    known: Mutex<HashMap<Key, Slot>>,
    /// Where it is noted which of them were needed.
    ahead: OnceLock<Arc<Ahead>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

type Key = (String, Option<String>, Vec<String>);
type Slot = Arc<tokio::sync::Mutex<Known>>;

/// What is known of an interpreter.
#[derive(Default)]
struct Known {
    state: State,
    breakdowns: u32,
}

#[derive(Default)]
enum State {
    /// It is started at its next use.
    #[default]
    Idle,
    /// It can be reached, unless it has ended.
    Started(mpsc::Sender<Call>, tokio::task::JoinHandle<()>),
    /// It cannot be started, or breaks down again and again.
    GivenUp,
}

/// A module to run.
struct Call {
    header: serde_json::Map<String, serde_json::Value>,
    program: Bytes,
    events: mpsc::Sender<Event>,
}

/// What becomes of a module.
#[derive(Debug, PartialEq)]
enum Event {
    /// It was not begun: the interpreter is out of date.
    Stale,
    /// It begins.
    Begun,
    /// It wrote something.
    Output(Chunk),
    /// It ended.
    Exit(i64),
}

/// How a call ended.
enum Called {
    Done(Output),
    Stale,
    NotBegun,
}

impl Zygotes {
    /// Interpreters that end when `cancel` fires, as tasks of `tasks`.
    pub(super) fn new(cancel: CancellationToken, tasks: TaskTracker) -> Self {
        Self { known: Mutex::default(), ahead: OnceLock::new(), cancel, tasks }
    }

    /// Notes from now on which interpreters are needed.
    pub(super) fn note_first(&self, ahead: Arc<Ahead>) {
        // There is one bridge, which says so once.
        let _ = self.ahead.set(ahead);
    }

    /// Starts an interpreter that is likely to be needed.
    pub(super) async fn start<C: Container>(&self, container: &C, host: &str, start: Start) {
        let Start { user, argv } = start;
        let spec = ExecSpec { argv: argv.clone(), user, ..ExecSpec::default() };
        let slot = self.slot((host.to_owned(), spec.user.clone(), argv));
        tokio::select! {
            _ = self.find(container, &slot, &spec) => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// Runs a program in a fork of an interpreter. `None`: it has not begun, and needs the plain command.
    pub(super) async fn run<C: Container>(
        &self,
        container: &C,
        host: &str,
        user: Option<&str>,
        zygote: Zygote,
        program: &Bytes,
    ) -> Result<Option<Output>, Lost> {
        let Zygote { argv, env, preface, own } = zygote;
        let spec = ExecSpec { argv: argv.clone(), user: user.map(str::to_owned), ..ExecSpec::default() };
        if let Some(ahead) = self.ahead.get() {
            ahead.note(host, Start { user: spec.user.clone(), argv: argv.clone() });
        }
        let slot = self.slot((host.to_owned(), spec.user.clone(), argv));
        // An interpreter that is out of date, or has ended meanwhile, has a successor that begins with what is there now.
        for _ in 0..2 {
            let Some(calls) = self.find(container, &slot, &spec).await else { return Ok(None) };
            let mut output = Output::default();
            output.stdout.append(preface.as_bytes());
            match call(&calls, &env, &own, program, output).await? {
                Called::Done(output) => return Ok(Some(output)),
                Called::Stale => slot.lock().await.forget(&calls),
                Called::NotBegun => {}
            }
        }
        Ok(None)
    }

    /// Ends all interpreters and waits until they are gone. The next use of one starts it anew.
    pub(super) async fn end(&self) {
        let slots: Vec<Slot> =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        for slot in slots {
            let mut known = slot.lock().await;
            if matches!(known.state, State::Started(..))
                && let State::Started(calls, attending) = std::mem::take(&mut known.state)
            {
                drop(calls);
                let _ = attending.await;
            }
        }
    }

    fn slot(&self, key: Key) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(key).or_default())
    }

    /// Returns a way to the interpreter, started if need be.
    async fn find<C: Container>(
        &self,
        container: &C,
        slot: &Slot,
        spec: &ExecSpec,
    ) -> Option<mpsc::Sender<Call>> {
        let mut known = slot.lock().await;
        match &known.state {
            State::Started(calls, _) if !calls.is_closed() => return Some(calls.clone()),
            State::Started(..) => known.breakdowns += 1,
            State::GivenUp => return None,
            State::Idle => {}
        }
        let (sender, calls) = mpsc::channel(1);
        let (ready, is_ready) = oneshot::channel();
        let attended = attend(container.clone(), spec.clone(), calls, ready, self.cancel.clone());
        let attending = (known.breakdowns < BREAKDOWNS).then(|| self.tasks.spawn(attended));
        let started =
            attending.is_some() && matches!(tokio::time::timeout(START, is_ready).await, Ok(Ok(())));
        let Some(attending) = attending.filter(|_| started) else {
            tracing::debug!(container = container.name(), "no warm interpreter: modules run the plain way");
            known.state = State::GivenUp;
            return None;
        };
        known.state = State::Started(sender.clone(), attending);
        Some(sender)
    }
}

impl Known {
    /// Forgets an interpreter, unless it has a successor already. It ends when the last module in it does.
    fn forget(&mut self, calls: &mpsc::Sender<Call>) {
        if matches!(&self.state, State::Started(current, _) if current.same_channel(calls)) {
            self.state = State::Idle;
        }
    }
}

/// Has a program run, and adds what it writes to its output.
async fn call(
    calls: &mpsc::Sender<Call>,
    env: &std::collections::BTreeMap<String, String>,
    own: &[String],
    program: &Bytes,
    mut output: Output,
) -> Result<Called, Lost> {
    let (events, mut happens) = mpsc::channel(16);
    let mut header = serde_json::Map::new();
    header.insert("env".to_owned(), json!(env));
    header.insert("own".to_owned(), json!(own));
    header.insert("length".to_owned(), json!(program.len()));
    if calls.send(Call { header, program: program.clone(), events }).await.is_err() {
        return Ok(Called::NotBegun);
    }
    let mut begun = false;
    while let Some(event) = happens.recv().await {
        match event {
            Event::Stale => return Ok(Called::Stale),
            Event::Begun => begun = true,
            Event::Output(chunk) => output.append(&chunk),
            Event::Exit(status) => {
                output.status = status;
                return Ok(Called::Done(output));
            }
        }
    }
    if begun { Err(Lost) } else { Ok(Called::NotBegun) }
}

/// Attends to one interpreter from its start to its end.
async fn attend<C: Container>(
    container: C,
    spec: ExecSpec,
    mut calls: mpsc::Receiver<Call>,
    ready: oneshot::Sender<()>,
    cancel: CancellationToken,
) {
    let (input, said) = mpsc::channel(4);
    let (chunks, heard) = mpsc::channel(16);
    let waiting = Arc::new(Mutex::new(HashMap::new()));
    let live = async {
        let converse = async move {
            let mut said = said;
            container.converse(spec, &mut said, chunks).await
        };
        let (ended, ()) = tokio::join!(converse, listen(heard, ready, &waiting));
        if let Err(error) = ended {
            tracing::debug!(%error, "a warm interpreter ended");
        }
    };
    let talk = async {
        let talked = async {
            let program = Bytes::from_static(PROGRAM.as_bytes());
            let length = Bytes::from(format!("{:08}", program.len()));
            input.send(length).await.ok()?;
            input.send(program).await.ok()?;
            let mut number = 0_u64;
            while let Some(Call { mut header, program, events }) = calls.recv().await {
                number += 1;
                header.insert("id".to_owned(), number.into());
                lock(&waiting).insert(number, events);
                let header = serde_json::to_vec(&header).ok()?;
                let length = u32::try_from(header.len()).ok()?;
                let frame = [&length.to_be_bytes()[..], &header].concat();
                input.send(frame.into()).await.ok()?;
                input.send(program).await.ok()?;
            }
            Some(())
        };
        tokio::select! {
            _ = talked => {}
            () = cancel.cancelled() => {}
        }
        // What it still runs ends with its input.
        drop(input);
        tokio::time::sleep(END).await;
    };
    tokio::select! {
        () = live => {}
        () = talk => {}
    }
    // Whoever waits learns that nothing more will come.
    lock(&waiting).clear();
}

type Waiting = Mutex<HashMap<u64, mpsc::Sender<Event>>>;

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::Sender<Event>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what an interpreter says until it says nothing more, or what is no message.
async fn listen(mut heard: mpsc::Receiver<Chunk>, ready: oneshot::Sender<()>, waiting: &Waiting) {
    let (mut buffer, mut ready) = (BytesMut::new(), Some(ready));
    while let Some(chunk) = heard.recv().await {
        if chunk.stream == Stream::Stderr {
            tracing::debug!(said = %String::from_utf8_lossy(&chunk.bytes), "a warm interpreter complains");
            continue;
        }
        buffer.extend_from_slice(&chunk.bytes);
        if ready.is_some() && !skip_preface(&mut buffer) {
            continue;
        }
        loop {
            let (header, body) = match message(&mut buffer) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(()) => return,
            };
            let (number, event) = match header {
                Header::Ready { .. } => {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                    continue;
                }
                Header::Stale { id, .. } => (id, Event::Stale),
                Header::Begun { id, .. } => (id, Event::Begun),
                Header::Exit { id, exit } => (id, Event::Exit(exit)),
                Header::Output { id, stream, .. } => {
                    let stream = match stream {
                        Which::Stdout => Stream::Stdout,
                        Which::Stderr => Stream::Stderr,
                    };
                    (id, Event::Output(Chunk { stream, bytes: body }))
                }
            };
            let last = matches!(event, Event::Stale | Event::Exit(_));
            let listener = lock(waiting).get(&number).cloned();
            if let Some(listener) = listener {
                // One that is gone wants no more.
                let _ = listener.send(event).await;
            }
            if last {
                lock(waiting).remove(&number);
            }
        }
    }
}

/// What an interpreter says.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Header {
    Output {
        id: u64,
        stream: Which,
        length: usize,
    },
    Exit {
        id: u64,
        exit: i64,
    },
    Begun {
        id: u64,
        #[serde(rename = "begun")]
        _begun: bool,
    },
    Stale {
        id: u64,
        #[serde(rename = "stale")]
        _stale: bool,
    },
    Ready {
        #[serde(rename = "ready")]
        _ready: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    Stdout,
    Stderr,
}

/// Takes away the lines that the command wrote before the interpreter began. Whether its first message has come.
///
/// A message begins with the length of a short header, so with a zero byte; lines do not.
fn skip_preface(buffer: &mut BytesMut) -> bool {
    let start = buffer.iter().position(|byte| *byte == 0);
    buffer.advance(start.unwrap_or(buffer.len()));
    start.is_some()
}

/// Takes the next message, if it has come whole. Fails at what is none.
fn message(buffer: &mut BytesMut) -> Result<Option<(Header, Bytes)>, ()> {
    let Some((length, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > HEADER_LIMIT {
        return Err(());
    }
    let Some(header) = rest.get(..length) else { return Ok(None) };
    let header: Header = serde_json::from_slice(header).map_err(drop)?;
    let body = if let Header::Output { length, .. } = header { length } else { 0 };
    if body > PIECE_LIMIT {
        return Err(());
    }
    let all = 4 + length + body;
    if buffer.len() < all {
        return Ok(None);
    }
    let mut whole = buffer.split_to(all);
    Ok(Some((header, whole.split_off(4 + length).freeze())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(header: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(header.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn messages_come_in_any_pieces() {
        let mut all = frame(r#"{"id": 3, "begun": true}"#, b"");
        all.extend(frame(r#"{"id": 3, "stream": "stderr", "length": 2}"#, b"\0x"));
        all.extend(frame(r#"{"id": 3, "exit": 137}"#, b""));
        let (mut buffer, mut messages) = (BytesMut::new(), Vec::new());
        for byte in all {
            buffer.extend_from_slice(&[byte]);
            messages.extend(message(&mut buffer).unwrap());
        }
        let output = Header::Output { id: 3, stream: Which::Stderr, length: 2 };
        let exit = Header::Exit { id: 3, exit: 137 };
        assert_eq!(messages[1..], [(output, Bytes::from("\0x")), (exit, Bytes::new())]);
    }

    #[test]
    fn what_a_command_says_before_is_no_message() {
        let mut buffer = BytesMut::from("BECOME-SUCCESS\n");
        assert!(!skip_preface(&mut buffer));
        buffer.extend_from_slice(&frame(r#"{"ready": true}"#, b""));
        assert!(skip_preface(&mut buffer));
        assert!(matches!(message(&mut buffer), Ok(Some((Header::Ready { .. }, _)))));
    }

    #[test]
    fn claimed_lengths_are_bounded() {
        assert!(message(&mut BytesMut::from(&[0xff; 8][..])).is_err());
        let huge = frame(r#"{"id": 1, "stream": "stdout", "length": 99999999999}"#, b"");
        assert!(message(&mut BytesMut::from(&huge[..])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut buffer = BytesMut::from(&bytes[..]);
            skip_preface(&mut buffer);
            while let Ok(Some(_)) = message(&mut buffer) {}
        }
    }
}
