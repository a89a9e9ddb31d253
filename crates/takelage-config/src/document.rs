//! The project file's keys as they are written: the types that the JSON Schema is generated from.
//!
//! Nothing has a meaning here yet: names are not resolved, paths not looked up, amounts not read. The first
//! line of every comment is the description that editors show.

mod container;
mod image;
mod metadata;
mod strict;
mod words;

use indexmap::IndexMap;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use container::{Container, Mounts};
pub(crate) use image::{Bootstrap, Image, Inventory, Prepare};
pub(crate) use metadata::{Config, Healthcheck};
pub(crate) use words::{Command, Text};

/// Returns the JSON Schema (draft 2020-12) of the project file, for editors and for takelage's own check.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .with_transform(strict::without_null)
        .into_generator()
        .into_root_schema_for::<Document>()
        .to_value()
}

/// takelage's project file: images developed, produced and tested from Ansible and pytest code.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "takelage.yml")]
pub(crate) struct Document {
    /// The project's name: lowercase letters and digits, separated by `-`, `_` or `.`. Default: the directory's name.
    pub(crate) name: Option<String>,
    /// Which engine to use. Default: `auto`, the first that works.
    pub(crate) engine: Option<Engine>,
    /// The images, by name. The last one is meant where a command names none.
    #[schemars(extend("minProperties" = 1))]
    pub(crate) images: IndexMap<String, Image>,
    /// How Ansible is run.
    pub(crate) ansible: Option<Ansible>,
    /// How pytest is run.
    pub(crate) pytest: Option<Pytest>,
    /// How much is remembered of what was done before.
    pub(crate) cache: Option<Cache>,
}

/// Which engine to use.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Engine {
    Auto,
    Docker,
    Embedded,
}

/// How Ansible is run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ansible {
    /// The Python package that brings it, such as `ansible` or `ansible-core`.
    pub(crate) package: Option<String>,
    /// The version wanted, such as `12.3.0`. Default: `auto`, takelage's choice.
    pub(crate) version: Option<Text>,
    /// The Python interpreter that Ansible runs with, such as that of a virtual environment.
    pub(crate) python: Option<String>,
    /// Settings for ansible.cfg: section, key, value.
    #[serde(default)]
    pub(crate) config: IndexMap<String, IndexMap<String, Text>>,
    /// The file with roles and collections for `ansible-galaxy install`.
    pub(crate) requirements: Option<String>,
    /// Further arguments of ansible-playbook.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// The file that holds the vault password, or the program that prints it.
    pub(crate) vault_password_file: Option<String>,
    /// Run only tasks with one of these tags.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Leave out tasks with one of these tags.
    #[serde(default)]
    pub(crate) skip_tags: Vec<String>,
}

/// How pytest is run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pytest {
    /// Further arguments of pytest.
    #[serde(default)]
    pub(crate) options: Vec<String>,
    /// Plugins to load, as `pytest -p` takes them.
    #[serde(default)]
    pub(crate) plugins: Vec<String>,
    /// The Python package of pytest itself, such as `pytest==8.4`.
    pub(crate) package: Option<String>,
}

/// How much is remembered of what was done before.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cache {
    /// What was made with content of the network is made again after so long, such as `24h` or `7d`. Default: `24h`.
    pub(crate) max_age: Option<String>,
    /// How large the store may be, such as `20GiB`. Default: `20GiB`.
    pub(crate) size: Option<Text>,
}
