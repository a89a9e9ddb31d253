//! What is remembered of requests to containers, through the program: on both engines, with real Ansible.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]

mod by_text;
mod checks;
mod develop;
mod edits;
mod ends;
mod files;
mod random;
#[path = "../docker/running.rs"]
mod running;
mod secrets;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod yard;

/// Ends the calling test with its reason if something is missing that all tests here need.
macro_rules! need_everything {
    () => {
        if let Some(missing) = $crate::yard::missing() {
            takelage_testkit::skip!("{missing}");
        }
    };
}
pub(crate) use need_everything;

/// Makes a test for each engine of a function of an engine's name.
macro_rules! on_both_engines {
    ($docker:ident, $embedded:ident, $body:ident) => {
        #[test]
        fn $docker() {
            crate::need_everything!();
            $body("docker");
        }

        #[test]
        fn $embedded() {
            crate::need_everything!();
            $body("embedded");
        }
    };
}
pub(crate) use on_both_engines;
