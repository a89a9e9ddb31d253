//! A conversation with an agent.

use std::{sync::Arc, time::Duration};

use takelage_model::agent::{ErrorKind, Request, VERSION};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::DropGuard;

use super::{
    AgentError,
    connection::{Connection, NO_REQUEST},
    request::{Answer, Pending, unexpected},
};

/// How long an agent may take to say that it is there.
const GREETING: Duration = Duration::from_secs(30);

/// A conversation with an agent. Cheap to clone; clones share the stream. When the last one is dropped the stream is
/// closed, and the agent kills what is under way.
#[derive(Debug, Clone)]
pub struct AgentClient {
    pub(super) connection: Arc<Connection>,
    _closing: Arc<DropGuard>,
}

impl AgentClient {
    /// Greets the agent at the other end of a stream.
    ///
    /// Needs a tokio runtime, in which both directions are served until the last clone is dropped.
    pub async fn connect(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, AgentError> {
        let connection = Connection::open(stream);
        let closing = Arc::new(connection.closed.clone().drop_guard());
        let client = Self { connection, _closing: closing };
        let hello = Request::Hello { version: VERSION };
        let mut greeting = Pending::send(&client.connection, Some(NO_REQUEST), &hello)?;
        match tokio::time::timeout(GREETING, greeting.answer()).await {
            Err(_) => Err(AgentError::Silent),
            Ok(Ok(Answer::Hello(VERSION))) => {
                // It is answered, so there is nothing to cancel.
                client.connection.forget(NO_REQUEST);
                Ok(client)
            }
            Ok(Ok(Answer::Hello(theirs))) => Err(AgentError::Version { theirs }),
            Ok(Ok(_)) => Err(unexpected()),
            Ok(Err(AgentError::Refused { kind: ErrorKind::Protocol, message })) => {
                Err(AgentError::Protocol { reason: message })
            }
            Ok(Err(error)) => Err(error),
        }
    }

    /// Sends a signal to the container's main command.
    pub async fn signal(&self, number: i32) -> Result<(), AgentError> {
        self.request(&Request::Signal { number })?.done().await
    }

    /// Waits until the agent, or the container around it, is gone.
    pub async fn closed(&self) {
        self.connection.closed.cancelled().await;
    }

    pub(super) fn request(&self, request: &Request) -> Result<Pending, AgentError> {
        Pending::send(&self.connection, None, request)
    }
}
