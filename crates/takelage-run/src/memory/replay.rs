//! Answering requests from memory, and remembering what is carried out.

use std::sync::Arc;

use takelage_engine::{Engine, EngineError};
use takelage_model::{event::Level, frame::RequestTask};
use takelage_python::memory::{Answer, Diverged, Live, Memory, Promise, Recall, Ticket, Wanted, Worth};

use super::{
    Chain, compare,
    fingerprint::fingerprint,
    journal::Entry,
    mask::{Mask, Masked},
    progress::{Past, Pending, Progress},
    record::{Outcome, Record},
    records::Found,
    secret::Key,
};

impl<E: Engine> Chain<E> {
    /// Records an outcome, and moves on to the state after it.
    pub(super) fn save(&self, inner: &mut Progress<E::Container>, key: Key, outcome: Outcome) {
        let saved = self.records.secret.draw().and_then(|id| {
            let record = Record { id, at: jiff::Timestamp::now().as_second(), outcome };
            self.records.save(key, &record).map(|()| id)
        });
        match saved {
            Ok(id) => inner.state = self.records.secret.after(key, &id),
            Err(error) => {
                let message = format!("nothing more is remembered of `{}`: {error}", self.machine.name());
                self.events.note(Level::Warning, message, None);
                inner.end("nothing could be written to the cache directory");
            }
        }
    }

    /// Looks up what a request came to.
    pub(super) fn find(&self, inner: &mut Progress<E::Container>, key: Key) -> Option<(Record, Answer)> {
        let because = match self.records.find(key) {
            Found::Record(record) if self.is_young(record.at) => match record.outcome.answer(&inner.mask) {
                Some(answer) => return Some((record, answer)),
                None => "what was remembered of it is damaged",
            },
            Found::Record(_) => "what was remembered of it is older than `cache.max_age`",
            Found::Damaged => "what was remembered of it is damaged",
            Found::Missing => return None,
        };
        if because.ends_with("damaged") {
            self.events.note(Level::Warning, format!("`{}`: {because}", self.machine.name()), None);
        }
        inner.because = Some(because.to_owned());
        None
    }

    pub(super) async fn answer(
        &self,
        wanted: &Arc<Wanted>,
        task: Option<&RequestTask>,
    ) -> Result<Recall<E::Container>, EngineError> {
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        if let Some(task) = task {
            inner.mask.learn(&task.random);
        }
        match task {
            Some(RequestTask { ends: Some(reason), path, .. }) => {
                let place = path.rsplit('/').next().unwrap_or(path);
                inner.end(&format!("of the task at {place}: {reason}"));
            }
            None if **wanted != Wanted::Prepare => inner.end("nobody knows what it was for"),
            _ if !inner.under_way.is_empty() => inner.end("two requests were made at once"),
            _ => {}
        }
        inner.has_left_directories = inner.mask.has_left_directories();
        let parts = masked(wanted, &mut inner.mask);
        let secret = &self.records.secret;
        let entry = Entry::of(wanted, &parts, task, &self.beginning.root, secret);
        if inner.ended.is_some() {
            inner.journal.entries.push(entry);
            return Ok(Recall::Live(self.live(inner, None).await?));
        }
        let bytes: Vec<Vec<u8>> = parts.iter().map(Masked::bytes).collect();
        let kind = kind(wanted).as_bytes();
        let key = secret.key(inner.state, std::iter::once(kind).chain(bytes.iter().map(Vec::as_slice)));
        if inner.recalls
            && let Some((record, answer)) = self.find(inner, key)
        {
            inner.state = secret.after(key, &record.id);
            inner.journal.entries.push(Entry { reused: true, ..entry });
            inner.known.push((task.map(|task| task.id.clone()).unwrap_or_default(), key));
            // A module comes as a program; other commands answer for themselves.
            let is_module = matches!(&**wanted, Wanted::Exec { stdin, .. } if !stdin.is_empty());
            let module = task.filter(|_| is_module).map(|task| task.module.clone()).unwrap_or_default();
            let past = Past {
                wanted: inner.payloads.hold(wanted),
                outcome: record.outcome,
                module,
                state: inner.state,
            };
            inner.past.push(past);
            inner.again = inner.past.len();
            return Ok(Recall::Known(answer));
        }
        inner.recalls = false;
        inner.journal.entries.push(entry);
        inner.tickets += 1;
        let live = self.live(inner, Some(Ticket(inner.tickets))).await?;
        inner.under_way.push(Pending {
            ticket: inner.tickets,
            key,
            task: task.map(|task| task.id.clone()).unwrap_or_default(),
            is_preparation: **wanted == Wanted::Prepare,
        });
        Ok(Recall::Live(live))
    }
}

