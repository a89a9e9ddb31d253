//! Options that every command takes.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// Options that every command takes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Work in this directory, or the nearest one above it with a `takelage.yml`
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Which engine runs the containers [default: what the project file says]
    #[arg(long, value_enum, global = true)]
    pub(crate) engine: Option<EngineOption>,
    /// Run Ansible and pytest without any acceleration
    #[arg(long, global = true)]
    pub(crate) plain: bool,
    /// Make everything again, and remember nothing
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
    /// Make everything again, and remember what comes of it
    #[arg(long, global = true, conflicts_with_all = ["no_cache", "plain"])]
    pub(crate) refresh: bool,
    /// Where takelage remembers what it did [default: `$XDG_CACHE_HOME/takelage`]
    #[arg(long, value_name = "DIR", global = true, env = "TAKELAGE_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Write what happens to this file, as JSON lines
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) events: Option<PathBuf>,
    /// Write the results of all checks to this file, as JUnit XML
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) junit: Option<PathBuf>,
    /// Say more; up to four times, passed on to Ansible
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Say nothing but failures
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Use colours [default: on a terminal, unless `NO_COLOR` is set]
    #[arg(long, value_enum, value_name = "WHEN", global = true)]
    pub(crate) color: Option<ColorChoice>,
}

/// The values of `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineOption {
    /// Docker where one answers, else the embedded one
    Auto,
    /// Docker, or what speaks its API, such as Podman's socket
    Docker,
    /// takelage's own, without a daemon
    Embedded,
}

/// The values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
