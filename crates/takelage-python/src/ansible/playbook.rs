//! What to run.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::Value;

use super::Inventory;

/// A playbook, and how to run it.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of `ansible-playbook` that combines with all others"
)]
pub struct Playbook {
    /// The playbook; relative to the project's root.
    pub path: PathBuf,
    /// The directory in which Ansible runs: its `ansible.cfg` counts, and nothing is written into it.
    pub project_root: PathBuf,
    /// Hosts, groups and their variables.
    pub inventory: Inventory,
    /// Variables that win over all others. Handed over in a private file, not on the command line.
    pub extra_vars: IndexMap<String, Value>,
    /// Settings as in `ansible.cfg`: section → key → value. They win over the user's file, not over the environment.
    pub config: IndexMap<String, IndexMap<String, String>>,
    /// Directories searched for roles before those of the user's configuration; relative to the project's root.
    pub roles_path: Vec<PathBuf>,
    /// Directories searched for collections before those of the user's configuration, such as that of [`Required`].
    ///
    /// [`Required`]: super::Required
    pub collections_path: Vec<PathBuf>,
    /// Only say what would change.
    pub check: bool,
    /// Show what changes in files.
    pub diff: bool,
    /// How many `-v` Ansible gets.
    pub verbosity: u8,
    /// Only check the syntax.
    pub syntax_only: bool,
    /// More arguments for `ansible-playbook`, such as `--tags` or `--vault-password-file`.
    pub extra_args: Vec<String>,
    /// Ansible's whole environment; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// Whether questions (`vars_prompt`, `pause`) reach takelage's own standard input, which must be a terminal then.
    ///
    /// Ansible then shares takelage's process group, so that Ctrl-C reaches both.
    pub interactive: bool,
}
