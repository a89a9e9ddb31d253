//! What the chores share: what they find, why they break, and where the workspace is.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_metadata::{Metadata, MetadataCommand};
use thiserror::Error;

/// Something that is not as it should be, in one line.
pub(crate) type Finding = String;

/// A chore that could not do its work.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// Cargo does not describe the workspace.
    #[error("cannot ask cargo about the workspace")]
    Metadata(#[from] cargo_metadata::Error),
    /// A file cannot be read or written.
    #[error("cannot use a file")]
    File(#[from] io::Error),
    /// A program did not do what it was asked to.
    #[error("`{command}` failed:\n{said}")]
    Program {
        /// The command line.
        command: String,
        /// Its standard error.
        said: String,
    },
    /// The program does not say what a reference is made of.
    #[error("`{command}` says nothing that can be used")]
    Silent {
        /// The command line.
        command: String,
    },
}

/// Returns the workspace's directory.
pub(crate) fn workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Asks cargo about the workspace as `Cargo.lock` has it.
pub(crate) fn metadata() -> Result<Metadata, Broken> {
    let options = ["--locked".to_owned()];
    Ok(MetadataCommand::new().current_dir(workspace()).other_options(options).exec()?)
}

/// Runs a program in the workspace and returns its output, which must be a success.
pub(crate) fn run(command: &mut Command) -> Result<Output, Broken> {
    let output = command.current_dir(workspace()).output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(Broken::Program {
        command: format!("{command:?}"),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
