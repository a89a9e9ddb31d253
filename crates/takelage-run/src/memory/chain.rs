//! One container from its start through all its requests, replayed as far as they are known.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use takelage_engine::{Container, Engine, EngineError, ImageId};
use takelage_python::memory::{Live, Wanted};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Journal, Machine, Records, State,
    progress::Progress,
    record::{Outcome, Record},
    records::Found,
    replay::kind,
    secret::Key,
};
use crate::Events;

/// A snapshot at the end of a playbook is worth it if so many times what it costs has passed since the last one.
const LAST_MULTIPLE: u32 = 4;

/// What a container starts as: name, in the words of [`explain`](crate::explain), → value.
pub(crate) type Start = BTreeMap<&'static str, String>;
/// Two of the names.
pub(crate) const IMAGE: &str = "the base image";
pub(crate) const ENGINE: &str = "the engine";

/// What a chain needs to know before its first request.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// What the container starts as.
    pub(crate) start: Start,
    /// How old a record may be.
    pub(crate) max_age: Duration,
    /// The project's directory.
    pub(crate) root: PathBuf,
    /// Where the journal goes.
    pub(crate) journal: PathBuf,
}

/// A container of which there may be no more than what is remembered.
#[derive(Debug)]
pub(crate) struct Chain<E: Engine> {
    pub(super) machine: Machine<E>,
    pub(super) records: Records,
    pub(super) beginning: Beginning,
    pub(super) start: State,
    /// The journal of the run before.
    before: Option<Journal>,
    pub(super) events: Events,
    pub(super) inner: Mutex<Progress<E::Container>>,
}

impl<E: Engine> Chain<E> {
    /// Begins a chain.
    pub(crate) fn begin(
        machine: Machine<E>,
        records: Records,
        beginning: Beginning,
        events: Events,
    ) -> Arc<Self> {
        let parts = beginning.start.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let start = records.secret.start(parts);
        let inner = Mutex::new(Progress::new(start, records.snapshot_cost(&beginning.start)));
        let before = Journal::read(&beginning.journal);
        Arc::new(Self { machine, records, beginning, start, before, events, inner })
    }

    /// Returns the container, if there had to be one.
    pub(crate) async fn container(&self) -> Option<E::Container> {
        self.inner.lock().await.container.clone()
    }

    /// Whether something may be known of the first request, which is one for Python or the playbook's own.
    pub(crate) async fn may_recall(&self, prepares: bool) -> bool {
        let inner = self.inner.lock().await;
        if !prepares {
            return self.beginning.journal.exists();
        }
        let key = self.records.secret.key(inner.state, [kind(&Wanted::Prepare).as_bytes()]);
        matches!(self.records.find(key), Found::Record(record) if self.is_young(record.at))
    }

    /// Has everything carried out from the start, and remembered anew.
    pub(crate) async fn refresh(&self) {
        let mut inner = self.inner.lock().await;
        inner.recalls = false;
        inner.because = Some("`--refresh` asks for it".to_owned());
    }

    /// Returns what fires when what was replayed turns out to be void. Then the chain is to [begin anew](Self::anew).
    pub(crate) async fn diverged(&self) -> CancellationToken {
        self.inner.lock().await.diverged.clone()
    }

    /// Forgets what was replayed and throws the container away: everything is carried out from the start. Returns what was
    /// another when it was made again.
    pub(crate) async fn anew(&self) -> Result<String, EngineError> {
        let mut inner = self.inner.lock().await;
        let differed = inner.differed.take().unwrap_or_else(|| "a request".to_owned());
        if let Some(container) = inner.container.take() {
            container.remove().await?;
        }
        self.machine.remove_leavings().await?;
        *inner = Progress::new(self.start, inner.snapshot_cost);
        inner.recalls = false;
        inner.because = Some(format!("{differed} came to something else when it was made again"));
        Ok(differed)
    }

    /// Ends the chain's work in a step: keeps the last state, and the journal. Returns how many tasks there were, and how
    /// many of them came from memory.
    pub(crate) async fn finish(&self) -> (usize, usize) {
        let mut inner = self.inner.lock().await;
        let is_there = inner.container.is_some() && inner.again >= inner.past.len();
        if is_there && inner.last_snapshot.elapsed() > inner.snapshot_cost * LAST_MULTIPLE {
            self.keep_state(&mut inner).await;
        }
        let mut journal = inner.journal.clone();
        let tasks = journal.tasks(inner.told);
        inner.told = journal.entries.len();
        journal.at = jiff::Timestamp::now();
        journal.start = self
            .beginning
            .start
            .iter()
            .map(|(name, value)| ((*name).to_owned(), self.records.secret.trace(value.as_bytes())))
            .collect();
        journal.ended.clone_from(&inner.ended);
        journal.because.clone_from(&inner.because);
        journal.write(&self.beginning.journal, self.before.as_ref());
        if let Err(error) = self.records.prune() {
            tracing::warn!(%error, "old records stay");
        }
        tasks
    }

    /// Returns the name of the state that all requests have led to. `None`: not all of them are remembered.
    pub(crate) async fn state(&self) -> Option<String> {
        let inner = self.inner.lock().await;
        let is_known = inner.ended.is_none() && inner.under_way.is_empty();
        is_known.then(|| self.records.secret.snapshot_name(inner.state))
    }

    /// Returns the image that was committed of this state with `config`, unless that is too long ago.
    pub(crate) async fn committed(&self, config: &str) -> Option<ImageId> {
        let inner = self.inner.lock().await;
        if !inner.recalls || inner.ended.is_some() {
            return None;
        }
        match self.records.find(self.commit_key(&inner, config)) {
            Found::Record(Record { at, outcome: Outcome::Image(id), .. }) if self.is_young(at) => {
                id.parse().ok().map(ImageId)
            }
            _ => None,
        }
    }

    /// Remembers the image that was committed of this state.
    pub(crate) async fn remember_commit(&self, config: &str, image: &ImageId) {
        let mut inner = self.inner.lock().await;
        if inner.ended.is_none() && inner.under_way.is_empty() {
            let key = self.commit_key(&inner, config);
            self.save(&mut inner, key, Outcome::Image(image.to_string()));
        }
    }

    fn commit_key(&self, inner: &Progress<E::Container>, config: &str) -> Key {
        self.records.secret.key(inner.state, [b"commit".as_slice(), config.as_bytes()])
    }

    /// Returns the container for what needs one, with all requests made again.
    pub(crate) async fn materialised(&self) -> Result<Live<E::Container>, EngineError> {
        let mut inner = self.inner.lock().await;
        inner.recalls = false;
        self.live(&mut inner, None).await
    }

    /// Removes the container, if there is one.
    pub(crate) async fn remove(&self) -> Result<(), EngineError> {
        let container = self.inner.lock().await.container.take();
        match container {
            Some(container) => container.remove().await,
            None => self.machine.remove_leavings().await,
        }
    }

    pub(super) fn is_young(&self, at: i64) -> bool {
        let age = jiff::Timestamp::now().as_second().saturating_sub(at);
        u64::try_from(age).is_ok_and(|age| age <= self.beginning.max_age.as_secs())
    }
}
