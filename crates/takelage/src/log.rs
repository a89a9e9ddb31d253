//! What the libraries say for those who look for a fault in takelage itself: from `-vv` on, on standard error.

use tracing::level_filters::LevelFilter;

/// Shows the libraries' own log, as far as the verbosity asks for it.
pub(crate) fn start(verbosity: u8) {
    let level = match verbosity {
        0 | 1 => LevelFilter::OFF,
        2 => LevelFilter::INFO,
        3 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // It can only be set once, and this is the once.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .try_init();
}
