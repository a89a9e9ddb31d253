//! Why a command could not do its work, before or beside the steps of a run.

use std::{io, path::PathBuf};

use takelage_config::{ConfigError, molecule::DiscoveryError};
use takelage_engine::EngineError;
use takelage_model::{Exit, ImageName};
use takelage_python::ToolchainError;
use takelage_run::{StepError, StoreError};
use thiserror::Error;

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("the current directory cannot be read")]
    CurrentDirectory(#[source] io::Error),
    #[error("there is no directory `{}`", path.display())]
    NoDirectory { path: PathBuf },
    #[error("neither `--cache-dir` nor `HOME` says where takelage may remember things")]
    NoCacheDirectory,
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Scenario(#[from] DiscoveryError),
    #[error("Instances missing: the scenario `{scenario}` has no platform `{name}`")]
    NoPlatform { name: String, scenario: String },
    #[error("there is no command `{command}` with a sequence of actions")]
    NoSequence { command: String },
    #[error("there is no instance `{name}`")]
    NoInstance { name: String },
    #[error("there are several instances: {}", known.join(", "))]
    WhichInstance { known: Vec<String> },
    #[error("there is a scenario already in `{}`", directory.display())]
    ScenarioExists { directory: PathBuf },
    #[error("cannot remove `{}`", path.display())]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the project `{name}` has no images")]
    NoImages { name: String },
    #[error("there is no image `{name}` in this project; it has {}", known(images))]
    UnknownImage { name: ImageName, images: Vec<ImageName> },
    #[error("takelage cannot find its own program, which the embedded engine starts")]
    OwnProgram(#[source] io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("`SOURCE_DATE_EPOCH` is `{value}`, which is no number of seconds")]
    SourceDateEpoch { value: String },
    #[error("cannot write `{path}`")]
    Report {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("an archive is nothing for a terminal")]
    TerminalOutput,
    #[error("cannot write to `{}`", path.display())]
    Output {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the asynchronous runtime cannot start")]
    Runtime(#[source] io::Error),
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    #[error("the terminal cannot be used for a shell")]
    Terminal(#[source] io::Error),
}

fn known(images: &[ImageName]) -> String {
    images.iter().map(|image| format!("`{image}`")).collect::<Vec<_>>().join(", ")
}

impl Failure {
    /// Returns the exit status that this failure leads to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Config(ConfigError::Read { .. }) => Exit::Surroundings,
            Self::Config(_)
            | Self::NoDirectory { .. }
            | Self::Scenario(_)
            | Self::NoPlatform { .. }
            | Self::NoSequence { .. }
            | Self::NoInstance { .. }
            | Self::WhichInstance { .. }
            | Self::ScenarioExists { .. }
            | Self::NoImages { .. }
            | Self::UnknownImage { .. }
            | Self::TerminalOutput
            | Self::SourceDateEpoch { .. } => Exit::Usage,
            Self::Step(error) => error.exit(),
            _ => Exit::Surroundings,
        }
    }
}
