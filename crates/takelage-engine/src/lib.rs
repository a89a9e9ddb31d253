//! One contract for containers and images, and the engines that keep it.
//!
//! [`Engine`] and [`Container`] say what takelage needs; [`docker`] keeps the contract over the Docker API.
//! Nothing here knows of projects, plans or Ansible. Nothing here prints or reads the environment: what an
//! engine needs from there (socket, credentials) comes in as settings.

pub mod agent;
mod archive;
mod container;
mod contract;
pub mod docker;
mod error;
mod exec;
mod image;

pub use archive::{ArchiveError, ArchiveKind, ImageArchive};
pub use container::{ContainerId, ContainerRecord, ContainerSpec, ContainerState, Network, Startup, Volume};
pub use contract::{Container, Engine, Progress};
pub use error::{EngineError, Operation};
pub use exec::{Chunk, ExecOutput, ExecSpec, Interaction, Stream};
pub use image::{
    ConfigError, ConfigPatch, DEFAULT_PATH, Healthcheck, History, ImageConfig, ImageFile, ImageId,
    ImageRecord, Reference, ReferenceError,
};
