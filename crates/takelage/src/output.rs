//! The only place that writes to the terminal by itself: data to standard output, failures to standard error.

use std::{error::Error as _, io::Write as _, process::ExitCode};

use anstream::ColorChoice as Choice;
use takelage_model::Exit;

use crate::{cli::ColorChoice, failure::Failure, hint};

/// Writes data to standard output.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Stdout),
    }
}

/// Writes to standard error.
pub(crate) fn talk(text: &str) {
    // A standard error that cannot be written to leaves nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Says why a command of `molecule` could not do its work, and returns its exit status.
pub(crate) fn report_molecule(failure: &Failure, color: Option<ColorChoice>) -> ExitCode {
    report(failure, color);
    ExitCode::from(match failure {
        Failure::NoPlatform { .. } => 4,
        _ => 1,
    })
}

/// Returns a failure with all its causes in one sentence.
pub(crate) fn sentence(failure: &Failure) -> String {
    let mut sentence = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}

/// Says why a command could not do its work, and returns the exit status.
pub(crate) fn report(failure: &Failure, color: Option<ColorChoice>) -> Exit {
    let choice = match color {
        Some(ColorChoice::Always) => Choice::Always,
        Some(ColorChoice::Never) => Choice::Never,
        Some(ColorChoice::Auto) | None => Choice::Auto,
    };
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default();
    let mut stderr = anstream::AutoStream::new(std::io::stderr().lock(), choice);
    // A standard error that cannot be written to leaves nobody to tell.
    let _ = writeln!(stderr, "{red}error:{red:#} {}", sentence(failure));
    if let Some(hint) = hint::of_failure(failure) {
        let _ = writeln!(stderr, "\n{cyan}hint:{cyan:#} {hint}");
    }
    failure.exit()
}
