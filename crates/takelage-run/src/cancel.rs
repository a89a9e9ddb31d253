//! How a run is interrupted: an ordered reason, of which a stronger one replaces a weaker one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// Why a run stops before its end. Ordered: a later variant overrules an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelReason {
    /// A step failed: what runs may end, nothing new begins.
    Failure,
    /// The user asked once: running work is stopped and cleaned up.
    Interrupt,
    /// The user asked twice: stop at once, the next run cleans up.
    Abort,
}

/// The run's cancellation, shared by everything that can be interrupted.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    reason: Arc<AtomicU8>,
    interrupt: CancellationToken,
    abort: CancellationToken,
}

impl Cancel {
    /// Raises the reason to `reason`; a weaker one than before changes nothing.
    pub fn raise(&self, reason: CancelReason) {
        self.reason.fetch_max(reason as u8 + 1, Ordering::SeqCst);
        if reason >= CancelReason::Interrupt {
            self.interrupt.cancel();
        }
        if reason >= CancelReason::Abort {
            self.abort.cancel();
        }
    }

    /// Returns the strongest reason so far.
    pub fn reason(&self) -> Option<CancelReason> {
        match self.reason.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(CancelReason::Failure),
            2 => Some(CancelReason::Interrupt),
            _ => Some(CancelReason::Abort),
        }
    }

    /// Whether nothing new should begin.
    pub fn is_raised(&self) -> bool {
        self.reason().is_some()
    }

    /// Whether running work should stop.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// The token that running work watches: cancelled by an interrupt, not by another step's failure.
    pub fn token(&self) -> CancellationToken {
        self.interrupt.clone()
    }

    /// Completes when the user asked twice.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }

    /// Runs `work` until it ends or the run is interrupted; `None` if it was interrupted.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.interrupt.run_until_cancelled(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stronger_reason_replaces_a_weaker_one_and_never_the_other_way() {
        let cancel = Cancel::default();
        cancel.raise(CancelReason::Interrupt);
        cancel.raise(CancelReason::Failure);
        assert_eq!(cancel.reason(), Some(CancelReason::Interrupt));
        assert!(cancel.token().is_cancelled());
    }

    #[test]
    fn a_failure_lets_running_work_end() {
        let cancel = Cancel::default();
        cancel.raise(CancelReason::Failure);
        assert!(cancel.is_raised() && !cancel.is_interrupted());
    }
}
