//! The agent and its client together, without a container around them: as an ordinary process on a stream, and as
//! process 1 of new namespaces. What needs root says so in its name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod base;
mod death;
mod docker;
mod exec;
mod files;
mod flow;
mod protocol;
mod sandbox;
mod serve;
mod terminal;
