//! The whole way with the embedded engine, real Ansible and real pytest: what comes of it, and what remains when it is
//! disturbed. No daemon takes part, except that a Docker engine of the machine lends the image to begin with.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]

mod harbour;
mod ordinary;
#[path = "../docker/running.rs"]
mod running;
#[path = "../support/mod.rs"]
mod support;
mod whole;

/// Ends the calling test with its reason if something is missing that all tests here need.
macro_rules! need_everything {
    () => {
        if let Some(missing) = $crate::harbour::missing() {
            takelage_testkit::skip!("{missing}");
        }
    };
}
pub(crate) use need_everything;
