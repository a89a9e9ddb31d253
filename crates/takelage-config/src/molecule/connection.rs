//! The variables by which Ansible reaches the instances of a scenario.

use std::{collections::BTreeMap, path::Path};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{DriverKind, Scenario, python_text};
use crate::{
    Position,
    yaml::{self, Duplicates},
};

/// Options with which Molecule reaches instances over SSH, unless the scenario names others.
const SSH: [&str; 7] = [
    "-o UserKnownHostsFile=/dev/null",
    "-o ControlMaster=auto",
    "-o ControlPersist=60s",
    "-o ForwardX11=no",
    "-o LogLevel=ERROR",
    "-o IdentitiesOnly=yes",
    "-o StrictHostKeyChecking=no",
];

/// Keys of an instance's entry that become a variable of the same name behind `ansible_`.
const SAME: [&str; 8] = [
    "become_pass",
    "become_method",
    "winrm_transport",
    "winrm_cert_pem",
    "winrm_cert_key_pem",
    "winrm_server_cert_validation",
    "shell_type",
    "connection",
];

/// Instance → the variables by which Ansible reaches it.
pub type Connections = IndexMap<String, Map<String, Value>>;

impl Scenario {
    /// Returns how each instance is reached, as far as that is known now.
    ///
    /// Containers that takelage makes are reached through takelage. Others are reached as their driver's plugin has
    /// it; those of the default driver as the create playbook has written into `instance_config.yml`.
    pub fn connections(&self, environment: &BTreeMap<String, String>) -> Connections {
        let config = self.instance_config();
        let connection = |name: &str| {
            let mut variables = match self.driver.kind {
                DriverKind::Containers => self.container(environment),
                _ if !self.driver.managed => match self.driver.options.get("ansible_connection_options") {
                    Some(Value::Object(options)) => options.clone(),
                    _ => Map::new(),
                },
                _ => config.get(name).map(|entry| self.remote(entry)).unwrap_or_default(),
            };
            variables.extend(self.provisioner.connection_options.clone());
            variables
        };
        self.platforms.iter().map(|platform| (platform.name.clone(), connection(&platform.name))).collect()
    }

    /// Returns the entry of an instance in `instance_config.yml`.
    pub fn instance(&self, name: &str) -> Option<Map<String, Value>> {
        self.instance_config().swap_remove(name)
    }

    /// Returns the options of `ssh`.
    pub fn ssh_options(&self) -> Vec<String> {
        if !self.driver.ssh_connection_options.is_empty() {
            return self.driver.ssh_connection_options.clone();
        }
        let common = self.driver.options.get("ansible_connection_options");
        let common =
            common.and_then(|options| options.get("ansible_ssh_common_args")).and_then(Value::as_str);
        SSH.map(str::to_owned).into_iter().chain(common.map(str::to_owned)).collect()
    }

    fn container(&self, environment: &BTreeMap<String, String>) -> Map<String, Value> {
        let plugin = match (self.is_native(), self.driver.name.as_str()) {
            (true, _) => "takelage",
            (false, "podman") => "containers.podman.podman",
            (false, _) => "community.docker.docker",
        };
        let mut variables = Map::from_iter([("ansible_connection".to_owned(), plugin.into())]);
        if let Some(host) = environment.get("DOCKER_HOST") {
            variables.insert("ansible_docker_extra_args".to_owned(), format!("-H={host}").into());
        }
        variables
    }

    fn remote(&self, entry: &Map<String, Value>) -> Map<String, Value> {
        let mut variables = Map::new();
        let mut set = |name: &str, value: Option<&Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                variables.insert(name.to_owned(), value.clone());
            }
        };
        for key in SAME {
            let value = entry.get(key).filter(|value| **value != Value::Bool(false) && **value != "");
            set(&format!("ansible_{key}"), value);
        }
        set("ansible_user", entry.get("user"));
        set("ansible_host", entry.get("address"));
        set("ansible_port", entry.get("port"));
        let some = |key: &str| entry.get(key).filter(|value| !python_text::str(value).is_empty());
        set("ansible_private_key_file", some("identity_file"));
        set("ansible_password", some("password"));
        set("ansible_ssh_pass", some("password"));
        set("ansible_ssh_common_args", Some(&Value::String(self.ssh_options().join(" "))));
        variables
    }

    fn instance_config(&self) -> IndexMap<String, Map<String, Value>> {
        let Some(Value::Array(entries)) = yaml_file(&self.places.instance_config()) else {
            return IndexMap::new();
        };
        let entries = entries.into_iter().filter_map(|entry| match entry {
            Value::Object(entry) => Some((python_text::str(entry.get("instance")?), entry)),
            _ => None,
        });
        entries.collect()
    }
}

/// Reads a YAML file that may not be there, or be written at this moment.
pub(super) fn yaml_file(path: &Path) -> Option<Value> {
    let text = fs_err::read_to_string(path).ok()?;
    yaml::read(&text, Duplicates::LastWins, &|_| Position::START).value
}
