//! The stream: one task reads frames and gives them to their requests, another one writes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use serde::Serialize;
use takelage_model::agent::{
    Reply, WINDOW,
    wire::{self, Decoder, Frame, FrameError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter},
    sync::{Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::AgentError;

/// How much is read at once, and collected before it is written.
const BUFFER: usize = 1 << 17;
/// The request that is none: the agent uses it where it cannot tell which one it is about.
pub(super) const NO_REQUEST: u64 = 0;

/// What comes for a request.
pub(super) type Incoming = (Reply, Bytes);

/// What both tasks and all requests share.
#[derive(Debug)]
pub(super) struct Connection {
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    state: Mutex<State>,
    next: AtomicU64,
    /// Cancelled when the stream has ended, or shall end.
    pub(super) closed: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    requests: HashMap<u64, Entry>,
    /// Why nothing works any more.
    end: Option<End>,
}

/// One request under way, as the stream sees it.
#[derive(Debug)]
struct Entry {
    replies: mpsc::UnboundedSender<Incoming>,
    flow: Arc<Flow>,
}

/// How much of a request is under way in both directions.
#[derive(Debug)]
pub(super) struct Flow {
    /// What may be sent.
    pub(super) credit: Semaphore,
    /// What was received and not handed on.
    pub(super) received: AtomicU32,
}

/// How a stream ended.
#[derive(Debug, Clone)]
enum End {
    Gone(String),
    Protocol(String),
}

impl End {
    fn error(&self) -> AgentError {
        match self.clone() {
            Self::Gone(reason) => AgentError::Gone { reason },
            Self::Protocol(reason) => AgentError::Protocol { reason },
        }
    }
}

impl Connection {
    /// Takes hold of a stream. Its tasks end when `closed` is cancelled.
    pub(super) fn open(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Arc<Self> {
        let (outgoing, frames) = mpsc::unbounded_channel();
        let connection = Arc::new(Self {
            outgoing,
            state: Mutex::default(),
            next: AtomicU64::new(NO_REQUEST + 1),
            closed: CancellationToken::new(),
        });
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(Arc::clone(&connection).reading(reader));
        tokio::spawn(Arc::clone(&connection).writing(writer, frames));
        connection
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for the replies to a request that is about to be sent.
    pub(super) fn register(
        &self,
        id: Option<u64>,
    ) -> Result<(u64, mpsc::UnboundedReceiver<Incoming>, Arc<Flow>), AgentError> {
        let id = id.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::unbounded_channel();
        let flow = Arc::new(Flow { credit: Semaphore::new(WINDOW as usize), received: AtomicU32::new(0) });
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Err(end.error());
        }
        state.requests.insert(id, Entry { replies: sender, flow: Arc::clone(&flow) });
        Ok((id, receiver, flow))
    }

    /// Forgets a request. Whether it was still known.
    pub(super) fn forget(&self, id: u64) -> bool {
        self.state().requests.remove(&id).is_some()
    }

    /// Queues a frame. What a request queues is limited by its credit.
    pub(super) fn send(&self, id: u64, message: &impl Serialize, body: &[u8]) -> Result<(), FrameError> {
        let mut frame = Vec::with_capacity(body.len() + 64);
        wire::encode(id, message, body, &mut frame)?;
        // A stream that has ended says so to whoever waits for a reply.
        let _ = self.outgoing.send(frame);
        Ok(())
    }

    /// Returns why nothing works any more.
    pub(super) fn failure(&self) -> AgentError {
        let gone = || End::Gone("the connection was closed".to_owned());
        self.state().end.clone().unwrap_or_else(gone).error()
    }

    /// Ends everything under way, for the first reason that there is.
    fn end(&self, end: End) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        for (_, entry) in state.requests.drain() {
            entry.flow.credit.close();
        }
        drop(state);
        self.closed.cancel();
    }

    async fn reading(self: Arc<Self>, mut reader: impl AsyncRead + Unpin) {
        let closed = self.closed.clone();
        let end = tokio::select! {
            end = self.read(&mut reader) => end,
            () = closed.cancelled() => End::Gone("the connection was closed".to_owned()),
        };
        self.end(end);
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin)) -> End {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) if decoder.is_empty() => return End::Gone("it closed the connection".to_owned()),
                Ok(0) => return End::Gone("it closed the connection within a frame".to_owned()),
                Ok(count) => decoder.push(buffer.get(..count).unwrap_or_default()),
                Err(error) => return End::Gone(error.to_string()),
            }
            loop {
                match decoder.take() {
                    Ok(Some(frame)) => {
                        if let Err(reason) = self.deliver(frame) {
                            return End::Protocol(reason);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return End::Protocol(error.to_string()),
                }
            }
        }
    }

    /// Gives a frame to its request. A request that nobody waits for any more may still get some.
    fn deliver(&self, Frame { id, message, body }: Frame<Reply>) -> Result<(), String> {
        let mut state = self.state();
        let Some(entry) = state.requests.get(&id) else {
            return match message {
                Reply::Error { message, .. } if id == NO_REQUEST => Err(message),
                _ => Ok(()),
            };
        };
        match &message {
            Reply::Credit { bytes } => {
                let missing = (WINDOW as usize).saturating_sub(entry.flow.credit.available_permits());
                entry.flow.credit.add_permits(missing.min(*bytes as usize));
            }
            Reply::Data { .. } => {
                let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
                let before = entry.flow.received.fetch_add(length, Ordering::Relaxed);
                if before.saturating_add(length) > WINDOW {
                    return Err("it sends more than it may".to_owned());
                }
                let _ = entry.replies.send((message, body.into()));
            }
            Reply::Hello { .. } => {
                let _ = entry.replies.send((message, Bytes::new()));
            }
            Reply::Exit { .. } | Reply::Done | Reply::Error { .. } => {
                // Closing the credit lets nobody wait for it in vain.
                entry.flow.credit.close();
                let _ = entry.replies.send((message, Bytes::new()));
                state.requests.remove(&id);
            }
            // Of a newer agent, which would have refused to talk to this takelage if that mattered.
            Reply::Unknown => {}
        }
        Ok(())
    }

    async fn writing(
        self: Arc<Self>,
        writer: impl AsyncWrite + Unpin,
        mut frames: mpsc::UnboundedReceiver<Vec<u8>>,
    ) {
        let closed = self.closed.clone();
        let write = async {
            let mut writer = BufWriter::with_capacity(BUFFER, writer);
            while let Some(frame) = frames.recv().await {
                writer.write_all(&frame).await?;
                if frames.is_empty() {
                    writer.flush().await?;
                }
            }
            Ok::<_, std::io::Error>(())
        };
        let written = tokio::select! {
            written = write => written,
            () = closed.cancelled() => Ok(()),
        };
        if let Err(error) = written {
            self.end(End::Gone(error.to_string()));
        }
    }
}
