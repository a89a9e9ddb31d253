//! What a run of the playbook told: every result that callbacks see, and every variable that tasks registered.

use std::path::Path;

use fs_err as fs;
use serde_json::{Map, Value};

use crate::{
    difference::Differences,
    normalise::{self, Normaliser},
    side::Mode,
};

/// Tasks and their variables whose results differ, and why that is right.
const ACCEPTED: [(&str, &str); 2] = [
    // takelage says `Incorrect sudo password`, as Ansible's own connections do. community.docker lets sudo read the
    // module as the next passwords, and Ansible then complains about a module without a result.
    ("root by a wrong password", "r_password_wrong"),
    // Docker writes to the standard output of a command that its user does not exist, takelage to its standard error.
    ("a connecting user who is not there", "r_user_unknown"),
];

/// The results of one run, normalised.
#[derive(Debug)]
pub(crate) struct Results {
    /// In order: the event, the task, the host, and the result.
    seen: Vec<Value>,
    /// Variable → result.
    registered: Map<String, Value>,
}

impl Results {
    /// Reads what a run left in a side's directory.
    pub(crate) fn read(directory: &Path) -> Self {
        let normaliser = Normaliser::new(directory);
        let record = fs::read_to_string(directory.join("record.jsonl")).unwrap();
        let seen = record.lines().map(|line| normaliser.value(normalise::json(line))).collect();
        let registered = fs::read_to_string(directory.join("scratch/registered.json")).unwrap();
        let Value::Object(registered) = normalise::json(&registered) else {
            panic!("no variables: {registered}")
        };
        let registered =
            registered.into_iter().map(|(name, value)| (name, normaliser.value(value))).collect();
        Self { seen, registered }
    }
}

/// Compares two runs and returns how many results were compared.
pub(crate) fn compare(ours: &Results, stock: &Results, mode: Mode, differences: &mut Differences) -> usize {
    let run = format!("{mode:?}").to_lowercase();
    for (at, (left, right)) in ours.seen.iter().zip(&stock.seen).enumerate() {
        let heads = [left, right].map(|line| format!("{} {}", line["event"], line["task"]));
        if heads[0] != heads[1] {
            // Whatever follows is out of step.
            differences.add(&format!("{run}, event {at}"), &heads[0], &heads[1]);
            break;
        }
        if !ACCEPTED.iter().any(|(task, _)| left["task"] == *task) {
            differences.values(&format!("{run}, seen: {}", heads[0]), left, right);
        }
    }
    if ours.seen.len() != stock.seen.len() {
        let [left, right] = [ours, stock].map(|side| side.seen.len().to_string());
        differences.add(&format!("{run}, number of events"), &left, &right);
    }
    let [left, right] = [ours, stock].map(|side| {
        let registered = side.registered.clone().into_iter();
        Value::Object(
            registered.filter(|(name, _)| !ACCEPTED.iter().any(|(_, known)| name == known)).collect(),
        )
    });
    differences.values(&format!("{run}, registered"), &left, &right);
    let least = if mode == Mode::Again { 80 } else { 120 };
    assert!(stock.registered.len() >= least, "only {} results are registered", stock.registered.len());
    stock.seen.len() + stock.registered.len()
}
