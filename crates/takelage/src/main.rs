//! The `takelage` program. Everything it does is in the library crates; here are arguments, settings and words.

mod cli;
mod commands;
mod failure;
mod hint;
mod log;
mod output;
mod settings;

use clap::Parser as _;
use takelage_model::Exit;

fn main() -> Exit {
    let cli = cli::Cli::parse();
    log::start(cli.options.verbose);
    let settings = settings::Settings::resolve(&cli.options);
    match settings.and_then(|settings| commands::run(cli.command, &settings)) {
        Ok(exit) => exit,
        Err(failure) => output::report(&failure, cli.options.color),
    }
}
