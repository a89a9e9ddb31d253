//! The container of a chain: when it is made, of what, and when its state is kept.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use takelage_engine::{Container as _, Engine, EngineError, SnapshotId};
use takelage_model::event::Level;
use takelage_python::memory::{Live, Ticket};

use super::{Chain, fingerprint::fingerprint, machine::Kept, progress::Progress};

impl<E: Engine> Chain<E> {
    /// Returns the container for the next request, made now if there is none.
    pub(super) async fn live(
        &self,
        inner: &mut Progress<E::Container>,
        ticket: Option<Ticket>,
    ) -> Result<Live<E::Container>, EngineError> {
        if let Some(container) = &inner.container {
            if inner.again < inner.past.len() {
                // Whoever made requests again was ended meanwhile.
                inner.diverged.cancel();
                let reason = "requests could not be made again".to_owned();
                return Err(EngineError::Unsupported { name: self.machine.name().to_owned(), reason });
            }
            return Ok(Live { container: container.clone(), before: Vec::new(), ticket });
        }
        let container = if let Some(container) = self.restored(inner).await? {
            container
        } else {
            (inner.again, inner.depth) = (0, 0);
            let container = self.machine.create().await?;
            inner.container = Some(container.clone());
            if !inner.past.first().is_some_and(|past| past.wanted.is_preparation()) {
                inner.began = fingerprint(&container).await;
            }
            container
        };
        (inner.live_since, inner.last_snapshot) = (Instant::now(), Instant::now());
        let before: Vec<_> =
            inner.past[inner.again..].iter().map(|past| Arc::new(past.wanted.wanted())).collect();
        if !inner.past.is_empty() {
            let (all, again) = (inner.past.len(), before.len());
            let message = format!(
                "{all} requests were answered from memory; {}",
                match (again, inner.again) {
                    (0, _) => "the container begins after them".to_owned(),
                    (again, 0) => format!("the container begins with {again} of them"),
                    (again, _) => format!("the container begins after them but for the last {again}"),
                }
            );
            self.events.note(Level::Info, message, None);
        }
        Ok(Live { container, before, ticket })
    }

    /// Returns a container that begins as the latest snapshot of the chain, if there is one that is any good.
    pub(super) async fn restored(
        &self,
        inner: &mut Progress<E::Container>,
    ) -> Result<Option<E::Container>, EngineError> {
        let mut snapshots: BTreeMap<String, Kept> = match self.machine.snapshots().await {
            Ok(snapshots) => snapshots.into_iter().map(|kept| (kept.state.clone(), kept)).collect(),
            Err(error) => {
                tracing::warn!(%error, "snapshots cannot be listed");
                return Ok(None);
            }
        };
        if snapshots.is_empty() {
            return Ok(None);
        }
        for index in (0..inner.past.len()).rev() {
            let name = self.records.secret.snapshot_name(inner.past[index].state);
            let Some(kept) = snapshots.remove(&name) else { continue };
            let container = match self.machine.restore(&kept.id).await {
                Ok(container) => container,
                Err(error) => {
                    tracing::warn!(%error, id = %kept.id, "a snapshot cannot be restored");
                    self.machine.remove_leavings().await?;
                    continue;
                }
            };
            inner.container = Some(container.clone());
            (inner.again, inner.depth) = (index + 1, kept.depth);
            let looks = fingerprint(&container).await;
            if looks.as_ref().is_some_and(|looks| looks.common == kept.fingerprint) {
                inner.began = looks;
                inner.kept = Some(inner.past[index].state);
                self.note_snapshot(&kept.id).await;
                return Ok(Some(container));
            }
            tracing::debug!(id = %kept.id, "a restored container does not look as before");
            inner.container = None;
            container.remove().await?;
            self.machine.remove_snapshot(&kept.id).await;
        }
        Ok(None)
    }

    /// Takes a snapshot if nothing but files makes the state.
    pub(super) async fn keep_state(&self, inner: &mut Progress<E::Container>) {
        let Some(container) = inner.container.clone() else { return };
        // The request that waits for others to be made again has not begun.
        let waiting = usize::from(std::mem::take(&mut inner.made_again));
        let is_quiet = inner.under_way.len() <= waiting;
        if !inner.is_worth_keeping() || !is_quiet || inner.kept == Some(inner.state) {
            return;
        }
        let Some(began) = inner.began.clone() else { return };
        let start = Instant::now();
        let is_made_of_files = fingerprint(&container).await.is_some_and(|now| now == began);
        if !is_made_of_files {
            tracing::debug!("no snapshot: something but files makes the state");
        }
        if is_made_of_files {
            let state = self.records.secret.snapshot_name(inner.state);
            let taken = self.machine.snapshot(&container, state, began.common, inner.depth + 1).await;
            match taken {
                Ok(id) => {
                    self.note_snapshot(&id).await;
                    inner.depth += 1;
                    inner.kept = Some(inner.state);
                    self.records.note_snapshot_cost(&self.beginning.start, start.elapsed());
                }
                Err(error) => tracing::warn!(%error, "no snapshot could be taken"),
            }
        }
        // A service that runs is likely to run on: it is not looked for as often.
        inner.snapshot_cost = start.elapsed() * if is_made_of_files { 1 } else { 4 };
        inner.last_snapshot = Instant::now();
    }

    /// Notes that a snapshot is of use, and removes those that have not been for long.
    pub(super) async fn note_snapshot(&self, id: &SnapshotId) {
        for old in self.records.note_snapshot(&self.beginning.start, id) {
            self.machine.remove_snapshot(&old).await;
        }
    }
}
