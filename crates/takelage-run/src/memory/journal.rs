//! What a run reused of a container's requests, and why not more.
//!
//! A journal has digests of the parts of requests, made with the store's key, and never the parts themselves. It is compared
//! with the one of the run before, for `explain` to say what was another.

use std::{collections::BTreeMap, path::Path};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use takelage_model::frame::RequestTask;
use takelage_python::memory::Wanted;

use super::{mask::Masked, secret::Secret};
use crate::store::write_whole;

/// What became of the requests of one container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// When the run ended.
    pub(crate) at: jiff::Timestamp,
    /// What the container started as: name → digest.
    pub(crate) start: BTreeMap<String, String>,
    /// The requests, in order.
    pub(crate) entries: Vec<Entry>,
    /// Why nothing was remembered from some request on.
    pub(crate) ended: Option<String>,
    /// Why the first request that was not reused was not.
    pub(crate) because: Option<String>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The task's id in its run.
    #[serde(skip)]
    pub(crate) id: String,
    /// The task's name.
    pub(crate) task: String,
    /// `FILE:LINE`, relative to the project where it lies inside.
    pub(crate) path: String,
    /// The module, or what else was asked for.
    pub(crate) what: String,
    /// What it is made of: name → digest.
    pub(crate) parts: BTreeMap<String, String>,
    /// Whether it came from memory.
    pub(crate) reused: bool,
}

impl Entry {
    /// Describes a request.
    pub(super) fn of(
        wanted: &Wanted,
        parts: &[Masked],
        task: Option<&RequestTask>,
        root: &Path,
        secret: &Secret,
    ) -> Self {
        let (what, names): (&str, &[&str]) = match wanted {
            Wanted::Prepare => ("prepare", &[]),
            Wanted::Exec { .. } => ("command", &["the user", "the command", "what it reads"]),
            Wanted::Put { .. } => ("file", &["the file's path", "the user", "the file's content"]),
            Wanted::Get { .. } => ("fetch", &["the file's path"]),
        };
        let mut described: BTreeMap<String, String> = names
            .iter()
            .zip(parts)
            .map(|(name, part)| ((*name).to_owned(), secret.trace(&part.bytes())))
            .collect();
        let unknown = RequestTask::default();
        let task = task.unwrap_or(&unknown);
        let module = matches!(wanted, Wanted::Exec { stdin, .. } if !stdin.is_empty());
        if module {
            if let Some(input) = described.remove("what it reads") {
                described.insert(SOURCE.to_owned(), input);
            }
            described.extend(
                task.arguments.iter().map(|(name, digest)| {
                    (format!("the argument `{name}`"), secret.trace(digest.as_bytes()))
                }),
            );
        }
        let path = task.path.strip_prefix(&format!("{}/", root.display())).unwrap_or(&task.path);
        Self {
            id: task.id.clone(),
            task: task.name.clone(),
            path: path.to_owned(),
            what: if module && !task.module.is_empty() { task.module.clone() } else { what.to_owned() },
            parts: described,
            reused: false,
        }
    }

    /// Returns the task in a few words.
    pub(super) fn place(&self) -> String {
        match (self.task.is_empty(), self.path.is_empty()) {
            (true, true) => "preparing the container".to_owned(),
            (true, false) => format!("the task at {}", self.path),
            (false, _) => format!("`{}` ({})", self.task, self.path),
        }
    }
}

/// What differs if a module does, or how it is told to behave, but no argument.
const SOURCE: &str = "the module's source, or an option of Ansible";

impl Journal {
    /// Reads the journal at `path`. A damaged one counts as none.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes the journal to `path`, with what it says in comparison with that of the run before.
    pub(super) fn write(mut self, path: &Path, before: Option<&Self>) {
        self.because = self.because.take().or_else(|| self.compared(before));
        let written = serde_json::to_vec(&self)
            .map_err(|error| error.to_string())
            .and_then(|text| write_whole(path, &text).map_err(|error| format!("{error}: {}", error.source)));
        if let Err(error) = written {
            tracing::warn!(%error, "what was reused is not kept for `explain`");
        }
    }

    /// Says why the first request that was not reused was not.
    fn compared(&self, before: Option<&Self>) -> Option<String> {
        let (index, entry) = self.first_run()?;
        let Some(before) = before else { return Some("nothing was remembered before".to_owned()) };
        let start = differing(&self.start, &before.start);
        if !start.is_empty() {
            return Some(format!("{} changed", start.join(", ")));
        }
        let Some(former) = before.entries.get(index) else {
            return Some(match &before.ended {
                Some(ended) => format!("nothing was remembered of it, because {ended}"),
                None => "it is new".to_owned(),
            });
        };
        if (&former.task, &former.what) != (&entry.task, &entry.what) {
            let (former, now) = (former.place(), entry.place());
            return Some(if former == now {
                "its task does something else before".to_owned()
            } else {
                format!("{former} was in its place before")
            });
        }
        let mut parts = differing(&entry.parts, &former.parts);
        // A module's input holds its arguments.
        if parts.len() > 1 {
            parts.retain(|part| part != SOURCE);
        }
        Some(match (parts.as_slice(), &before.ended) {
            ([], Some(ended)) => format!("nothing was remembered of it, because {ended}"),
            ([], None) => "what was remembered of it is gone".to_owned(),
            (parts, _) => format!("{} changed", parts.join(", ")),
        })
    }

