//! One contract for containers and images, and the engines that keep it.
//!
//! [`Engine`] and [`Container`] say what takelage needs; [`docker`] keeps the contract over the Docker API, [`embedded`]
//! without a daemon.
//! Nothing here knows of projects, plans or Ansible. Nothing here prints or reads the environment: what an
//! engine needs from there (socket, credentials) comes in as settings.

pub mod agent;
mod any;
mod archive;
mod container;
mod contract;
mod credentials;
pub mod docker;
pub mod embedded;
mod error;
mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod layer;
mod manifest;
mod ports;
mod progress;
mod registry;
mod snapshot;
mod systemd;
mod whole_file;

pub use any::{AnyContainer, AnyEngine};
pub use archive::{ArchiveError, ArchiveFormat, ArchiveKind, ImageArchive, ImageTree};
pub use container::{
    ContainerId, ContainerRecord, ContainerSpec, ContainerState, Network, Startup, Ulimit, Volume,
};
pub use contract::{Capabilities, Container, Engine, Progress};
pub use credentials::CredentialsError;
pub use error::{EngineError, Operation};
pub use exec::{Chunk, ExecOutput, ExecSpec, Interaction, Stream};
pub use image::{
    ConfigError, ConfigPatch, DEFAULT_PATH, Healthcheck, History, ImageConfig, ImageFile, ImageId,
    ImageRecord, Reference, ReferenceError,
};
pub use layer::{FileKind, Omitted, TreeFile};
pub(crate) use manifest::ManifestError;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use manifest::fuzz as fuzz_manifest;
pub use snapshot::{SnapshotId, SnapshotRecord};
