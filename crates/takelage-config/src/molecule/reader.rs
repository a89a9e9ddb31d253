//! Reads typed values out of merged files, and collects what is wrong with them.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::merge::Merged;
use crate::{Problem, position::join, suggestion};

/// Reads values by their JSON pointers.
pub(super) struct Reader<'a> {
    pub(super) merged: &'a Merged,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(merged: &'a Merged) -> Self {
        Self { merged, problems: Vec::new(), notes: Vec::new() }
    }

    /// Returns the value at `pointer`; null counts as none.
    pub(super) fn value(&self, pointer: &str) -> Option<&'a Value> {
        self.merged.value.pointer(pointer).filter(|value| !value.is_null())
    }

    pub(super) fn refuse(&mut self, pointer: &str, message: impl Into<String>) {
        self.problems.push(self.merged.problem(pointer, message));
    }

    pub(super) fn refuse_with(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<String>) {
        let problem = self.merged.problem(pointer, message);
        self.problems.push(Problem { hint: Some(hint.into()), ..problem });
    }

    pub(super) fn note(&mut self, pointer: &str, message: impl Into<String>, hint: Option<&str>) {
        let problem = self.merged.problem(pointer, message);
        self.notes.push(Problem { hint: hint.map(str::to_owned), ..problem });
    }

    /// Returns a scalar as text. A number or boolean is taken as it is written.
    pub(super) fn text(&mut self, pointer: &str) -> Option<String> {
        match self.value(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Array(_) | Value::Object(_) => {
                self.refuse(pointer, format!("{} must be a string", subject(pointer)));
                None
            }
            other => Some(self.merged.text(pointer).map_or_else(|| other.to_string(), str::to_owned)),
        }
    }

    /// Returns a boolean; the words that Ansible takes for one will do.
    pub(super) fn boolean(&mut self, pointer: &str) -> Option<bool> {
        let value = match self.value(pointer)? {
            Value::Bool(value) => Some(*value),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" | "" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.refuse(pointer, format!("{} must be `true` or `false`", subject(pointer)));
        }
        value
    }

    /// Returns a list of strings; a single one will do.
    pub(super) fn texts(&mut self, pointer: &str) -> Vec<String> {
        match self.value(pointer) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                (0..items.len()).filter_map(|index| self.text(&format!("{pointer}/{index}"))).collect()
            }
            Some(Value::Object(_)) => {
                self.refuse(pointer, format!("{} must be a list", subject(pointer)));
                Vec::new()
            }
            Some(_) => self.text(pointer).into_iter().collect(),
        }
    }

    /// Returns the number of items of a list.
    pub(super) fn length(&mut self, pointer: &str) -> usize {
        match self.value(pointer) {
            None => 0,
            Some(Value::Array(items)) => items.len(),
            Some(_) => {
                self.refuse(pointer, format!("{} must be a list", subject(pointer)));
                0
            }
        }
    }

    /// Returns a map.
    pub(super) fn map(&mut self, pointer: &str) -> Option<&'a Map<String, Value>> {
        let value = self.value(pointer)?;
        if value.as_object().is_none() {
            self.refuse(pointer, format!("{} must be a map", subject(pointer)));
        }
        value.as_object()
    }

    /// Returns a map of scalars.
    pub(super) fn text_map(&mut self, pointer: &str) -> IndexMap<String, String> {
        let keys: Vec<&String> = self.map(pointer).into_iter().flat_map(Map::keys).collect();
        let mut texts = IndexMap::new();
        for key in keys {
            let at = join(pointer, key);
            if self.value(&at).is_none() {
                self.refuse(&at, format!("{} has no value", subject(&at)));
            } else if let Some(text) = self.text(&at) {
                texts.insert(key.clone(), text);
            }
        }
        texts
    }

    /// Refuses keys that are not among `known`.
    pub(super) fn only(&mut self, pointer: &str, known: &[&str]) {
        let keys: Vec<&String> = self.map(pointer).into_iter().flat_map(Map::keys).collect();
        for key in keys {
            if !known.contains(&key.as_str()) {
                let (message, hint) = unknown(key, known);
                let problem = self.merged.problem(&join(pointer, key), message);
                let at = self.merged.position(&join(pointer, key)).map(|(_, at)| at);
                let at = at.unwrap_or_else(|| problem.position());
                self.problems.push(Problem { line: at.line, column: at.column, hint, ..problem });
            }
        }
    }

    /// Notes keys that are not among `known`: what they say has no effect.
    pub(super) fn mostly(&mut self, pointer: &str, known: &[&str]) {
        let keys: Vec<&String> = self.map(pointer).into_iter().flat_map(Map::keys).collect();
        for key in keys {
            if !known.contains(&key.as_str()) {
                let (message, _) = unknown(key, known);
                self.note(&join(pointer, key), format!("{message}; it has no effect"), None);
            }
        }
    }
}

fn unknown(key: &str, known: &[&str]) -> (String, Option<String>) {
    if let Some(near) = suggestion::nearest(key, known.iter().copied()) {
        return (format!("unknown key `{key}`, did you mean `{near}`?"), None);
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    (format!("unknown key `{key}`"), Some(format!("known here are {}", names.join(", "))))
}

/// Says what a pointer points to, in the words of the file: `` `driver.name` ``.
pub(super) fn subject(pointer: &str) -> String {
    let path = pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
    if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") }
}