    /// Returns the first request that was not reused, with its number.
    fn first_run(&self) -> Option<(usize, &Entry)> {
        self.entries.iter().enumerate().find(|(_, entry)| !entry.reused)
    }

    /// Returns how many tasks asked the container for something since so many requests, and how many of them came from memory whole.
    pub(super) fn tasks(&self, since: usize) -> (usize, usize) {
        let mut tasks: BTreeMap<&str, bool> = BTreeMap::new();
        for entry in self.entries.iter().skip(since).filter(|entry| !entry.id.is_empty()) {
            *tasks.entry(&entry.id).or_insert(true) &= entry.reused;
        }
        (tasks.len(), tasks.values().filter(|reused| **reused).count())
    }

    /// Says what was reused, and what was not.
    pub(crate) fn explanation(self) -> Explanation {
        let reused = self.entries.iter().filter(|entry| entry.reused).count();
        let first = self.first_run().map(|(_, entry)| FirstRun {
            task: entry.task.clone(),
            path: entry.path.clone(),
            what: entry.what.clone(),
            because: self.because.clone().unwrap_or_else(|| "nobody knows why".to_owned()),
        });
        Explanation { at: self.at, requests: self.entries.len(), reused, first, ended: self.ended }
    }
}

/// What the last run reused of the requests to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// When the run ended.
    pub at: jiff::Timestamp,
    /// How many requests there were.
    pub requests: usize,
    /// How many of them came from memory.
    pub reused: usize,
    /// The first that did not.
    pub first: Option<FirstRun>,
    /// Why nothing was remembered from some request on.
    pub ended: Option<String>,
}

/// The first request that did not come from memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstRun {
    /// Its task's name; empty if it was for none.
    pub task: String,
    /// Its task's `FILE:LINE`.
    pub path: String,
    /// The module, or what else was asked for.
    pub what: String,
    /// Why it was carried out.
    pub because: String,
}

/// Returns the names of what is in one of two maps only, or differs in them.
fn differing(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(task: &str, parts: &[(&str, &str)], reused: bool) -> Entry {
        let parts = parts.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect();
        let (task, path) = (task.to_owned(), "site.yml:3".to_owned());
        Entry { id: task.clone(), task, path, what: "copy".to_owned(), parts, reused }
    }

    fn journal(entries: Vec<Entry>) -> Journal {
        Journal { entries, ..Journal::default() }
    }

    #[test]
    fn the_part_that_differs_is_named_and_the_input_only_if_nothing_else_does() {
        let before = journal(vec![entry("a", &[(SOURCE, "1"), ("the argument `mode`", "1")], true)]);
        let now = |source, mode| {
            journal(vec![entry("a", &[(SOURCE, source), ("the argument `mode`", mode)], false)])
                .compared(Some(&before))
                .unwrap()
        };
        assert_eq!(now("2", "2"), "the argument `mode` changed");
        assert_eq!(now("2", "1"), format!("{SOURCE} changed"));
        assert_eq!(now("1", "1"), "what was remembered of it is gone");
    }

    #[test]
    fn a_task_in_another_ones_place_is_named() {
        let before = journal(vec![entry("a", &[], true), entry("b", &[], true)]);
        let now = journal(vec![entry("a", &[], true), entry("c", &[], false)]);
        assert_eq!(now.compared(Some(&before)).unwrap(), "`b` (site.yml:3) was in its place before");
        let longer = journal(vec![entry("a", &[], true), entry("b", &[], true), entry("c", &[], false)]);
        assert_eq!(longer.compared(Some(&before)).unwrap(), "it is new");
        assert_eq!(longer.compared(None).unwrap(), "nothing was remembered before");
        assert_eq!(longer.tasks(0), (3, 2));
    }

    #[test]
    fn another_base_is_named_first() {
        let start = |digest: &str| BTreeMap::from([("the base image".to_owned(), digest.to_owned())]);
        let before = Journal { start: start("1"), ..journal(vec![entry("a", &[], true)]) };
        let now = Journal { start: start("2"), ..journal(vec![entry("a", &[], false)]) };
        assert_eq!(now.compared(Some(&before)).unwrap(), "the base image changed");
    }
}
