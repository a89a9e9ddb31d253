//! Tests that cannot run here.

/// Set to `1`, this environment variable turns every skip into a failure. `.ci/test` sets it: it has just
/// installed everything the tests need, so whatever is missing there is missing by mistake.
pub const STRICT: &str = "TAKELAGE_TEST_STRICT";

/// Ends the calling test, because something it needs is missing.
///
/// The arguments are those of [`format!`]: what is missing, as the end of a sentence that begins with
/// `skipped, because`. The calling function returns its return type's default.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::skipped(&::std::format!($($reason)+));
        return ::core::default::Default::default();
    }};
}

/// Says why a test is skipped. [`skip!`](crate::skip!) calls this, and then returns from the test.
///
/// # Panics
///
/// If [`STRICT`] is `1`.
#[expect(clippy::print_stderr, reason = "the output of a test is what says that it was skipped")]
#[expect(clippy::disallowed_methods, reason = "tests are configured by their environment")]
pub fn skipped(reason: &str) {
    let strict = std::env::var(STRICT).is_ok_and(|value| value == "1");
    assert!(!strict, "nothing may be skipped here ({STRICT}=1), but: {reason}");
    eprintln!("skipped, because {reason}");
}

#[cfg(test)]
mod tests {
    #[expect(unreachable_code, reason = "that it is unreachable is what is tested")]
    fn leaves_early() -> u8 {
        crate::skip!("{} is missing", "nothing");
        1
    }

    fn leaves_a_test() {
        crate::skip!("nothing is missing");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests are configured by their environment")]
    fn skips_or_fails_as_the_environment_says() {
        let strict = std::env::var(super::STRICT).is_ok_and(|value| value == "1");
        match std::panic::catch_unwind(leaves_early) {
            Ok(value) => assert_eq!((strict, value), (false, 0)),
            Err(_) => assert!(strict),
        }
        assert_eq!(std::panic::catch_unwind(leaves_a_test).is_err(), strict);
    }
}
