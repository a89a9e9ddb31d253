//! The whole way with a Docker daemon, real Ansible and real pytest: what comes of it, and what remains when it is
//! disturbed. Docker's own command line says what is there.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]

mod chain;
mod checks;
mod daemon;
mod develop;
mod examining;
mod faults;
mod handing_on;
mod harbour;
mod interrupts;
mod neighbours;
mod produce;
mod proxy;
mod running;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod tasks;

/// Ends the calling test with its reason if something is missing that all tests here need.
macro_rules! need_everything {
    () => {
        if let Some(missing) = $crate::daemon::missing() {
            takelage_testkit::skip!("{missing}");
        }
    };
}
pub(crate) use need_everything;
