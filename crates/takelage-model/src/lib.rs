//! The vocabulary that every part of takelage shares: ids, digests, labels, events, outcomes, exit
//! statuses, the frames of the bridge between Python and Rust, and those of the agent inside a container.
//!
//! This crate does no I/O and knows no async runtime, so that whoever reads a recorded event log or speaks
//! the bridge's protocol links nothing else.

pub mod agent;
mod digest;
pub mod event;
mod exit;
pub mod frame;
mod id;
pub mod label;
mod leftovers;

pub use digest::{Digest, DigestError};
pub use exit::Exit;
pub use id::{ImageName, ImageNameError, RunId};
pub use leftovers::{Leftovers, UnknownLeftovers};
