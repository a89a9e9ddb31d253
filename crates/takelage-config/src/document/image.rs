//! `images:` as written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Config, Container};

/// An image: what it is based on, how it is provisioned, tested and named.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// What it is based on: an image of this file, a reference, or `oci-archive:`, `docker-archive:` or `rootfs:` and a path.
    pub(crate) from: Option<String>,
    /// Make it from Debian's packages, in place of `from`.
    pub(crate) bootstrap: Option<Bootstrap>,
    /// The playbook that provisions it.
    pub(crate) playbook: Option<String>,
    /// Names of playbooks `playbook-NAME.yml`, each committed as a layer of its own, in place of `playbook`.
    #[serde(default)]
    pub(crate) layers: Vec<String>,
    /// What is done before Ansible. Default: `python`, which installs Python where it is missing.
    pub(crate) prepare: Option<Prepare>,
    /// Directories in which Ansible looks for roles first.
    #[serde(default)]
    pub(crate) roles_path: Vec<String>,
    /// Variables that win over all others.
    #[serde(default)]
    pub(crate) extra_vars: Map<String, Value>,
    /// Ansible's view of the container.
    pub(crate) inventory: Option<Inventory>,
    /// How containers of this image are created.
    pub(crate) container: Option<Container>,
    /// The file or directory of its pytest checks.
    pub(crate) tests: Option<String>,
    /// What changes in the metadata of the base image.
    pub(crate) config: Option<Config>,
    /// What provisioning has written and the produced image is rid of: `caches`, `logs`, `identity`, `bytecode`, `temporary`,
    /// `backups`, and absolute paths, in which `*` and `**` are patterns. `takelage inspect` shows what there is.
    #[serde(default)]
    pub(crate) clean: Vec<String>,
    /// All names that the produced image gets.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// A Debian system made from packages alone, without a registry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bootstrap {
    /// The release, such as `bookworm` or `trixie`.
    pub(crate) suite: String,
    /// Packages in addition to the essential ones.
    #[serde(default)]
    pub(crate) include: Vec<String>,
    /// The address of the archive. Default: the host's own mirror, else Debian's.
    pub(crate) mirror: Option<String>,
    /// The archive's components. Default: `[main]`.
    #[schemars(extend("minItems" = 1))]
    pub(crate) components: Option<Vec<String>>,
    /// The processor in Debian's words, such as `amd64`. Default: the host's.
    pub(crate) architecture: Option<String>,
}

/// What is done to the container before Ansible.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Prepare {
    Python,
    None,
}

/// Ansible's view of the container.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inventory {
    /// Groups that the container's host belongs to.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// Variables per host.
    #[serde(default)]
    pub(crate) host_vars: IndexMap<String, Map<String, Value>>,
    /// Variables per group.
    #[serde(default)]
    pub(crate) group_vars: IndexMap<String, Map<String, Value>>,
    /// Files and directories of an existing inventory, used in place.
    pub(crate) links: Option<Links>,
}

/// Files and directories of an existing inventory, used in place.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    /// An inventory file or directory.
    pub(crate) hosts: Option<String>,
    /// A directory of group variables.
    pub(crate) group_vars: Option<String>,
    /// A directory of host variables.
    pub(crate) host_vars: Option<String>,
}
