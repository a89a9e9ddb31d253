//! Developer chores: `cargo xtask CHORE`.
//!
//! Every chore looks at the whole workspace, prints everything it finds at once, and fails if that is anything.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to developers only")]

mod chore;
mod dependencies;
mod forbid;
mod generate;
mod licenses;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::chore::{Broken, Finding};

/// Developer chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check that crates depend on one another only in the designed directions, and share their lints.
    CheckDeps,
    /// Check the licences and the number of the crates that others wrote.
    Licenses,
    /// Generate the references in `docs/reference` from the program.
    Generate {
        /// Write nothing; fail if a reference is out of date.
        #[arg(long)]
        check: bool,
        /// Ask this program instead of building one.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Check the tracked files for what must never be committed.
    Forbid,
}

fn main() -> ExitCode {
    let (name, result) = match Arguments::parse().chore {
        Chore::CheckDeps => ("check-deps", dependencies::check()),
        Chore::Licenses => ("licenses", licenses::check()),
        Chore::Generate { check, program } => ("generate", generate::generate(check, program)),
        Chore::Forbid => ("forbid", forbid::check()),
    };
    report(name, result)
}

fn report(name: &str, result: Result<Vec<Finding>, Broken>) -> ExitCode {
    match result {
        Ok(findings) if findings.is_empty() => {
            println!("{name}: nothing found");
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            println!("{name}: {} found", findings.len());
            ExitCode::FAILURE
        }
        Err(broken) => {
            let mut message = broken.to_string();
            let mut cause = std::error::Error::source(&broken);
            while let Some(error) = cause {
                message.extend([": ", &error.to_string()]);
                cause = error.source();
            }
            eprintln!("error: {name}: {message}");
            ExitCode::FAILURE
        }
    }
}
