//! The one place that puts what happens into one order: it numbers events and hands them to the reports.
//!
//! Facts come over an unbounded channel and are never dropped. Progress comes over a small bounded one, and
//! whoever finds it full drops the report: a slow terminal must never slow down the work.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use takelage_model::{
    RunId,
    event::{Event, EventKind, Level, SCHEMA, Step},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// The sending side: whoever works has one.
#[derive(Debug, Clone)]
pub struct Events {
    facts: mpsc::UnboundedSender<EventKind>,
    progress: mpsc::Sender<EventKind>,
}

impl Events {
    /// Emits a fact.
    pub fn emit(&self, kind: EventKind) {
        // The dispatcher outlives all work; if it is gone, nobody listens any more.
        let _ = self.facts.send(kind);
    }

    /// Emits a note, with a hint in the imperative.
    pub fn note(&self, level: Level, message: impl Into<String>, hint: Option<String>) {
        self.emit(EventKind::Note { level, message: message.into(), hint });
    }

    /// Reports how far a long operation is; dropped if the reports do not keep up.
    pub fn progress(&self, step: &Step, what: &str, done: u64, total: Option<u64>, unit: &str) {
        let _ = self.progress.try_send(EventKind::Progress {
            step: step.clone(),
            what: what.to_owned(),
            done,
            total,
            unit: unit.to_owned(),
        });
    }

    /// The channel for facts, for crates that emit events themselves.
    pub fn facts(&self) -> mpsc::UnboundedSender<EventKind> {
        self.facts.clone()
    }
}

/// The receiving side, running on a task of its own.
#[derive(Debug)]
pub struct Dispatcher<S> {
    task: JoinHandle<S>,
}

impl<S: Send + 'static> Dispatcher<S> {
    /// Starts numbering; `handle` is called for each event in order, with `sink` as its state.
    pub fn start(
        run: RunId,
        mut sink: S,
        handle: impl Fn(&mut S, &Event) + Send + 'static,
    ) -> (Self, Events) {
        let (facts, mut from_facts) = mpsc::unbounded_channel();
        let (progress, mut from_progress) = mpsc::channel(64);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let mut index = 0;
            loop {
                let kind = tokio::select! {
                    biased;
                    fact = from_facts.recv() => fact,
                    Some(progress) = from_progress.recv() => Some(progress),
                };
                let Some(kind) = kind else { return sink };
                let elapsed: Duration = began.elapsed();
                let event =
                    Event { schema: SCHEMA, run: run.clone(), index, at: Timestamp::now(), elapsed, kind };
                handle(&mut sink, &event);
                index += 1;
            }
        });
        (Self { task }, Events { facts, progress })
    }

    /// Waits until every sender is gone and every event handled; returns the sink.
    ///
    /// `None` only if the sink itself panicked.
    pub async fn finish(self) -> Option<S> {
        self.task.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_numbered_without_gaps_and_facts_survive_a_flood_of_progress() {
        let (dispatcher, events) =
            Dispatcher::start(RunId::from_random([0; 6]), Vec::new(), |seen: &mut Vec<Event>, event| {
                seen.push(event.clone());
            });
        let step =
            Step { image: "app".parse().unwrap(), op: takelage_model::event::Op::Resolve, layer: None };
        for n in 0..1000 {
            events.progress(&step, "download", n, None, "bytes");
        }
        events.note(Level::Info, "after the flood", None);
        drop(events);
        let seen = dispatcher.finish().await.unwrap();
        assert!(seen.iter().enumerate().all(|(n, event)| event.index == n as u64));
        assert!(seen.iter().any(|event| matches!(event.kind, EventKind::Note { .. })));
        assert!(seen.len() < 1000, "progress is bounded");
    }
}
