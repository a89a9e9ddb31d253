//! What to run, and what can go wrong with it.

use std::{io, path::PathBuf};

use indexmap::IndexMap;
use thiserror::Error;

use super::Verified;
use crate::ansible::Inventory;

/// A run of pytest.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// A file or directory of checks; relative to the project's root.
    pub tests: PathBuf,
    /// The directory in which pytest runs.
    pub project_root: PathBuf,
    /// Names of the bridge's hosts that modules without `testinfra_hosts` are run against.
    pub hosts: Vec<String>,
    /// More arguments for `pytest`, such as `-k` or `--hosts`.
    pub options: Vec<String>,
    /// Plugins to load, as `-p` takes them.
    pub plugins: Vec<String>,
    /// How many `-v` pytest gets.
    pub verbosity: u8,
    /// The hosts with their groups and variables, for `ansible://` and `host.ansible`.
    pub inventory: Inventory,
    /// Settings as in `ansible.cfg` for the Ansible that checks call: section → key → value.
    pub config: IndexMap<String, IndexMap<String, String>>,
    /// Where that Ansible looks for roles first; relative to the project's root.
    pub roles_path: Vec<PathBuf>,
    /// Where it looks for collections first; relative to the project's root.
    pub collections_path: Vec<PathBuf>,
    /// pytest's whole environment; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// Whether a debugger (`--pdb`) may talk to takelage's own standard input, which must be a terminal then.
    pub interactive: bool,
}

/// The checks did not all hold, or could not be run.
#[derive(Debug, Error)]
pub enum PytestError {
    /// At least one check failed. The user's code is at fault.
    #[error("{} of {} checks failed", .0.bad(), .0.all())]
    Failed(Verified),
    /// There is nothing to run.
    #[error("no checks in `{tests}`{}", if *.deselected > 0 { format!(": all {deselected} are deselected by the options") } else { String::new() })]
    NoChecks {
        /// Where they were looked for.
        tests: PathBuf,
        /// How many the options leave out.
        deselected: u64,
    },
    /// The directory or file of checks does not exist.
    #[error("there are no checks at `{tests}`: no such file or directory")]
    NoTests {
        /// Where they should be.
        tests: PathBuf,
    },
    /// pytest does not understand its options or its configuration.
    #[error("pytest refuses its options: {message}")]
    Usage {
        /// pytest's own words.
        message: String,
    },
    /// The files that pytest needs to start could not be written.
    #[error("cannot write pytest's input to `{directory}`")]
    Input {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// pytest could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// pytest itself gave up.
    #[error("`pytest` ended with {status}: {message}")]
    Crashed {
        /// How it ended.
        status: String,
        /// The last thing it said.
        message: String,
        /// The last lines it wrote.
        output: String,
    },
    /// The run was interrupted.
    #[error("`pytest` was interrupted")]
    Cancelled,
}

impl PytestError {
    /// Whether the user's own code failed, as opposed to the surroundings.
    pub fn is_users(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NoChecks { .. } | Self::NoTests { .. } | Self::Usage { .. })
    }
}
