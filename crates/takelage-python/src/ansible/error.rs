//! What can go wrong with a playbook.

use std::{io, path::PathBuf};

use thiserror::Error;

/// A playbook did not run to its end, or a task of it failed.
#[derive(Debug, Error)]
pub enum AnsibleError {
    /// A task failed. The user's code is at fault.
    #[error("task `{}` ({}) failed on `{}`: {}", .0.task, .0.path, .0.host, .0.message)]
    Failed(Box<FailedTask>),
    /// A host could not be reached: the container is gone, or its user does not exist.
    #[error("task `{task}` ({path}) could not reach `{host}`: {message}")]
    Unreachable {
        /// The task's name.
        task: String,
        /// `FILE:LINE`, relative to the project where it lies inside.
        path: String,
        /// The inventory's host.
        host: String,
        /// Why.
        message: String,
    },
    /// Ansible cannot understand a file. The user's code is at fault.
    #[error("{}{message}", place(file.as_ref(), *line, *column))]
    Syntax {
        /// The file, relative to the project where it lies inside.
        file: Option<PathBuf>,
        /// The line, from 1.
        line: Option<u64>,
        /// The column, from 1.
        column: Option<u64>,
        /// Ansible's own message.
        message: String,
    },
    /// No play of the playbook has a host.
    #[error("no host matches `{pattern}`: there are the hosts {hosts} and the groups {groups}")]
    NoHosts {
        /// The patterns of all plays.
        pattern: String,
        /// The hosts there are, each in backticks.
        hosts: String,
        /// The groups there are, each in backticks.
        groups: String,
    },
    /// The playbook does not exist.
    #[error("there is no playbook `{path}`")]
    NoPlaybook {
        /// Its path.
        path: PathBuf,
    },
    /// Required roles or collections could not be installed.
    #[error("cannot install what `{file}` requires: {message}")]
    Requirements {
        /// The requirements file.
        file: PathBuf,
        /// `ansible-galaxy`'s last words.
        message: String,
        /// The last lines it wrote.
        output: String,
    },
    /// The files that Ansible needs to start could not be written.
    #[error("cannot write Ansible's input to `{directory}`")]
    Input {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Ansible could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Ansible itself gave up.
    #[error("`ansible-playbook` ended with {status}: {message}")]
    Crashed {
        /// How it ended.
        status: String,
        /// The last thing it said.
        message: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The run was interrupted.
    #[error("`ansible-playbook` was interrupted")]
    Cancelled,
}

impl AnsibleError {
    /// Whether the user's own code failed, as opposed to the surroundings.
    pub fn is_users(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Syntax { .. } | Self::NoHosts { .. } | Self::NoPlaybook { .. })
    }
}

/// The task that made a playbook fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTask {
    /// The task's name.
    pub task: String,
    /// The module's full name.
    pub action: String,
    /// `FILE:LINE`, relative to the project where it lies inside.
    pub path: String,
    /// The inventory's host.
    pub host: String,
    /// The loop's item, where it was one.
    pub item: Option<String>,
    /// The module's own message.
    pub message: String,
    /// Standard output of what the task ran.
    pub stdout: String,
    /// Standard error of what the task ran.
    pub stderr: String,
    /// Exit status of what the task ran.
    pub status: Option<i64>,
}

/// Returns `FILE:LINE:COLUMN: `, as far as known.
fn place(file: Option<&PathBuf>, line: Option<u64>, column: Option<u64>) -> String {
    let Some(file) = file else { return String::new() };
    let mut place = format!("{}:", file.display());
    for number in [line, column].into_iter().flatten() {
        place = format!("{place}{number}:");
    }
    place + " "
}
