//! The `takelage` program. Everything it does is in the library crates; here are arguments, settings and words.

mod cli;
mod commands;
mod failure;
mod hint;
mod log;
mod output;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // A helper of the embedded engine: before anything else, and before there is a second thread.
    if let Some(exit) = takelage_engine::embedded::helper(std::env::args_os()) {
        return exit;
    }
    let cli = cli::Cli::parse_from(cli::arguments(std::env::args_os()));
    log::start(cli.options.verbose);
    let settings = settings::Settings::resolve(&cli.options);
    let color = cli.options.color;
    if let cli::Command::Molecule(arguments) = &cli.command {
        // It keeps the exit statuses of the program that it stands for.
        let ended = settings.and_then(|settings| commands::molecule(arguments, &settings));
        return ended.map_or_else(|failure| output::report_molecule(&failure, color), ExitCode::from);
    }
    let ended = settings.and_then(|settings| commands::run(cli.command, &settings));
    let exit = ended.unwrap_or_else(|failure| output::report(&failure, color));
    ExitCode::from(exit.code())
}
