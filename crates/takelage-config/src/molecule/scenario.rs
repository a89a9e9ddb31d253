//! A scenario: everything that its files say, with defaults filled in.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Dependency, Flags, Platform, Section, Sequences, Verifier};
use crate::{Problem, glob};

/// A scenario of Molecule's.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name: `scenario.name`, else its directory's, with the directories above it in a collection.
    pub name: String,
    /// Its `molecule.yml`.
    pub file: PathBuf,
    /// The directory of that file; Ansible and pytest run in it.
    pub directory: PathBuf,
    /// Where files that are made for it are.
    pub places: Places,
    /// Who makes and removes its instances.
    pub driver: Driver,
    /// Its instances.
    pub platforms: Vec<Platform>,
    /// How roles and collections are installed that it needs.
    pub dependency: Dependency,
    /// Ansible's own settings: `ansible:`, or the legacy keys of `provisioner:`.
    pub ansible: Ansible,
    /// What else is said about Ansible.
    pub provisioner: Provisioner,
    /// What checks the instances.
    pub verifier: Verifier,
    /// What commands do.
    pub sequences: Sequences,
    /// Whether the project's requirements are installed and its role is made findable before everything else.
    pub prerun: bool,
    /// What an invalid name of the project's role means.
    pub role_name_check: NameCheck,
    /// Whether all scenarios of the project use the instances of `default`.
    pub shared_state: bool,
    /// All files merged, as playbooks find it in `molecule_yml`.
    pub merged: Value,
    /// What has no effect although somebody meant something by it.
    pub notes: Vec<Problem>,
}

/// Where things are that are not in the scenario's own directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The directory in which `molecule` was called.
    pub project: PathBuf,
    /// The file with variables for interpolation, there or not.
    pub env_file: PathBuf,
    /// The ephemeral directory, for generated files.
    pub ephemeral: PathBuf,
    /// What is remembered between commands.
    pub state: PathBuf,
}

impl Places {
    /// Returns the directory of the generated inventory.
    pub fn inventory(&self) -> PathBuf {
        self.ephemeral.join("inventory")
    }

    /// Returns the file in which create playbooks say how their instances are reached.
    pub fn instance_config(&self) -> PathBuf {
        self.ephemeral.join("instance_config.yml")
    }
}

/// Who makes and removes the instances.
#[derive(Debug, Clone, PartialEq)]
pub struct Driver {
    /// `driver.name`; `delegated` is read as `default`, which is what it was called later.
    pub name: String,
    /// What that means.
    pub kind: DriverKind,
    /// `driver.options`: anything.
    pub options: Map<String, Value>,
    /// Whether create and destroy are for this driver's playbooks at all.
    pub managed: bool,
    /// Options of `ssh`, in place of Molecule's.
    pub ssh_connection_options: Vec<String>,
    /// Files of the ephemeral directory that are kept when everything is destroyed.
    pub safe_files: Vec<String>,
}

/// What a driver's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// The scenario's own playbooks make and remove the instances.
    Default,
    /// The instances are containers, which takelage makes by itself.
    Containers,
    /// A plugin of Molecule's that takelage has no counterpart of; with playbooks of its own a scenario needs none.
    Foreign,
}

/// `ansible:`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ansible {
    /// Settings for `ansible.cfg`: section, key, value as Molecule writes it.
    pub cfg: IndexMap<String, IndexMap<String, String>>,
    /// Environment of Ansible and pytest.
    pub env: IndexMap<String, String>,
    /// What runs playbooks.
    pub executor: Executor,
    /// Arguments of `ansible-playbook`.
    pub playbook_args: Vec<String>,
    /// Arguments of `ansible-navigator`.
    pub navigator_args: Vec<String>,
    /// The file of each action, relative to the scenario's directory; none if the file says there is none.
    pub playbooks: IndexMap<Section, Option<String>>,
}

/// What runs playbooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Executor {
    /// `ansible-playbook`.
    #[default]
    Playbook,
    /// `ansible-navigator run`.
    Navigator,
}

/// `provisioner:`, without what has moved to `ansible:`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provisioner {
    /// Flags of `ansible-playbook`.
    pub options: Flags,
    /// Variables that every instance has, in place of the driver's.
    pub connection_options: Map<String, Value>,
    /// Files for the inventory.
    pub inventory: Inventory,
}

/// `provisioner.inventory`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// The content of `hosts`.
    pub hosts: Map<String, Value>,
    /// A file of variables per host.
    pub host_vars: Map<String, Value>,
    /// A file of variables per group.
    pub group_vars: Map<String, Value>,
    /// Names in the inventory's directory that lead elsewhere; with any, there are no generated files but the hosts'.
    pub links: Links,
}

/// Name in the inventory's directory → path relative to the scenario's.
pub type Links = IndexMap<String, String>;

/// What an invalid name of the project's role means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameCheck {
    /// It is an error.
    #[default]
    Refuse,
    /// It is worth a warning.
    Warn,
    /// Nothing.
    Ignore,
}

impl Scenario {
    /// Returns an absolute path for one that is relative to the scenario's directory, without `..` in it.
    pub fn path(&self, path: &str) -> PathBuf {
        normal(&self.directory.join(path))
    }

    /// Whether a file of the ephemeral directory is one that the scenario wants to keep.
    pub fn is_safe(&self, file: &std::path::Path) -> bool {
        let file = file.to_string_lossy();
        self.driver.safe_files.iter().any(|pattern| {
            glob::matches(pattern, &file)
                || glob::matches(&self.places.ephemeral.join(pattern).to_string_lossy(), &file)
        })
    }

    /// Whether takelage makes the instances by itself, because neither the driver nor a playbook does.
    pub fn is_native(&self) -> bool {
        self.driver.kind == DriverKind::Containers && self.playbook(Section::Create).is_none()
    }

    /// Whether there are no instances to make: the inventory comes with the arguments.
    pub fn is_ansible_native(&self) -> bool {
        self.platforms.is_empty()
    }
}

/// Takes `.` and `..` out of a path without looking at the disk, as Python's `abspath` does.
pub(super) fn normal(path: &std::path::Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
