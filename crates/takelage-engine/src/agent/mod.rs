//! The host's side of the agent: the static program that runs in a container and starts commands there.
//!
//! [`BINARY`] is the program. Whoever starts it, process 1 of an embedded container or a command that Docker runs,
//! gives the stream to [`AgentClient`], which carries any number of requests at once. What both say is in
//! [`takelage_model::agent`].

mod client;
mod connection;
mod error;
mod exec;
mod files;
mod request;

pub use client::AgentClient;
pub use error::AgentError;

/// The agent: a static executable for Linux on this architecture, which needs nothing of the container.
pub const BINARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/takelage-agent"));
