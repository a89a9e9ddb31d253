//! The unix socket over which Python asks takelage to act in containers and tells it what happens.

mod attend;
mod report;
mod serve;
mod server;
mod wire;
mod zygote;

pub use server::{Bridge, BridgeError};

pub(crate) use report::{Failure, Report};
