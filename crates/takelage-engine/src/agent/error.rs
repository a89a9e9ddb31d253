//! What can go wrong between takelage and its agent.

use takelage_model::agent::{ErrorKind, VERSION, wire::FrameError};
use thiserror::Error;

/// A request to the agent failed.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The agent, or the container around it, ended. This ends all requests under way at once.
    #[error("the agent in the container is gone: {reason}")]
    Gone {
        /// How that was noticed.
        reason: String,
    },
    /// It said something that makes no sense, and nothing more is heard of it.
    #[error("the agent in the container broke the protocol: {reason}")]
    Protocol {
        /// What.
        reason: String,
    },
    /// Nothing answers on the stream.
    #[error("the agent in the container does not answer")]
    Silent,
    /// The container was made by another takelage, and is still there.
    #[error("the agent in the container speaks version {theirs} of the protocol, takelage version {VERSION}")]
    Version {
        /// The agent's version.
        theirs: u32,
    },
    /// It cannot be done; the agent says why.
    #[error("{message}")]
    Refused {
        /// What kind of failure.
        kind: ErrorKind,
        /// One sentence.
        message: String,
    },
    /// There are more arguments, or there is more environment, than the system takes anyway.
    #[error("the command is too long")]
    TooLong(#[source] FrameError),
    /// What shall go into the container cannot be read.
    #[error("what shall be copied into the container cannot be read")]
    Source(#[source] std::io::Error),
    /// What comes from the container cannot be written.
    #[error("what was copied from the container cannot be written")]
    Sink(#[source] std::io::Error),
}

impl AgentError {
    /// Returns the agent's own verdict, where it gave one.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}
