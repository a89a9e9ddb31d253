//! The inventory, as Molecule generates it.

use serde_json::{Map, Value, json};

use super::{Connections, Scenario};

impl Scenario {
    /// Returns the content of `ansible_inventory.yml`: all instances with their variables, in all their groups.
    pub fn inventory(&self, connections: &Connections) -> Value {
        let variables = variables();
        let mut groups = Map::new();
        groups.insert("all".to_owned(), json!({ "vars": variables }));
        groups.insert("ungrouped".to_owned(), json!({ "vars": {} }));
        for platform in &self.platforms {
            let own = connections.get(&platform.name).cloned().unwrap_or_default();
            let ungrouped = [String::from("ungrouped")];
            for name in platform.groups.as_deref().unwrap_or(&ungrouped) {
                host(&mut groups, "all", &platform.name, &own);
                host(&mut groups, name, &platform.name, &own);
                let group = &mut groups[name];
                group["vars"] = variables.clone();
                for child in &platform.children {
                    group["children"][child]["hosts"][&platform.name] = Value::Object(own.clone());
                }
            }
        }
        Value::Object(groups)
    }
}

fn host(groups: &mut Map<String, Value>, group: &str, name: &str, own: &Map<String, Value>) {
    let group = groups.entry(group).or_insert_with(|| json!({}));
    group["hosts"][name] = Value::Object(own.clone());
}

/// Returns the variables that every play has, those of this host too. They are read when they are used.
fn variables() -> Value {
    json!({
        "molecule_file": "{{ lookup('env', 'MOLECULE_FILE') }}",
        "molecule_ephemeral_directory": "{{ lookup('env', 'MOLECULE_EPHEMERAL_DIRECTORY') }}",
        "molecule_scenario_directory": "{{ lookup('env', 'MOLECULE_SCENARIO_DIRECTORY') }}",
        "molecule_yml": "{{ lookup('file', molecule_file) | from_yaml }}",
        "molecule_instance_config": "{{ lookup('env', 'MOLECULE_INSTANCE_CONFIG') }}",
        "molecule_no_log":
            "{{ lookup('env', 'MOLECULE_NO_LOG') or not molecule_yml.provisioner.log|default(False) | bool }}",
    })
}
