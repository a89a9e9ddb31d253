//! Trying again what may work later.

use std::time::Duration;

use super::{Backoff, RegistryError};

/// Nobody listening is believed sooner than an error of somebody who listens.
const UNREACHABLE_ATTEMPTS: u32 = 3;
/// Content that was wrong so often is wrong.
const CORRUPT_ATTEMPTS: u32 = 3;

/// Counts attempts.
#[derive(Debug)]
pub(super) struct Patience {
    backoff: Backoff,
    failed: u32,
    corrupt: u32,
}

impl Patience {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, failed: 0, corrupt: 0 }
    }

    /// The last attempt failed, but brought something: the count begins anew.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Waits until it makes sense to try again, or gives the error back.
    pub(super) async fn wait(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let Some(pause) = self.pause(&error) else { return Err(error) };
        tracing::info!(error = &error as &dyn std::error::Error, ?pause, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Counts a failure. Returns how long to wait, or `None` if there is no sense in trying again.
    fn pause(&mut self, error: &RegistryError) -> Option<Duration> {
        self.failed += 1;
        let Backoff { attempts, first, longest } = self.backoff;
        let pause = (first * 2_u32.saturating_pow(self.failed - 1)).min(longest);
        let (attempts, pause) = match error {
            RegistryError::Unreachable { .. } => (attempts.min(UNREACHABLE_ATTEMPTS), pause),
            RegistryError::Broken { .. } | RegistryError::Status { status: 500.. | 408, .. } => {
                (attempts, pause)
            }
            RegistryError::Busy { wait, .. } => (attempts, wait.unwrap_or(pause)),
            RegistryError::Corrupt { .. } => {
                self.corrupt += 1;
                return (self.corrupt < CORRUPT_ATTEMPTS).then_some(Duration::ZERO);
            }
            _ => return None,
        };
        (self.failed < attempts && pause <= longest).then_some(pause)
    }
}

/// Reads how long a registry asks to wait: seconds, or a date.
pub(super) fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(until.duration_since(jiff::Timestamp::now()).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(first: u64) -> Backoff {
        Backoff {
            attempts: 4,
            first: Duration::from_millis(first),
            longest: Duration::from_millis(first * 3),
        }
    }

    fn status(status: u16, wait: Option<u64>) -> RegistryError {
        RegistryError::status("host", status, "", wait.map(Duration::from_millis))
    }

    /// Returns the waits until the error is given back, in milliseconds.
    fn waits(error: &RegistryError) -> Vec<u128> {
        let mut patience = Patience::new(backoff(100));
        std::iter::from_fn(|| patience.pause(error)).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn waits_grow_and_end() {
        assert_eq!(waits(&status(503, None)), [100, 200, 300]);
        assert_eq!(waits(&status(429, None)), [100, 200, 300]);
        assert_eq!(waits(&status(429, Some(250))), [250, 250, 250]);
        assert_eq!(waits(&status(429, Some(301))), []);
        for never in [400, 401, 404] {
            assert_eq!(waits(&status(never, None)), []);
        }
        let reason = "connection refused".to_owned();
        assert_eq!(waits(&RegistryError::Unreachable { host: String::new(), reason }), [100, 200]);
    }

    #[test]
    fn progress_begins_the_count_anew_but_wrong_content_is_not_tried_for_ever() {
        let mut patience = Patience::new(backoff(100));
        for _ in 0..20 {
            patience.progressed();
            assert_eq!(patience.pause(&status(500, None)), Some(Duration::from_millis(100)));
        }
        let corrupt = RegistryError::Corrupt { host: String::new(), reason: String::new() };
        for _ in 0..2 {
            patience.progressed();
            assert_eq!(patience.pause(&corrupt), Some(Duration::ZERO));
        }
        patience.progressed();
        assert_eq!(patience.pause(&corrupt), None);
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let read = |text: &str| {
            let value = text.parse().unwrap();
            retry_after(&[(reqwest::header::RETRY_AFTER, value)].into_iter().collect())
        };
        assert_eq!(read("17"), Some(Duration::from_secs(17)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(read("Wed, 21 Oct 2099 07:28:00 GMT") > Some(Duration::from_secs(1_000_000)));
        assert_eq!(read("soon"), None);
    }
}
