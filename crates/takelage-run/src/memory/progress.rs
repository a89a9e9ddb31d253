//! How far a chain has come.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{
    Journal, State,
    fingerprint::Fingerprint,
    mask::Mask,
    past::{Held, Payloads},
    record::Outcome,
    secret::Key,
};

/// Snapshots stand on each other, and engines have a limit to how high.
const DEPTH: u32 = 40;
/// A snapshot on the way is worth it if so many times what it costs has passed since the last one …
const MULTIPLE: u32 = 8;
/// … and a part of all the time that has passed, so that long playbooks have not many more of them than short ones.
const PART: u32 = 8;

#[derive(Debug)]
pub(super) struct Progress<C> {
    pub(super) state: State,
    pub(super) mask: Mask,
    /// Whether a directory of this run's name is in the container.
    pub(super) has_left_directories: bool,
    pub(super) container: Option<C>,
    /// The container as it began.
    pub(super) began: Option<Fingerprint>,
    pub(super) depth: u32,
    /// The state that the last snapshot is of.
    pub(super) kept: Option<State>,
    /// Whether records are looked up. They are until the first request without one.
    pub(super) recalls: bool,
    /// Why nothing is remembered any more.
    pub(super) ended: Option<String>,
    pub(super) under_way: Vec<Pending>,
    pub(super) tickets: u64,
    /// What came from memory, to be made again.
    pub(super) past: Vec<Past>,
    pub(super) payloads: Payloads,
    /// Which of them is made again first.
    pub(super) again: usize,
    /// Whether the last of them has just been made again, before a request that waits for that.
    pub(super) made_again: bool,
    /// What is recorded, by the task's id.
    pub(super) known: Vec<(String, Key)>,
    pub(super) journal: Journal,
    /// How many of its requests were of steps that have ended.
    pub(super) told: usize,
    /// Why the first request that was not reused was not, if its record says.
    pub(super) because: Option<String>,
    pub(super) live_since: Instant,
    pub(super) last_snapshot: Instant,
    pub(super) snapshot_cost: Duration,
    /// What had another answer when it was made again.
    pub(super) differed: Option<String>,
    /// Fires when a request that was made again had another answer.
    pub(super) diverged: CancellationToken,
}

#[derive(Debug)]
pub(super) struct Past {
    pub(super) wanted: Held,
    pub(super) outcome: Outcome,
    pub(super) module: String,
    /// The state after it.
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ticket: u64,
    pub(super) key: Key,
    pub(super) task: String,
    pub(super) is_preparation: bool,
}

impl<C> Progress<C> {
    pub(super) fn new(state: State, snapshot_cost: Duration) -> Self {
        Self {
            state,
            mask: Mask::default(),
            has_left_directories: false,
            container: None,
            began: None,
            depth: 0,
            kept: None,
            recalls: true,
            ended: None,
            under_way: Vec::new(),
            tickets: 0,
            past: Vec::new(),
            payloads: Payloads::default(),
            again: 0,
            made_again: false,
            known: Vec::new(),
            journal: Journal::default(),
            told: 0,
            because: None,
            live_since: Instant::now(),
            last_snapshot: Instant::now(),
            snapshot_cost,
            differed: None,
            diverged: CancellationToken::new(),
        }
    }

    /// Whether it is time for a snapshot on the way.
    pub(super) fn is_time_to_keep(&self) -> bool {
        let since = self.last_snapshot.elapsed();
        since > self.snapshot_cost * MULTIPLE && since > self.live_since.elapsed() / PART
    }

    /// Whether a snapshot of what the container is now could be of use.
    pub(super) fn is_worth_keeping(&self) -> bool {
        let can_be = self.ended.is_none() && self.began.is_some() && self.depth < DEPTH;
        can_be && !self.has_left_directories
    }

    /// Remembers nothing from here on. The first reason counts.
    pub(super) fn end(&mut self, why: &str) {
        self.recalls = false;
        self.ended.get_or_insert_with(|| why.to_owned());
    }
}
