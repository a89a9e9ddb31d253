//! The unix socket over which Python asks takelage to act in containers and tells it what happens.

mod ahead;
mod attend;
mod carry_out;
pub mod memory;
mod report;
mod serve;
mod server;
mod spool;
mod wire;
mod zygote;

pub use carry_out::make_again;
pub use memory::Host;
pub use server::{Bridge, BridgeError};

pub(crate) use report::{Failure, Report};
