//! Whole reports of whole runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod junit;
mod log;
mod reporters;
mod streams;
mod terminal;
