//! What every engine must do, written against the contract alone and run with each engine.
//!
//! The image under test is made here, of the host's static `busybox`, so no registry is needed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod suite;

mod base;
mod commit;
mod docker;
mod embedded;
mod exchange;
mod exec;
mod files;
mod images;
mod lifecycle;
mod network;
mod rootless;
mod snapshot;
mod stream;
mod systemd;
mod unified;
mod volume;
