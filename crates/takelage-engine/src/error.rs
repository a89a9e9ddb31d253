//! What can go wrong with an engine.

use std::fmt;

use thiserror::Error;

use crate::ArchiveError;

/// What takelage asked the engine to do; the first half of every sentence about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Connect,
    InspectImage,
    Pull,
    Push,
    Load,
    Save,
    Tag,
    RemoveImage,
    ListImages,
    Create,
    Start,
    List,
    Inspect,
    Logs,
    Exec,
    Put,
    Get,
    Export,
    Commit,
    Snapshot,
    RemoveSnapshot,
    ListSnapshots,
    RemoveVolume,
    ListVolumes,
    Stop,
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect to",
            Self::InspectImage => "look up image",
            Self::Pull => "pull image",
            Self::Push => "push image",
            Self::Load => "load image",
            Self::Save => "save image",
            Self::Tag => "tag image",
            Self::RemoveImage => "remove image",
            Self::ListImages => "list the images of",
            Self::Create => "create container",
            Self::Start => "start container",
            Self::List => "list the containers of",
            Self::Inspect => "look up container",
            Self::Logs => "read the log of container",
            Self::Exec => "run a command in container",
            Self::Put => "copy files into container",
            Self::Get => "copy files from container",
            Self::Export => "export container",
            Self::Commit => "commit container",
            Self::Snapshot => "take a snapshot of container",
            Self::RemoveSnapshot => "remove snapshot",
            Self::ListSnapshots => "list the snapshots of",
            Self::RemoveVolume => "remove volume",
            Self::ListVolumes => "list the volumes of",
            Self::Stop => "stop container",
            Self::Remove => "remove container",
        })
    }
}

/// An operation on an engine failed.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No engine answers.
    #[error("no Docker engine answers at `{endpoint}`")]
    Unavailable {
        /// Where it was expected.
        endpoint: String,
        /// Why it could not be reached.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered, and then it did not any more.
    #[error("the engine at `{endpoint}` went away: takelage could not {operation} `{object}`")]
    Gone {
        /// Where it was.
        endpoint: String,
        /// What was asked.
        operation: Operation,
        /// Of what.
        object: String,
    },
    /// The engine answered with an error.
    #[error("cannot {operation} `{object}`: {message}")]
    Refused {
        /// What was asked.
        operation: Operation,
        /// Of what.
        object: String,
        /// The engine's own words.
        message: String,
        /// The HTTP status of its answer, where there is one.
        status: Option<u16>,
    },
    /// The conversation with the engine broke.
    #[error("cannot {operation} `{object}`")]
    Broken {
        /// What was asked.
        operation: Operation,
        /// Of what.
        object: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk that the engine stores on is full.
    #[error("cannot {operation} `{object}`: the engine's disk is full")]
    DiskFull {
        /// What was asked.
        operation: Operation,
        /// Of what.
        object: String,
    },
    /// No such image, neither here nor in its registry.
    #[error("there is no image `{name}`: {message}")]
    NoSuchImage {
        /// Its name.
        name: String,
        /// What the engine or the registry said.
        message: String,
    },
    /// The registry does not answer.
    #[error("the registry of `{name}` cannot be reached: {message}")]
    NoRegistry {
        /// The image's name.
        name: String,
        /// What happened.
        message: String,
    },
    /// The registry wants a login, or refuses the one it got.
    #[error("the registry of `{name}` refuses access: {message}")]
    Unauthorized {
        /// The image's name.
        name: String,
        /// What the registry said.
        message: String,
    },
    /// The container does not exist, or does not run.
    #[error("container `{name}` is gone or stopped")]
    NoSuchContainer {
        /// Its name.
        name: String,
    },
    /// The snapshot does not exist.
    #[error("there is no snapshot `{id}`")]
    NoSuchSnapshot {
        /// Its id.
        id: crate::SnapshotId,
    },
    /// A container's name is taken.
    #[error("there is already a container `{name}`")]
    NameTaken {
        /// Its name.
        name: String,
    },
    /// No such file or directory in the container.
    #[error("there is no `{path}` in container `{container}`")]
    NoSuchPath {
        /// The container's name.
        container: String,
        /// The path.
        path: String,
    },
    /// The container's first process ended although it should run.
    #[error("container `{name}` ended with status {status} right after its start")]
    Ended {
        /// Its name.
        name: String,
        /// Its exit status.
        status: i64,
        /// The last lines of its log.
        log: String,
    },
    /// systemd did not come up.
    #[error("systemd did not come up in container `{name}`: {reason}")]
    Systemd {
        /// Its name.
        name: String,
        /// Its state and the units that failed, or what it wrote before it died.
        reason: String,
    },
    /// The specification asks for something the engine cannot do.
    #[error("the engine cannot do this for container `{name}`: {reason}")]
    Unsupported {
        /// The container's name.
        name: String,
        /// What, and why not.
        reason: String,
    },
    /// An image archive is damaged or of an unknown kind.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}
