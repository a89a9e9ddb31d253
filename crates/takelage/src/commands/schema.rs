//! `schema` and `completions`: what other programs read about this one.

use clap::CommandFactory as _;
use takelage_model::Exit;

use crate::{cli::Cli, failure::Failure, output};

/// Prints the JSON Schema of the project file.
pub(crate) fn schema() -> Result<Exit, Failure> {
    output::data(&format!("{:#}\n", takelage_config::schema()))?;
    Ok(Exit::Done)
}

/// Prints a completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "takelage", &mut script);
    output::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
