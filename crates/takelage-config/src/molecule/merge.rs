//! Several files as one value, as Molecule merges them, with the place of everything in it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    Position, Problem,
    position::{Mark, Marks, join},
};

/// A value, and where each part of it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged {
    pub(super) value: Value,
    places: HashMap<String, Place>,
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
struct Place {
    file: usize,
    mark: Mark,
}

impl Merged {
    /// Adds a file: maps are merged, everything else is replaced, lists too.
    pub(super) fn add(&mut self, file: &Path, value: Value, marks: Marks) {
        if self.value.is_null() {
            self.value = Value::Object(Map::new());
        }
        let mut replaced = Vec::new();
        combine(&mut self.value, value, "", &mut replaced);
        for pointer in replaced {
            self.forget(&pointer);
        }
        let index = self.files.len();
        self.files.push(file.to_owned());
        self.places
            .extend(marks.into_entries().map(|(pointer, mark)| (pointer, Place { file: index, mark })));
    }

    /// Puts the values below those of `defaults`. A map that is written without a value counts as not written.
    pub(super) fn on_top_of(&mut self, mut defaults: Value) {
        let mut value = std::mem::take(&mut self.value);
        leave_out(&mut value, &defaults);
        combine(&mut defaults, value, "", &mut Vec::new());
        self.value = defaults;
    }

    /// Moves the value at `from` to `to`, in place of what was there. Says whether there was anything at both.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Renamed {
        let Some(value) = take(&mut self.value, from) else { return Renamed::Nothing };
        let moved: Vec<_> = self
            .places
            .iter()
            .filter_map(|(pointer, place)| Some((format!("{to}{}", below(pointer, from)?), place.clone())))
            .collect();
        let replaced = self.value.pointer(to).is_some().then(|| self.position(to)).flatten();
        let replaced = replaced.map(|(file, at)| (file.to_owned(), at));
        self.forget(from);
        self.forget(to);
        set(&mut self.value, to, value);
        self.places.extend(moved);
        match replaced {
            Some((file, at)) => Renamed::Replaced { file, at },
            None => Renamed::Moved,
        }
    }

    /// Returns the file and the position of the key at `pointer`, or of the nearest value around it.
    pub(super) fn position(&self, mut pointer: &str) -> Option<(&Path, Position)> {
        loop {
            if let Some(place) = self.places.get(pointer) {
                let at = place.mark.key.unwrap_or(place.mark.value);
                return Some((&self.files[place.file], at));
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    /// Returns a scalar as it is written: `1.10` where the value is the number 1.1.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.places.get(pointer)?.mark.text.as_deref()
    }

    /// Makes a problem of the value at `pointer`, at its value rather than its key.
    pub(super) fn problem(&self, pointer: &str, message: impl Into<String>) -> Problem {
        let place = self.places.get(pointer).map(|place| (&*self.files[place.file], place.mark.value));
        let (file, at) = place.or_else(|| self.position(pointer)).unwrap_or_else(|| {
            (self.files.last().map_or(Path::new("molecule.yml"), PathBuf::as_path), Position::START)
        });
        Problem {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            message: message.into(),
            hint: None,
        }
    }

    fn forget(&mut self, pointer: &str) {
        self.places.retain(|known, _| below(known, pointer).is_none());
    }
}

/// What became of a key that has a new name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renamed {
    /// It was not there.
    Nothing,
    /// It has its new name.
    Moved,
    /// It took the place of what stood there under the new name.
    Replaced { file: PathBuf, at: Position },
}

/// Returns the rest of `pointer` behind `parent`, if it is the same or inside of it.
fn below<'a>(pointer: &'a str, parent: &str) -> Option<&'a str> {
    pointer.strip_prefix(parent).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn combine(into: &mut Value, from: Value, pointer: &str, replaced: &mut Vec<String>) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                let pointer = join(pointer, &key);
                match into.get_mut(&key) {
                    Some(known) => combine(known, value, &pointer, replaced),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (into, from) => {
            replaced.push(pointer.to_owned());
            *into = from;
        }
    }
}

