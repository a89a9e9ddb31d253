//! What may differ between the two sides, and why.
//!
//! | what | why |
//! | --- | --- |
//! | the ephemeral directory's place | names of two checkouts must not meet |
//! | calls of the bundled create and destroy playbooks | takelage's engine makes the containers |
//! | `ansible_connection` of such containers | they are reached through takelage |
//! | `-p takelage_pytest` | lets checks reach them, and tells their results |
//! | paths of Python's own packages in `ANSIBLE_COLLECTIONS_PATH` | Ansible looks there by itself |
//! | a path in `ANSIBLE_ROLES_PATH` for the project's own role | Molecule links it into the user's home |
//! | `-v` of `v: true` in `provisioner.options` | Molecule loses it |
//! | `MOLECULE_NO_LOG` and the like that are set by nobody | are not there on either side |

use std::path::Path;

use serde_json::Value;

use crate::side::Side;

/// Returns a recorded call with words in place of what may differ, or none if it is one that only Molecule makes.
pub(crate) fn call(side: Side, directory: &Path, line: &str) -> Option<Value> {
    let mut call: Value = serde_json::from_str(line).unwrap();
    let ephemeral = call["env"]["MOLECULE_EPHEMERAL_DIRECTORY"].as_str().unwrap().to_owned();
    let directory = directory.display().to_string();
    let replace = |text: &str| text.replace(&ephemeral, "<E>").replace(&directory, "<DIR>");
    each_text(&mut call, &replace);
    let argv = call["argv"].as_array_mut().unwrap();
    if argv.last().and_then(Value::as_str).is_some_and(|path| path.contains("/molecule_plugins/")) {
        return None;
    }
    if side == Side::Takelage && argv[0] == "pytest" {
        assert_eq!(argv[1..3], ["-p", "takelage_pytest"]);
        argv.drain(1..3);
    }
    if side == Side::Takelage && argv[0] == "ansible-playbook" {
        argv.retain(|argument| argument != "-v");
    }
    for name in ["ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_ROLES_PATH"] {
        if let Some(Value::String(paths)) = call["env"].get_mut(name) {
            let differs = |path: &&str| !path.contains("site-packages") && !path.starts_with("<DIR>/cache/");
            *paths = paths.split(':').filter(differs).collect::<Vec<_>>().join(":");
        }
    }
    connection(&mut call["files"]["inventory/ansible_inventory.yml"]);
    Some(call)
}

/// Makes the connections to containers the same.
fn connection(value: &mut Value) {
    if let Value::Object(map) = value {
        if let Some(Value::String(plugin)) = map.get_mut("ansible_connection")
            && matches!(plugin.as_str(), "takelage" | "community.docker.docker")
        {
            "<CONTAINER>".clone_into(plugin);
        }
        map.values_mut().for_each(connection);
    }
}

fn each_text(value: &mut Value, replace: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = replace(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, replace)),
        Value::Object(map) => map.values_mut().for_each(|item| each_text(item, replace)),
        _ => {}
    }
}

/// Adds what differs between two values, by the way that leads there.
pub(crate) fn differences(at: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for key in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key))) {
                let [ours, theirs] = [ours, theirs].map(|map| map.get(key).unwrap_or(&Value::Null));
                differences(&format!("{at}/{key}"), ours, theirs, found);
            }
        }
        (ours, theirs) if ours == theirs => {}
        (ours, theirs) => found.push(format!("{at}: {ours} instead of {theirs}")),
    }
}
