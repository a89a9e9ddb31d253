//! One request under way.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use takelage_model::agent::{PIECE, Reply, Request, Stream, WINDOW};
use tokio::sync::mpsc;

use super::{
    AgentError,
    connection::{Connection, Flow, Incoming},
};

/// Credit is granted anew when so much was handed on.
const GRANT: u32 = WINDOW / 4;

/// One request under way. Dropping it before its end cancels it.
#[derive(Debug)]
pub(super) struct Pending {
    connection: Arc<Connection>,
    id: u64,
    replies: mpsc::UnboundedReceiver<Incoming>,
    flow: Arc<Flow>,
    /// How much was handed on and not granted anew.
    owed: u32,
}

/// The way in: standard input, or a file's content.
#[derive(Debug)]
pub(super) struct Feed {
    connection: Arc<Connection>,
    id: u64,
    flow: Arc<Flow>,
}

/// What the agent says to a request.
#[derive(Debug)]
pub(super) enum Answer {
    Hello(u32),
    Data(Stream, Bytes),
    Exit(i32),
    Done,
}

impl Pending {
    /// Sends a request.
    pub(super) fn send(
        connection: &Arc<Connection>,
        id: Option<u64>,
        request: &Request,
    ) -> Result<Self, AgentError> {
        let (id, replies, flow) = connection.register(id)?;
        let connection = Arc::clone(connection);
        if let Err(error) = connection.send(id, request, &[]) {
            connection.forget(id);
            return Err(AgentError::TooLong(error));
        }
        Ok(Self { connection, id, replies, flow, owed: 0 })
    }

    /// Returns the way in.
    pub(super) fn feed(&self) -> Feed {
        Feed { connection: Arc::clone(&self.connection), id: self.id, flow: Arc::clone(&self.flow) }
    }

    /// Waits for the next answer.
    pub(super) async fn answer(&mut self) -> Result<Answer, AgentError> {
        let Some((reply, body)) = self.replies.recv().await else { return Err(self.connection.failure()) };
        match reply {
            Reply::Hello { version } => Ok(Answer::Hello(version)),
            Reply::Data { stream } => Ok(Answer::Data(stream, body)),
            Reply::Exit { status } => Ok(Answer::Exit(status)),
            Reply::Done => Ok(Answer::Done),
            Reply::Error { kind, message } => Err(AgentError::Refused { kind, message }),
            Reply::Credit { .. } | Reply::Unknown => Err(unexpected()),
        }
    }

    /// So many bytes were handed on; the agent may send as many more.
    pub(super) fn handed_on(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(WINDOW);
        self.owed += count;
        if self.owed >= GRANT {
            // First here: the agent may answer before this goes on.
            self.flow.received.fetch_sub(self.owed, Ordering::Relaxed);
            let _ = self.connection.send(self.id, &Request::Credit { bytes: self.owed }, &[]);
            self.owed = 0;
        }
    }

    /// Waits for the answer to what only succeeds or fails.
    pub(super) async fn done(&mut self) -> Result<(), AgentError> {
        match self.answer().await? {
            Answer::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.connection.forget(self.id) {
            let _ = self.connection.send(self.id, &Request::Cancel, &[]);
        }
    }
}

impl Feed {
    /// Sends bytes as fast as they are taken. Whether anybody takes them.
    pub(super) async fn data(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            let count = u32::try_from(piece.len()).unwrap_or(WINDOW);
            let Ok(permits) = self.flow.credit.acquire_many(count).await else { return false };
            permits.forget();
            self.send(&Request::Data, piece);
            bytes = rest;
        }
        true
    }

    /// Sends a request that belongs to this one.
    pub(super) fn send(&self, request: &Request, body: &[u8]) {
        // It is short, and the body is a piece.
        let _ = self.connection.send(self.id, request, body);
    }
}

/// The agent answered another question.
pub(super) fn unexpected() -> AgentError {
    AgentError::Protocol { reason: "it gave an answer to another question".to_owned() }
}
