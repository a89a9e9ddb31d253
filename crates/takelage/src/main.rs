//! The `takelage` program. Everything it does is in the library crates; here are arguments, settings and words.

mod cli;
mod commands;
mod failure;
mod hint;
mod log;
mod output;
mod settings;

use std::process::{ExitCode, Termination as _};

use clap::Parser as _;

fn main() -> ExitCode {
    // A helper of the embedded engine: before anything else, and before there is a second thread.
    if let Some(exit) = takelage_engine::embedded::helper(std::env::args_os()) {
        return exit;
    }
    let cli = cli::Cli::parse();
    log::start(cli.options.verbose);
    let settings = settings::Settings::resolve(&cli.options);
    match settings.and_then(|settings| commands::run(cli.command, &settings)) {
        Ok(exit) => exit.report(),
        Err(failure) => output::report(&failure, cli.options.color).report(),
    }
}
