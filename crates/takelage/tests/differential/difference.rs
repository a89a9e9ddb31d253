//! What differs, so that a reader sees it at once.

use std::fmt::Write as _;

use serde_json::Value;

use crate::filesystem::Files;

/// All differences that were found.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    lines: Vec<String>,
}

/// Characters of a value that are shown.
const SHOWN: usize = 300;

impl Differences {
    /// Adds a difference.
    pub(crate) fn add(&mut self, place: &str, ours: &str, stock: &str) {
        let (ours, stock) = around(ours, stock);
        self.lines.push(format!("{place}\n    takelage: {ours}\n    stock:    {stock}"));
    }

    /// Adds what differs between two values, each leaf with its path.
    pub(crate) fn values(&mut self, place: &str, ours: &Value, stock: &Value) {
        match (ours, stock) {
            (Value::Object(left), Value::Object(right)) => {
                for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                    let place = format!("{place} › {key}");
                    match (left.get(key), right.get(key)) {
                        (Some(left), Some(right)) => self.values(&place, left, right),
                        (left, right) => self.add(&place, &shown(left), &shown(right)),
                    }
                }
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (at, (left, right)) in left.iter().zip(right).enumerate() {
                    self.values(&format!("{place}[{at}]"), left, right);
                }
            }
            (left, right) if left == right => {}
            (left, right) => self.add(place, &shown(Some(left)), &shown(Some(right))),
        }
    }

    /// Adds what differs between two sets of files.
    pub(crate) fn files(&mut self, place: &str, ours: &Files, stock: &Files) {
        for path in ours.keys().chain(stock.keys().filter(|path| !ours.contains_key(*path))) {
            let [left, right] =
                [ours, stock].map(|files| files.get(path).map_or("nothing", String::as_str).to_owned());
            if left != right {
                self.add(&format!("{place}: {path}"), &left, &right);
            }
        }
    }

    /// Ends the test: it fails if anything differs.
    pub(crate) fn end(self, compared: &str) {
        let mut report = format!("compared: {compared}");
        for line in &self.lines {
            let _ = write!(report, "\n{line}");
        }
        assert!(self.lines.is_empty(), "{} differences\n{report}", self.lines.len());
        println!("{report}");
    }
}

/// Returns how many values without parts of their own a value has.
pub(crate) fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// Shortens two texts to what lies around their first difference.
fn around(ours: &str, stock: &str) -> (String, String) {
    let same = ours.chars().zip(stock.chars()).take_while(|(left, right)| left == right).count();
    let start =
        if ours.chars().count().max(stock.chars().count()) <= SHOWN { 0 } else { same.saturating_sub(40) };
    let cut = |text: &str| {
        let shown: String = text.chars().skip(start).take(SHOWN).collect();
        let before = if start > 0 { "…" } else { "" };
        let after = if text.chars().count() > start + SHOWN { "…" } else { "" };
        format!("{before}{shown}{after}")
    };
    (cut(ours), cut(stock))
}
