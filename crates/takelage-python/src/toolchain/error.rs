//! What can go wrong while looking for a toolchain.

use std::{io, path::PathBuf};

use thiserror::Error;

/// There is no usable Ansible or pytest, and none could be made.
#[derive(Debug, Error)]
pub enum ToolchainError {
    /// What the project names is not usable.
    #[error("`{named}`, named as {subject}, is not usable: {reason}")]
    Named {
        /// `ansible` or `pytest`.
        subject: &'static str,
        /// What is named.
        named: String,
        /// Why not.
        reason: String,
    },
    /// No Python that a private environment can be made with.
    #[error("there is no Python from {oldest} on to make a private environment with: {reason}")]
    NoPython {
        /// The oldest version that would do.
        oldest: &'static str,
        /// What was looked at.
        reason: String,
    },
    /// No pip that could install into a private environment.
    #[error("`{python}` has no pip to make a private environment with; install the package `python3-venv`")]
    NoPip {
        /// The interpreter.
        python: PathBuf,
    },
    /// The directory of the private environment cannot be used.
    #[error("cannot use `{path}` for a private environment")]
    Directory {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Python's `venv` failed.
    #[error("`{python}` cannot make a virtual environment: {output}")]
    Venv {
        /// The interpreter.
        python: PathBuf,
        /// What it said.
        output: String,
    },
    /// pip could not install the packages: no network, most likely.
    #[error("pip could not install {what}: {reason}")]
    Install {
        /// The requirement, or the pinned list.
        what: String,
        /// pip's own last error.
        reason: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A new private environment lacks what it was made for.
    #[error("the private environment `{path}` is not usable: {reason}")]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
}
