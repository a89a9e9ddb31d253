//! The drivers with real programs: Ansible, pytest, Docker, pip.
#![expect(clippy::print_stdout, reason = "a skipped test says why")]
#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions clippy does not see that all of this is tests"
)]

mod ahead;
mod ansible;
mod checks;
mod environment;
mod fast;
mod faults;
mod modules;
mod playbooks;
mod scene;
mod transport;
