//! Scenarios of Molecule from outside: what the commands print, do and return.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]

mod commands;
#[path = "../docker/daemon.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod daemon;
mod instances;
mod sequences;
#[path = "../support/mod.rs"]
mod support;