impl<E: Engine> Memory<E::Container> for Chain<E> {
    fn recall<'a>(
        &'a self,
        wanted: &'a Arc<Wanted>,
        task: Option<&'a RequestTask>,
    ) -> Promise<'a, Result<Recall<E::Container>, EngineError>> {
        Box::pin(self.answer(wanted, task))
    }

    fn forgo(&self, why: String) -> Promise<'_, Result<Live<E::Container>, EngineError>> {
        Box::pin(async move {
            let mut inner = self.inner.lock().await;
            inner.end(&why);
            self.live(&mut inner, None).await
        })
    }

    fn repeated<'a>(&'a self, answer: Option<&'a Answer>) -> Promise<'a, Result<Worth, Diverged>> {
        Box::pin(async move {
            let mut inner = self.inner.lock().await;
            let Some(past) = inner.past.get(inner.again) else { return Err(Diverged) };
            let same = answer.is_some_and(|answer| {
                compare::same(&past.outcome, &Outcome::of(answer, &inner.mask), &past.module)
            });
            if !same {
                tracing::debug!(module = past.module, "a request had another answer when it was made again");
                inner.differed = inner.journal.entries.get(inner.again).map(Entry::place);
                inner.diverged.cancel();
                return Err(Diverged);
            }
            if past.wanted.is_preparation()
                && let Some(container) = inner.container.clone()
            {
                inner.began = fingerprint(&container).await;
            }
            inner.again += 1;
            // Whoever edits a task edits it again; then nothing before it is made again.
            let is_last = inner.again == inner.past.len();
            let long = inner.last_snapshot.elapsed() > inner.snapshot_cost;
            inner.made_again = is_last && long && inner.is_worth_keeping();
            Ok(if inner.made_again { Worth::Keeping } else { Worth::Nothing })
        })
    }

    fn remember<'a>(&'a self, ticket: Ticket, answer: Option<&'a Answer>) -> Promise<'a, Worth> {
        Box::pin(async move {
            let mut inner = self.inner.lock().await;
            let inner = &mut *inner;
            let Some(index) = inner.under_way.iter().position(|pending| pending.ticket == ticket.0) else {
                return Worth::Nothing;
            };
            let pending = inner.under_way.remove(index);
            if pending.is_preparation
                && let Some(container) = inner.container.clone()
            {
                inner.began = fingerprint(&container).await;
            }
            if inner.ended.is_some() {
                return Worth::Nothing;
            }
            let Some(answer) = answer else {
                inner.end("nobody knows what came of a request, or it was too much");
                return Worth::Nothing;
            };
            inner.has_left_directories = inner.mask.has_left_directories();
            let outcome = Outcome::of(answer, &inner.mask);
            inner.known.push((pending.task, pending.key));
            self.save(inner, pending.key, outcome);
            if inner.is_time_to_keep() && inner.is_worth_keeping() { Worth::Keeping } else { Worth::Nothing }
        })
    }

    fn is_quiet(&self) -> Promise<'_, bool> {
        Box::pin(async move {
            let inner = self.inner.lock().await;
            inner.ended.is_none() && inner.under_way.is_empty()
        })
    }

    fn keep(&self) -> Promise<'_, ()> {
        Box::pin(async move {
            let mut inner = self.inner.lock().await;
            self.keep_state(&mut inner).await;
        })
    }

    fn failed<'a>(&'a self, task: &'a str) -> Promise<'a, ()> {
        Box::pin(async move {
            let mut inner = self.inner.lock().await;
            for (_, key) in inner.known.iter().filter(|(of, _)| of == task) {
                self.records.forget(*key);
            }
            inner.end("a task failed");
        })
    }
}

/// Returns the kind of a request, for its key.
pub(super) fn kind(wanted: &Wanted) -> &'static str {
    match wanted {
        Wanted::Prepare => "prepare",
        Wanted::Exec { .. } => "exec",
        Wanted::Put { .. } => "put",
        Wanted::Get { .. } => "get",
    }
}

/// Returns everything that a request is made of. How a warm interpreter is started follows from the command.
fn masked(wanted: &Wanted, mask: &mut Mask) -> Vec<Masked> {
    let user = |user: &Option<String>| match user {
        // No user at all is another one than one without a name.
        Some(user) => format!("as {user}"),
        None => String::new(),
    };
    match wanted {
        Wanted::Prepare => Vec::new(),
        Wanted::Exec { argv, user: as_user, stdin, .. } => {
            let argv = serde_json::to_vec(argv).expect("texts are JSON");
            let parts = [user(as_user).as_bytes(), &argv, stdin].map(|part| mask.request(part)).to_vec();
            mask.asked(&parts[1]);
            parts
        }
        Wanted::Put { path, user: as_user, content } => {
            [path.as_bytes(), user(as_user).as_bytes(), content].map(|part| mask.request(part)).to_vec()
        }
        Wanted::Get { path } => vec![mask.request(path.as_bytes())],
    }
}