/// Takes keys out of `value` that are null where the default is a map.
fn leave_out(value: &mut Value, defaults: &Value) {
    if let (Value::Object(map), Value::Object(defaults)) = (value, defaults) {
        map.retain(|key, value| !value.is_null() || !defaults.get(key).is_some_and(Value::is_object));
        for (key, value) in map.iter_mut() {
            leave_out(value, defaults.get(key).unwrap_or(&Value::Null));
        }
    }
}

fn take(value: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    value.pointer_mut(parent)?.as_object_mut()?.shift_remove(key)
}

fn set(root: &mut Value, pointer: &str, value: Value) {
    let mut at = root;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(map) = at else { return };
        at = map.entry(key).or_insert(Value::Null);
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::{self, Duplicates};

    fn merged(texts: &[&str]) -> Merged {
        let mut merged = Merged::default();
        for (index, text) in texts.iter().enumerate() {
            let place = |index: usize| {
                let before: String = text.chars().take(index).collect();
                let line = before.matches('\n').count() + 1;
                Position { line, column: before.chars().rev().take_while(|c| *c != '\n').count() + 1 }
            };
            let document = yaml::read(text, Duplicates::LastWins, &place);
            assert_eq!(document.faults, []);
            let file = PathBuf::from(format!("{index}.yml"));
            merged.add(&file, document.value.unwrap_or_default(), document.marks);
        }
        merged
    }

    #[test]
    fn maps_merge_and_lists_replace_and_each_value_knows_its_file() {
        let merged = merged(&[
            "driver: {name: docker, options: {a: 1}}\nlist: [1, 2]\n",
            "driver:\n  name: x\nlist: [3]\n",
        ]);
        assert_eq!(merged.value, json!({"driver": {"name": "x", "options": {"a": 1}}, "list": [3]}));
        let place = |pointer| merged.position(pointer).map(|(file, at)| format!("{}:{at}", file.display()));
        assert_eq!(place("/driver/name").as_deref(), Some("1.yml:2:3"));
        assert_eq!(place("/driver/options/a").as_deref(), Some("0.yml:1:34"));
        assert_eq!(place("/list/1").as_deref(), Some("1.yml:3:1"), "the first file's items are gone");
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(merged(&["a: 1\nb: 2\na: 3\n"]).value, json!({"b": 2, "a": 3}));
    }

    #[test]
    fn a_renamed_key_takes_its_place_along_and_says_what_it_replaced() {
        let mut merged = merged(&["provisioner:\n  env: {A: 1}\nansible:\n  env: {B: 2}\n"]);
        let renamed = merged.rename("/provisioner/env", "/ansible/env");
        assert_eq!(renamed, Renamed::Replaced { file: "0.yml".into(), at: Position { line: 4, column: 3 } });
        assert_eq!(merged.value, json!({"provisioner": {}, "ansible": {"env": {"A": 1}}}));
        assert_eq!(merged.position("/ansible/env/A").map(|(_, at)| at.line), Some(2));
        assert_eq!(merged.rename("/provisioner/env", "/ansible/env"), Renamed::Nothing);
        assert_eq!(merged.rename("/ansible/env", "/ansible/executor/args/x"), Renamed::Moved);
        assert_eq!(merged.value["ansible"]["executor"]["args"]["x"], json!({"A": 1}));
    }

    #[test]
    fn an_empty_map_leaves_the_defaults_and_a_null_value_replaces_them() {
        let mut merged = merged(&["driver:\nverifier: {name: null}\n"]);
        merged.on_top_of(json!({"driver": {"name": "default"}, "verifier": {"name": "ansible"}}));
        assert_eq!(merged.value, json!({"driver": {"name": "default"}, "verifier": {"name": null}}));
    }
}
