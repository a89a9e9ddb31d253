//! Why a step failed, and what that means for the exit status.

use std::error::Error as _;

use takelage_bootstrap::BootstrapError;
use takelage_engine::{ArchiveError, EngineError, ReferenceError};
use takelage_model::{Exit, ImageName};
use takelage_python::{
    BridgeError, ansible::AnsibleError, prepare::PrepareError, pytest::PytestError, toolchain::ToolchainError,
};
use thiserror::Error;

use crate::{StoreError, recipe::RecipeError};

/// A step failed. The crates that do the work say why; this says to whom it matters.
#[derive(Debug, Error)]
pub enum StepError {
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// A part of takelage panicked; its message is on standard error.
    #[error("takelage itself failed: a part of it panicked")]
    Panicked,
    /// The project has no such image.
    #[error("there is no image `{name}` in this project")]
    UnknownImage {
        /// What was asked for.
        name: ImageName,
        /// What there is.
        known: Vec<ImageName>,
    },
    /// A container is needed that does not exist.
    #[error("there is no container of `{image}` yet")]
    NoContainer {
        /// The image it would belong to.
        image: ImageName,
    },
    /// The second run of the playbook changed something.
    #[error("the playbook of `{image}` is not idempotent: {} changed again", tasks.join(", "))]
    NotIdempotent {
        /// The image.
        image: ImageName,
        /// The tasks, with file and line.
        tasks: Vec<String>,
    },
    /// Galaxy would not take the name of the project's role.
    #[error(
        "`{name}` is no name for a role: it must be `namespace.role` in lowercase letters, digits and `_`"
    )]
    RoleName {
        /// The name.
        name: String,
    },
    /// A program that a scenario asks for failed.
    #[error("`{program}` ended with status {status}")]
    Program {
        /// The program.
        program: String,
        /// Its exit status.
        status: i32,
    },
    /// A program that a scenario asks for could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing makes the instances of a scenario.
    #[error("takelage has no driver `{driver}`, and the scenario has no `create.yml` of its own")]
    NoDriver {
        /// The driver's name.
        driver: String,
    },
    /// A scenario's image has to be built first.
    #[error("platform `{platform}` is built with `{dockerfile}`, which this version of takelage cannot do")]
    Dockerfile {
        /// The platform.
        platform: String,
        /// The file.
        dockerfile: String,
    },
    /// The playbook was never run before.
    #[error("the scenario `{scenario}` has not converged, so nothing can be said about a second time")]
    NotConverged {
        /// The scenario.
        scenario: String,
    },
    /// The image's own command ends at once, so that nothing can be checked in its container.
    #[error(
        "the command of image `{image}` ended with status {status} before anything could be checked{}",
        said(log)
    )]
    CommandEnded {
        /// The image.
        image: ImageName,
        /// The exit status of the command.
        status: i64,
        /// The last lines of its log.
        log: String,
    },
    /// The image that another one is based on was not produced.
    #[error("the image `{image}` was not produced")]
    NotProduced {
        /// The image.
        image: ImageName,
    },
    /// An image is needed that was never produced.
    #[error("there is no produced image of `{image}` yet")]
    NoImage {
        /// The image.
        image: ImageName,
    },
    /// An image has no name under which a registry could have it.
    #[error("the image `{image}` has no `tags:`, so it is known to no registry")]
    NoTags {
        /// The image.
        image: ImageName,
    },
    /// What was made could not be handed on.
    #[error("cannot write the archive to {to}")]
    Output {
        /// Where it went, in words.
        to: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The packages of a bootstrapped image could not be configured.
    #[error("the packages of `{image}` could not be configured: `dpkg` ended with status {status}")]
    Configure {
        /// The image.
        image: ImageName,
        /// The exit status.
        status: i64,
    },
    /// A name in the project file is no image reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A step failed, and its last event says so.
    #[error(transparent)]
    Told(Box<StepError>),
    /// Something below failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something below failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something below failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something below failed.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Something below failed.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Something below failed.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// Something below failed.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// Something below failed.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Something below failed.
    #[error(transparent)]
    Ansible(#[from] AnsibleError),
    /// Something below failed.
    #[error(transparent)]
    Pytest(#[from] PytestError),
}

impl StepError {
    /// Whether the step was given up because the run is interrupted.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self.untold(),
            Self::Interrupted | Self::Ansible(AnsibleError::Cancelled) | Self::Pytest(PytestError::Cancelled)
        )
    }

    /// Returns the failure itself, whether or not an event has said it.
    pub fn untold(&self) -> &Self {
        match self {
            Self::Told(error) => error.untold(),
            error => error,
        }
    }

    /// Returns the exit status that this failure leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Told(error) => error.exit(),
            _ if self.is_interruption() => Exit::Interrupted,
            Self::UnknownImage { .. }
            | Self::NoContainer { .. }
            | Self::NoImage { .. }
            | Self::NoTags { .. }
            | Self::RoleName { .. }
            | Self::NoDriver { .. }
            | Self::Dockerfile { .. }
            | Self::NotConverged { .. }
            | Self::Reference(_) => Exit::Usage,
            Self::NotIdempotent { .. }
            | Self::Program { .. }
            | Self::CommandEnded { .. }
            | Self::Engine(EngineError::Ended { .. } | EngineError::Systemd { .. }) => Exit::Failed,
            Self::Ansible(error) if error.is_users() => Exit::Failed,
            Self::Pytest(error) if error.is_users() => Exit::Failed,
            _ => Exit::Surroundings,
        }
    }

    /// Returns the failure in one sentence, causes included.
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !sentence.ends_with(&text) {
                sentence.push_str(": ");
                sentence.push_str(&text);
            }
            cause = error.source();
        }
        sentence
    }
}

/// The last lines of a log, as the end of a sentence.
fn said(log: &str) -> String {
    let lines: Vec<String> = log.trim_end().lines().map(|line| format!("\n  {line}")).collect();
    let lines = lines.concat();
    if lines.is_empty() { lines } else { format!("; it said{lines}") }
}
