//! The program that tests of this crate start where the embedded engine starts its own program once more.

use std::process::ExitCode;

fn main() -> ExitCode {
    takelage_engine::embedded::helper(std::env::args_os()).unwrap_or(ExitCode::FAILURE)
}
