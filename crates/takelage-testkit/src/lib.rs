//! What the tests of takelage's crates share. A development dependency only.
//!
//! A test that needs something from outside says so in its name (`docker_`, `network_`, `ansible_`, `root_`), begins
//! by looking for it, and ends with [`skip!`] where it is missing:
//!
//! ```no_run
//! # fn daemon_answers() -> bool { false }
//! // #[test]
//! fn docker_lists_containers() {
//!     if !daemon_answers() {
//!         takelage_testkit::skip!("no Docker daemon answers");
//!     }
//!     // …
//! }
//! ```

mod skip;
pub mod tree;

pub use skip::{STRICT, skipped};
