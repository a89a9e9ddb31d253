//! Saying how far something is while it is waited for.

use std::time::Duration;

/// How often it is told.
const TICK: Duration = Duration::from_millis(100);

/// Waits for `work` and calls `report` meanwhile, and once more when it is done.
pub(crate) async fn reporting<T>(work: impl Future<Output = T>, report: impl Fn()) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(TICK);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = ticks.tick() => report(),
        }
    };
    report();
    result
}
